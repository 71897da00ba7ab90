/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The NBD client against nbdkit and qemu-nbd: data, errors, connections.
 * Opening is test_nbd_open.c, commands test_nbd_cmds.c, blocks of the server
 * test_nbd_block.c, reconnecting test_nbd_again.c, TLS test_nbd_tls.c.
 */
#include <errno.h>

#include "vm/base/sizes.h"

#include "storage/core/sync.h"
#include "storage/proto/nbd.h"

#include "tests/unit/storage/proto/nbdrig.h"
#include "tests/unit/suite.h"

START_TEST (format_sees_all_bytes_and_zeros_behind) {
	struct nbdrig_server s = { 0 };
	struct nbdrig_disk d;
	struct blk_extent x;
	uint8_t buf[1000], *p = nbdrig_pattern(1000, 1);

	NBDRIG_NEEDS("nbdkit");
	nbdrig_listen(&s);
	nbdrig_start(&s, "nbdkit -f memory 1048999");
	nbdrig_disk_init(&d, nbdrig_uri(&s, ""));
	d.o.is_format = true;
	nbdrig_disk_open(&d);
	ck_assert_uint_eq(node_size(d.node), 1048999);
	ck_assert_int_eq(nbdrig_do(&d, BLK_WRITE, 0, 1048499, p, 500), 0);
	memset(buf, 0xee, sizeof(buf));
	ck_assert_int_eq(nbdrig_do(&d, BLK_READ, 0, 1048499, buf, 1000), 0);
	memset(p + 500, 0, 500);
	ck_assert_mem_eq(buf, p, 1000);
	/* it cannot grow */
	ck_assert_int_eq(nbdrig_do(&d, BLK_WRITE, 0, 1048499, p, 501), -ENOSPC);
	ck_assert_int_eq(nbdrig_do(&d, BLK_WRITE_ZEROES, 0, 1048999, NULL, 1),
		-ENOSPC);
	ck_assert_int_eq(nbdrig_do(&d, BLK_DISCARD, 0, 1048499, NULL, 10000),
		0);
	memset(buf, 0xee, sizeof(buf));
	ck_assert_int_eq(nbdrig_do(&d, BLK_READ, 0, 2 * MiB, buf, 1000), 0);
	ck_assert_mem_eq(buf, p + 500, 500);
	ck_assert_int_eq(nbdrig_status(&d, 1048999, 77, &x), 0);
	ck_assert(x.len == 77 && x.zero && !x.data && !x.present);
	free(p);
	nbdrig_serve_end(&s, &d);
}
END_TEST

START_TEST (data_comes_back_in_all_sizes) {
	static const uint64_t sizes[] = { 512, 4096, 65536, 1 * MiB + 512,
		3 * MiB, 70 * MiB };
	struct nbdrig_server s;
	struct nbdrig_disk d;

	NBDRIG_NEEDS("nbdkit");
	nbdrig_serve(&s, &d, "memory 128M");
	for (unsigned i = 0; i < ARRAY_LEN(sizes); i++)
		nbdrig_check_data(&d, 0, 1536 * (i + 1), sizes[i]);
	nbdrig_serve_end(&s, &d);
}
END_TEST

START_TEST (pieces_of_an_iovec_arrive_in_place) {
	struct nbdrig_server s;
	struct nbdrig_disk d;
	uint64_t len = 5 * MiB;
	uint8_t *p = nbdrig_pattern(len, 3), *q = nbdrig_pattern(len, 4);

	NBDRIG_NEEDS("nbdkit");
	nbdrig_serve(&s, &d, "memory 8M");
	ck_assert_int_eq(nbdrig_pieces(&d, BLK_WRITE, 1 * MiB, p, len), 0);
	ck_assert_int_eq(nbdrig_do(&d, BLK_READ, 0, 1 * MiB, q, len), 0);
	ck_assert_mem_eq(p, q, len);
	memset(q, 0, len);
	ck_assert_int_eq(nbdrig_pieces(&d, BLK_READ, 1 * MiB, q, len), 0);
	ck_assert_mem_eq(p, q, len);
	free(p);
	free(q);
	nbdrig_serve_end(&s, &d);
}
END_TEST

/* Errors. */

static void check_error(const char *name, int want)
{
	struct nbdrig_server s;
	struct nbdrig_disk d;
	uint8_t buf[4096] = { 0 };
	char args[200];

	snprintf(args, sizeof(args),
		"--filter=error memory 1M error=%s error-rate=100%%", name);
	nbdrig_serve(&s, &d, args);
	ck_assert_int_eq(nbdrig_do(&d, BLK_WRITE, 0, 0, buf, 4096), want);
	ck_assert(nbdrig_logged("write of 4096 bytes at 0"));
	ck_assert_int_eq(nbdrig_do(&d, BLK_READ, 0, 0, buf, 4096), want);
	ck_assert_int_eq(nbdrig_do(&d, BLK_WRITE_ZEROES, 0, 0, NULL, 4096),
		want);
	ck_assert_int_eq(nbdrig_do(&d, BLK_FLUSH, 0, 0, NULL, 0), 0);
	nbdrig_serve_end(&s, &d);
}

START_TEST (errors_of_the_server_are_told_as_what_they_are) {
	NBDRIG_NEEDS("nbdkit");
	check_error("EIO", -EIO);
	check_error("ENOSPC", -ENOSPC);
	check_error("EPERM", -EROFS);
	check_error("ENOMEM", -EIO);
	check_error("EINVAL", -EIO);
}
END_TEST

START_TEST (work_goes_on_when_there_is_room_again) {
	struct nbdrig_server s;
	struct nbdrig_disk d;
	char file[200];
	uint8_t *p = nbdrig_pattern(70 * MiB, 1);
	char args[400];

	NBDRIG_NEEDS("nbdkit");
	snprintf(file, sizeof(file), "%s", rig_file("inject", 0));
	snprintf(args, sizeof(args),
		"--filter=error memory 128M error=ENOSPC error-rate=100%% "
		"error-file=%s",
		file);
	nbdrig_serve(&s, &d, args);
	ck_assert_int_eq(nbdrig_do(&d, BLK_WRITE, BLK_FUA, 0, p, 70 * MiB),
		-ENOSPC);
	remove(file);
	nbdrig_check_data(&d, BLK_FUA, 0, 70 * MiB);
	free(p);
	nbdrig_serve_end(&s, &d);
}
END_TEST

START_TEST (filters_that_delay_read_ahead_and_retry_change_nothing) {
	struct nbdrig_server s;
	struct nbdrig_disk d;
	struct rig_req r[16];
	uint8_t *p = nbdrig_pattern(1 * MiB, 1),
		*q = nbdrig_pattern(1 * MiB, 2);

	NBDRIG_NEEDS("nbdkit");
	nbdrig_serve(&s, &d,
		"--filter=readahead --filter=delay --filter=retry memory 1M "
		"rdelay=3ms wdelay=2ms retry-delay=1");
	for (unsigned i = 0; i < 16; i++)
		nbdrig_submit(&d, &r[i], BLK_WRITE, 0, i * 64 * KiB,
			p + i * 64 * KiB, 64 * KiB);
	for (unsigned i = 0; i < 16; i++)
		ck_assert_int_eq(rig_wait(&r[i]), 0);
	for (unsigned i = 0; i < 16; i++)
		nbdrig_submit(&d, &r[i], BLK_READ, 0, i * 64 * KiB,
			q + i * 64 * KiB, 64 * KiB);
	for (unsigned i = 0; i < 16; i++)
		ck_assert_int_eq(rig_wait(&r[i]), 0);
	ck_assert_mem_eq(p, q, 1 * MiB);
	free(p);
	free(q);
	nbdrig_serve_end(&s, &d);
}
END_TEST

/* Several connections. */

START_TEST (requests_spread_over_the_connections) {
	struct nbdrig_server s;
	struct nbdrig_disk d;
	struct rig_req r[8];
	uint8_t *p = nbdrig_pattern(64 * KiB, 1);

	NBDRIG_NEEDS("nbdkit");
	nbdrig_serve(&s, &d, "--filter=delay memory 1M rdelay=20ms");
	NBDRIG_UNTIL(nbdrig_connected(&d) == NBD_CONNS);
	for (unsigned i = 0; i < 8; i++)
		nbdrig_submit(&d, &r[i], BLK_READ, 0, i * 8192, p + i * 8192,
			8192);
	for (unsigned i = 0; i < NBD_CONNS; i++)
		ck_assert_uint_eq(d.nbd->conn[i].in_flight, 2);
	for (unsigned i = 0; i < 8; i++)
		ck_assert_int_eq(rig_wait(&r[i]), 0);
	free(p);
	nbdrig_serve_end(&s, &d);
}
END_TEST

START_TEST (one_connection_where_the_server_keeps_no_more_in_step) {
	struct nbdrig_server s;
	struct nbdrig_disk d;
	uint8_t buf[512];

	NBDRIG_NEEDS("nbdkit");
	nbdrig_serve(&s, &d,
		"--filter=multi-conn memory 1M multi-conn-mode=disable");
	ck_assert(!d.nbd->caps.multi);
	ck_assert_int_eq(nbdrig_do(&d, BLK_READ, 0, 0, buf, 512), 0);
	ck_assert_uint_eq(d.nbd->conns, 1);
	for (unsigned i = 1; i < NBD_CONNS; i++)
		ck_assert(!d.nbd->conn[i].dial.running);
	nbdrig_serve_end(&s, &d);
}
END_TEST

START_TEST (close_while_others_are_being_connected_is_fine) {
	struct nbdrig_server s;
	struct nbdrig_disk d;

	NBDRIG_NEEDS("nbdkit");
	for (int i = 0; i < 10; i++) {
		nbdrig_serve(&s, &d, "memory 1M");
		nbdrig_serve_end(&s, &d);
	}
}
END_TEST

START_TEST (tcp_works_as_unix_sockets_do) {
	struct nbdrig_server s = { 0 };
	struct nbdrig_disk d;

	NBDRIG_NEEDS("nbdkit");
	nbdrig_listen_tcp(&s);
	nbdrig_start(&s, "nbdkit -f memory 4M");
	nbdrig_disk_init(&d, nbdrig_uri(&s, "any"));
	nbdrig_disk_open(&d);
	nbdrig_check_data(&d, 0, 0, 3 * MiB);
	nbdrig_serve_end(&s, &d);
}
END_TEST

START_TEST (qemu_nbd_reads_what_we_wrote) {
	struct nbdrig_server s = { 0 };
	struct nbdrig_disk d;
	struct blk_extent x;
	char file[200];
	uint8_t *p = nbdrig_pattern(3 * MiB, 1),
		*q = nbdrig_pattern(3 * MiB, 2);

	NBDRIG_NEEDS("qemu-nbd");
	snprintf(file, sizeof(file), "%s", rig_path("img.qcow2"));
	nbdrig_run("qemu-img create -q -f qcow2 %s 64M", file);
	nbdrig_listen(&s);
	nbdrig_start(&s, "qemu-nbd -t -f qcow2 --discard=unmap --shared=4 %s",
		file);
	nbdrig_disk_init(&d, nbdrig_uri(&s, ""));
	nbdrig_disk_open(&d);
	ck_assert_int_eq(nbdrig_pieces(&d, BLK_WRITE, 1 * MiB, p, 3 * MiB), 0);
	ck_assert_int_eq(nbdrig_do(&d, BLK_WRITE_ZEROES, BLK_UNMAP, 2 * MiB,
				 NULL, 1 * MiB),
		0);
	ck_assert_int_eq(nbdrig_do(&d, BLK_FLUSH, 0, 0, NULL, 0), 0);
	memset(p + 1 * MiB, 0, 1 * MiB);
	ck_assert_int_eq(nbdrig_do(&d, BLK_READ, 0, 1 * MiB, q, 3 * MiB), 0);
	ck_assert_mem_eq(p, q, 3 * MiB);
	ck_assert_int_eq(nbdrig_status(&d, 1 * MiB, 32 * MiB, &x), 0);
	ck_assert(x.data && !x.zero && x.len == 1 * MiB);
	ck_assert_int_eq(nbdrig_status(&d, 2 * MiB, 32 * MiB, &x), 0);
	ck_assert(!x.data && x.zero && x.len == 1 * MiB);
	nbdrig_serve_end(&s, &d);
	free(p);
	free(q);
}
END_TEST

RIG_SUITE("nbd", format_sees_all_bytes_and_zeros_behind,
	data_comes_back_in_all_sizes, pieces_of_an_iovec_arrive_in_place,
	errors_of_the_server_are_told_as_what_they_are,
	work_goes_on_when_there_is_room_again,
	filters_that_delay_read_ahead_and_retry_change_nothing,
	requests_spread_over_the_connections,
	one_connection_where_the_server_keeps_no_more_in_step,
	close_while_others_are_being_connected_is_fine,
	tcp_works_as_unix_sockets_do, qemu_nbd_reads_what_we_wrote)
