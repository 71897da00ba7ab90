/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See nbdrig.h. */
#include "tests/unit/storage/proto/nbdrig.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "storage/core/sync.h"

#include "tests/unit/suite.h"

bool nbdrig_has(const char *program)
{
	static const char *const dirs[] = { "/usr/bin", "/usr/sbin", "/bin",
		"/usr/local/bin" };
	char path[128];

	for (unsigned i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", dirs[i], program);
		if (!access(path, X_OK))
			return true;
	}
	return false;
}

static void server_listen(struct nbdrig_server *s, int family,
	const struct sockaddr *addr, socklen_t len)
{
	s->listen_fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(s->listen_fd, 0);
	ck_assert_int_eq(bind(s->listen_fd, addr, len), 0);
	ck_assert_int_eq(listen(s->listen_fd, 16), 0);
}

void nbdrig_listen(struct nbdrig_server *s)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	static unsigned next;

	if (!*s->socket)
		snprintf(s->socket, sizeof(s->socket), "%s/nbd%u.sock", rig_dir,
			next++);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", s->socket);
	server_listen(s, AF_UNIX, (struct sockaddr *)&addr, sizeof(addr));
}

void nbdrig_listen_tcp(struct nbdrig_server *s)
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(addr);

	server_listen(s, AF_INET, (struct sockaddr *)&addr, len);
	ck_assert_int_eq(getsockname(s->listen_fd, (struct sockaddr *)&addr,
				 &len),
		0);
	s->port = ntohs(addr.sin_port);
}

void nbdrig_unlisten(struct nbdrig_server *s)
{
	close(s->listen_fd);
	s->listen_fd = -1;
	if (*s->socket)
		unlink(s->socket);
}

static int split(char *line, char **argv, int max)
{
	int n = 0;

	for (char *w = strtok(line, " "); w && n < max - 1;
		w = strtok(NULL, " "))
		argv[n++] = w;
	argv[n] = NULL;
	return n;
}

/* In the child: become the program; its words go to a file. */
static void become(char *line, const char *log)
{
	char *argv[64];
	int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(fd, 1);
	dup2(fd, 2);
	split(line, argv, 64);
	execvp(argv[0], argv);
	_exit(127);
}

void nbdrig_start(struct nbdrig_server *s, const char *fmt, ...)
{
	char line[1024], pid[16];
	const char *log = rig_path("server.log");
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	s->pid = fork();
	ck_assert_int_ge(s->pid, 0);
	if (s->pid)
		return;
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	setenv("LISTEN_PID", pid, 1);
	setenv("LISTEN_FDS", "1", 1);
	setenv("LC_ALL", "C", 1);
	if (s->listen_fd == 3)
		fcntl(3, F_SETFD, 0);
	else
		dup2(s->listen_fd, 3);
	become(line, log);
}

void nbdrig_kill(struct nbdrig_server *s)
{
	if (!s->pid)
		return;
	kill(s->pid, SIGKILL);
	waitpid(s->pid, NULL, 0);
	s->pid = 0;
}

void nbdrig_end(struct nbdrig_server *s)
{
	nbdrig_kill(s);
	if (s->listen_fd >= 0)
		nbdrig_unlisten(s);
}

const char *nbdrig_uri(const struct nbdrig_server *s, const char *export)
{
	static char uris[4][256];
	static unsigned next;
	char *uri = uris[next++ % 4];

	if (s->port)
		snprintf(uri, 256, "nbd://127.0.0.1:%d/%s", s->port, export);
	else
		snprintf(uri, 256, "nbd+unix:///%s?socket=%s", export,
			s->socket);
	return uri;
}

void nbdrig_run(const char *fmt, ...)
{
	char line[1024], copy[1024];
	int status = 0;
	va_list ap;
	pid_t pid;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	strcpy(copy, line);
	pid = fork();
	if (!pid)
		become(line, rig_path("run.log"));
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFEXITED(status) && !WEXITSTATUS(status), "%s", copy);
}

/* Disks. */

void nbdrig_disk_init(struct nbdrig_disk *d, const char *uri)
{
	struct err e = ERR_NONE;

	memset(d, 0, sizeof(*d));
	d->o.path = uri;
	d->params = nbd_default_params;
	d->params.pause_ms = 1;
	d->params.pause_max_ms = 20;
	ck_assert_int_eq(log_open(rig_path("log"), &d->log, &e), 0);
	d->o.log = d->log;
	ck_assert_int_eq(ctx_get(rig_loop, &d->o.ctx, &e), 0);
}

static int disk_open_fn(void *arg)
{
	struct nbdrig_disk *d = arg;

	return nbd_node_open_with(&d->o, &d->params, &d->node, &d->e);
}

static int disk_close_fn(void *arg)
{
	return node_close(((struct nbdrig_disk *)arg)->node);
}

static void disk_fini(struct nbdrig_disk *d)
{
	ctx_put(d->o.ctx);
	log_close(d->log);
}

int nbdrig_disk_try(struct nbdrig_disk *d)
{
	int r = ctx_run(d->o.ctx, disk_open_fn, d);

	if (!r)
		d->nbd = container_of(d->node, struct nbd, node);
	return r;
}

void nbdrig_disk_open(struct nbdrig_disk *d)
{
	int r = nbdrig_disk_try(d);

	ck_assert_msg(r == 0, "%s", d->e.msg);
}

void nbdrig_disk_fails(struct nbdrig_disk *d, int code, const char *has)
{
	int r = nbdrig_disk_try(d);

	ck_assert_msg(r < 0 && (!code || r == -code), "%d: %s", r, d->e.msg);
	ck_assert_err(d->e, -r, has);
	ck_assert_err(d->e, -r, d->o.path);
	disk_fini(d);
}

void nbdrig_refused(const char *uri, int code, const char *has)
{
	struct nbdrig_disk d;

	nbdrig_disk_init(&d, uri);
	nbdrig_disk_fails(&d, code, has);
}

void nbdrig_disk_close(struct nbdrig_disk *d)
{
	ck_assert_int_eq(ctx_run(d->o.ctx, disk_close_fn, d), 0);
	disk_fini(d);
}

unsigned nbdrig_connected(const struct nbdrig_disk *d)
{
	unsigned n = 0;

	for (unsigned i = 0; i < NBD_CONNS; i++)
		n += d->nbd->conn[i].h != NULL;
	return n;
}

void nbdrig_serve(struct nbdrig_server *s, struct nbdrig_disk *d,
	const char *how)
{
	*s = (struct nbdrig_server){ 0 };
	nbdrig_listen(s);
	nbdrig_start(s, "nbdkit -f %s", how);
	nbdrig_disk_init(d, nbdrig_uri(s, ""));
	nbdrig_disk_open(d);
}

void nbdrig_serve_end(struct nbdrig_server *s, struct nbdrig_disk *d)
{
	nbdrig_disk_close(d);
	nbdrig_end(s);
}

unsigned nbdrig_count(const char *path, const char *a, const char *b)
{
	FILE *f = fopen(path, "r");
	char line[1024];
	unsigned n = 0;

	ck_assert_ptr_nonnull(f);
	while (fgets(line, sizeof(line), f))
		if (strstr(line, a) && (!b || strstr(line, b)))
			n++;
	fclose(f);
	return n;
}

bool nbdrig_logged(const char *text)
{
	return nbdrig_count(rig_path("log"), text, NULL) > 0;
}

void nbdrig_submit(struct nbdrig_disk *d, struct rig_req *q, enum blk_op op,
	unsigned flags, uint64_t off, void *buf, uint64_t len)
{
	rig_init_req(q, op, off, buf, len);
	q->r.flags = flags;
	node_submit(d->node, &q->r);
}

int nbdrig_do(struct nbdrig_disk *d, enum blk_op op, unsigned flags,
	uint64_t off, void *buf, uint64_t len)
{
	struct rig_req q;

	nbdrig_submit(d, &q, op, flags, off, buf, len);
	return rig_wait(&q);
}

int nbdrig_status(struct nbdrig_disk *d, uint64_t off, uint64_t len,
	struct blk_extent *x)
{
	struct rig_req q;

	rig_init_req(&q, BLK_STATUS, off, NULL, len);
	q.r.extent = x;
	node_submit(d->node, &q.r);
	return rig_wait(&q);
}

int nbdrig_pieces(struct nbdrig_disk *d, enum blk_op op, uint64_t off,
	uint8_t *p, uint64_t len)
{
	static const uint64_t step[] = { 512, 4096, 70000, 8192, 200000, 17 };
	struct iovec iov[BLK_MAX_IOV];
	struct rig_req q;
	int n = 0;

	rig_init_req(&q, op, off, p, len);
	for (uint64_t at = 0; at < len; n++) {
		uint64_t l = step[n % 6] < len - at ? step[n % 6] : len - at;

		ck_assert_int_lt(n, BLK_MAX_IOV);
		iov[n] = (struct iovec){ p + at, l };
		at += l;
	}
	q.r.iov = iov;
	q.r.niov = n;
	node_submit(d->node, &q.r);
	return rig_wait(&q);
}

uint8_t *nbdrig_pattern(size_t len, unsigned seed)
{
	uint8_t *p = malloc(len);

	ck_assert_ptr_nonnull(p);
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(i * 7 + (i >> 9) + seed);
	return p;
}

void nbdrig_check_data(struct nbdrig_disk *d, unsigned flags, uint64_t off,
	uint64_t len)
{
	static unsigned seed;
	uint8_t *p = nbdrig_pattern(len, ++seed);
	uint8_t *q = nbdrig_pattern(len, seed + 99);

	ck_assert_int_eq(nbdrig_do(d, BLK_WRITE, flags, off, p, len), 0);
	ck_assert_int_eq(nbdrig_do(d, BLK_READ, 0, off, q, len), 0);
	ck_assert_mem_eq(p, q, len);
	free(p);
	free(q);
}
