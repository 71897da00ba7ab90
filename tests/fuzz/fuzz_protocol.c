/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a client may send: frames in any pieces, requests, their words, and
 * the keys of its terminal. Nothing may crash, hang or grow without bound.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "ui/cmd.h"
#include "ui/complete.h"
#include "ui/keys.h"
#include "ui/protocol.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_request(const struct proto_msg *m)
{
	struct proto_request r;
	struct cmd_args a;
	struct err e = ERR_NONE;
	char *json;

	if (proto_request_parse(m->data, m->len, &r, &e)) {
		assert(e.code && *e.msg);
		return;
	}
	assert(r.argc >= 1 && r.argc <= PROTO_ARGS_MAX && *r.cwd == '/');
	assert(r.rows >= 1 && r.rows <= PROTO_ROWS_MAX);
	assert(r.cols >= 1 && r.cols <= PROTO_COLS_MAX);
	if (!proto_request_format(&r, &json))
		free(json);
	if (!cmd_parse(r.argc, r.argv, &a, &e)) {
		assert(a.noperands >= a.verb->min);
		assert(a.verb->max < 0 || a.noperands <= a.verb->max);
	}
	proto_request_fini(&r);
}

static void try_line(const uint8_t *data, size_t len)
{
	char *line = strndup((const char *)data, len), **argv;
	static char a[] = "web", b[] = "west";
	char *names[] = { a, b };
	struct complete c;
	int argc;

	if (!line)
		return;
	complete_line(line, strlen(line), names, 2, true, &c);
	complete_fini(&c);
	if (!words_split(line, &argc, &argv))
		words_free(argc, argv);
	free(line);
}

static void try_keys(const uint8_t *data, size_t len)
{
	struct keys k = { 0 };
	struct key key;

	while (len) {
		size_t n = keys_put(&k, data, len > 7 ? 7 : len);

		data += n;
		len -= n;
		while (keys_next(&k, n == 0, &key))
			assert(key.nraw > 0);
	}
	while (keys_waiting(&k))
		assert(keys_next(&k, true, &key));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct proto_in in = { 0 };
	struct proto_msg m;
	size_t step = size ? data[0] % 61 + 1 : 1, room;
	int rows, cols, r = 0;

	for (size_t at = 0; at < size && r >= 0;) {
		uint8_t *p = proto_in_room(&in, &room);
		size_t n = size - at < step ? size - at : step;

		if (!p)
			break;
		memcpy(p, data + at, n);
		proto_in_added(&in, n);
		at += n;
		while ((r = proto_in_next(&in, &m)) > 0) {
			assert(m.len <= PROTO_MAX);
			try_request(&m);
			proto_winsize(&m, &rows, &cols);
			try_line(m.data, m.len);
			try_keys(m.data, m.len);
		}
	}
	assert(in.cap <= 4 * size + 65536);
	proto_in_fini(&in);
	m = (struct proto_msg){ PROTO_REQUEST, data, (uint32_t)size };
	try_request(&m);
	try_line(data, size);
	try_keys(data, size);
	return 0;
}
