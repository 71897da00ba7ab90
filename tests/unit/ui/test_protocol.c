/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Frames and requests, also from who means ill. */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vm/base/bytes.h"
#include "vm/base/sizes.h"

#include "ui/protocol.h"

#include "tests/unit/suite.h"

static void feed(struct proto_in *in, const void *data, size_t len)
{
	const uint8_t *p = data;

	while (len) {
		size_t room;
		uint8_t *to = proto_in_room(in, &room);

		ck_assert_ptr_nonnull(to);
		room = room < len ? room : len;
		memcpy(to, p, room);
		proto_in_added(in, room);
		p += room;
		len -= room;
	}
}

START_TEST (frames_come_out_as_they_went_in_byte_by_byte) {
	struct proto_in in = { 0 };
	struct proto_msg m;
	struct sendq q;

	sendq_init(&q, 1 << 20);
	ck_assert_int_eq(sendq_frame(&q, PROTO_OUT, "hello", 5), 0);
	ck_assert_int_eq(sendq_frame(&q, PROTO_EXIT, "\1", 1), 0);
	for (size_t i = 0; i < q.len; i++) {
		feed(&in, q.buf + i, 1);
		if (i < 9)
			ck_assert_int_eq(proto_in_next(&in, &m), 0);
		if (i == 9) {
			ck_assert_int_eq(proto_in_next(&in, &m), 1);
			ck_assert_int_eq(m.type, PROTO_OUT);
			ck_assert_uint_eq(m.len, 5);
			ck_assert(!memcmp(m.data, "hello", 5));
		}
	}
	ck_assert_int_eq(proto_in_next(&in, &m), 1);
	ck_assert_int_eq(m.type, PROTO_EXIT);
	ck_assert_int_eq(proto_in_next(&in, &m), 0);
	sendq_fini(&q);
	proto_in_fini(&in);
}
END_TEST

START_TEST (a_frame_of_no_bytes_is_a_frame) {
	struct proto_in in = { 0 };
	struct proto_msg m;

	feed(&in, "\0\0\0\0\4", 5);
	ck_assert_int_eq(proto_in_next(&in, &m), 1);
	ck_assert_int_eq(m.type, PROTO_EOF);
	ck_assert_uint_eq(m.len, 0);
	proto_in_fini(&in);
}
END_TEST

START_TEST (a_length_beyond_the_limit_ends_it_for_good) {
	struct proto_in in = { 0 };
	struct proto_msg m;
	uint8_t head[5];

	put_le32(head, PROTO_MAX + 1);
	head[4] = PROTO_INPUT;
	feed(&in, head, 5);
	ck_assert_int_eq(proto_in_next(&in, &m), -EPROTO);
	feed(&in, "\0\0\0\0\4", 5);
	ck_assert_int_eq(proto_in_next(&in, &m), -EPROTO);
	/* nothing was allocated on a promise */
	ck_assert_uint_lt(in.cap, 65536);
	proto_in_fini(&in);
}
END_TEST

START_TEST (an_unknown_type_ends_it) {
	for (int t = 0; t < 256; t++) {
		bool ok = (t >= PROTO_REQUEST && t <= PROTO_EOF) ||
			  (t >= PROTO_OUT && t <= PROTO_EXIT);
		uint8_t head[5] = { 0, 0, 0, 0, (uint8_t)t };
		struct proto_in in = { 0 };
		struct proto_msg m;

		feed(&in, head, 5);
		ck_assert_int_eq(proto_in_next(&in, &m), ok ? 1 : -EPROTO);
		proto_in_fini(&in);
	}
}
END_TEST

START_TEST (large_data_is_cut_into_frames) {
	char *data = calloc(1, 2 * PROTO_MAX + 10);
	struct proto_in in = { 0 };
	struct proto_msg m;
	struct sendq q;
	size_t total = 0;
	int n = 0;

	sendq_init(&q, 4 * PROTO_MAX);
	ck_assert_int_eq(sendq_frame(&q, PROTO_OUT, data, 2 * PROTO_MAX + 10),
		0);
	feed(&in, q.buf, q.len);
	while (proto_in_next(&in, &m) == 1) {
		total += m.len;
		n++;
	}
	ck_assert_int_eq(n, 3);
	ck_assert_uint_eq(total, 2 * PROTO_MAX + 10);
	sendq_fini(&q);
	proto_in_fini(&in);
	free(data);
}
END_TEST

START_TEST (a_queue_never_holds_more_than_its_limit) {
	struct sendq q;
	char data[64] = { 0 };

	sendq_init(&q, 100);
	ck_assert_int_eq(sendq_put(&q, data, 64), 0);
	ck_assert_int_eq(sendq_put(&q, data, 37), -ENOBUFS);
	ck_assert_uint_eq(q.len, 64);
	ck_assert_int_eq(sendq_frame(&q, PROTO_OUT, data, 32), -ENOBUFS);
	ck_assert_uint_eq(q.len, 64); /* no header without its data */
	ck_assert_int_eq(sendq_put(&q, data, 36), 0);
	sendq_fini(&q);
}
END_TEST

START_TEST (a_flush_sends_what_fits_and_tells_who_is_gone) {
	char *data = calloc(1, 1 << 20), buf[4096];
	size_t got = 0;
	ssize_t n;
	struct sendq q;
	int sv[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	sendq_init(&q, 4 << 20);
	ck_assert_int_eq(sendq_put(&q, data, 1 << 20), 0);
	ck_assert_int_eq(sendq_flush(&q, sv[0]), 0);
	ck_assert_uint_gt(q.len, 0); /* the socket is full */
	while (got < 1 << 20) {
		n = recv(sv[1], buf, sizeof(buf), MSG_DONTWAIT);
		if (n > 0)
			got += (size_t)n;
		ck_assert_int_eq(sendq_flush(&q, sv[0]), 0);
	}
	ck_assert_uint_eq(q.len, 0);
	sendq_put(&q, data, 10);
	close(sv[1]);
	ck_assert_int_eq(sendq_flush(&q, sv[0]), -EPIPE);
	close(sv[0]);
	sendq_fini(&q);
	free(data);
}
END_TEST

START_TEST (a_request_survives_the_way) {
	char a0[] = "define", a1[] = "gr\xc3\xbc\xc3\x9f \"x\".ini",
	     cwd[] = "/tmp", term[] = "xterm";
	char *argv[] = { a0, a1, NULL }, *json;
	struct proto_request q = { .argc = 2,
		.argv = argv,
		.cwd = cwd,
		.term = term,
		.tty = true,
		.utf8 = true,
		.rows = 50,
		.cols = 132 },
			     r;
	struct err e = ERR_NONE;

	ck_assert_int_eq(proto_request_format(&q, &json), 0);
	ck_assert_int_eq(proto_request_parse(json, strlen(json), &r, &e), 0);
	ck_assert_int_eq(r.argc, 2);
	ck_assert_str_eq(r.argv[1], a1);
	ck_assert_ptr_null(r.argv[2]);
	ck_assert_str_eq(r.cwd, "/tmp");
	ck_assert(r.tty && r.utf8);
	ck_assert_int_eq(r.rows, 50);
	ck_assert_int_eq(r.cols, 132);
	proto_request_fini(&r);
	free(json);
	a1[2] = (char)0xff; /* no UTF-8 */
	ck_assert_int_eq(proto_request_format(&q, &json), -EINVAL);
}
END_TEST

START_TEST (bad_requests_are_refused_with_a_reason) {
	static const struct {
		const char *json, *text;
	} t[] = {
		{ "", "no JSON object" },
		{ "[]", "no JSON object" },
		{ "{", "no JSON object" },
		{ "{}", "absolute cwd" },
		{ "{\"cwd\":\"x\",\"argv\":[\"a\"]}", "absolute cwd" },
		{ "{\"cwd\":\"/\"}", "1 to 256 arguments" },
		{ "{\"cwd\":\"/\",\"argv\":[]}", "1 to 256 arguments" },
		{ "{\"cwd\":\"/\",\"argv\":\"a\"}", "1 to 256 arguments" },
		{ "{\"cwd\":\"/\",\"argv\":[\"a\",1]}", "argument 1" },
		{ "{\"cwd\":\"/\",\"argv\":[\"a\\u0000b\"]}", "no JSON" },
		{ "{\"cwd\":\"/\",\"cwd\":\"/x\",\"argv\":[\"a\"]}",
			"no JSON" },
		{ "{\"cwd\":\"/\",\"argv\":[\"\xff\"]}", "no JSON" },
	};

	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		struct proto_request r;
		struct err e = ERR_NONE;

		ck_assert_int_eq(proto_request_parse(t[i].json,
					 strlen(t[i].json), &r, &e),
			-EINVAL);
		ck_assert_err(e, EINVAL, t[i].text);
	}
}
END_TEST

START_TEST (too_many_arguments_are_refused) {
	char json[4096] = "{\"cwd\":\"/\",\"argv\":[\"a\"";
	struct proto_request r;
	struct err e = ERR_NONE;

	for (int i = 0; i < PROTO_ARGS_MAX; i++)
		strcat(json, ",\"a\"");
	strcat(json, "]}");
	ck_assert_int_eq(proto_request_parse(json, strlen(json), &r, &e),
		-EINVAL);
	ck_assert_err(e, EINVAL, "1 to 256");
}
END_TEST

START_TEST (sizes_are_clamped) {
	static const uint8_t big[] = { 0xff, 0xff, 0xff, 0xff };
	static const uint8_t zero[] = { 0, 0, 0, 0 };
	struct proto_msg m = { PROTO_WINSIZE, big, 4 };
	int rows, cols;

	ck_assert_int_eq(proto_winsize(&m, &rows, &cols), 0);
	ck_assert_int_eq(rows, PROTO_ROWS_MAX);
	ck_assert_int_eq(cols, PROTO_COLS_MAX);
	m.data = zero;
	ck_assert_int_eq(proto_winsize(&m, &rows, &cols), 0);
	ck_assert_int_eq(rows, 24);
	ck_assert_int_eq(cols, 80);
	m.len = 3;
	ck_assert_int_eq(proto_winsize(&m, &rows, &cols), -EINVAL);
}
END_TEST

SUITE("ui/protocol", frames_come_out_as_they_went_in_byte_by_byte,
	a_frame_of_no_bytes_is_a_frame,
	a_length_beyond_the_limit_ends_it_for_good, an_unknown_type_ends_it,
	large_data_is_cut_into_frames, a_queue_never_holds_more_than_its_limit,
	a_flush_sends_what_fits_and_tells_who_is_gone,
	a_request_survives_the_way, bad_requests_are_refused_with_a_reason,
	too_many_arguments_are_refused, sizes_are_clamped)
