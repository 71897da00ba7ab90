/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The viewer process for real: the test program starts itself as one, over a
 * screen of three colours, and a small RFB client (RFC 6143) talks to it.
 */
#ifndef TESTS_UNIT_DISPLAY_VIEWER_VIEWERRIG_H
#define TESTS_UNIT_DISPLAY_VIEWER_VIEWERRIG_H

#include <poll.h>
#include <pthread.h>
#include <rfb/rfb.h>
#include <sys/socket.h>
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

static inline void tell(const char *fmt, ...)
	__attribute__((format(printf, 1, 2)));

static inline void tell(const char *fmt, ...)
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
static inline void told(const char *end)
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

static inline void refresh(void *arg, struct surface *s, bool full,
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

static inline void hint(void *arg, unsigned w, unsigned h)
{
	(void)arg;
	tell("hint %ux%u;", w, h);
}

static inline void input(void *arg, const struct input_event *ev)
{
	(void)arg;
	if (ev->kind == INPUT_KEY)
		tell("%s%x ", ev->down ? "+" : "-", ev->scancode);
	else
		tell("at %d,%d,%x;", ev->x, ev->y, ev->buttons);
}

static inline void setup(void)
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

static inline void teardown(void)
{
	struct log *log = disp->log;

	display_free(disp);
	display_service_free(svc);
	log_close(log);
	suite_rm(dir);
}

static inline void listen_plain(void)
{
	const struct display_listen l = { .unix_path = path };
	struct err e = ERR_NONE;

	ck_assert_int_eq(display_listen(disp, &l, &e), 0);
	ck_assert_str_eq(display_address(disp), path);
}

static inline const char *password(const char *name, const char *text)
{
	const char *p = suite_path(dir, name);
	struct err e = ERR_NONE;

	ck_assert_int_eq(io_write_file(p, text, strlen(text), 0600, &e), 0);
	return p;
}

static inline void listen_secret(void)
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

static inline int dial(void)
{
	struct err e = ERR_NONE;
	int fd = io_unix_connect(path, &e);

	ck_assert_int_ge(fd, 0);
	return fd;
}

/* Bytes until n or the end; returns how many. */
static inline size_t hear(int fd, void *buf, size_t n)
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

static inline void must_hear(int fd, void *buf, size_t n)
{
	ck_assert_uint_eq(hear(fd, buf, n), n);
}

static inline void speak(int fd, const void *buf, size_t n)
{
	ck_assert_int_eq(send(fd, buf, n, MSG_NOSIGNAL), (ssize_t)n);
}

/* It closes; whatever it still says is thrown away. */
static inline void must_close(int fd)
{
	char c;

	while (hear(fd, &c, 1) == 1)
		;
	close(fd);
}

static inline uint32_t hear_u32(int fd)
{
	uint8_t b[4];

	must_hear(fd, b, 4);
	return get_be32(b);
}

static inline void greet(int fd, const char *version)
{
	char v[13] = "";

	must_hear(fd, v, 12);
	ck_assert_str_eq(v, "RFB 003.008\n");
	speak(fd, version, 12);
}

/* Since 3.7: the one type that is offered, which we take. */
static inline uint8_t hear_type(int fd)
{
	uint8_t b[2];

	must_hear(fd, b, 2);
	ck_assert_uint_eq(b[0], 1);
	speak(fd, b + 1, 1);
	return b[1];
}

static inline void refused(int fd, const char *why)
{
	char text[256] = "";
	uint32_t n = hear_u32(fd);

	ck_assert_uint_lt(n, sizeof(text));
	must_hear(fd, text, n);
	ck_assert_msg(strstr(text, why) != NULL, "\"%s\"", text);
	must_close(fd);
}

static inline void answer(int fd, const char *pass)
{
	uint8_t challenge[16];
	char key[9] = "";

	snprintf(key, sizeof(key), "%s", pass);
	must_hear(fd, challenge, 16);
	rfbEncryptBytes(challenge, key);
	speak(fd, challenge, 16);
}

/* ClientInit and ServerInit */
static inline void enter(int fd)
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

static inline int join(void)
{
	int fd = dial();

	greet(fd, "RFB 003.008\n");
	ck_assert_uint_eq(hear_type(fd), 1);
	ck_assert_uint_eq(hear_u32(fd), 0);
	enter(fd);
	return fd;
}

static inline int join_with(const char *pass)
{
	int fd = dial();

	greet(fd, "RFB 003.008\n");
	ck_assert_uint_eq(hear_type(fd), 2);
	answer(fd, pass);
	ck_assert_uint_eq(hear_u32(fd), 0);
	enter(fd);
	return fd;
}

static inline void ask(int fd, bool incremental)
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

static inline unsigned hear_update(int fd)
{
	uint8_t b[4];

	must_hear(fd, b, 4);
	ck_assert_uint_eq(b[0], 0);
	return get_be16(b + 2);
}

static inline void hear_rect(int fd, struct rect *r)
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
static inline uint32_t hear_raw(int fd)
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

static inline void set_encodings(int fd, const int32_t *e, unsigned n)
{
	uint8_t m[4 + 4 * 8] = { 2 };

	put_be16(m + 2, (uint16_t)n);
	for (unsigned i = 0; i < n; i++)
		put_be32(m + 4 + 4 * i, (uint32_t)e[i]);
	speak(fd, m, 4 + 4 * n);
}

static inline void key(int fd, bool down, uint32_t keysym)
{
	uint8_t m[8] = { 4, down };

	put_be32(m + 4, keysym);
	speak(fd, m, 8);
}

/* ---- a program of tests, which is the viewer process too ---- */

static inline int viewer_main(int argc, char **argv, const char *name,
	const TTest **tests, size_t n)
{
	if (argc > 1 && !strcmp(argv[1], DISPLAY_VIEWER_ARG))
		return display_viewer_main(argc, argv);
	return suite_run_with(name, tests, n, 30, setup, teardown);
}

#define VIEWER_SUITE(name, ...)                                                \
	int main(int argc, char **argv)                                        \
	{                                                                      \
		const TTest *tests[] = { __VA_ARGS__ };                        \
		return viewer_main(argc, argv, name, tests,                    \
			sizeof(tests) / sizeof(tests[0]));                     \
	}

#endif
