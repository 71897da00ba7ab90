/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * NBD over TLS, against nbdkit and qemu-nbd, with certificates made here by
 * certtool: right ones, of another authority, for another host, missing.
 */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vm/base/sizes.h"

#include "storage/core/sync.h"
#include "storage/proto/nbd.h"

#include "tests/unit/storage/proto/nbdrig.h"
#include "tests/unit/suite.h"

#define NEEDS_ALL()                                                            \
	do {                                                                   \
		NBDRIG_NEEDS("nbdkit");                                        \
		NBDRIG_NEEDS("certtool");                                      \
	} while (0)

static struct nbdrig_server server;
static struct nbdrig_disk disk;
static char pki[200];

static void text(const char *name, const char *s)
{
	rig_write_file(rig_file(name, 0), 0, s, strlen(s));
}

static void key(const char *out)
{
	nbdrig_run("certtool --generate-privkey --key-type=ecdsa --outfile %s",
		out);
}

/* An authority in a new folder. */
static void authority(const char *dir)
{
	ck_assert_int_eq(mkdir(dir, 0700), 0);
	text("ca.info", "cn = Test authority\nca\ncert_signing_key\n");
	key(suite_path(dir, "ca-key.pem"));
	nbdrig_run("certtool --generate-self-signed --load-privkey %s "
		   "--template %s --outfile %s",
		suite_path(dir, "ca-key.pem"), rig_path("ca.info"),
		suite_path(dir, "ca-cert.pem"));
}

/* NAME-key.pem and NAME-cert.pem in dir, signed by its authority. */
static void certificate(const char *dir, const char *name, const char *info)
{
	char k[300], c[300];

	snprintf(k, sizeof(k), "%s/%s-key.pem", dir, name);
	snprintf(c, sizeof(c), "%s/%s-cert.pem", dir, name);
	text("cert.info", info);
	key(k);
	nbdrig_run("certtool --generate-certificate --load-privkey %s "
		   "--load-ca-privkey %s --load-ca-certificate %s "
		   "--template %s --outfile %s",
		k, suite_path(dir, "ca-key.pem"),
		suite_path(dir, "ca-cert.pem"), rig_path("cert.info"), c);
}

static void server_certificate(const char *names)
{
	char info[200];

	snprintf(info, sizeof(info),
		"cn = server\n%stls_www_server\nencryption_key\nsigning_key\n",
		names);
	certificate(pki, "server", info);
}

#define LOOPBACK "dns_name = localhost\nip_address = 127.0.0.1\n"

static void begin(const char *names)
{
	snprintf(pki, sizeof(pki), "%s", rig_path("pki"));
	authority(pki);
	server_certificate(names);
	certificate(pki, "client",
		"cn = client\ntls_www_client\nencryption_key\nsigning_key\n");
}

static const char *tls_uri(void)
{
	static char uri[64];

	snprintf(uri, sizeof(uri), "nbds://127.0.0.1:%d/", server.port);
	return uri;
}

static void serve(const char *how)
{
	nbdrig_listen_tcp(&server);
	nbdrig_start(&server, "nbdkit -f %s --tls-certificates=%s memory 1M",
		how, pki);
}

static void disk_init(const char *uri, const char *dir)
{
	nbdrig_disk_init(&disk, uri);
	disk.o.tls_dir = dir;
}

static void disk_open(const char *uri)
{
	disk_init(uri, pki);
	nbdrig_disk_open(&disk);
}

static void check_data(void)
{
	nbdrig_check_data(&disk, BLK_FUA, 4096, 65536);
}

/* It cannot be had with the certificates in dir, and has is told. */
static void refused(const char *dir, const char *has)
{
	disk_init(tls_uri(), dir);
	nbdrig_disk_fails(&disk, 0, has);
	nbdrig_end(&server);
}

static void end(void)
{
	nbdrig_serve_end(&server, &disk);
}

START_TEST (data_goes_over_tls_with_both_sides_checked) {
	NEEDS_ALL();
	begin(LOOPBACK);
	serve("--tls=require --tls-verify-peer");
	disk_open(tls_uri());
	ck_assert_int_eq(nbd_get_tls_negotiated(disk.nbd->conn[0].h), 1);
	check_data();
	end();
}
END_TEST

static int in_fiber(void *arg)
{
	uint8_t *a = arg;
	int r = node_write(disk.node, 0, a, 256 * KiB, BLK_FUA);

	memset(a, 0, 256 * KiB);
	return r ? r : node_read(disk.node, 0, a, 256 * KiB);
}

START_TEST (stack_of_a_fiber_is_large_enough_for_tls) {
	uint8_t *a = malloc(256 * KiB);

	NEEDS_ALL();
	begin(LOOPBACK);
	serve("--tls=require");
	disk_open(tls_uri());
	memset(a, 0x77, 256 * KiB);
	ck_assert_int_eq(ctx_run(disk.o.ctx, in_fiber, a), 0);
	for (unsigned i = 0; i < 256 * KiB; i++)
		ck_assert_uint_eq(a[i], 0x77);
	free(a);
	end();
}
END_TEST

START_TEST (client_without_certificate_is_let_in_where_none_is_asked) {
	NEEDS_ALL();
	begin(LOOPBACK);
	serve("--tls=require");
	ck_assert_int_eq(unlink(suite_path(pki, "client-cert.pem")), 0);
	ck_assert_int_eq(unlink(suite_path(pki, "client-key.pem")), 0);
	disk_open(tls_uri());
	check_data();
	end();
}
END_TEST

START_TEST (server_of_another_authority_is_refused) {
	char other[200];

	NEEDS_ALL();
	begin(LOOPBACK);
	serve("--tls=require");
	snprintf(other, sizeof(other), "%s", rig_path("other"));
	authority(other);
	refused(other, "certificate");
	ck_assert_err(disk.e, disk.e.code, "TLS folder");
}
END_TEST

START_TEST (certificate_for_another_host_is_refused) {
	NEEDS_ALL();
	begin("dns_name = elsewhere.example\n");
	serve("--tls=require");
	refused(pki, "certificate");
}
END_TEST

START_TEST (server_that_wants_tls_says_so_to_a_plain_client) {
	NEEDS_ALL();
	begin(LOOPBACK);
	serve("--tls=require");
	disk_init(nbdrig_uri(&server, ""), pki);
	nbdrig_disk_fails(&disk, ENOTSUP, "use nbds://");
	nbdrig_end(&server);
}
END_TEST

START_TEST (plain_server_is_refused_where_tls_is_wanted) {
	NEEDS_ALL();
	begin(LOOPBACK);
	serve("--tls=off");
	refused(pki, "the server has no TLS");
}
END_TEST

START_TEST (missing_folder_is_told) {
	NEEDS_ALL();
	begin(LOOPBACK);
	serve("--tls=require");
	refused("/nonexistent/pki", "TLS folder");
	ck_assert_err(disk.e, disk.e.code, "/nonexistent/pki");
}
END_TEST

START_TEST (unix_socket_with_tls_is_encrypted_and_told_to_be_unchecked) {
	char uri[200];

	NEEDS_ALL();
	begin("dns_name = elsewhere.example\n"); /* no name to compare with */
	nbdrig_listen(&server);
	nbdrig_start(&server,
		"nbdkit -f --tls=require --tls-certificates=%s memory 1M", pki);
	snprintf(uri, sizeof(uri), "nbds+unix:///?socket=%s", server.socket);
	disk_open(uri);
	check_data();
	ck_assert(nbdrig_logged("does not check a server's certificate"));
	end();
}
END_TEST

START_TEST (systems_authorities_do_not_know_our_test_server) {
	NEEDS_ALL();
	begin(LOOPBACK);
	serve("--tls=require");
	refused(NULL, "certificate");
}
END_TEST

START_TEST (tls_connection_is_made_again_after_a_kill) {
	uint8_t buf[4096];
	struct rig_req q;

	NEEDS_ALL();
	begin(LOOPBACK);
	serve("--tls=require --tls-verify-peer");
	disk_open(tls_uri());
	nbdrig_submit(&disk, &q, BLK_READ, 0, 0, buf, 4096);
	nbdrig_kill(&server);
	nbdrig_start(&server,
		"nbdkit -f --tls=require --tls-verify-peer "
		"--tls-certificates=%s memory 1M",
		pki);
	ck_assert_int_eq(rig_wait(&q), 0);
	check_data();
	NBDRIG_UNTIL(disk.nbd->conn[0].h);
	ck_assert_int_eq(nbd_get_tls_negotiated(disk.nbd->conn[0].h), 1);
	end();
}
END_TEST

START_TEST (qemu_nbd_speaks_tls_with_us) {
	NEEDS_ALL();
	NBDRIG_NEEDS("qemu-nbd");
	begin(LOOPBACK);
	nbdrig_listen_tcp(&server);
	nbdrig_start(&server,
		"qemu-nbd -t -f raw --shared=4 --object "
		"tls-creds-x509,id=t,endpoint=server,dir=%s,verify-peer=on "
		"--tls-creds t %s",
		pki, rig_file("img", 1 * MiB));
	disk_open(tls_uri());
	check_data();
	end();
}
END_TEST

RIG_SUITE("nbd_tls", data_goes_over_tls_with_both_sides_checked,
	stack_of_a_fiber_is_large_enough_for_tls,
	client_without_certificate_is_let_in_where_none_is_asked,
	server_of_another_authority_is_refused,
	certificate_for_another_host_is_refused,
	server_that_wants_tls_says_so_to_a_plain_client,
	plain_server_is_refused_where_tls_is_wanted, missing_folder_is_told,
	unix_socket_with_tls_is_encrypted_and_told_to_be_unchecked,
	systems_authorities_do_not_know_our_test_server,
	tls_connection_is_made_again_after_a_kill, qemu_nbd_speaks_tls_with_us)
