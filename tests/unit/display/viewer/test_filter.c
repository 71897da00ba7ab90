/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The sieve for clients' messages, queues, key events, passwords. */
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vm/base/bytes.h"
#include "vm/base/clock.h"

#include "display/viewer/auth.h"
#include "display/viewer/filter.h"
#include "display/viewer/keys.h"
#include "display/viewer/outq.h"

#include "tests/unit/suite.h"

static uint8_t fwd[8192];
static size_t fwd_len;
static char log_[4096];
static struct filter f;

static void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static void say(const char *fmt, ...)
{
	size_t n = strlen(log_);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(log_ + n, sizeof(log_) - n, fmt, ap);
	va_end(ap);
}

static void forward(void *arg, const uint8_t *msg, size_t len)
{
	(void)arg;
	ck_assert_uint_le(fwd_len + len, sizeof(fwd));
	memcpy(fwd + fwd_len, msg, len);
	fwd_len += len;
}

static void request(void *arg, const struct filter_request *r)
{
	(void)arg;
	say("request %d %u %u %u %u;", r->incremental, r->x, r->y, r->w, r->h);
}

static void key(void *arg, bool down, uint32_t keysym, uint32_t code)
{
	(void)arg;
	say("key %d %x %x;", down, keysym, code);
}

static void pointer(void *arg, uint8_t buttons, uint16_t x, uint16_t y)
{
	(void)arg;
	say("pointer %x %u %u;", buttons, x, y);
}

static void resize(void *arg, uint16_t w, uint16_t h)
{
	(void)arg;
	say("resize %u %u;", w, h);
}

static const struct filter_ops ops = { forward, request, key, pointer, resize };

static void begin(bool view_only)
{
	filter_init(&f, &ops, NULL, view_only);
	fwd_len = 0;
	log_[0] = 0;
}

/* Feed as a whole and byte by byte: the same must come out. */
static int feed(const void *p, size_t len, bool view_only)
{
	uint8_t whole[sizeof(fwd)];
	char text[sizeof(log_)];
	size_t n;
	int r, r2 = 0;

	begin(view_only);
	r = filter_feed(&f, p, len);
	memcpy(whole, fwd, n = fwd_len);
	memcpy(text, log_, sizeof(log_));
	begin(view_only);
	for (size_t i = 0; i < len && !r2; i++)
		r2 = filter_feed(&f, (const uint8_t *)p + i, 1);
	ck_assert_int_eq(r, r2);
	ck_assert_uint_eq(n, fwd_len);
	ck_assert_mem_eq(whole, fwd, n);
	ck_assert_str_eq(text, log_);
	return r;
}

#define FEED(view, ...)                                                        \
	feed((const uint8_t[]){ __VA_ARGS__ },                                 \
		sizeof((const uint8_t[]){ __VA_ARGS__ }), view)

START_TEST (input_is_told_and_not_forwarded) {
	ck_assert_int_eq(FEED(false, 4, 1, 0, 0, 0, 0, 0xff, 0x0d, 5, 3, 1, 2,
				 0, 7, 3, 1, 0, 1, 0, 2, 0, 3, 0, 4),
		0);
	ck_assert_str_eq(log_, "key 1 ff0d 0;pointer 3 258 7;"
			       "request 1 1 2 3 4;");
	ck_assert_uint_eq(fwd_len, 0);
}
END_TEST

START_TEST (scancodes_are_told) {
	ck_assert_int_eq(FEED(false, 255, 0, 0, 1, 0, 0, 0, 'a', 0, 0, 0, 0x1e),
		0);
	ck_assert_str_eq(log_, "key 1 61 1e;");
	ck_assert_int_eq(FEED(false, 255, 1), -EPROTO); /* audio */
}
END_TEST

START_TEST (view_only_drops_input) {
	ck_assert_int_eq(FEED(true, 4, 1, 0, 0, 0, 0, 0, 'a', 5, 1, 0, 1, 0, 1,
				 6, 0, 0, 0, 0, 0, 0, 2, 'h', 'i', 255, 0, 0, 1,
				 0, 0, 0, 'a', 0, 0, 0, 30, 251, 0, 2, 0, 2, 0,
				 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 2, 0, 0, 0,
				 0, 0, 3, 0, 0, 0, 0, 0, 0, 1, 0, 1),
		0);
	ck_assert_str_eq(log_, "request 0 0 0 1 1;");
	ck_assert_uint_eq(fwd_len, 0);
}
END_TEST

START_TEST (clipboard_text_is_skipped) {
	static uint8_t msg[8 + (1 << 20) + 6];

	msg[0] = 6;
	put_be32(msg + 4, 1 << 20);
	memset(msg + 8, 4, 1 << 20); /* looks like key events */
	msg[8 + (1 << 20)] = 5;
	begin(false);
	ck_assert_int_eq(filter_feed(&f, msg, sizeof(msg)), 0);
	ck_assert_str_eq(log_, "pointer 0 0 0;");
	put_be32(msg + 4, (1 << 20) + 1);
	begin(false);
	ck_assert_int_eq(filter_feed(&f, msg, sizeof(msg)), -EPROTO);
	ck_assert_ptr_nonnull(strstr(f.why, "clipboard"));
	put_be32(msg + 4, 0x80000000);
	begin(false);
	ck_assert_int_eq(filter_feed(&f, msg, 8), -EPROTO);
	/* extended clipboard: a negative length */
	ck_assert_int_eq(FEED(false, 6, 0, 0, 0, 255, 255, 255, 254, 1, 2, 5, 0,
				 0, 9, 0, 9),
		0);
	ck_assert_str_eq(log_, "pointer 0 9 9;");
}
END_TEST

START_TEST (unknown_messages_end_it) {
	/* SetScale, TightVNC file transfer, xvp, TextChat, ColourMap */
	static const uint8_t types[] = { 1, 7, 8, 10, 11, 15, 130, 132, 150,
		248, 250, 252, 253 };

	for (size_t i = 0; i < sizeof(types); i++) {
		ck_assert_int_eq(FEED(false, types[i], 0, 0, 0), -EPROTO);
		ck_assert_ptr_nonnull(strstr(f.why, "message type"));
	}
}
END_TEST

static int format(uint8_t bpp, uint8_t true_colour, unsigned max, uint8_t shift)
{
	uint8_t m[20] = { 0, 0, 0, 0, bpp, 24, 0, true_colour };

	for (int i = 0; i < 3; i++) {
		put_be16(m + 8 + 2 * i, (uint16_t)max);
		m[14 + i] = shift;
	}
	return feed(m, sizeof(m), false);
}

START_TEST (pixel_formats_that_would_hurt_end_it) {
	ck_assert_int_eq(format(32, 1, 255, 16), 0);
	ck_assert_uint_eq(fwd_len, 20);
	ck_assert_int_eq(format(16, 1, 31, 11), 0);
	ck_assert_int_eq(format(8, 1, 3, 6), 0);
	ck_assert_int_eq(format(8, 0, 0, 99), 0);
	ck_assert_int_eq(format(24, 1, 255, 0), -EPROTO);
	ck_assert_int_eq(format(0, 1, 255, 0), -EPROTO);
	ck_assert_int_eq(format(32, 1, 0, 0), -EPROTO);
	ck_assert_int_eq(format(32, 1, 254, 0), -EPROTO);
	ck_assert_int_eq(format(32, 1, 255, 32), -EPROTO);
	ck_assert_int_eq(format(32, 1, 255, 25), -EPROTO);
	ck_assert_int_eq(format(16, 1, 65535, 1), -EPROTO);
	ck_assert_int_eq(format(32, 0, 255, 0), -EPROTO);
	ck_assert_uint_eq(fwd_len, 0);
}
END_TEST

START_TEST (encodings_are_sieved) {
	/* tight, Rich cursor, UltraZip, QEMU keys, quality 9, raw, garbage */
	static const int32_t encs[] = { 7, -239, 10, -258, -23, 0, 0x7fffffff,
		-308 };
	static const int32_t kept[] = { 7, -258, -23, 0, -308 };
	uint8_t m[4 + 32] = { 2, 0, 0, 8 };

	for (int i = 0; i < 8; i++)
		put_be32(m + 4 + 4 * i, (uint32_t)encs[i]);
	ck_assert_int_eq(feed(m, sizeof(m), false), 0);
	ck_assert_uint_eq(fwd_len, 4 + 4 * 5);
	ck_assert_uint_eq(get_be16(fwd + 2), 5);
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq((int32_t)get_be32(fwd + 4 + 4 * i), kept[i]);
}
END_TEST

START_TEST (too_many_encodings_end_it) {
	static uint8_t m[4 + 4 * 1024];

	m[0] = 2;
	put_be16(m + 2, 1024);
	ck_assert_int_eq(feed(m, sizeof(m), false), 0);
	ck_assert_uint_eq(fwd_len, 4 + 4 * FILTER_MAX_KEPT);
	put_be16(m + 2, 1025);
	ck_assert_int_eq(feed(m, 4, false), -EPROTO);
}
END_TEST

START_TEST (desktop_size_is_told_and_forwarded) {
	uint8_t m[8 + 16 * 16] = { 251, 0, 5, 0, 3, 0, 1, 0 };

	ck_assert_int_eq(feed(m, 24, false), 0);
	ck_assert_str_eq(log_, "resize 1280 768;");
	ck_assert_uint_eq(fwd_len, 24);
	m[6] = 16;
	ck_assert_int_eq(feed(m, 8 + 256, false), 0);
	m[6] = 0;
	ck_assert_int_eq(feed(m, 24, false), -EPROTO);
	m[6] = 17;
	ck_assert_int_eq(feed(m, 24, false), -EPROTO);
}
END_TEST

/* ---- keys ---- */

static bool caps;

static void sent(void *arg, uint16_t code, bool down)
{
	(void)arg;
	say("%s%x ", down ? "+" : "-", code);
}

static struct keys keys_of(void)
{
	struct keys k = { .send = sent, .caps = &caps };

	log_[0] = 0;
	caps = false;
	return k;
}

START_TEST (keysyms_get_the_shift_they_need) {
	struct keys k = keys_of();

	keys_event(&k, true, 'A', 0);
	keys_event(&k, false, 'A', 0);
	ck_assert_str_eq(log_, "+2a +1e -2a -1e ");
	/* a German '/' is shift and 7 */
	k = keys_of();
	keys_event(&k, true, 0xffe1, 0);
	keys_event(&k, true, '/', 0);
	keys_event(&k, false, '/', 0);
	keys_event(&k, false, 0xffe1, 0);
	ck_assert_str_eq(log_, "+2a -2a +35 +2a -35 -2a ");
	/* an ordinary client needs no help */
	k = keys_of();
	keys_event(&k, true, 0xffe2, 0);
	keys_event(&k, true, 'A', 0);
	ck_assert_str_eq(log_, "+36 +1e ");
}
END_TEST

START_TEST (caps_lock_counts_for_letters) {
	struct keys k = keys_of();

	keys_event(&k, true, 0xffe5, 0);
	keys_event(&k, false, 0xffe5, 0);
	keys_event(&k, true, 'A', 0);
	ck_assert_str_eq(log_, "+3a -3a +1e ");
	log_[0] = 0;
	keys_event(&k, true, '!', 0);
	ck_assert_str_eq(log_, "+2a +2 -2a ");
}
END_TEST

START_TEST (shortcuts_and_scancodes_are_left_alone) {
	struct keys k = keys_of();

	keys_event(&k, true, 0xffe3, 0);
	keys_event(&k, true, 'C', 0);
	ck_assert_str_eq(log_, "+1d +2e ");
	k = keys_of();
	keys_event(&k, true, 'A', 0x10); /* an AZERTY keyboard */
	keys_event(&k, true, 0, 0xc8);
	ck_assert_str_eq(log_, "+10 +e048 ");
	log_[0] = 0;
	keys_event(&k, true, 0x1234567, 0);
	keys_event(&k, true, 0, 0x100);
	keys_event(&k, true, 0, 0x80);
	keys_event(&k, false, 'b', 0); /* was not down */
	ck_assert_str_eq(log_, "");
}
END_TEST

START_TEST (a_leaving_client_lets_go) {
	struct keys k = keys_of();

	keys_event(&k, true, 0xffe3, 0);
	keys_event(&k, true, 0xffff, 0);
	log_[0] = 0;
	keys_release(&k);
	ck_assert_str_eq(log_, "-1d -e053 ");
	log_[0] = 0;
	keys_release(&k);
	ck_assert_str_eq(log_, "");
}
END_TEST

/* ---- passwords ---- */

START_TEST (des_works_as_others_have_it) {
	ck_assert(auth_works());
}
END_TEST

START_TEST (each_password_opens_its_door) {
	struct viewer_config c = {
		.has_password = true,
		.password = "secret",
	};
	uint8_t challenge[16], response[16];

	ck_assert_int_eq(auth_challenge(challenge), 0);
	memcpy(response, challenge, 16);
	ck_assert_int_eq(auth_check(&c, challenge, response), AUTH_FAILED);
	memset(challenge, 0, 16);
	strcpy(c.password, "password");
	memcpy(response, "\xff\x97\x50\x2e\x94\x22\xf0\x89", 8);
	memcpy(response + 8, response, 8);
	ck_assert_int_eq(auth_check(&c, challenge, response), AUTH_FULL);
	response[15] ^= 1;
	ck_assert_int_eq(auth_check(&c, challenge, response), AUTH_FAILED);
	response[15] ^= 1;
	strcpy(c.viewonly, c.password);
	strcpy(c.password, "other");
	ck_assert_int_eq(auth_check(&c, challenge, response), AUTH_FAILED);
	c.has_viewonly = true;
	ck_assert_int_eq(auth_check(&c, challenge, response), AUTH_VIEW_ONLY);
	/* an absent password is not the empty one */
	memset(&c, 0, sizeof(c));
	c.has_viewonly = true;
	strcpy(c.viewonly, "x");
	memcpy(response, "\x8c\xa6\x4d\xe9\xc1\xb1\x23\xa7", 8);
	memcpy(response + 8, response, 8);
	ck_assert_int_eq(auth_check(&c, challenge, response), AUTH_FAILED);
}
END_TEST

START_TEST (failures_cost_growing_waits) {
	static struct auth_table t;
	uint64_t now = NS_PER_S * 1000;

	auth_failed(&t, "a", now);
	auth_failed(&t, "a", now);
	ck_assert_uint_eq(auth_wait_s(&t, "a", now), 0);
	auth_failed(&t, "a", now);
	ck_assert_uint_eq(auth_wait_s(&t, "a", now), 2);
	ck_assert_uint_eq(auth_wait_s(&t, "b", now), 0);
	ck_assert_uint_eq(auth_wait_s(&t, "a", now + 2 * NS_PER_S), 0);
	auth_failed(&t, "a", now);
	ck_assert_uint_eq(auth_wait_s(&t, "a", now), 4);
	for (int i = 0; i < 500; i++)
		auth_failed(&t, "a", now);
	ck_assert_uint_eq(auth_wait_s(&t, "a", now), 60);
	ck_assert_uint_eq(auth_remembered(&t, now), 1);
	ck_assert_uint_eq(auth_remembered(&t, now + 119 * NS_PER_S), 1);
	ck_assert_uint_eq(auth_remembered(&t, now + 120 * NS_PER_S), 0);
	ck_assert_uint_eq(auth_wait_s(&t, "a", now), 0);
	auth_failed(&t, "a", now);
	auth_passed(&t, "a");
	ck_assert_uint_eq(auth_remembered(&t, now), 0);
}
END_TEST

START_TEST (failures_count_for_a_whole_ipv6_network) {
	static struct auth_table t;

	auth_failed(&t, "2001:db8:1:2::1", NS_PER_S);
	auth_failed(&t, "2001:db8:1:2:3::1", NS_PER_S);
	auth_failed(&t, "2001:db8:1:2:ffff::", NS_PER_S);
	ck_assert_uint_eq(auth_wait_s(&t, "2001:db8:1:2::9", NS_PER_S), 2);
	ck_assert_uint_eq(auth_wait_s(&t, "2001:db8:1:3::1", NS_PER_S), 0);
	for (int i = 0; i < 3; i++)
		auth_failed(&t, "::ffff:10.0.0.1", NS_PER_S);
	ck_assert_uint_eq(auth_wait_s(&t, "::ffff:10.0.0.1", NS_PER_S), 2);
	ck_assert_uint_eq(auth_wait_s(&t, "::ffff:10.0.0.2", NS_PER_S), 0);
	ck_assert_uint_eq(auth_remembered(&t, NS_PER_S), 2);
}
END_TEST

START_TEST (a_full_table_forgets_who_waits_least) {
	static struct auth_table t;
	char name[16];

	for (int k = 0; k < 5; k++)
		auth_failed(&t, "bad", NS_PER_S);
	for (int i = 0; i < 500; i++) {
		snprintf(name, sizeof(name), "p%d", i);
		auth_failed(&t, name, NS_PER_S);
	}
	ck_assert_uint_gt(auth_wait_s(&t, "bad", NS_PER_S), 0);
	ck_assert_uint_eq(auth_remembered(&t, NS_PER_S), AUTH_ADDRESSES);
}
END_TEST

/* ---- queues ---- */

START_TEST (queues_keep_order_over_chunks) {
	struct outq q = { 0 }, back = { 0 };
	uint8_t buf[1000];
	int p[2];
	size_t total = 0, got = 0;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, p),
		0);
	for (unsigned i = 0; i < 500; i++) {
		memset(buf, (int)(i & 0xff), sizeof(buf));
		ck_assert_int_eq(outq_put(&q, buf, sizeof(buf)), 0);
		total += sizeof(buf);
	}
	ck_assert_uint_eq(outq_bytes(&q), total);
	while (outq_bytes(&q) || got < total) {
		ck_assert_int_ge(outq_flush(&q, p[0]), 0);
		for (ssize_t n; (n = read(p[1], buf, sizeof(buf))) > 0;)
			for (ssize_t i = 0; i < n; i++, got++)
				ck_assert_uint_eq(buf[i], (got / 1000) & 0xff);
	}
	ck_assert_int_eq(outq_fill(&back, p[1], 100), -EAGAIN);
	ck_assert_int_eq(write(p[0], buf, 300), 300);
	ck_assert_int_eq(outq_fill(&back, p[1], 100), 100);
	ck_assert_int_eq(outq_fill(&back, p[1], 1000), 200);
	close(p[0]);
	ck_assert_int_eq(outq_fill(&back, p[1], 1000), 0);
	ck_assert_int_eq(outq_flush(&back, p[1]), -EPIPE);
	outq_clear(&back);
	outq_clear(&q);
	close(p[1]);
}
END_TEST

SUITE("filter", input_is_told_and_not_forwarded, scancodes_are_told,
	view_only_drops_input, clipboard_text_is_skipped,
	unknown_messages_end_it, pixel_formats_that_would_hurt_end_it,
	encodings_are_sieved, too_many_encodings_end_it,
	desktop_size_is_told_and_forwarded, keysyms_get_the_shift_they_need,
	caps_lock_counts_for_letters, shortcuts_and_scancodes_are_left_alone,
	a_leaving_client_lets_go, des_works_as_others_have_it,
	each_password_opens_its_door, failures_cost_growing_waits,
	failures_count_for_a_whole_ipv6_network,
	a_full_table_forgets_who_waits_least, queues_keep_order_over_chunks)
