/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Images with others behind them: which are found, which are refused and
 * how that is told, and how far a content is trusted. The images are made by
 * qemu-img.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vm/base/io.h"
#include "vm/base/sizes.h"

#include "storage/blk/chain.h"
#include "storage/core/sync.h"

#include "tests/unit/storage/rig.h"

#define NEEDS_QEMU()                                                           \
	do {                                                                   \
		if (!rig_has("qemu-img") || !rig_has("qemu-io")) {             \
			printf("skip %s no qemu-img\n", __func__);             \
			return;                                                \
		}                                                              \
	} while (0)

/* A shell command in the folder, which must succeed. */
static void sh(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static void sh(const char *fmt, ...)
{
	char cmd[700];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(cmd, sizeof(cmd), fmt, ap);
	va_end(ap);
	ck_assert_msg(rig_sh("cd %s && %s", rig_dir, cmd) == 0, "%s", cmd);
}

static struct blk_opts opts(const char *name, enum blk_format format)
{
	struct blk_opts o = rig_opts(rig_path(name));

	o.format = format;
	return o;
}

static struct blk *open_it(const char *name, enum blk_format format)
{
	struct blk_opts o = opts(name, format);

	return rig_open(&o);
}

static void fails(const char *name, enum blk_format format, int code,
	const char *has)
{
	struct blk_opts o = opts(name, format);

	rig_open_fails(&o, code, has);
}

/* Each of 4 KiB at off is c. */
static void reads(struct blk *b, uint64_t off, uint8_t c)
{
	uint8_t buf[4096], want[4096];

	memset(want, c, sizeof(want));
	memset(buf, ~c, sizeof(buf));
	ck_assert_int_eq(rig_do(b, BLK_READ, 0, off, buf, sizeof(buf)), 0);
	ck_assert_mem_eq(buf, want, sizeof(want));
}

/* Name all over that is old as long as new is: in headers. */
static void patch(const char *name, const void *old, const void *new,
	size_t len)
{
	const char *path = rig_path(name);
	uint8_t head[4096];

	rig_read_file(path, 0, head, sizeof(head));
	for (size_t i = 0; i + len <= sizeof(head); i++)
		if (!memcmp(head + i, old, len))
			memcpy(head + i, new, len);
	rig_write_file(path, 0, head, sizeof(head));
}

/* As if the backing format had never been recorded. */
static void forget_format(const char *name)
{
	patch(name, "\xe2\x79\x2a\xca", "\x12\x34\x56\x78", 4);
}

START_TEST (layers_are_found_beside_the_image_that_names_them) {
	struct blk_opts o = rig_opts("abs.qcow2");
	struct blk *b;

	NEEDS_QEMU();
	sh("mkdir -p a/b c");
	sh("qemu-img create -f raw c/base.raw 1M");
	sh("qemu-io -f raw -c 'write -P 7 0 64k' c/base.raw");
	sh("qemu-img create -f qcow2 -b ../c/base.raw -F raw a/mid.qcow2");
	sh("qemu-io -c 'write -P 8 64k 64k' a/mid.qcow2");
	sh("qemu-img create -f qcow2 -b ../mid.qcow2 -F qcow2 a/b/top.qcow2");
	b = open_it("a/b/top.qcow2", BLK_QCOW2);
	reads(b, 0, 7);
	reads(b, 64 * KiB, 8);
	reads(b, 128 * KiB, 0);
	ck_assert_uint_eq(chain_layers(blk_chain(b)), 3);
	ck_assert_str_eq(chain_layer(blk_chain(b), 1)->name, "../mid.qcow2");
	ck_assert_ptr_nonnull(
		strstr(chain_layer(blk_chain(b), 2)->path, "/../c/base.raw"));
	ck_assert(chain_layer(blk_chain(b), 2)->format == BLK_RAW);
	ck_assert(chain_layer(blk_chain(b), 2)->readonly);
	ck_assert_ptr_null(chain_layer(blk_chain(b), 3));
	ck_assert_int_eq(blk_close(b), 0);
	/* by a bare name, from where it lies; and absolute names */
	ck_assert_int_eq(chdir(rig_path("a")), 0);
	sh("qemu-img create -f qcow2 -b %s/a/mid.qcow2 -F qcow2 a/abs.qcow2",
		rig_dir);
	o.format = BLK_QCOW2;
	b = rig_open(&o);
	reads(b, 0, 7);
	blk_close(b);
	o.path = "mid.qcow2";
	b = rig_open(&o);
	reads(b, 0, 7);
	blk_close(b);
}
END_TEST

START_TEST (file_colon_is_taken_off_and_other_protocols_are_named) {
	struct blk *b;

	NEEDS_QEMU();
	sh("qemu-img create -f raw base.raw 1M");
	sh("qemu-img create -f qcow2 -b file:base.raw -F raw top.qcow2");
	b = open_it("top.qcow2", BLK_QCOW2);
	reads(b, 0, 0);
	blk_close(b);
	patch("top.qcow2", "file:base.raw", "http://a/b.rw", 13);
	fails("top.qcow2", BLK_QCOW2, ENOTSUP,
		"the protocol \"http\" is not supported: serve that by NBD");
	patch("top.qcow2", "http://a/b.rw", "json:{\"file\":", 13);
	fails("top.qcow2", BLK_QCOW2, ENOTSUP,
		"names a file by \"json:\", which is not supported");
	patch("top.qcow2", "json:{\"file\":", "./a:base.raw\0", 13);
	fails("top.qcow2", BLK_QCOW2, ENOENT, "./a:base.raw");
}
END_TEST

START_TEST (missing_layer_is_named_with_the_way_to_it) {
	NEEDS_QEMU();
	sh("qemu-img create -f raw base.raw 1M");
	sh("qemu-img create -f qcow2 -b base.raw -F raw mid.qcow2");
	sh("qemu-img create -f qcow2 -b mid.qcow2 -F qcow2 top.qcow2");
	sh("rm base.raw");
	fails("mid.qcow2", BLK_QCOW2, ENOENT, "mid.qcow2: its backing file: ");
	fails("mid.qcow2", BLK_QCOW2, ENOENT,
		"base.raw: there is no such file");
	fails("top.qcow2", BLK_QCOW2, ENOENT,
		"top.qcow2: ... mid.qcow2: its backing file: ");
}
END_TEST

START_TEST (loops_are_refused) {
	NEEDS_QEMU();
	sh("qemu-img create -f qcow2 a.qcow2 1M");
	sh("qemu-img create -f qcow2 -b a.qcow2 -F qcow2 b.qcow2");
	sh("qemu-img create -f qcow2 -b b.qcow2 -F qcow2 c.qcow2");
	sh("qemu-img rebase -u -b c.qcow2 -F qcow2 a.qcow2");
	fails("c.qcow2", BLK_QCOW2, ELOOP,
		"go round in a circle (c.qcow2 -> b.qcow2 -> a.qcow2 -> "
		"c.qcow2)");
	sh("qemu-img rebase -u -b ./a.qcow2 -F qcow2 a.qcow2");
	fails("a.qcow2", BLK_QCOW2, ELOOP, "(a.qcow2 -> a.qcow2)");
	fails("c.qcow2", BLK_QCOW2, ELOOP, "(a.qcow2 -> a.qcow2)");
	/* by another name */
	sh("ln a.qcow2 z.qcow2 && ln -s b.qcow2 y.qcow2");
	sh("qemu-img rebase -u -b z.qcow2 -F qcow2 a.qcow2");
	fails("a.qcow2", BLK_QCOW2, ELOOP, "(a.qcow2 -> z.qcow2)");
	sh("qemu-img rebase -u -b y.qcow2 -F qcow2 a.qcow2");
	fails("b.qcow2", BLK_QCOW2, ELOOP, "b.qcow2 -> a.qcow2 -> y.qcow2");
}
END_TEST

/* l000 is the bottom, each of the others stands on the one before. */
static void make_chain(unsigned n)
{
	char old[16] = "l000.qcow2", name[16];

	sh("qemu-img create -f qcow2 l000.qcow2 1M");
	sh("qemu-io -c 'write -P 9 0 4k' l000.qcow2");
	sh("qemu-img create -f qcow2 -b l000.qcow2 -F qcow2 l001.qcow2");
	for (unsigned i = 2; i < n; i++) {
		snprintf(name, sizeof(name), "l%03u.qcow2", i - 1);
		sh("cp --sparse=always l001.qcow2 l%03u.qcow2", i);
		snprintf(old, sizeof(old), "l%03u.qcow2", i);
		patch(old, "l000.qcow2", name, 10);
	}
}

START_TEST (a_chain_may_have_200_layers_and_no_more) {
	struct blk_extent x;
	struct blk *b;

	NEEDS_QEMU();
	make_chain(CHAIN_MAX + 1);
	b = open_it("l199.qcow2", BLK_QCOW2);
	ck_assert_uint_eq(chain_layers(blk_chain(b)), CHAIN_MAX);
	reads(b, 0, 9);
	reads(b, 64 * KiB, 0);
	ck_assert_int_eq(blk_status(b, 0, 0, 4096, &x), 0);
	ck_assert(x.data);
	ck_assert_uint_eq(x.depth, CHAIN_MAX - 1);
	ck_assert_int_eq(blk_close(b), 0);
	fails("l200.qcow2", BLK_QCOW2, ELOOP, "more than 200 backing files");
}
END_TEST

START_TEST (formats_that_we_have_not_are_named) {
	NEEDS_QEMU();
	sh("qemu-img create -f qcow2 base.qcow2 1M");
	sh("qemu-img create -f qcow2 -b base.qcow2 -F qcow2 top.qcow2");
	patch("top.qcow2", "\xe2\x79\x2a\xca\0\0\0\5qcow2",
		"\xe2\x79\x2a\xca\0\0\0\4qcow\0", 13);
	fails("top.qcow2", BLK_QCOW2, ENOTSUP,
		"its backing file base.qcow2 has the format qcow, which is not "
		"supported");
	patch("top.qcow2", "qcow\0", "luks\0", 5);
	fails("top.qcow2", BLK_QCOW2, ENOTSUP, "has the format luks");
}
END_TEST

/* Trust. */

START_TEST (auto_takes_a_qcow2_that_stands_alone) {
	struct blk_opts o;
	struct blk *b;

	NEEDS_QEMU();
	sh("qemu-img create -f qcow2 a.qcow2 1M");
	sh("qemu-io -c 'write -P 3 0 4k' a.qcow2");
	b = open_it("a.qcow2", BLK_AUTO);
	reads(b, 0, 3);
	ck_assert(chain_layer(blk_chain(b), 0)->format == BLK_QCOW2);
	blk_close(b);
	/* as raw it is what it is */
	o = opts("a.qcow2", BLK_RAW);
	b = rig_open(&o);
	blk_close(b);
}
END_TEST

START_TEST (auto_refuses_a_qcow2_that_names_another_file) {
	NEEDS_QEMU();
	sh("qemu-img create -f raw base.raw 1M");
	sh("qemu-img create -f qcow2 -b base.raw -F raw top.qcow2");
	fails("top.qcow2", BLK_AUTO, EINVAL,
		"looks like qcow2 and names another file (base.raw)");
	fails("top.qcow2", BLK_AUTO, EINVAL,
		"say that its format is qcow2 (-f, or format =");
	sh("qemu-img create -f qcow2 -o data_file=d.raw data.qcow2 1M");
	fails("data.qcow2", BLK_AUTO, EINVAL,
		"looks like qcow2 and names another file (d.raw)");
	blk_close(open_it("top.qcow2", BLK_QCOW2));
}
END_TEST

START_TEST (a_backing_file_on_a_guess_names_no_other_file) {
	struct blk *b;

	NEEDS_QEMU();
	sh("qemu-img create -f raw base.raw 1M");
	sh("qemu-io -f raw -c 'write -P 5 0 4k' base.raw");
	sh("qemu-img create -f qcow2 -b base.raw -F raw mid.qcow2");
	sh("qemu-img create -f qcow2 -b mid.qcow2 -F qcow2 top.qcow2");
	forget_format("mid.qcow2");
	b = open_it("top.qcow2", BLK_QCOW2); /* raw on a guess is fine */
	reads(b, 0, 5);
	ck_assert(chain_layer(blk_chain(b), 2)->probed);
	blk_close(b);
	forget_format("top.qcow2");
	fails("top.qcow2", BLK_QCOW2, EINVAL,
		"mid.qcow2: looks like qcow2 and names another file "
		"(base.raw)");
	fails("top.qcow2", BLK_QCOW2, EINVAL,
		"disk rebase -u -b mid.qcow2 -F qcow2");
	sh("qemu-img rebase -u -b '' mid.qcow2");
	b = open_it("top.qcow2", BLK_QCOW2);
	reads(b, 0, 0);
	blk_close(b);
}
END_TEST

static void begins_with(const char *name, size_t at, const char *magic,
	size_t len)
{
	rig_file(name, MiB);
	rig_write_file(rig_path(name), at, magic, len);
}

START_TEST (auto_refuses_what_others_would_read_as_their_format) {
	static const struct {
		const char *magic;
		size_t len;
		const char *name;
	} rows[] = {
		{ "LUKS\xba\xbe", 6, "is a LUKS (encrypted) image" },
		{ "QED\0", 4, "is a QED image" },
		{ "QFI\xfb\0\0\0\1", 8, "is a qcow image" },
		{ "conectix", 8, "is a VHD image" },
		{ "WithouFreSpacExt", 16, "is a Parallels image" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		begins_with("x.img", 0, rows[i].magic, rows[i].len);
		fails("x.img", BLK_AUTO, ENOTSUP, rows[i].name);
		fails("x.img", BLK_AUTO, ENOTSUP, "qemu-img convert");
		blk_close(open_it("x.img", BLK_RAW));
	}
}
END_TEST

/* The first sector of a guest's raw disk that was found to be raw. */
START_TEST (a_guest_cannot_make_its_raw_disk_another_format) {
	static const struct {
		size_t at;
		const char *magic;
		size_t len;
	} rows[] = {
		{ 0, "QFI\xfb\0\0\0\3", 8 },
		{ 0, "QFI\xfb\0\0\0\2", 8 },
		{ 0, "KDMV\1\0\0\0", 8 },
		{ 0, "# Disk DescriptorFile\nversion=1\n", 32 },
		{ 64, "\x7f\x10\xda\xbe", 4 },
		{ 0, "vhdxfile", 8 },
		{ 0, "LUKS\xba\xbe", 6 },
	};
	struct err e = ERR_NONE;
	uint8_t sectors[1024], got[1024], *text;
	struct blk_opts o;
	struct log *log;
	struct blk *b;
	size_t len;

	rig_file("x.img", MiB);
	o = opts("x.img", BLK_AUTO);
	ck_assert_int_eq(log_open(rig_path("log"), &log, &e), 0);
	ck_assert_int_eq(blk_open(&o, rig_loop, log, &b, &e), 0);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct rig_req q;
		struct iovec iov[2] = { { sectors, 3 }, { sectors + 3, 1021 } };

		memset(sectors, 0, sizeof(sectors));
		memcpy(sectors + rows[i].at, rows[i].magic, rows[i].len);
		ck_assert_int_eq(rig_do(b, BLK_WRITE, 0, 0, sectors, 1024),
			-EIO);
		rig_init_req(&q, BLK_WRITE, 0, sectors, 1024);
		q.r.iov = iov; /* in pieces */
		q.r.niov = 2;
		rig_submit(b, &q);
		ck_assert_int_eq(rig_wait(&q), -EIO);
		ck_assert_int_eq(rig_do(b, BLK_WRITE, 0, 512, sectors, 512), 0);
		ck_assert_int_eq(rig_do(b, BLK_READ, 0, 0, got, 512), 0);
		for (int k = 0; k < 512; k++)
			ck_assert_uint_eq(got[k], 0);
	}
	/* an MBR is welcome */
	memset(sectors, 0xeb, sizeof(sectors));
	ck_assert_int_eq(rig_do(b, BLK_WRITE, 0, 0, sectors, 1024), 0);
	blk_close(b);
	log_close(log);
	ck_assert_int_eq(io_read_file(rig_path("log"), 8192, &text, &len, &e),
		0);
	ck_assert_ptr_nonnull(strstr((char *)text,
		"x.img: the guest writes the header of a qcow2 image to its "
		"first sector: refused"));
	ck_assert_ptr_nonnull(strstr((char *)text, "set format = raw"));
	free(text);
	/* where the format is told, it is the guest's own affair */
	b = open_it("x.img", BLK_RAW);
	memcpy(sectors, "QFI\xfb\0\0\0\3", 8);
	ck_assert_int_eq(rig_do(b, BLK_WRITE, 0, 0, sectors, 1024), 0);
	blk_close(b);
}
END_TEST

/* What is looked at is what is written, whatever a guest's other CPU does. */
START_TEST (a_header_that_comes_after_the_look_is_not_written) {
	static const int pieces[] = { 1, 3, BLK_MAX_IOV };
	static const size_t first[] = { 2048, 3, 600 };
	uint8_t sectors[2048], got[2048];
	struct iovec iov[BLK_MAX_IOV];
	struct rig_req q;
	struct blk *b;

	rig_file("x.img", MiB);
	b = open_it("x.img", BLK_AUTO);
	for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
		size_t at = first[i];

		memset(sectors, 0x5a, sizeof(sectors));
		rig_init_req(&q, BLK_WRITE, 0, sectors, sizeof(sectors));
		iov[0] = (struct iovec){ sectors, at };
		for (int k = 1; k < pieces[i]; k++, at++)
			iov[k] = (struct iovec){ sectors + at, 1 };
		iov[pieces[i] - 1].iov_len += sizeof(sectors) - at;
		q.r.iov = iov;
		q.r.niov = pieces[i];
		blk_plug(b);
		rig_submit(b, &q);
		memcpy(sectors, "QFI\xfb\0\0\0\3", 8);
		blk_unplug(b);
		ck_assert_int_eq(rig_wait(&q), 0);
		ck_assert(q.r.iov == iov && q.r.niov == pieces[i]);
		rig_read_file(rig_path("x.img"), 0, got, sizeof(got));
		for (size_t k = 0; k < sizeof(got); k++)
			ck_assert_uint_eq(got[k], 0x5a);
	}
	blk_close(b);
}
END_TEST

/* Other ways in. */

START_TEST (foreign_formats_are_read_and_never_written) {
	static const struct {
		enum blk_format format;
		const char *name, *opt;
	} rows[] = {
		{ BLK_VMDK, "vmdk", "" },
		{ BLK_VMDK, "vmdk", "-o subformat=monolithicFlat" },
		{ BLK_VDI, "vdi", "" },
		{ BLK_VHDX, "vhdx", "" },
	};
	struct blk_opts o;
	struct blk *b;

	NEEDS_QEMU();
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		sh("rm -f x* && qemu-img create -f %s %s x.img 4M",
			rows[i].name, rows[i].opt);
		sh("qemu-io -f %s -c 'write -P 6 64k 4k' x.img", rows[i].name);
		fails("x.img", rows[i].format, EROFS,
			"is a format for reading only: make a qcow2 of it");
		o = opts("x.img", rows[i].format);
		o.readonly = true;
		b = rig_open(&o);
		reads(b, 64 * KiB, 6);
		reads(b, 0, 0);
		blk_close(b);
		o.format = BLK_AUTO;
		if (i == 1) {
			rig_open_fails(&o, EINVAL,
				"looks like vmdk and names another file");
			continue;
		}
		b = rig_open(&o);
		ck_assert(
			chain_layer(blk_chain(b), 0)->format == rows[i].format);
		blk_close(b);
	}
}
END_TEST

START_TEST (data_file_lies_beside_the_image_that_names_it) {
	uint8_t buf[4096], got[4096];
	struct blk *b;

	NEEDS_QEMU();
	sh("mkdir d");
	sh("cd d && qemu-img create -f qcow2 -o "
	   "data_file=x.raw,data_file_raw=on a.qcow2 1M");
	b = open_it("d/a.qcow2", BLK_QCOW2);
	memset(buf, 4, sizeof(buf));
	ck_assert_int_eq(rig_do(b, BLK_WRITE, 0, 64 * KiB, buf, 4096), 0);
	reads(b, 64 * KiB, 4);
	ck_assert_int_eq(blk_close(b), 0);
	rig_read_file(rig_path("d/x.raw"), 64 * KiB, got, sizeof(got));
	ck_assert_mem_eq(buf, got, sizeof(got));
	sh("cd d && qemu-img check a.qcow2");
	sh("mv d/x.raw d/y.raw");
	fails("d/a.qcow2", BLK_QCOW2, ENOENT, "a.qcow2: its data file: ");
	sh("ln -s a.qcow2 d/x.raw");
	fails("d/a.qcow2", BLK_QCOW2, ELOOP, "names itself as its data file");
}
END_TEST

START_TEST (overlays_share_their_base_and_keep_writers_from_it) {
	struct blk *a, *b;

	NEEDS_QEMU();
	sh("qemu-img create -f qcow2 base.qcow2 1M");
	sh("qemu-img create -f qcow2 -b base.qcow2 -F qcow2 a.qcow2");
	sh("qemu-img create -f qcow2 -b base.qcow2 -F qcow2 b.qcow2");
	a = open_it("a.qcow2", BLK_QCOW2);
	b = open_it("b.qcow2", BLK_QCOW2);
	fails("base.qcow2", BLK_QCOW2, EBUSY, "base.qcow2: in use");
	ck_assert_int_ne(rig_sh("cd %s && qemu-io -c 'write 0 4k' base.qcow2",
				 rig_dir),
		0);
	blk_close(a);
	fails("base.qcow2", BLK_QCOW2, EBUSY, "base.qcow2: in use");
	blk_close(b);
	a = open_it("base.qcow2", BLK_QCOW2);
	fails("b.qcow2", BLK_QCOW2, EBUSY, "b.qcow2: its backing file: ");
	blk_close(a);
	sh("qemu-io -c 'write 0 4k' base.qcow2");
}
END_TEST

START_TEST (no_backing_reads_this_layer_only) {
	struct blk_opts o;
	struct blk *b;

	NEEDS_QEMU();
	sh("qemu-img create -f raw base.raw 1M");
	sh("qemu-io -f raw -c 'write -P 5 0 128k' base.raw");
	sh("qemu-img create -f qcow2 -b base.raw -F raw top.qcow2 2M");
	sh("qemu-io -c 'write -P 6 64k 64k' top.qcow2");
	b = open_it("top.qcow2", BLK_QCOW2);
	reads(b, 0, 5);
	reads(b, 64 * KiB, 6);
	reads(b, MiB + 64 * KiB, 0); /* the base is shorter */
	blk_close(b);
	sh("rm base.raw");
	o = opts("top.qcow2", BLK_QCOW2);
	o.no_backing = true;
	b = rig_open(&o);
	reads(b, 0, 0);
	reads(b, 64 * KiB, 6);
	blk_close(b);
}
END_TEST

struct reopen {
	struct blk *b;
	uint8_t *buf;
};

static int reopen_fiber(void *arg)
{
	struct reopen *z = arg;
	struct chain *ch = blk_chain(z->b);
	struct err e = ERR_NONE;
	int r = chain_reopen(ch, 1, false, &e);

	ck_assert_msg(r == 0, "%s", e.msg);
	ck_assert(!chain_layer(ch, 1)->readonly);
	r = node_write(chain_layer(ch, 1)->node, 0, z->buf, 4096, 0);
	ck_assert_int_eq(r, 0);
	return chain_reopen(ch, 1, true, &e);
}

START_TEST (a_layer_is_opened_anew_for_writing) {
	static uint8_t buf[4096];
	struct reopen z = { .buf = buf };

	NEEDS_QEMU();
	sh("qemu-img create -f raw base.raw 1M");
	sh("qemu-io -f raw -c 'write -P 5 0 128k' base.raw");
	sh("qemu-img create -f qcow2 -b base.raw -F raw mid.qcow2");
	sh("qemu-img create -f qcow2 -b mid.qcow2 -F qcow2 top.qcow2");
	z.b = open_it("top.qcow2", BLK_QCOW2);
	reads(z.b, 0, 5);
	memset(buf, 0x66, sizeof(buf));
	ck_assert_int_eq(ctx_run(blk_ctx(z.b), reopen_fiber, &z), 0);
	reads(z.b, 0, 0x66);
	reads(z.b, 4096, 5);
	ck_assert_int_eq(blk_close(z.b), 0);
	sh("qemu-img check mid.qcow2");
	sh("qemu-io -r -c 'read -P 0x66 0 4k' mid.qcow2");
}
END_TEST

START_TEST (names_are_resolved_as_documented) {
	static const struct {
		const char *path, *name, *want;
	} rows[] = {
		{ "top", "base", "base" },
		{ "a/top", "base", "a/base" },
		{ "/a/top", "../base", "/a/../base" },
		{ "a/top", "/x/base", "/x/base" },
		{ "a/top", "file:base", "a/base" },
		{ "a/top", "file:///x/base", "///x/base" },
		{ "a/top", "host_device:/dev/x", "/dev/x" },
		{ "a/top", "nbd://h/x", "nbd://h/x" },
		{ "a/top", "./b:c", "a/./b:c" },
		{ "nbd://h/x", "/base", "/base" },
		{ "nbd://h/x", "nbd://h/y", "nbd://h/y" },
	};
	struct err e = ERR_NONE;
	char *got;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		ck_assert_int_eq(chain_resolve(rows[i].path, rows[i].name, &got,
					 &e),
			0);
		ck_assert_str_eq(got, rows[i].want);
		free(got);
	}
	ck_assert_int_eq(chain_resolve("nbd://h/x", "base", &got, &e), -EINVAL);
	ck_assert_ptr_nonnull(strstr(e.msg, "give the whole path"));
	ck_assert_int_eq(chain_resolve("a", "file:", &got, &e), -EINVAL);
	ck_assert_int_eq(chain_resolve("a", "ssh:b", &got, &e), -ENOTSUP);
}
END_TEST

RIG_SUITE("storage/chain", layers_are_found_beside_the_image_that_names_them,
	file_colon_is_taken_off_and_other_protocols_are_named,
	missing_layer_is_named_with_the_way_to_it, loops_are_refused,
	a_chain_may_have_200_layers_and_no_more,
	formats_that_we_have_not_are_named,
	auto_takes_a_qcow2_that_stands_alone,
	auto_refuses_a_qcow2_that_names_another_file,
	a_backing_file_on_a_guess_names_no_other_file,
	auto_refuses_what_others_would_read_as_their_format,
	a_guest_cannot_make_its_raw_disk_another_format,
	a_header_that_comes_after_the_look_is_not_written,
	foreign_formats_are_read_and_never_written,
	data_file_lies_beside_the_image_that_names_it,
	overlays_share_their_base_and_keep_writers_from_it,
	no_backing_reads_this_layer_only, a_layer_is_opened_anew_for_writing,
	names_are_resolved_as_documented)
