/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See rig.h. */
#include "tests/unit/storage/rig.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vm/base/io.h"
#include "vm/base/sizes.h"

#include "tests/unit/suite.h"

struct loop *rig_loop;
char rig_dir[64];

static struct ctx *ctx;
static char loopdevs[8][64]; /* "" = free */
static char mounts[4][160];

void rig_setup(void)
{
	struct err e = ERR_NONE;

	/* not /tmp, which may be a tmpfs without O_DIRECT */
	strcpy(rig_dir, "/var/tmp/guestdeck-storage-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(rig_dir));
	ck_assert_int_eq(loop_new(&rig_loop, &e), 0);
}

void rig_teardown(void)
{
	ctx_put(ctx);
	ctx = NULL;
	loop_free(rig_loop);
	for (size_t i = 0; i < ARRAY_LEN(mounts); i++)
		if (mounts[i][0])
			umount2(mounts[i], MNT_DETACH);
	for (size_t i = 0; i < ARRAY_LEN(loopdevs); i++)
		if (loopdevs[i][0])
			rig_loopdev_end(loopdevs[i]);
	suite_rm(rig_dir);
}

int rig_main(const char *name, const TTest **tests, size_t n)
{
	return suite_run_with(name, tests, n, 60, rig_setup, rig_teardown);
}

const char *rig_path(const char *name)
{
	static char paths[4][160];
	static unsigned next;
	char *p = paths[next++ % 4];

	snprintf(p, sizeof(paths[0]), "%s/%s", rig_dir, name);
	return p;
}

const char *rig_file(const char *name, uint64_t size)
{
	const char *path = rig_path(name);
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, (off_t)size), 0);
	close(fd);
	return path;
}

void rig_write_file(const char *path, uint64_t off, const void *buf, size_t len)
{
	int fd = open(path, O_WRONLY);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(io_pwrite_full(fd, buf, len, (off_t)off), 0);
	close(fd);
}

void rig_read_file(const char *path, uint64_t off, void *buf, size_t len)
{
	int fd = open(path, O_RDONLY);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(io_pread_full(fd, buf, len, (off_t)off), 0);
	close(fd);
}

struct blk_opts rig_opts(const char *path)
{
	return (struct blk_opts){ .path = path, .format = BLK_RAW };
}

struct blk *rig_open(const struct blk_opts *o)
{
	struct err e = ERR_NONE;
	struct blk *b = NULL;
	int r = blk_open(o, rig_loop, NULL, &b, &e);

	ck_assert_msg(r == 0, "%s", e.msg);
	return b;
}

void rig_open_fails(const struct blk_opts *o, int code, const char *has)
{
	struct err e = ERR_NONE;
	struct blk *b = NULL;

	ck_assert_int_eq(blk_open(o, rig_loop, NULL, &b, &e), -code);
	ck_assert_int_eq(e.code, code);
	ck_assert_ptr_null(b);
	ck_assert_msg(strstr(e.msg, o->path) != NULL, "no path: %s", e.msg);
	ck_assert_msg(strstr(e.msg, has) != NULL, "no '%s': %s", has, e.msg);
}

static void rig_done(struct blk_req *r, int err)
{
	struct rig_req *q = r->arg;

	ck_assert(!q->inside);
	q->calls++;
	q->err = err;
}

void rig_init_req(struct rig_req *q, enum blk_op op, uint64_t off, void *buf,
	uint64_t len)
{
	memset(q, 0, sizeof(*q));
	q->iov = (struct iovec){ buf, len };
	q->r.op = op;
	q->r.offset = off;
	q->r.len = len;
	if (op == BLK_READ || op == BLK_WRITE) {
		q->r.iov = &q->iov;
		q->r.niov = 1;
	}
	q->r.done = rig_done;
	q->r.arg = q;
}

void rig_submit(struct blk *b, struct rig_req *q)
{
	q->inside = true;
	blk_submit(b, &q->r);
	q->inside = false;
}

int rig_wait(struct rig_req *q)
{
	while (!q->calls)
		loop_run_once(rig_loop, -1);
	ck_assert_int_eq(q->calls, 1);
	return q->err;
}

int rig_do(struct blk *b, enum blk_op op, unsigned flags, uint64_t off,
	void *buf, uint64_t len)
{
	struct rig_req q;

	rig_init_req(&q, op, off, buf, len);
	q.r.flags = flags;
	rig_submit(b, &q);
	return rig_wait(&q);
}

struct ctx *rig_ctx(void)
{
	struct err e = ERR_NONE;

	if (!ctx)
		ck_assert_int_eq(ctx_get(rig_loop, &ctx, &e), 0);
	return ctx;
}

int rig_run(int (*fn)(void *arg), void *arg)
{
	return ctx_run(rig_ctx(), fn, arg);
}

int rig_sh(const char *fmt, ...)
{
	char cmd[1024], line[1200];
	va_list ap;
	int r;

	va_start(ap, fmt);
	vsnprintf(cmd, sizeof(cmd), fmt, ap);
	va_end(ap);
	snprintf(line, sizeof(line), "{ %s ; } >/dev/null 2>&1", cmd);
	r = system(line);
	return WIFEXITED(r) ? WEXITSTATUS(r) : -1;
}

bool rig_has(const char *tool)
{
	return rig_sh("command -v %s", tool) == 0;
}

FILE *rig_qemu_hold(const char *args)
{
	const char *said = rig_file("said", 0);
	char line[600], text[256] = "";
	FILE *f, *out;

	snprintf(line, sizeof(line), "cd %s && qemu-io %s >%s 2>&1; :", rig_dir,
		args, said);
	f = popen(line, "w");
	ck_assert_ptr_nonnull(f);
	while (!strstr(text, "qemu-io>")) {
		usleep(1000);
		out = fopen(said, "r");
		if (out && !fgets(text, sizeof(text), out))
			text[0] = 0;
		if (out)
			fclose(out);
	}
	return f;
}

const char *rig_loopdev(const char *name, uint64_t size, unsigned sector_size)
{
	char cmd[300];
	size_t i = 0;
	FILE *f;

	while (loopdevs[i][0])
		ck_assert_uint_lt(++i, ARRAY_LEN(loopdevs));
	snprintf(cmd, sizeof(cmd), "losetup -f --show -b %u %s 2>/dev/null",
		sector_size, rig_file(name, size));
	f = popen(cmd, "r");
	ck_assert_ptr_nonnull(f);
	if (!fgets(loopdevs[i], sizeof(loopdevs[i]), f))
		loopdevs[i][0] = 0;
	pclose(f);
	loopdevs[i][strcspn(loopdevs[i], "\n")] = 0;
	return loopdevs[i][0] ? loopdevs[i] : NULL;
}

void rig_loopdev_end(const char *dev)
{
	rig_sh("losetup -d %s", dev);
	for (size_t i = 0; i < ARRAY_LEN(loopdevs); i++)
		if (!strcmp(dev, loopdevs[i]))
			loopdevs[i][0] = 0;
}

static bool mount_on(const char *dev, const char *name, const char *type,
	const char *options)
{
	const char *dir = rig_path(name);
	size_t i = 0;

	while (mounts[i][0])
		ck_assert_uint_lt(++i, ARRAY_LEN(mounts));
	if (mkdir(dir, 0700) || mount(dev, dir, type, 0, options))
		return false;
	strcpy(mounts[i], dir);
	return true;
}

bool rig_mount_4k(const char *name)
{
	const char *dev = rig_loopdev("ext4.img", 32 * MiB, 4096);

	return dev && !rig_sh("mkfs.ext4 -q -b 4096 -O ^has_journal %s", dev) &&
	       mount_on(dev, name, "ext4", NULL);
}

bool rig_mount_tmpfs(const char *name, uint64_t bytes)
{
	char options[64];

	snprintf(options, sizeof(options), "size=%llu",
		(unsigned long long)bytes);
	return mount_on("tmpfs", name, "tmpfs", options);
}

void rig_umount(const char *name)
{
	const char *dir = rig_path(name);

	for (size_t i = 0; i < ARRAY_LEN(mounts); i++)
		if (!strcmp(mounts[i], dir))
			mounts[i][0] = 0;
	umount2(dir, MNT_DETACH);
	rmdir(dir);
}

bool rig_has_direct(void)
{
	int fd = open(rig_file("direct", 4096), O_RDWR | O_DIRECT);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

void rig_refuse(int syscall_number, int code)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)syscall_number, 0,
			1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)code),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { ARRAY_LEN(filter), filter };

	ck_assert_int_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	ck_assert_int_eq(prctl(PR_SET_SECCOMP, 2, &prog), 0);
}
