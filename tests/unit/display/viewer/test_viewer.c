/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The viewer process for real: this program starts itself as one, and a
 * small RFB client (RFC 6143) behaves and misbehaves against it.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <rfb/rfb.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "vm/base/bytes.h"
#include "vm/base/io.h"

#include "display/display_impl.h"

#include "tests/unit/suite.h"

#define PATIENCE_MS 20000

/* ---- a screen ---- */

static struct display_service *svc;
static struct display *disp;
static char *dir;
static char path[300];

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static char events[4096]; /* guarded by lock, as what follows */
static unsigned want_w, want_h, tick;
static bool animate;

static void tell(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static void tell(const char *fmt, ...)
{
	va_list ap;
	size_t n;

	pthread_mutex_lock(&lock);
	n = strlen(events);
	va_start(ap, fmt);
	vsnprintf(events + n, sizeof(events) - n, fmt, ap);
	va_end(ap);
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

/* Until the events end with this. */
static void told(const char *end)
{
	struct timespec ts;
	int r = 0;

	clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_sec += PATIENCE_MS / 1000;
	pthread_mutex_lock(&lock);
	while (!r) {
		size_t n = strlen(events), m = strlen(end);

		if (n >= m && !strcmp(events + n - m, end))
			break;
		r = pthread_cond_timedwait(&changed, &lock, &ts);
	}
	pthread_mutex_unlock(&lock);
	ck_assert_msg(!r, "events are \"%s\", not \"%s\"", events, end);
}

static void refresh(void *arg, struct surface *s, bool full,
	struct display_text *text)
{
	static uint32_t row[DISPLAY_MAX_W];

	(void)arg;
	(void)full;
	text->cols = text->rows = 0;
	pthread_mutex_lock(&lock);
	surface_resize(s, want_w, want_h);
	tick++;
	for (unsigned y = 0; y < surface_height(s); y++) {
		for (unsigned x = 0; x < surface_width(s); x++)
			row[x] = animate   ? (x * y + tick) & 0xffffff
				 : x < 64  ? 0xff0000
				 : x < 128 ? 0x00ff00
					   : 0x0000ff;
		surface_put_row(s, 0, y, row, surface_width(s));
	}
	pthread_mutex_unlock(&lock);
}

static void hint(void *arg, unsigned w, unsigned h)
{
	(void)arg;
	tell("hint %ux%u;", w, h);
}

static void input(void *arg, const struct input_event *ev)
{
	(void)arg;
	if (ev->kind == INPUT_KEY)
		tell("%s%x ", ev->down ? "+" : "-", ev->scancode);
	else
		tell("at %d,%d,%x;", ev->x, ev->y, ev->buttons);
}

static void setup(void)
{
	struct err e = ERR_NONE;
	struct log *log;
	const struct display_source src = { refresh, hint, NULL };
	const struct input_sink sink = {
		1 << INPUT_KEY | 1 << INPUT_POINTER_ABS,
		input,
		NULL,
	};

	dir = suite_tmp();
	snprintf(path, sizeof(path), "%s/vnc", dir);
	ck_assert_int_eq(log_open("/dev/null", &log, &e), 0);
	want_w = 192;
	want_h = 64;
	animate = false;
	events[0] = 0;
	ck_assert_int_eq(display_service_new("/proc/self/exe", log, &svc, &e),
		0);
	ck_assert_int_eq(display_new(svc, "test", log, &disp, &e), 0);
	ck_assert_int_eq(display_add_sink(disp, &sink, true), 0);
	display_set_source(disp, &src);
}

static void teardown(void)
{
	struct log *log = disp->log;

	display_free(disp);
	display_service_free(svc);
	log_close(log);
	suite_rm(dir);
}

static void listen_plain(void)
{
	const struct display_listen l = { .unix_path = path };
	struct err e = ERR_NONE;

	ck_assert_int_eq(display_listen(disp, &l, &e), 0);
	ck_assert_str_eq(display_address(disp), path);
}

static const char *password(const char *name, const char *text)
{
	const char *p = suite_path(dir, name);
	struct err e = ERR_NONE;

	ck_assert_int_eq(io_write_file(p, text, strlen(text), 0600, &e), 0);
	return p;
}

static void listen_secret(void)
{
	const struct display_listen l = {
		.unix_path = path,
		.password_file = password("full", "secret\nmore\n"),
		.viewonly_password_file = password("view", "look"),
	};
	struct err e = ERR_NONE;

	ck_assert_int_eq(display_listen(disp, &l, &e), 0);
}

/* ---- a client ---- */

static int dial(void)
{
	struct err e = ERR_NONE;
	int fd = io_unix_connect(path, &e);

	ck_assert_int_ge(fd, 0);
	return fd;
}

/* Bytes until n or the end; returns how many. */
static size_t hear(int fd, void *buf, size_t n)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	size_t got = 0;

	while (got < n) {
		ssize_t r;

		ck_assert_msg(poll(&p, 1, PATIENCE_MS) == 1, "no answer");
		r = recv(fd, (char *)buf + got, n - got, 0);
		if (r <= 0)
			break;
		got += (size_t)r;
	}
	return got;
}

static void must_hear(int fd, void *buf, size_t n)
{
	ck_assert_uint_eq(hear(fd, buf, n), n);
}

static void speak(int fd, const void *buf, size_t n)
{
	ck_assert_int_eq(send(fd, buf, n, MSG_NOSIGNAL), (ssize_t)n);
}

/* It closes; whatever it still says is thrown away. */
static void must_close(int fd)
{
	char c;

	while (hear(fd, &c, 1) == 1)
		;
	close(fd);
}

static uint32_t hear_u32(int fd)
{
	uint8_t b[4];

	must_hear(fd, b, 4);
	return get_be32(b);
}

static void greet(int fd, const char *version)
{
	char v[13] = "";

	must_hear(fd, v, 12);
	ck_assert_str_eq(v, "RFB 003.008\n");
	speak(fd, version, 12);
}

/* Since 3.7: the one type that is offered, which we take. */
static uint8_t hear_type(int fd)
{
	uint8_t b[2];

	must_hear(fd, b, 2);
	ck_assert_uint_eq(b[0], 1);
	speak(fd, b + 1, 1);
	return b[1];
}

static void refused(int fd, const char *why)
{
	char text[256] = "";
	uint32_t n = hear_u32(fd);

	ck_assert_uint_lt(n, sizeof(text));
	must_hear(fd, text, n);
	ck_assert_msg(strstr(text, why) != NULL, "\"%s\"", text);
	must_close(fd);
}

static void answer(int fd, const char *pass)
{
	uint8_t challenge[16];
	char key[9] = "";

	snprintf(key, sizeof(key), "%s", pass);
	must_hear(fd, challenge, 16);
	rfbEncryptBytes(challenge, key);
	speak(fd, challenge, 16);
}

/* ClientInit and ServerInit */
static void enter(int fd)
{
	uint8_t b[24];
	char name[65] = "";

	speak(fd, "", 1); /* not shared: still nobody is thrown out */
	must_hear(fd, b, 24);
	ck_assert_uint_eq(get_be16(b), want_w);
	ck_assert_uint_eq(get_be16(b + 2), want_h);
	ck_assert_uint_eq(b[4], 32);
	ck_assert_uint_eq(b[14], 16); /* red shift */
	ck_assert_uint_eq(get_be32(b + 20), strlen("guestdeck: test"));
	must_hear(fd, name, get_be32(b + 20));
	ck_assert_str_eq(name, "guestdeck: test");
}

static int join(void)
{
	int fd = dial();

	greet(fd, "RFB 003.008\n");
	ck_assert_uint_eq(hear_type(fd), 1);
	ck_assert_uint_eq(hear_u32(fd), 0);
	enter(fd);
	return fd;
}

static int join_with(const char *pass)
{
	int fd = dial();

	greet(fd, "RFB 003.008\n");
	ck_assert_uint_eq(hear_type(fd), 2);
	answer(fd, pass);
	ck_assert_uint_eq(hear_u32(fd), 0);
	enter(fd);
	return fd;
}

static void ask(int fd, bool incremental)
{
	uint8_t m[10] = { 3, incremental };

	put_be16(m + 6, 4096);
	put_be16(m + 8, 2160);
	speak(fd, m, sizeof(m));
}

struct rect {
	unsigned x, y, w, h;
	int32_t enc;
};

static unsigned hear_update(int fd)
{
	uint8_t b[4];

	must_hear(fd, b, 4);
	ck_assert_uint_eq(b[0], 0);
	return get_be16(b + 2);
}

static void hear_rect(int fd, struct rect *r)
{
	uint8_t b[12];

	must_hear(fd, b, 12);
	r->x = get_be16(b);
	r->y = get_be16(b + 2);
	r->w = get_be16(b + 4);
	r->h = get_be16(b + 6);
	r->enc = (int32_t)get_be32(b + 8);
}

/* One update of raw pixels; returns the first pixel of the last line. */
static uint32_t hear_raw(int fd)
{
	static uint8_t px[DISPLAY_MAX_W * 4];
	uint32_t first = 0;

	for (unsigned n = hear_update(fd); n; n--) {
		struct rect r;

		hear_rect(fd, &r);
		ck_assert_int_eq(r.enc, 0);
		for (unsigned y = 0; y < r.h; y++) {
			must_hear(fd, px, r.w * 4);
			first = get_le32(px);
		}
	}
	return first;
}

static void set_encodings(int fd, const int32_t *e, unsigned n)
{
	uint8_t m[4 + 4 * 8] = { 2 };

	put_be16(m + 2, (uint16_t)n);
	for (unsigned i = 0; i < n; i++)
		put_be32(m + 4 + 4 * i, (uint32_t)e[i]);
	speak(fd, m, 4 + 4 * n);
}

static void key(int fd, bool down, uint32_t keysym)
{
	uint8_t m[8] = { 4, down };

	put_be32(m + 4, keysym);
	speak(fd, m, 8);
}

/* ---- tests ---- */

START_TEST (a_client_of_each_version_gets_its_picture) {
	int fd;

	listen_plain();
	fd = join();
	ask(fd, false);
	ck_assert_uint_eq(hear_raw(fd), 0xff0000);
	close(fd);
	fd = dial();
	greet(fd, "RFB 003.007\n");
	ck_assert_uint_eq(hear_type(fd), 1);
	enter(fd);
	ask(fd, false);
	ck_assert_uint_eq(hear_raw(fd), 0xff0000);
	close(fd);
	fd = dial();
	greet(fd, "RFB 003.003\n");
	ck_assert_uint_eq(hear_u32(fd), 1);
	enter(fd);
	ask(fd, false);
	ck_assert_uint_eq(hear_raw(fd), 0xff0000);
	close(fd);
}
END_TEST

START_TEST (changes_come_when_asked_for) {
	int fd;
	struct display_stats st;

	listen_plain();
	fd = join();
	ask(fd, false);
	hear_raw(fd);
	pthread_mutex_lock(&lock);
	animate = true;
	pthread_mutex_unlock(&lock);
	for (int i = 0; i < 5; i++) {
		ask(fd, true);
		hear_raw(fd);
	}
	display_stats(disp, &st);
	ck_assert_uint_eq(st.viewers, 1);
	ck_assert_uint_ge(st.frames, 5);
	ck_assert_uint_eq(st.width, 192);
	close(fd);
}
END_TEST

START_TEST (the_password_is_asked_and_checked) {
	int fd;

	listen_secret();
	fd = join_with("secret");
	key(fd, true, 'a');
	told("+1e ");
	close(fd);
	told("-1e "); /* what a leaving viewer holds is let go */
	/* version 3.3 has it, too */
	fd = dial();
	greet(fd, "RFB 003.003\n");
	ck_assert_uint_eq(hear_u32(fd), 2);
	answer(fd, "secret");
	ck_assert_uint_eq(hear_u32(fd), 0);
	enter(fd);
	close(fd);
}
END_TEST

START_TEST (a_wrong_password_is_refused_with_a_reason) {
	int fd;

	listen_secret();
	fd = dial();
	greet(fd, "RFB 003.008\n");
	ck_assert_uint_eq(hear_type(fd), 2);
	answer(fd, "Secret");
	ck_assert_uint_eq(hear_u32(fd), 1);
	refused(fd, "Wrong password");
	/* no way around: security "none", or straight to ClientInit */
	fd = dial();
	greet(fd, "RFB 003.008\n");
	must_hear(fd, (uint8_t[2]){ 0 }, 2);
	speak(fd, "\001\001", 2);
	must_close(fd);
}
END_TEST

START_TEST (too_many_wrong_passwords_must_wait) {
	int fd;

	listen_secret();
	for (int i = 0; i < 3; i++) {
		fd = dial();
		greet(fd, "RFB 003.007\n");
		hear_type(fd);
		answer(fd, "guess");
		ck_assert_uint_eq(hear_u32(fd), 1);
		must_close(fd);
	}
	fd = dial();
	greet(fd, "RFB 003.008\n");
	must_hear(fd, (uint8_t[1]){ 0 }, 1);
	refused(fd, "Too many wrong passwords");
}
END_TEST

START_TEST (view_only_sees_and_does_nothing) {
	int looker, worker;

	listen_secret();
	looker = join_with("look");
	worker = join_with("secret");
	key(looker, true, 'b');
	speak(looker, "\005\001\0\0\0\0", 6);
	ask(looker, false);
	ck_assert_uint_eq(hear_raw(looker), 0xff0000); /* all was read */
	key(worker, true, 'a');
	told("+1e ");
	ck_assert_str_eq(events, "+1e ");
	close(looker);
	close(worker);
}
END_TEST

START_TEST (input_arrives) {
	int fd;

	listen_plain();
	fd = join();
	speak(fd, "\005\021\0\277\0\077", 6); /* last pixel, left and wheel */
	told("at 32767,32767,11;");
	speak(fd, "\005\0\0\0\0\0", 6);
	told("at 0,0,0;");
	speak(fd, "\377\0\0\001\0\0\0\0\0\0\0\310", 12);
	told("+e048 ");
	speak(fd, "\005\004\0\001\0\0", 6);
	told(",4;");
	close(fd);
	told("-e048 at 171,0,0;");
}
END_TEST

START_TEST (scancode_support_is_announced) {
	const int32_t enc[] = { 0, -258 };
	struct rect r;
	int fd;

	listen_plain();
	fd = join();
	set_encodings(fd, enc, 2);
	ck_assert_uint_eq(hear_update(fd), 1);
	hear_rect(fd, &r);
	ck_assert_int_eq(r.enc, -258);
	close(fd);
}
END_TEST

START_TEST (mode_changes_are_told) {
	const int32_t enc[] = { 0, -223 };
	struct rect r;
	int fd;

	listen_plain();
	fd = join();
	set_encodings(fd, enc, 2);
	ask(fd, false);
	hear_raw(fd);
	pthread_mutex_lock(&lock);
	want_w = 300;
	want_h = 100;
	pthread_mutex_unlock(&lock);
	ask(fd, true);
	ck_assert_uint_eq(hear_update(fd), 1);
	hear_rect(fd, &r);
	ck_assert_int_eq(r.enc, -223);
	ck_assert_uint_eq(r.w, 300);
	ck_assert_uint_eq(r.h, 100);
	ask(fd, false);
	ck_assert_uint_eq(hear_raw(fd), 0xff0000);
	close(fd);
}
END_TEST

START_TEST (a_wish_for_a_size_reaches_the_guest) {
	const int32_t enc[] = { 0, -308 };
	uint8_t m[24] = { 251, 0, 5, 0, 3, 0, 1 };
	uint8_t screen[20];
	struct rect r;
	int fd;

	listen_plain();
	fd = join();
	set_encodings(fd, enc, 2);
	ask(fd, false);
	ck_assert_uint_eq(hear_update(fd), 1); /* the layout comes first */
	hear_rect(fd, &r);
	ck_assert_int_eq(r.enc, -308);
	must_hear(fd, screen, 20);
	hear_raw(fd);
	speak(fd, m, sizeof(m));
	told("hint 1280x768;");
	ask(fd, true);
	ck_assert_uint_eq(hear_update(fd), 1);
	hear_rect(fd, &r);
	ck_assert_int_eq(r.enc, -308);
	ck_assert_uint_eq(r.x, 1); /* the answer to this client's wish */
	ck_assert_uint_eq(r.y, 4); /* forwarded */
	ck_assert_uint_eq(r.w, 192);
	close(fd);
}
END_TEST

START_TEST (rubbish_closes_only_its_connection) {
	static uint8_t junk[5000];
	int good, bad;

	listen_plain();
	good = join();
	for (int i = 0; i < 4; i++) {
		bad = i < 2 ? dial() : join();
		memset(junk, 0x80 + i * 16, sizeof(junk));
		if (i & 1) /* half a message is no harm, too */
			junk[0] = 4;
		send(bad, junk, sizeof(junk), MSG_NOSIGNAL);
		must_close(bad);
	}
	ask(good, false);
	ck_assert_uint_eq(hear_raw(good), 0xff0000);
	close(good);
}
END_TEST

START_TEST (a_half_handshake_holds_nobody_up) {
	int half[3], fd;

	listen_plain();
	for (int i = 0; i < 3; i++)
		half[i] = dial();
	speak(half[1], "RFB", 3);
	greet(half[2], "RFB 003.008\n");
	fd = join();
	speak(fd, "\003", 1); /* and half a request */
	close(join());
	for (int i = 0; i < 3; i++)
		close(half[i]);
	close(fd);
}
END_TEST

START_TEST (the_oldest_stranger_makes_room) {
	int fd[17];

	listen_plain();
	for (int i = 0; i < 17; i++) {
		fd[i] = dial();
		must_hear(fd[i], (char[12]){ 0 }, 12);
	}
	must_close(fd[0]);
	speak(fd[1], "RFB 003.008\n", 12);
	ck_assert_uint_eq(hear_type(fd[1]), 1);
	for (int i = 1; i < 17; i++)
		close(fd[i]);
}
END_TEST

START_TEST (a_ninth_viewer_is_refused) {
	int fd[8], nine;

	listen_plain();
	for (int i = 0; i < 8; i++)
		fd[i] = join();
	nine = dial();
	greet(nine, "RFB 003.008\n");
	must_hear(nine, (uint8_t[1]){ 0 }, 1);
	refused(nine, "Too many viewers");
	for (int i = 0; i < 8; i++) {
		ask(fd[i], false);
		hear_raw(fd[i]);
		close(fd[i]);
	}
}
END_TEST

START_TEST (who_does_not_read_stalls_nobody) {
	int slow, fd;

	want_w = 1024;
	want_h = 768;
	animate = true;
	listen_plain();
	slow = join();
	fd = join();
	for (int i = 0; i < 200; i++)
		ask(slow, false);
	for (int i = 0; i < 10; i++) {
		ask(fd, true);
		hear_raw(fd);
	}
	close(slow);
	ask(fd, true);
	hear_raw(fd);
	close(fd);
}
END_TEST

START_TEST (after_its_death_a_new_one_is_started) {
	int fd, again = -1;
	uint8_t b[12];

	listen_plain();
	fd = join();
	key(fd, true, 'a');
	told("+1e ");
	kill(disp->viewers.pid, SIGKILL);
	must_close(fd);
	told("-1e "); /* the engine lets go for it */
	/* for a second connections are closed, then they work */
	for (int i = 0; i < 2000; i++) {
		again = dial();
		if (hear(again, b, 12) == 12)
			break;
		close(again);
		again = -1;
		poll(NULL, 0, 10);
	}
	ck_assert_int_ge(again, 0);
	ck_assert_mem_eq(b, "RFB 003.008\n", 12);
	close(again);
}
END_TEST

START_TEST (close_throws_viewers_out_and_frees_the_address) {
	struct err e = ERR_NONE;
	int fd;

	listen_plain();
	fd = join();
	display_close(disp);
	must_close(fd);
	ck_assert_int_eq(io_unix_connect(path, &e), -ENOENT);
}
END_TEST

START_TEST (tcp_is_loopback_only_without_a_password) {
	struct display_listen l = { .addr = "0.0.0.0", .port = 0 };
	struct err e = ERR_NONE;
	struct display *other;

	ck_assert_int_eq(display_listen(disp, &l, &e), -EACCES);
	ck_assert_err(e, EACCES, "without a password");
	l.addr = "::";
	ck_assert_int_eq(display_listen(disp, &l, &e), -EACCES);
	l.addr = "localhost";
	ck_assert_int_eq(display_listen(disp, &l, &e), -EINVAL);
	ck_assert_err(e, EINVAL, "numeric address");
	ck_assert_str_eq(display_address(disp), "");
	l.addr = NULL;
	ck_assert_int_eq(display_listen(disp, &l, &e), 0);
	ck_assert_int_eq(strncmp(display_address(disp), "127.0.0.1:", 10), 0);
	ck_assert_int_eq(display_listen(disp, &l, &e), -EBUSY);
	l.port = (uint16_t)atoi(display_address(disp) + 10);
	ck_assert_int_eq(display_new(svc, "other", disp->log, &other, &e), 0);
	ck_assert_int_eq(display_listen(other, &l, &e), -EADDRINUSE);
	ck_assert_err(e, EADDRINUSE, display_address(disp));
	display_free(other);
}
END_TEST

START_TEST (password_files_are_checked_at_once) {
	struct display_listen l = { .unix_path = path };
	struct err e = ERR_NONE;

	l.password_file = "/nonexistent/p";
	ck_assert_int_eq(display_listen(disp, &l, &e), -ENOENT);
	ck_assert_err(e, ENOENT, "/nonexistent/p");
	l.password_file = password("long", "123456789\n");
	ck_assert_int_eq(display_listen(disp, &l, &e), -EINVAL);
	ck_assert_err(e, EINVAL, "1 to 8 characters");
	l.password_file = password("empty", "\nx\n");
	ck_assert_int_eq(display_listen(disp, &l, &e), -EINVAL);
	l.password_file = NULL;
	l.viewonly_password_file = password("long", "123456789\n");
	ck_assert_int_eq(display_listen(disp, &l, &e), -EINVAL);
	l.off = true;
	ck_assert_int_eq(display_listen(disp, &l, &e), 0);
	ck_assert_str_eq(display_address(disp), "");
}
END_TEST

int main(int argc, char **argv)
{
	const TTest *tests[] = { a_client_of_each_version_gets_its_picture,
		changes_come_when_asked_for, the_password_is_asked_and_checked,
		a_wrong_password_is_refused_with_a_reason,
		too_many_wrong_passwords_must_wait,
		view_only_sees_and_does_nothing, input_arrives,
		scancode_support_is_announced, mode_changes_are_told,
		a_wish_for_a_size_reaches_the_guest,
		rubbish_closes_only_its_connection,
		a_half_handshake_holds_nobody_up,
		the_oldest_stranger_makes_room, a_ninth_viewer_is_refused,
		who_does_not_read_stalls_nobody,
		after_its_death_a_new_one_is_started,
		close_throws_viewers_out_and_frees_the_address,
		tcp_is_loopback_only_without_a_password,
		password_files_are_checked_at_once };
	Suite *su = suite_create("viewer");
	TCase *t = tcase_create("viewer");
	SRunner *r;
	int failed;

	if (argc > 1 && !strcmp(argv[1], DISPLAY_VIEWER_ARG))
		return display_viewer_main(argc, argv);
	tcase_set_timeout(t, 30);
	tcase_add_checked_fixture(t, setup, teardown);
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		tcase_add_test(t, tests[i]);
	suite_add_tcase(su, t);
	r = srunner_create(su);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
