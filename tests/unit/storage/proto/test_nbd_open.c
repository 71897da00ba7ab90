/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Opening an export: URIs, what is told when it cannot be had, and what it is
 * to the layers above.
 */
#include <errno.h>
#include <unistd.h>

#include "vm/base/sizes.h"

#include "storage/proto/nbd.h"

#include "tests/unit/storage/proto/nbdrig.h"
#include "tests/unit/suite.h"

START_TEST (uris_are_known_by_their_scheme) {
	ck_assert(nbd_is_uri("nbd://host"));
	ck_assert(nbd_is_uri("nbds://host:1234/export"));
	ck_assert(nbd_is_uri("nbd+unix:///?socket=/x"));
	ck_assert(nbd_is_uri("NBDS+unix:///?socket=/x"));
	ck_assert(nbd_is_uri("nbd+vsock://2"));
	ck_assert(!nbd_is_uri("nbd"));
	ck_assert(!nbd_is_uri("nbd:host:10809"));
	ck_assert(!nbd_is_uri("/nbd://host"));
	ck_assert(!nbd_is_uri("https://host"));
}
END_TEST

START_TEST (vsock_is_refused_by_name) {
	nbdrig_refused("nbd+vsock://2:10809/", ENOTSUP,
		"vsock is not supported");
}
END_TEST

START_TEST (missing_socket_is_told) {
	char uri[200];

	snprintf(uri, sizeof(uri), "nbd+unix:///?socket=%s", rig_path("none"));
	nbdrig_refused(uri, ENOENT, "is the server running");
}
END_TEST

START_TEST (refused_connection_is_told) {
	struct nbdrig_server s = { 0 };

	nbdrig_listen_tcp(&s);
	close(s.listen_fd);
	nbdrig_refused(nbdrig_uri(&s, ""), ECONNREFUSED,
		"is the server running");
}
END_TEST

START_TEST (host_without_address_is_told) {
	struct nbdrig_disk d;

	nbdrig_disk_init(&d, "nbd://name.invalid/");
	nbdrig_disk_fails(&d, 0, "cannot connect");
	ck_assert_ptr_nonnull(strstr(d.e.msg, "is the host's name right?"));
}
END_TEST

START_TEST (uri_that_is_wrong_is_told) {
	nbdrig_refused("nbd+unix:///export", EINVAL,
		"nbd+unix:///EXPORT?socket=PATH");
}
END_TEST

START_TEST (server_that_says_nothing_is_given_up) {
	struct nbdrig_server s = { 0 };
	struct nbdrig_disk d;

	nbdrig_listen(&s); /* and nobody accepts */
	nbdrig_disk_init(&d, nbdrig_uri(&s, ""));
	d.params.connect_ms = 30;
	nbdrig_disk_fails(&d, ETIMEDOUT, "does not answer");
	nbdrig_end(&s);
}
END_TEST

START_TEST (export_that_is_not_there_is_told) {
	struct nbdrig_server s = { 0 };
	struct nbdrig_disk d;
	const char *file = rig_file("img", 1 * MiB);

	NBDRIG_NEEDS("qemu-nbd");
	nbdrig_listen(&s);
	nbdrig_start(&s, "qemu-nbd -t -f raw -x right %s", file);
	nbdrig_refused(nbdrig_uri(&s, "wrong"), ENOENT,
		"no export named 'wrong'");
	nbdrig_disk_init(&d, nbdrig_uri(&s, "right"));
	nbdrig_disk_open(&d);
	nbdrig_serve_end(&s, &d);
}
END_TEST

START_TEST (read_only_export_is_refused_for_writing) {
	struct nbdrig_server s = { 0 };
	struct nbdrig_disk d;
	uint8_t buf[512];

	NBDRIG_NEEDS("nbdkit");
	nbdrig_listen(&s);
	nbdrig_start(&s, "nbdkit -f -r memory 1M");
	nbdrig_refused(nbdrig_uri(&s, ""), EROFS, "set readonly = yes");
	nbdrig_disk_init(&d, nbdrig_uri(&s, ""));
	d.o.readonly = true;
	nbdrig_disk_open(&d);
	ck_assert_int_eq(nbdrig_do(&d, BLK_READ, 0, 0, buf, 512), 0);
	nbdrig_serve_end(&s, &d);
}
END_TEST

START_TEST (info_is_what_the_server_says) {
	struct nbdrig_server s;
	struct nbdrig_disk d;
	struct blk_info info;

	NBDRIG_NEEDS("nbdkit");
	nbdrig_serve(&s, &d, "memory 1048999");
	d.node->ops->info(d.node, &info);
	ck_assert_uint_eq(info.size, 1048576);
	ck_assert_uint_eq(info.block_size, 512);
	ck_assert(info.can_discard && info.can_write_zeroes && !info.readonly);
	ck_assert_str_eq(info.aio, "nbd");
	ck_assert(nbdrig_logged("the last 423 are not used"));
	nbdrig_serve_end(&s, &d);
}
END_TEST

RIG_SUITE("nbd_open", uris_are_known_by_their_scheme, vsock_is_refused_by_name,
	missing_socket_is_told, refused_connection_is_told,
	host_without_address_is_told, uri_that_is_wrong_is_told,
	server_that_says_nothing_is_given_up, export_that_is_not_there_is_told,
	read_only_export_is_refused_for_writing, info_is_what_the_server_says)
