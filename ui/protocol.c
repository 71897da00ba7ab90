/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Frames and requests between client and server. The reader's buffer grows
 * with what really came, never with what a header promises.
 */
#include "ui/protocol.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "vm/base/bytes.h"

#define PROTO_STEP 4096

void proto_in_fini(struct proto_in *in)
{
	free(in->buf);
	memset(in, 0, sizeof(*in));
}

/* Drop the frames that were taken, so that buf begins with a header. */
static void proto_in_compact(struct proto_in *in)
{
	if (!in->taken)
		return;
	memmove(in->buf, in->buf + in->taken, in->have - in->taken);
	in->have -= in->taken;
	in->taken = 0;
}

uint8_t *proto_in_room(struct proto_in *in, size_t *len)
{
	proto_in_compact(in);
	if (in->cap - in->have < PROTO_STEP) {
		size_t cap = in->cap ? in->cap * 2 : 2 * PROTO_STEP;
		uint8_t *p = realloc(in->buf, cap);

		if (!p)
			return NULL;
		in->buf = p;
		in->cap = cap;
	}
	*len = in->cap - in->have;
	return in->buf + in->have;
}

void proto_in_added(struct proto_in *in, size_t len)
{
	in->have += len;
}

static bool proto_type_ok(unsigned t)
{
	return (t >= PROTO_REQUEST && t <= PROTO_EOF) ||
	       (t >= PROTO_OUT && t <= PROTO_EXIT);
}

int proto_in_next(struct proto_in *in, struct proto_msg *msg)
{
	size_t have = in->have - in->taken;
	const uint8_t *p;
	uint32_t len;

	if (in->broken)
		return -EPROTO;
	if (have < PROTO_HEADER)
		return 0;
	p = in->buf + in->taken;
	len = get_le32(p);
	if (len > PROTO_MAX || !proto_type_ok(p[4])) {
		in->broken = true;
		return -EPROTO;
	}
	if (have - PROTO_HEADER < len)
		return 0;
	msg->type = (enum proto_type)p[4];
	msg->data = p + PROTO_HEADER;
	msg->len = len;
	in->taken += PROTO_HEADER + len;
	return 1;
}

void sendq_init(struct sendq *q, size_t max)
{
	memset(q, 0, sizeof(*q));
	q->max = max;
}

void sendq_fini(struct sendq *q)
{
	free(q->buf);
	memset(q, 0, sizeof(*q));
}

int sendq_put(struct sendq *q, const void *data, size_t len)
{
	if (!len)
		return 0;
	if (len > q->max || q->len > q->max - len)
		return -ENOBUFS;
	if (q->head && q->head + q->len + len > q->cap) {
		memmove(q->buf, q->buf + q->head, q->len);
		q->head = 0;
	}
	if (q->len + len > q->cap) {
		size_t cap = q->cap ? q->cap : PROTO_STEP;
		uint8_t *p;

		while (cap < q->len + len)
			cap *= 2;
		p = realloc(q->buf, cap);
		if (!p)
			return -ENOMEM;
		q->buf = p;
		q->cap = cap;
	}
	memcpy(q->buf + q->head + q->len, data, len);
	q->len += len;
	return 0;
}

static int sendq_one(struct sendq *q, enum proto_type type, const void *data,
	uint32_t len)
{
	uint8_t head[PROTO_HEADER];

	if (q->len + PROTO_HEADER + len > q->max)
		return -ENOBUFS;
	put_le32(head, len);
	head[4] = (uint8_t)type;
	if (sendq_put(q, head, sizeof(head)))
		return -ENOMEM;
	if (!sendq_put(q, data, len))
		return 0;
	q->len -= sizeof(head);
	return -ENOMEM;
}

int sendq_frame(struct sendq *q, enum proto_type type, const void *data,
	size_t len)
{
	const uint8_t *p = data;

	do {
		uint32_t n = len > PROTO_MAX ? PROTO_MAX : (uint32_t)len;
		int r = sendq_one(q, type, p, n);

		if (r)
			return r;
		if (n)
			p += n;
		len -= n;
	} while (len);
	return 0;
}

int sendq_flush(struct sendq *q, int fd)
{
	while (q->len) {
		ssize_t n = send(fd, q->buf + q->head, q->len,
			MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 0 : -errno;
		q->head += (size_t)n;
		q->len -= (size_t)n;
	}
	q->head = 0;
	if (q->cap > 64 * PROTO_STEP) { /* a burst is over */
		free(q->buf);
		q->buf = NULL;
		q->cap = 0;
	}
	return 0;
}

void proto_clamp_size(int *rows, int *cols)
{
	*rows = *rows < 1                ? 24
		: *rows > PROTO_ROWS_MAX ? PROTO_ROWS_MAX
					 : *rows;
	*cols = *cols < 1                ? 80
		: *cols > PROTO_COLS_MAX ? PROTO_COLS_MAX
					 : *cols;
}

int proto_winsize(const struct proto_msg *msg, int *rows, int *cols)
{
	if (msg->len != 4)
		return -EINVAL;
	*rows = get_le16(msg->data);
	*cols = get_le16(msg->data + 2);
	proto_clamp_size(rows, cols);
	return 0;
}

void proto_request_fini(struct proto_request *r)
{
	for (int i = 0; r->argv && i < r->argc; i++)
		free(r->argv[i]);
	free(r->argv);
	free(r->cwd);
	free(r->term);
	memset(r, 0, sizeof(*r));
}

/* Strings with a zero byte inside were refused by json_loadb(). */
static int proto_parse_argv(json_t *argv, struct proto_request *r,
	struct err *e)
{
	size_t n = json_array_size(argv);

	if (!json_is_array(argv) || n < 1 || n > PROTO_ARGS_MAX)
		return err_set(e, EINVAL, "a request needs 1 to %d arguments",
			PROTO_ARGS_MAX);
	r->argv = calloc(n + 1, sizeof(*r->argv));
	if (!r->argv)
		return err_sys(e, ENOMEM, "cannot read a request");
	for (size_t i = 0; i < n; i++) {
		const char *s = json_string_value(json_array_get(argv, i));

		if (!s)
			return err_set(e, EINVAL,
				"argument %zu of a request is no text", i);
		r->argv[i] = strdup(s);
		if (!r->argv[i])
			return err_sys(e, ENOMEM, "cannot read a request");
		r->argc++;
	}
	return 0;
}

static int proto_parse_fields(json_t *j, struct proto_request *r, struct err *e)
{
	const char *cwd = json_string_value(json_object_get(j, "cwd"));
	const char *term = json_string_value(json_object_get(j, "term"));
	json_int_t rows = json_integer_value(json_object_get(j, "rows"));
	json_int_t cols = json_integer_value(json_object_get(j, "cols"));

	if (!cwd || *cwd != '/')
		return err_set(e, EINVAL, "a request needs an absolute cwd");
	r->cwd = strdup(cwd);
	r->term = strdup(term ? term : "");
	if (!r->cwd || !r->term)
		return err_sys(e, ENOMEM, "cannot read a request");
	r->tty = json_is_true(json_object_get(j, "tty"));
	r->utf8 = json_is_true(json_object_get(j, "utf8"));
	r->rows = rows < 0 || rows > PROTO_ROWS_MAX ? 0 : (int)rows;
	r->cols = cols < 0 || cols > PROTO_COLS_MAX ? 0 : (int)cols;
	proto_clamp_size(&r->rows, &r->cols);
	return proto_parse_argv(json_object_get(j, "argv"), r, e);
}

int proto_request_parse(const void *json, size_t len, struct proto_request *r,
	struct err *e)
{
	json_error_t why;
	json_t *j = json_loadb(json, len, JSON_REJECT_DUPLICATES, &why);
	int ret;

	memset(r, 0, sizeof(*r));
	if (!json_is_object(j)) {
		json_decref(j);
		return err_set(e, EINVAL, "a request is no JSON object: %s",
			j ? "another type" : why.text);
	}
	ret = proto_parse_fields(j, r, e);
	json_decref(j);
	if (ret)
		proto_request_fini(r);
	return ret;
}

int proto_request_format(const struct proto_request *r, char **out)
{
	json_t *argv = json_array(), *j;
	bool bad = !argv;

	for (int i = 0; i < r->argc; i++)
		bad |= json_array_append_new(argv, json_string(r->argv[i])) !=
		       0;
	j = json_pack("{s:o, s:s, s:b, s:b, s:s, s:i, s:i}", "argv", argv,
		"cwd", r->cwd, "tty", r->tty, "utf8", r->utf8, "term", r->term,
		"rows", r->rows, "cols", r->cols);
	if (!j || bad) {
		json_decref(j);
		return -EINVAL;
	}
	*out = json_dumps(j, JSON_COMPACT);
	json_decref(j);
	return *out ? 0 : -ENOMEM;
}
