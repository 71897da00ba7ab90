/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Clients of the server over real sockets, good and bad ones. */
#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vm/base/bytes.h"
#include "vm/base/clock.h"
#include "vm/base/io.h"
#include "vm/base/sizes.h"

#include "ui/client.h"
#include "ui/paths.h"
#include "ui/process.h"
#include "ui/server.h"

#include "rig.h"

/* A server without its process: the loop runs when a test says so. */
struct den {
	struct rig rig;
	struct server s;
};

static struct app *den_app(struct den *d)
{
	return &d->s.app;
}

static void den_init(struct den *d)
{
	struct err e = ERR_NONE;

	memset(d, 0, sizeof(*d));
	list_init(&d->s.conns);
	rig_init(&d->rig);
	d->s.loop = d->rig.loop;
	ck_assert_int_eq(app_init(&d->s.app, d->rig.en, d->rig.loop, NULL, &e),
		0);
	d->s.app.next_tick_ns = UINT64_MAX;
}

static void den_pump(struct den *d)
{
	for (int i = 0; i < 200; i++)
		loop_run_once(d->s.loop,
			list_empty(&den_app(d)->tasks) ? 0 : 10);
}

static void den_fini(struct den *d)
{
	conn_close_all(&d->s);
	den_pump(d);
	app_quiesce(&d->s.app);
	app_fini(&d->s.app);
	rig_fini(&d->rig);
}

static int den_connect(struct den *d)
{
	int sv[2];

	ck_assert_int_eq(socketpair(AF_UNIX,
				 SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
				 sv),
		0);
	conn_new(&d->s, sv[0]);
	return sv[1];
}

static void say(int fd, enum proto_type t, const char *data)
{
	struct sendq q;

	sendq_init(&q, 4 << 20);
	ck_assert_int_eq(sendq_frame(&q, t, data, strlen(data)), 0);
	ck_assert_int_eq(sendq_flush(&q, fd), 0);
	sendq_fini(&q);
}

/* All frames of one type as text; *code gets the exit code, -1 = none. */
static char *hear(int fd, enum proto_type want, int *code)
{
	static char text[1 << 20];
	struct proto_in in = { 0 };
	struct proto_msg m;
	size_t n = 0, room;
	ssize_t got;
	uint8_t *p;

	*code = -1;
	do {
		p = proto_in_room(&in, &room);
		got = recv(fd, p, room, MSG_DONTWAIT);
		if (got > 0)
			proto_in_added(&in, (size_t)got);
		while (proto_in_next(&in, &m) == 1) {
			if (m.type == PROTO_EXIT)
				*code = m.data[0];
			if (m.type == want && n + m.len < sizeof(text)) {
				memcpy(text + n, m.data, m.len);
				n += m.len;
			}
		}
	} while (got > 0);
	text[n] = 0;
	proto_in_fini(&in);
	return text;
}

/* Did the server let go of this client? */
static bool gone(int fd)
{
	char c;

	return recv(fd, &c, 1, MSG_DONTWAIT) == 0;
}

#define REQUEST(argv) "{\"cwd\":\"/tmp\",\"argv\":[" argv "]}"
#define ATTACH                                                                 \
	"{\"cwd\":\"/\",\"argv\":[\"attach\"],\"tty\":true,\"utf8\":true,"     \
	"\"term\":\"xterm-256color\",\"rows\":24,\"cols\":80}"

START_TEST (a_client_asks_and_is_answered_and_let_go) {
	struct den d;
	int fd, code;

	den_init(&d);
	fd = den_connect(&d);
	say(fd, PROTO_REQUEST, REQUEST("\"list\",\"--names\""));
	den_pump(&d);
	ck_assert_str_eq(hear(fd, PROTO_OUT, &code),
		"build\ndb\ninstaller-netboot-amd64\nlegacy\nweb\n");
	ck_assert_int_eq(code, 0);
	den_pump(&d);
	ck_assert(gone(fd));
	ck_assert_uint_eq(d.s.nconns, 0);
	close(fd);
	den_fini(&d);
}
END_TEST

START_TEST (a_bad_request_gets_its_reason_and_code_2) {
	struct den d;
	int fd, code;

	den_init(&d);
	fd = den_connect(&d);
	say(fd, PROTO_REQUEST, "[1]");
	den_pump(&d);
	ck_assert_ptr_nonnull(strstr(hear(fd, PROTO_ERR, &code),
		"guestdeck: a request is no JSON object"));
	ck_assert_int_eq(code, UI_USAGE);
	close(fd);
	den_fini(&d);
}
END_TEST

START_TEST (who_breaks_the_rules_is_dropped_and_others_go_on) {
	static const struct {
		const char *bytes;
		size_t len;
	} bad[] = {
		{ "\xff\xff\xff\xff\1", 5 },      /* a length beyond all */
		{ "\0\0\0\0\x63", 5 },            /* no such type */
		{ "\1\0\0\0\2x", 6 },             /* input before a request */
		{ "\0\0\0\0\x10", 5 },            /* what a server says */
		{ "GET / HTTP/1.1\r\n\r\n", 18 }, /* somebody's browser */
	};
	struct den d;
	int good, fd, code;

	den_init(&d);
	good = den_connect(&d);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		fd = den_connect(&d);
		ck_assert_int_eq(send(fd, bad[i].bytes, bad[i].len, 0),
			(ssize_t)bad[i].len);
		den_pump(&d);
		ck_assert_msg(gone(fd), "%zu", i);
		close(fd);
	}
	fd = den_connect(&d); /* two requests */
	say(fd, PROTO_REQUEST, ATTACH);
	say(fd, PROTO_REQUEST, ATTACH);
	den_pump(&d);
	hear(fd, PROTO_OUT, &code);
	ck_assert(gone(fd));
	close(fd);
	say(good, PROTO_REQUEST, REQUEST("\"list\",\"--names\",\"web\""));
	den_pump(&d);
	ck_assert_str_eq(hear(good, PROTO_OUT, &code), "web\n");
	close(good);
	den_fini(&d);
}
END_TEST

START_TEST (a_client_that_hangs_up_at_any_byte_does_no_harm) {
	static const char req[] = REQUEST("\"list\",\"--json\"");
	struct sendq q;
	struct den d;

	den_init(&d);
	sendq_init(&q, 1 << 16);
	sendq_frame(&q, PROTO_REQUEST, req, strlen(req));
	for (size_t n = 0; n <= q.len; n++) {
		int fd = den_connect(&d);

		ck_assert_int_eq(send(fd, q.buf, n, 0), (ssize_t)n);
		if (n % 2)
			loop_run_once(d.s.loop, 0);
		close(fd);
		loop_run_once(d.s.loop, 0);
	}
	den_pump(&d);
	ck_assert_uint_eq(d.s.nconns, 0);
	sendq_fini(&q);
	den_fini(&d);
}
END_TEST

START_TEST (a_dropped_line_takes_its_view_and_no_guest) {
	struct den d;
	int fd, code;

	den_init(&d);
	fd = den_connect(&d);
	say(fd, PROTO_REQUEST, ATTACH);
	den_pump(&d);
	ck_assert(!list_empty(&den_app(&d)->views));
	ck_assert_ptr_nonnull(strstr(hear(fd, PROTO_OUT, &code), "guestdeck"));
	close(fd);
	den_pump(&d);
	ck_assert(list_empty(&den_app(&d)->views));
	ck_assert(list_empty(&den_app(&d)->jobs));
	ck_assert_uint_eq(d.rig.en->commands, 0);
	den_fini(&d);
}
END_TEST

START_TEST (detaching_ends_the_client_with_code_0) {
	struct den d;
	int fd, code;

	den_init(&d);
	fd = den_connect(&d);
	say(fd, PROTO_REQUEST, ATTACH);
	den_pump(&d);
	say(fd, PROTO_INPUT, "q");
	den_pump(&d);
	hear(fd, PROTO_OUT, &code);
	ck_assert_int_eq(code, 0);
	ck_assert(list_empty(&den_app(&d)->views));
	close(fd);
	den_fini(&d);
}
END_TEST

START_TEST (a_terminal_that_does_not_read_costs_one_frame) {
	struct den d;
	int fd, small = 1;

	den_init(&d);
	fd = den_connect(&d);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	say(fd, PROTO_REQUEST, ATTACH);
	for (int i = 0; i < 500; i++) {
		/* as fast as somebody can hold a key */
		say(fd, PROTO_INPUT, i % 2 ? "\033[B" : "\014");
		loop_run_once(d.s.loop, 0);
		loop_run_once(d.s.loop, 0);
	}
	ck_assert_uint_eq(d.s.nconns, 1);
	ck_assert(!list_empty(&den_app(&d)->views));
	close(fd);
	den_pump(&d);
	ck_assert_uint_eq(d.s.nconns, 0);
	den_fini(&d);
}
END_TEST

START_TEST (all_that_a_client_sends_reaches_a_slow_guest) {
	char line[1024], got[512];
	struct console *c;
	struct den d;
	size_t n = 0;
	int fd;

	den_init(&d);
	memset(line, 'x', sizeof(line) - 1);
	line[sizeof(line) - 1] = 0;
	fd = den_connect(&d);
	say(fd, PROTO_REQUEST, REQUEST("\"console\",\"web\""));
	den_pump(&d);
	for (int i = 0; i < 24; i++)
		say(fd, PROTO_INPUT, line);
	c = engine_console_get(d.rig.en, "web");
	for (int i = 0; i < 400 && n < 24 * strlen(line); i++) {
		loop_run_once(d.s.loop, 20);
		n += console_input_take(c, got, sizeof(got));
	}
	ck_assert_uint_eq(n, 24 * strlen(line));
	engine_console_put(d.rig.en, c);
	close(fd);
	den_fini(&d);
}
END_TEST

START_TEST (a_streaming_client_that_does_not_read_holds_nothing) {
	struct den d;
	int fd, code;
	char line[1024];

	den_init(&d);
	memset(line, 'x', sizeof(line) - 1);
	line[sizeof(line) - 1] = 0;
	fd = den_connect(&d);
	say(fd, PROTO_REQUEST, REQUEST("\"console\",\"web\""));
	den_pump(&d);
	for (int i = 0; i < 4096; i++) {
		fake_say(d.rig.en, "web", line);
		if (i % 16 == 0)
			loop_run_once(d.s.loop, 0);
	}
	fake_say(d.rig.en, "web", "THE END");
	for (int i = 0; i < 200; i++) {
		if (strstr(hear(fd, PROTO_OUT, &code), "THE END"))
			break;
		den_pump(&d);
	}
	ck_assert_uint_eq(d.s.nconns, 1);
	close(fd);
	den_fini(&d);
}
END_TEST

/* Rounds of the loop that come back at once, of 10. */
static unsigned busy_rounds(struct den *d)
{
	unsigned busy = 0;

	for (int i = 0; i < 10; i++) {
		uint64_t from = clock_now_ns();

		loop_run_once(d->s.loop, 10);
		busy += clock_now_ns() - from < 5 * NS_PER_MS;
	}
	return busy;
}

START_TEST (without_descriptors_new_clients_wait) {
	struct rlimit was, none;
	const char *dir = suite_tmp(), *path = suite_path(dir, "sock");
	struct den d;
	int fd, spare;

	den_init(&d);
	fd = io_unix_listen(path, 16, NULL);
	ck_assert_int_ge(fd, 0);
	io_nonblock(fd);
	ck_assert_int_eq(server_take_clients(&d.s, fd), 0);
	fd = io_unix_connect(path, NULL);
	ck_assert_int_ge(fd, 0);
	spare = dup(fd);
	close(spare);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &was), 0);
	none = was;
	none.rlim_cur = (rlim_t)spare;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	ck_assert_uint_lt(busy_rounds(&d), 5);
	ck_assert_uint_eq(d.s.nconns, 0);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &was), 0);
	for (int i = 0; i < 400 && !d.s.nconns; i++)
		loop_run_once(d.s.loop, 10);
	ck_assert_uint_eq(d.s.nconns, 1);
	server_take_no_more(&d.s);
	close(fd);
	den_fini(&d);
	suite_rm(dir);
}
END_TEST

START_TEST (limits_are_errors_and_no_signals) {
	struct rlimit l;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &l), 0);
	l.rlim_cur = 20;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &l), 0);
	process_for_guests();
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &l), 0);
	ck_assert_uint_eq(l.rlim_cur, l.rlim_max);
	l.rlim_cur = 0;
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &l), 0);
	ck_assert_int_eq(raise(SIGXFSZ), 0);
	ck_assert_int_eq(raise(SIGPIPE), 0);
}
END_TEST

START_TEST (the_state_folder_can_be_moved_and_must_be_short) {
	struct paths p;
	struct err e = ERR_NONE;
	char lng[400];
	char *dir = suite_tmp();
	struct stat st;

	setenv("GUESTDECK_DIR", suite_path(dir, "a/b//"), 1);
	ck_assert_int_eq(paths_init(&p, &e), 0);
	ck_assert_str_eq(p.dir, suite_path(dir, "a/b"));
	ck_assert_int_eq(paths_make(&p, &e), 0);
	ck_assert_int_eq(stat(p.run, &st), 0);
	ck_assert_int_eq(st.st_mode & 0777, 0700);
	memset(lng, 'x', sizeof(lng) - 1);
	lng[0] = '/';
	lng[sizeof(lng) - 1] = 0;
	setenv("GUESTDECK_DIR", lng, 1);
	ck_assert_int_eq(paths_init(&p, &e), -ENAMETOOLONG);
	ck_assert_err(e, ENAMETOOLONG, "GUESTDECK_DIR to a shorter");
	unsetenv("GUESTDECK_DIR");
	setenv("XDG_STATE_HOME", "/x", 1);
	ck_assert_int_eq(paths_init(&p, &e), 0);
	ck_assert_str_eq(p.dir, "/x/guestdeck");
	unsetenv("XDG_STATE_HOME");
	setenv("HOME", "/h", 1);
	ck_assert_int_eq(paths_init(&p, &e), 0);
	ck_assert_str_eq(p.socket, "/h/.local/state/guestdeck/run/server.sock");
	suite_rm(dir);
}
END_TEST

START_TEST (no_server_is_told_as_such) {
	struct paths p;
	struct err e = ERR_NONE;
	char *dir = suite_tmp();

	setenv("GUESTDECK_DIR", dir, 1);
	ck_assert_int_eq(paths_init(&p, &e), 0);
	ck_assert_int_eq(client_connect(&p, false, &e), -ENOENT);
	ck_assert_err(e, ENOENT, "no server is running");
	suite_rm(dir);
}
END_TEST

SUITE("ui/server", a_client_asks_and_is_answered_and_let_go,
	a_bad_request_gets_its_reason_and_code_2,
	who_breaks_the_rules_is_dropped_and_others_go_on,
	a_client_that_hangs_up_at_any_byte_does_no_harm,
	a_dropped_line_takes_its_view_and_no_guest,
	detaching_ends_the_client_with_code_0,
	a_terminal_that_does_not_read_costs_one_frame,
	all_that_a_client_sends_reaches_a_slow_guest,
	a_streaming_client_that_does_not_read_holds_nothing,
	without_descriptors_new_clients_wait, limits_are_errors_and_no_signals,
	the_state_folder_can_be_moved_and_must_be_short,
	no_server_is_told_as_such)
