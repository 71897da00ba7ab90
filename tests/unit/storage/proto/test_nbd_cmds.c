/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What goes over the wire, and servers that cannot do all of it. */
#include <sys/stat.h>

#include "vm/base/sizes.h"

#include "storage/proto/nbd.h"

#include "tests/unit/storage/proto/nbdrig.h"
#include "tests/unit/suite.h"

/* What the log filter of nbdkit wrote. */
static const char *cmd_log(void)
{
	static char path[200];

	if (!*path)
		snprintf(path, sizeof(path), "%s", rig_path("cmds"));
	return path;
}

static unsigned count(const char *what, const char *how)
{
	return nbdrig_count(cmd_log(), what, how);
}

/* A server that logs its commands. */
static void serve_logged(struct nbdrig_server *s, struct nbdrig_disk *d,
	const char *plugin)
{
	char how[500];

	snprintf(how, sizeof(how), "--filter=log %s logfile=%s", plugin,
		cmd_log());
	nbdrig_serve(s, d, how);
}

START_TEST (commands_of_a_request_keep_to_32_mebibytes) {
	struct nbdrig_server s;
	struct nbdrig_disk d;
	uint8_t *p = nbdrig_pattern(70 * MiB, 0);

	NBDRIG_NEEDS("nbdkit");
	serve_logged(&s, &d, "memory 128M");
	ck_assert_int_eq(nbdrig_do(&d, BLK_WRITE, 0, 0, p, 70 * MiB), 0);
	nbdrig_disk_close(&d);
	ck_assert_uint_eq(count("Write id=", "count=0x2000000 "), 2);
	ck_assert_uint_eq(count("Write id=", "count=0x600000 "), 1);
	free(p);
	nbdrig_end(&s);
}
END_TEST

START_TEST (zero_trim_flush_and_fua_are_the_servers) {
	struct nbdrig_server s;
	struct nbdrig_disk d;
	uint8_t buf[4096];

	NBDRIG_NEEDS("nbdkit");
	serve_logged(&s, &d, "memory 8M");
	memset(buf, 1, sizeof(buf));
	ck_assert_int_eq(nbdrig_do(&d, BLK_WRITE, BLK_FUA, 0, buf, 4096), 0);
	ck_assert_int_eq(nbdrig_do(&d, BLK_WRITE_ZEROES, 0, 0, NULL, 4096), 0);
	ck_assert_int_eq(nbdrig_do(&d, BLK_WRITE_ZEROES, BLK_UNMAP, 4096, NULL,
				 4096),
		0);
	ck_assert_int_eq(nbdrig_do(&d, BLK_DISCARD, 0, 8192, NULL, 4096), 0);
	ck_assert_int_eq(nbdrig_do(&d, BLK_FLUSH, 0, 0, NULL, 0), 0);
	ck_assert_int_eq(nbdrig_do(&d, BLK_READ, 0, 0, buf, 4096), 0);
	for (int i = 0; i < 4096; i++)
		ck_assert_uint_eq(buf[i], 0);
	nbdrig_disk_close(&d);
	ck_assert_uint_eq(count(" Write id=", "fua=1"), 1);
	ck_assert_uint_eq(count(" Zero id=", "trim=0"), 1);
	ck_assert_uint_eq(count(" Zero id=", "trim=1"), 1);
	ck_assert_uint_eq(count(" Trim id=", "offset=0x2000"), 1);
	ck_assert_uint_eq(count(" Flush id=", NULL), 1);
	nbdrig_end(&s);
}
END_TEST

/* A server that is a shell script: it can what more says. */
static void script(struct nbdrig_server *s, struct nbdrig_disk *d,
	const char *more)
{
	char path[200], plugin[250], text[1000];

	snprintf(path, sizeof(path), "%s", rig_file("plugin", 0));
	snprintf(text, sizeof(text),
		"#!/bin/sh\n"
		"case $1 in\n"
		"get_size) echo 65536 ;;\n"
		"pread) head -c $3 /dev/zero ;;\n"
		"can_write) ;;\n"
		"pwrite) cat >/dev/null ;;\n"
		"%s"
		"*) exit 2 ;;\n"
		"esac\n",
		more);
	rig_write_file(path, 0, text, strlen(text));
	ck_assert_int_eq(chmod(path, 0700), 0);
	snprintf(plugin, sizeof(plugin), "sh %s", path);
	serve_logged(s, d, plugin);
}

START_TEST (flush_stands_in_for_fua_that_the_server_has_not) {
	struct nbdrig_server s;
	struct nbdrig_disk d;
	uint8_t buf[4096] = { 0 };

	NBDRIG_NEEDS("nbdkit");
	script(&s, &d,
		"can_fua) echo none ;;\n"
		"can_flush|flush|can_zero|zero) ;;\n");
	ck_assert(!d.nbd->caps.fua && d.nbd->caps.flush);
	ck_assert_int_eq(nbdrig_do(&d, BLK_WRITE, BLK_FUA, 0, buf, 4096), 0);
	ck_assert_int_eq(nbdrig_do(&d, BLK_WRITE, 0, 0, buf, 4096), 0);
	ck_assert_int_eq(nbdrig_do(&d, BLK_WRITE_ZEROES, BLK_FUA, 0, NULL,
				 4096),
		0);
	nbdrig_disk_close(&d);
	ck_assert_uint_eq(count(" Write id=", NULL), 2);
	ck_assert_uint_eq(count(" Zero id=", NULL), 1);
	ck_assert_uint_eq(count(" Flush id=", NULL), 2);
	nbdrig_end(&s);
}
END_TEST

static unsigned count_with_cache(enum blk_cache cache, bool no_discard,
	const char *what, const char *how)
{
	struct nbdrig_server s = { 0 };
	struct nbdrig_disk d;
	uint8_t buf[512] = { 0 };
	unsigned n;

	remove(cmd_log());
	nbdrig_listen(&s);
	nbdrig_start(&s, "nbdkit -f --filter=log memory 1M logfile=%s",
		cmd_log());
	nbdrig_disk_init(&d, nbdrig_uri(&s, ""));
	d.o.cache = cache;
	d.o.no_discard = no_discard;
	nbdrig_disk_open(&d);
	ck_assert_int_eq(nbdrig_do(&d, BLK_WRITE, 0, 0, buf, 512), 0);
	ck_assert_int_eq(nbdrig_do(&d, BLK_FLUSH, 0, 0, NULL, 0), 0);
	ck_assert_int_eq(nbdrig_do(&d, BLK_DISCARD, 0, 0, NULL, 512), 0);
	ck_assert_int_eq(nbdrig_do(&d, BLK_WRITE_ZEROES, BLK_UNMAP, 0, NULL,
				 512),
		0);
	nbdrig_disk_close(&d);
	n = count(what, how);
	nbdrig_end(&s);
	return n;
}

START_TEST (cache_modes_and_no_discard_are_kept) {
	NBDRIG_NEEDS("nbdkit");
	ck_assert_uint_eq(count_with_cache(BLK_WRITETHROUGH, false,
				  " Write id=", "fua=1"),
		1);
	ck_assert_uint_eq(count_with_cache(BLK_NONE, false,
				  " Write id=", "fua=1"),
		0);
	ck_assert_uint_eq(count_with_cache(BLK_UNSAFE, false,
				  " Flush id=", NULL),
		0);
	ck_assert_uint_eq(count_with_cache(BLK_WRITEBACK, false,
				  " Trim id=", NULL),
		1);
	ck_assert_uint_eq(count_with_cache(BLK_WRITEBACK, true,
				  " Trim id=", NULL),
		0);
	ck_assert_uint_eq(count_with_cache(BLK_WRITEBACK, true,
				  " Zero id=", "trim=0"),
		1);
}
END_TEST

START_TEST (zeros_are_written_where_the_server_cannot_zero) {
	struct nbdrig_server s;
	struct nbdrig_disk d;
	uint64_t len = 3 * MiB + 512;
	uint8_t *p = nbdrig_pattern(4 * MiB, 5),
		*q = nbdrig_pattern(4 * MiB, 6);

	NBDRIG_NEEDS("nbdkit");
	nbdrig_serve(&s, &d, "--filter=nozero memory 4M");
	ck_assert(!d.nbd->caps.zero);
	ck_assert_int_eq(nbdrig_do(&d, BLK_WRITE, 0, 0, p, 4 * MiB), 0);
	ck_assert_int_eq(nbdrig_do(&d, BLK_WRITE_ZEROES, 0, 512, NULL, len), 0);
	ck_assert_int_eq(nbdrig_do(&d, BLK_READ, 0, 0, q, 4 * MiB), 0);
	memset(p + 512, 0, len);
	ck_assert_mem_eq(p, q, 4 * MiB);
	free(p);
	free(q);
	nbdrig_serve_end(&s, &d);
}
END_TEST

START_TEST (trim_and_flush_that_are_not_there_are_no_error) {
	struct nbdrig_server s;
	struct nbdrig_disk d;
	struct blk_info info;

	NBDRIG_NEEDS("nbdkit");
	script(&s, &d, "");
	d.node->ops->info(d.node, &info);
	ck_assert(!info.can_discard);
	ck_assert_int_eq(nbdrig_do(&d, BLK_DISCARD, 0, 0, NULL, 4096), 0);
	ck_assert_int_eq(nbdrig_do(&d, BLK_FLUSH, 0, 0, NULL, 0), 0);
	ck_assert(nbdrig_logged("has no flush"));
	nbdrig_serve_end(&s, &d);
}
END_TEST

START_TEST (zeroing_that_is_refused_late_becomes_writing) {
	struct nbdrig_server s;
	struct nbdrig_disk d;

	NBDRIG_NEEDS("nbdkit");
	script(&s, &d, "");
	ck_assert(d.nbd->caps.zero);
	d.nbd->no_zero = true; /* as learnt from ENOTSUP */
	ck_assert_int_eq(nbdrig_do(&d, BLK_WRITE_ZEROES, 0, 0, NULL, 4096), 0);
	nbdrig_disk_close(&d);
	ck_assert_uint_eq(count(" Write id=", NULL), 1);
	ck_assert_uint_eq(count(" Zero id=", NULL), 0);
	nbdrig_end(&s);
}
END_TEST

START_TEST (status_tells_holes_from_data) {
	struct nbdrig_server s;
	struct nbdrig_disk d;
	struct blk_extent x;
	uint8_t *p = nbdrig_pattern(64 * KiB, 1);

	NBDRIG_NEEDS("nbdkit");
	nbdrig_serve(&s, &d, "memory 1M");
	ck_assert(d.nbd->caps.alloc);
	ck_assert_int_eq(nbdrig_do(&d, BLK_WRITE, 0, 256 * KiB, p, 64 * KiB),
		0);
	ck_assert_int_eq(nbdrig_status(&d, 0, 1 * MiB, &x), 0);
	ck_assert_uint_eq(x.len, 256 * KiB);
	ck_assert(x.zero && !x.data && x.present);
	ck_assert_int_eq(nbdrig_status(&d, 256 * KiB, 768 * KiB, &x), 0);
	ck_assert_uint_eq(x.len, 64 * KiB);
	ck_assert(!x.zero && x.data && x.has_host);
	ck_assert_uint_eq(x.host, 256 * KiB);
	ck_assert_str_eq(x.file, d.o.path);
	ck_assert_int_eq(nbdrig_status(&d, 256 * KiB, 4096, &x), 0);
	ck_assert_uint_eq(x.len, 4096);
	free(p);
	nbdrig_serve_end(&s, &d);
}
END_TEST

START_TEST (status_without_extents_is_data) {
	struct nbdrig_server s;
	struct nbdrig_disk d;
	struct blk_extent x;

	NBDRIG_NEEDS("nbdkit");
	nbdrig_serve(&s, &d, "--filter=noextents memory 1M");
	ck_assert_int_eq(nbdrig_status(&d, 4096, 512 * KiB, &x), 0);
	ck_assert_uint_eq(x.len, 512 * KiB);
	ck_assert(x.data && !x.zero && x.present);
	nbdrig_serve_end(&s, &d);
}
END_TEST

START_TEST (old_server_without_structured_replies_is_fine) {
	struct nbdrig_server s;
	struct nbdrig_disk d;
	struct blk_extent x;

	NBDRIG_NEEDS("nbdkit");
	nbdrig_serve(&s, &d, "--no-sr memory 1M");
	nbdrig_check_data(&d, 0, 4096, 64 * KiB);
	ck_assert_int_eq(nbdrig_status(&d, 0, 1 * MiB, &x), 0);
	ck_assert(x.len == 1 * MiB && x.data);
	nbdrig_serve_end(&s, &d);
}
END_TEST

START_TEST (oldest_protocol_is_fine) {
	struct nbdrig_server s;
	struct nbdrig_disk d;

	NBDRIG_NEEDS("nbdkit");
	nbdrig_serve(&s, &d, "-o memory 1M");
	nbdrig_check_data(&d, 0, 4096, 4096);
	nbdrig_serve_end(&s, &d);
}
END_TEST

RIG_SUITE("nbd_cmds", commands_of_a_request_keep_to_32_mebibytes,
	zero_trim_flush_and_fua_are_the_servers,
	flush_stands_in_for_fua_that_the_server_has_not,
	cache_modes_and_no_discard_are_kept,
	zeros_are_written_where_the_server_cannot_zero,
	trim_and_flush_that_are_not_there_are_no_error,
	zeroing_that_is_refused_late_becomes_writing,
	status_tells_holes_from_data, status_without_extents_is_data,
	old_server_without_structured_replies_is_fine, oldest_protocol_is_fine)
