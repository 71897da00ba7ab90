/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * NBD servers that go away, come back, and come back as something else.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vm/base/sizes.h"

#include "storage/proto/nbd.h"

#include "tests/unit/storage/proto/nbdrig.h"
#include "tests/unit/suite.h"

#define SIZE  (4 * MiB)
#define SLOTS 16u
#define PIECE (16 * KiB)

static struct nbdrig_server server;
static struct nbdrig_disk disk;
static char image[200];

/* Filters and options of nbdkit, and what they and the plugin are told. */
static void serve_with(const char *filters, const char *params)
{
	nbdrig_start(&server, "nbdkit -f %s file %s %s", filters, image,
		params);
}

static void serve(void)
{
	serve_with("", "");
}

static void begin_with(const char *filters, const char *params)
{
	snprintf(image, sizeof(image), "%s", rig_file("img", SIZE));
	nbdrig_listen(&server);
	serve_with(filters, params);
	nbdrig_disk_init(&disk, nbdrig_uri(&server, ""));
}

static void begin(void)
{
	begin_with("", "");
}

static void end(void)
{
	nbdrig_disk_close(&disk);
	nbdrig_end(&server);
}

/* The server dies and nobody answers on its socket. */
static void down(void)
{
	nbdrig_end(&server);
}

static void up(void)
{
	nbdrig_listen(&server);
	serve();
}

START_TEST (requests_wait_for_the_server_to_come_back) {
	struct rig_req w, r, f;
	uint8_t a[4096], b[4096];

	NBDRIG_NEEDS("nbdkit");
	begin();
	nbdrig_disk_open(&disk);
	down();
	memset(a, 0x5a, sizeof(a));
	nbdrig_submit(&disk, &w, BLK_WRITE, 0, 8192, a, 4096);
	NBDRIG_UNTIL(!nbdrig_connected(&disk));
	nbdrig_submit(&disk, &f, BLK_FLUSH, 0, 0, NULL, 0);
	ck_assert_int_eq(w.calls + f.calls, 0);
	up();
	ck_assert_int_eq(rig_wait(&w), 0);
	ck_assert_int_eq(rig_wait(&f), 0);
	nbdrig_submit(&disk, &r, BLK_READ, 0, 8192, b, 4096);
	ck_assert_int_eq(rig_wait(&r), 0);
	ck_assert_mem_eq(a, b, 4096);
	ck_assert(nbdrig_logged("is lost"));
	ck_assert(nbdrig_logged("connected to the NBD server again"));
	end();
}
END_TEST

START_TEST (idle_disk_connects_again_by_itself) {
	NBDRIG_NEEDS("nbdkit");
	begin();
	nbdrig_disk_open(&disk);
	down();
	NBDRIG_UNTIL(!nbdrig_connected(&disk));
	up();
	NBDRIG_UNTIL(nbdrig_connected(&disk) == NBD_CONNS);
	end();
}
END_TEST

/* Random writes with kill -9 in between; at the end all is there. */

struct slot {
	struct rig_req q;
	uint8_t *buf;
	bool used;
};

static void slot_wait(struct slot *s)
{
	if (s->used)
		ck_assert_int_eq(rig_wait(&s->q), 0);
	s->used = false;
}

static void churn(struct slot *slots, uint8_t *want, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct slot *s = &slots[i % SLOTS];
		/* a slot has its own pieces: none overlap in flight */
		uint64_t off =
			((uint64_t)(random() % 16) * SLOTS + i % SLOTS) * PIECE;

		slot_wait(s);
		memset(s->buf, (int)(random() & 0xff), PIECE);
		memcpy(want + off, s->buf, PIECE);
		nbdrig_submit(&disk, &s->q, BLK_WRITE, 0, off, s->buf, PIECE);
		s->used = true;
	}
}

START_TEST (kill_9_in_the_midst_of_writes_loses_none) {
	struct slot slots[SLOTS];
	uint8_t *want = calloc(1, SIZE), *got = malloc(SIZE);

	NBDRIG_NEEDS("nbdkit");
	memset(slots, 0, sizeof(slots));
	for (unsigned i = 0; i < SLOTS; i++)
		slots[i].buf = malloc(PIECE);
	srandom(7);
	begin_with("--filter=delay", "wdelay=1ms");
	nbdrig_disk_open(&disk);
	for (unsigned round = 0; round < 15; round++) {
		churn(slots, want, 100 + (unsigned)(random() % 50));
		nbdrig_kill(&server);
		if (round % 3 == 0) {
			nbdrig_unlisten(&server);
			nbdrig_listen(&server);
		}
		serve_with("--filter=delay", "wdelay=1ms");
	}
	for (unsigned i = 0; i < SLOTS; i++)
		slot_wait(&slots[i]);
	ck_assert_int_eq(nbdrig_do(&disk, BLK_FLUSH, 0, 0, NULL, 0), 0);
	ck_assert_int_eq(nbdrig_do(&disk, BLK_READ, 0, 0, got, SIZE), 0);
	ck_assert_mem_eq(want, got, SIZE);
	end();
	rig_read_file(image, 0, got, SIZE);
	ck_assert_mem_eq(want, got, SIZE);
	for (unsigned i = 0; i < SLOTS; i++)
		free(slots[i].buf);
	free(want);
	free(got);
}
END_TEST

START_TEST (after_the_limit_requests_fail_until_it_is_back) {
	struct rig_req q[3];
	uint8_t buf[4096] = { 0 };

	NBDRIG_NEEDS("nbdkit");
	begin();
	disk.params.hold_ms = 40;
	nbdrig_disk_open(&disk);
	down();
	for (int i = 0; i < 3; i++)
		nbdrig_submit(&disk, &q[i], i ? BLK_READ : BLK_WRITE, 0, 0, buf,
			4096);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(rig_wait(&q[i]), -EIO);
	ck_assert(nbdrig_logged("no connection to the NBD server"));
	/* later ones fail without a wait of their own */
	ck_assert_int_eq(nbdrig_do(&disk, BLK_READ, 0, 0, buf, 4096), -EIO);
	up();
	NBDRIG_UNTIL(disk.nbd->conn[0].h);
	ck_assert_int_eq(nbdrig_do(&disk, BLK_READ, 0, 0, buf, 4096), 0);
	end();
}
END_TEST

START_TEST (who_gives_up_waits_no_more) {
	struct rig_req q[2];
	uint8_t buf[4096] = { 0 };

	NBDRIG_NEEDS("nbdkit");
	begin();
	disk.params.hold_ms = 3600 * 1000;
	nbdrig_disk_open(&disk);
	down();
	for (int i = 0; i < 2; i++)
		nbdrig_submit(&disk, &q[i], i ? BLK_READ : BLK_WRITE, 0, 0, buf,
			4096);
	node_give_up(disk.node);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(rig_wait(&q[i]), -EIO);
	ck_assert_int_eq(nbdrig_do(&disk, BLK_READ, 0, 0, buf, 4096), -EIO);
	end();
}
END_TEST

/* It keeps its connections, but works no more. */
START_TEST (who_gives_up_waits_for_no_silent_server) {
	struct rig_req q[2];
	uint8_t buf[4096] = { 0 };
	int how;

	NBDRIG_NEEDS("nbdkit");
	begin();
	disk.params.patience_ms = 40;
	nbdrig_disk_open(&disk);
	ck_assert_int_eq(kill(server.pid, SIGSTOP), 0);
	ck_assert_int_eq(waitpid(server.pid, &how, WUNTRACED), server.pid);
	ck_assert(WIFSTOPPED(how));
	for (int i = 0; i < 2; i++)
		nbdrig_submit(&disk, &q[i], i ? BLK_READ : BLK_WRITE, 0, 0, buf,
			4096);
	node_give_up(disk.node);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(rig_wait(&q[i]), -EIO);
	ck_assert(nbdrig_logged("answers none of 2 commands: given up"));
	/* nor does it come back */
	ck_assert_int_eq(kill(server.pid, SIGCONT), 0);
	ck_assert_int_eq(nbdrig_do(&disk, BLK_READ, 0, 0, buf, 4096), -EIO);
	end();
}
END_TEST

START_TEST (silence_counts_from_when_something_was_asked) {
	struct rig_req q;
	uint8_t buf[4096];

	NBDRIG_NEEDS("nbdkit");
	begin_with("--filter=delay", "rdelay=50ms");
	disk.params.patience_ms = 3600 * 1000;
	nbdrig_disk_open(&disk);
	node_give_up(disk.node);
	nbdrig_submit(&disk, &q, BLK_READ, 0, 0, buf, 4096);
	ctx_timer_arm(&disk.nbd->patience, 1); /* an hour went by idly */
	ck_assert_int_eq(rig_wait(&q), 0);
	end();
}
END_TEST

START_TEST (who_gives_up_goes_on_over_other_connections) {
	struct rig_req q[NBD_CONNS];
	uint8_t buf[4096];

	NBDRIG_NEEDS("nbdkit");
	begin_with("--filter=delay", "rdelay=20ms");
	nbdrig_disk_open(&disk);
	NBDRIG_UNTIL(nbdrig_connected(&disk) == NBD_CONNS);
	for (unsigned i = 0; i < NBD_CONNS; i++)
		nbdrig_submit(&disk, &q[i], BLK_READ, 0, 0, buf, 4096);
	node_give_up(disk.node);
	ck_assert_int_eq(shutdown(disk.nbd->conn[1].fd, SHUT_RDWR), 0);
	for (unsigned i = 0; i < NBD_CONNS; i++)
		ck_assert_int_eq(rig_wait(&q[i]), 0);
	end();
}
END_TEST

START_TEST (another_size_fails_all_until_the_old_one_is_back) {
	uint8_t buf[4096] = { 0 };

	NBDRIG_NEEDS("nbdkit");
	begin();
	nbdrig_disk_open(&disk);
	nbdrig_kill(&server);
	ck_assert_int_eq(truncate(image, SIZE / 2), 0);
	serve();
	ck_assert_int_eq(nbdrig_do(&disk, BLK_WRITE, 0, 0, buf, 4096), -EIO);
	ck_assert(nbdrig_logged("its size changed from 4194304 to 2097152"));
	ck_assert_int_eq(nbdrig_do(&disk, BLK_READ, 0, 0, buf, 4096), -EIO);
	nbdrig_kill(&server);
	ck_assert_int_eq(truncate(image, SIZE), 0);
	serve();
	NBDRIG_UNTIL(disk.nbd->conn[0].h);
	ck_assert_int_eq(nbdrig_do(&disk, BLK_READ, 0, 0, buf, 4096), 0);
	end();
}
END_TEST

/* A server that is started anew, and other than before, is not used. */
static void check_refused_as(const char *filters, const char *params,
	const char *told)
{
	uint8_t buf[4096] = { 0 };

	begin();
	nbdrig_disk_open(&disk);
	nbdrig_kill(&server);
	serve_with(filters, params);
	ck_assert_int_eq(nbdrig_do(&disk, BLK_READ, 0, 0, buf, 4096), -EIO);
	ck_assert(nbdrig_logged(told));
	end();
}

START_TEST (export_that_became_read_only_fails_all) {
	NBDRIG_NEEDS("nbdkit");
	check_refused_as("-r", "", "it became read-only");
}
END_TEST

START_TEST (server_that_can_less_than_before_fails_all) {
	NBDRIG_NEEDS("nbdkit");
	check_refused_as("--filter=nozero", "", "it can do less than before");
}
END_TEST

/* A flush over one connection would not be one of what went over another. */
START_TEST (server_that_no_longer_keeps_connections_in_step_fails_all) {
	NBDRIG_NEEDS("nbdkit");
	check_refused_as("--filter=multi-conn", "multi-conn-mode=disable",
		"it can do less than before");
}
END_TEST

/* A server that says that it shuts down while there is a file "inject". */
static void begin_shutting_down(void)
{
	nbdrig_listen(&server);
	nbdrig_start(&server,
		"nbdkit -f --filter=error memory 1M error=ESHUTDOWN "
		"error-rate=100%% error-file=%s",
		rig_file("inject", 0));
	nbdrig_disk_init(&disk, nbdrig_uri(&server, ""));
}

START_TEST (server_that_says_it_shuts_down_is_asked_again) {
	struct rig_req q;
	uint8_t buf[4096];

	NBDRIG_NEEDS("nbdkit");
	begin_shutting_down();
	nbdrig_disk_open(&disk);
	nbdrig_submit(&disk, &q, BLK_READ, 0, 0, buf, 4096);
	NBDRIG_UNTIL(nbdrig_logged("is lost"));
	ck_assert_int_eq(q.calls, 0);
	ck_assert_int_eq(unlink(rig_path("inject")), 0);
	ck_assert_int_eq(rig_wait(&q), 0);
	end();
}
END_TEST

START_TEST (request_that_always_ends_the_connection_fails_in_the_end) {
	uint8_t buf[4096];

	NBDRIG_NEEDS("nbdkit");
	begin_shutting_down();
	disk.params.hold_ms = 60;
	nbdrig_disk_open(&disk);
	ck_assert_int_eq(nbdrig_do(&disk, BLK_READ, 0, 0, buf, 4096), -EIO);
	end();
}
END_TEST

START_TEST (close_while_connecting_again_is_fine) {
	NBDRIG_NEEDS("nbdkit");
	begin();
	nbdrig_disk_open(&disk);
	nbdrig_kill(&server); /* but somebody listens: a dial hangs */
	NBDRIG_UNTIL(!nbdrig_connected(&disk));
	NBDRIG_UNTIL(disk.nbd->conn[0].dial.running);
	end();
}
END_TEST

START_TEST (close_while_pausing_is_fine) {
	NBDRIG_NEEDS("nbdkit");
	begin();
	disk.params.pause_ms = disk.params.pause_max_ms = 100000;
	nbdrig_disk_open(&disk);
	down();
	NBDRIG_UNTIL(!nbdrig_connected(&disk));
	end();
}
END_TEST

START_TEST (writes_of_odd_bytes_survive_the_loss_too) {
	struct rig_req q;
	uint8_t buf[100], got[8192];

	NBDRIG_NEEDS("nbdkit");
	snprintf(image, sizeof(image), "%s", rig_file("img", SIZE));
	nbdrig_listen(&server);
	nbdrig_start(&server,
		"nbdkit -f --filter=blocksize-policy file %s "
		"blocksize-minimum=4K blocksize-error-policy=error",
		image);
	nbdrig_disk_init(&disk, nbdrig_uri(&server, ""));
	disk.o.is_format = true;
	nbdrig_disk_open(&disk);
	down();
	memset(buf, 0xaa, sizeof(buf));
	nbdrig_submit(&disk, &q, BLK_WRITE, 0, 4050, buf, 100);
	NBDRIG_UNTIL(!nbdrig_connected(&disk));
	up();
	ck_assert_int_eq(rig_wait(&q), 0);
	end();
	rig_read_file(image, 0, got, sizeof(got));
	for (unsigned i = 0; i < sizeof(got); i++)
		ck_assert_uint_eq(got[i], i >= 4050 && i < 4150 ? 0xaa : 0);
}
END_TEST

/* The whole chain: a guest's disk of a format, behind a server that dies. */
START_TEST (qcow2_behind_a_server_that_is_killed_stays_whole) {
	struct nbdrig_server s = { 0 };
	struct blk_opts o;
	struct blk *b;
	uint8_t buf[64 * KiB], got[64 * KiB];
	char raw[200];

	NBDRIG_NEEDS("nbdkit");
	NBDRIG_NEEDS("qemu-img");
	snprintf(image, sizeof(image), "%s", rig_file("img", 16 * MiB));
	nbdrig_run("qemu-img create -q -f qcow2 %s 8M", image);
	ck_assert_int_eq(truncate(image, 16 * MiB), 0); /* exports are fixed */
	nbdrig_listen(&s);
	nbdrig_start(&s, "nbdkit -f file %s", image);
	o = rig_opts(nbdrig_uri(&s, ""));
	o.format = BLK_QCOW2;
	b = rig_open(&o);
	for (unsigned i = 0; i < 32; i++) {
		struct rig_req q;

		memset(buf, 'a' + (int)i, sizeof(buf));
		rig_init_req(&q, BLK_WRITE, i * 128 * KiB, buf, sizeof(buf));
		rig_submit(b, &q);
		if (i % 5 == 0) {
			nbdrig_kill(&s);
			nbdrig_start(&s, "nbdkit -f file %s", image);
		}
		ck_assert_int_eq(rig_wait(&q), 0);
	}
	ck_assert_int_eq(rig_do(b, BLK_FLUSH, 0, 0, NULL, 0), 0);
	ck_assert_int_eq(blk_close(b), 0);
	nbdrig_end(&s);
	nbdrig_run("qemu-img check -q -f qcow2 %s", image);
	snprintf(raw, sizeof(raw), "%s", rig_path("raw"));
	nbdrig_run("qemu-img convert -f qcow2 -O raw %s %s", image, raw);
	for (unsigned i = 0; i < 32; i++) {
		rig_read_file(raw, i * 128 * KiB, got, sizeof(got));
		memset(buf, 'a' + (int)i, sizeof(buf));
		ck_assert_mem_eq(buf, got, sizeof(buf));
	}
}
END_TEST

START_TEST (qemu_nbd_may_be_killed_as_well) {
	struct nbdrig_server s = { 0 };
	uint8_t a[65536], b[65536];

	NBDRIG_NEEDS("qemu-nbd");
	snprintf(image, sizeof(image), "%s", rig_file("img", SIZE));
	nbdrig_listen(&s);
	nbdrig_start(&s, "qemu-nbd -t -f raw --shared=4 %s", image);
	nbdrig_disk_init(&disk, nbdrig_uri(&s, ""));
	nbdrig_disk_open(&disk);
	for (unsigned i = 0; i < 5; i++) {
		struct rig_req q;

		memset(a, (int)i + 1, sizeof(a));
		nbdrig_submit(&disk, &q, BLK_WRITE, BLK_FUA, i * 65536, a,
			65536);
		nbdrig_kill(&s);
		nbdrig_start(&s, "qemu-nbd -t -f raw --shared=4 %s", image);
		ck_assert_int_eq(rig_wait(&q), 0);
		ck_assert_int_eq(nbdrig_do(&disk, BLK_READ, 0, i * 65536, b,
					 65536),
			0);
		ck_assert_mem_eq(a, b, 65536);
	}
	nbdrig_disk_close(&disk);
	nbdrig_end(&s);
}
END_TEST

/* All that is below a guest's disk: a chain of two servers. */
START_TEST (a_disk_gives_up_all_its_layers) {
	const char *const names[2] = { "base", "mid" };
	struct nbdrig_server s[2] = { 0 };
	uint8_t buf[4096] = { 0 };
	struct err e = ERR_NONE;
	struct img_create c = { .format = BLK_QCOW2, .unsafe = true };
	struct blk_opts o = { .format = BLK_QCOW2 };
	struct rig_req q[2];
	struct blk *b;

	NBDRIG_NEEDS("nbdkit");
	rig_file("base", SIZE);
	for (int i = 0; i < 2; i++)
		nbdrig_listen(&s[i]);
	c.path = rig_path("mid");
	c.options.size = SIZE;
	c.options.has_size = true;
	strcpy(c.options.backing_format, "raw");
	strcpy(c.options.backing_file, nbdrig_uri(&s[0], ""));
	ck_assert_msg(!img_create(&c, NULL, &e), "%s", e.msg);
	for (int i = 0; i < 2; i++)
		nbdrig_start(&s[i], "nbdkit -f file %s", rig_path(names[i]));
	o.path = nbdrig_uri(&s[1], "");
	b = rig_open(&o);
	for (int i = 0; i < 2; i++)
		nbdrig_end(&s[i]);
	rig_init_req(&q[0], BLK_READ, 0, buf, 4096); /* of the base */
	rig_init_req(&q[1], BLK_WRITE, MiB, buf, 4096);
	for (int i = 0; i < 2; i++)
		rig_submit(b, &q[i]);
	blk_give_up(b);
	for (int i = 0; i < 2; i++) /* or a minute later: the test's end */
		ck_assert_int_eq(rig_wait(&q[i]), -EIO);
	blk_close(b); /* its error is its own */
}
END_TEST

RIG_SUITE("nbd_again", requests_wait_for_the_server_to_come_back,
	idle_disk_connects_again_by_itself,
	kill_9_in_the_midst_of_writes_loses_none,
	after_the_limit_requests_fail_until_it_is_back,
	who_gives_up_waits_no_more, who_gives_up_waits_for_no_silent_server,
	silence_counts_from_when_something_was_asked,
	who_gives_up_goes_on_over_other_connections,
	a_disk_gives_up_all_its_layers,
	another_size_fails_all_until_the_old_one_is_back,
	export_that_became_read_only_fails_all,
	server_that_can_less_than_before_fails_all,
	server_that_no_longer_keeps_connections_in_step_fails_all,
	server_that_says_it_shuts_down_is_asked_again,
	request_that_always_ends_the_connection_fails_in_the_end,
	close_while_connecting_again_is_fine, close_while_pausing_is_fine,
	writes_of_odd_bytes_survive_the_loss_too,
	qcow2_behind_a_server_that_is_killed_stays_whole,
	qemu_nbd_may_be_killed_as_well)
