/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The sieve: see filter.h. */
#include "display/viewer/filter.h"

#include <errno.h>
#include <string.h>

#include "vm/base/bytes.h"
#include "vm/base/sizes.h"

enum filter_type {
	MSG_PIXEL_FORMAT = 0,
	MSG_ENCODINGS = 2,
	MSG_REQUEST = 3,
	MSG_KEY = 4,
	MSG_POINTER = 5,
	MSG_CUT_TEXT = 6,
	MSG_DESKTOP_SIZE = 251,
	MSG_QEMU = 255,
};

#define FILTER_MAX_SCREENS 16

void filter_init(struct filter *f, const struct filter_ops *ops, void *arg,
	bool view_only)
{
	memset(f, 0, sizeof(*f));
	f->ops = ops;
	f->arg = arg;
	f->view_only = view_only;
}

static int filter_refuse(struct filter *f, const char *why)
{
	f->why = why;
	return -EPROTO;
}

/*
 * Length of the message whose first `have` bytes are at p, as far as these
 * tell; at least have + 1 when more is needed to know. 0 = not allowed.
 */
static size_t filter_length(const uint8_t *p, size_t have)
{
	switch (p[0]) {
	case MSG_PIXEL_FORMAT:
		return 20;
	case MSG_ENCODINGS:
		if (have < 4)
			return 4;
		return get_be16(p + 2) <= FILTER_MAX_ENCODINGS
			       ? 4 + 4 * (size_t)get_be16(p + 2)
			       : 0;
	case MSG_REQUEST:
		return 10;
	case MSG_KEY:
	case MSG_CUT_TEXT: /* its text is skipped, not gathered */
		return 8;
	case MSG_POINTER:
		return 6;
	case MSG_DESKTOP_SIZE:
		if (have < 8)
			return 8;
		return p[6] >= 1 && p[6] <= FILTER_MAX_SCREENS
			       ? 8 + 16 * (size_t)p[6]
			       : 0;
	case MSG_QEMU:
		if (have < 2)
			return 2;
		return p[1] == 0 ? 12 : 0;
	}
	return 0;
}

/* RFC 6143 7.4; the encoder shifts by what stands here. */
static int filter_pixel_format(struct filter *f, const uint8_t *p)
{
	const uint8_t *pf = p + 4;
	unsigned bpp = pf[0];

	if (bpp != 8 && bpp != 16 && bpp != 32)
		return filter_refuse(f, "bits per pixel");
	if (!pf[3] && bpp != 8)
		return filter_refuse(f, "colour map with more than 8 bits");
	for (unsigned i = 0; pf[3] && i < 3; i++) {
		uint32_t max = get_be16(pf + 4 + 2 * i);
		unsigned shift = pf[10 + i];

		/* max is a row of ones that fits above the shift */
		if (!max || (max & (max + 1)) || shift >= bpp ||
			((uint64_t)max << shift) >> bpp)
			return filter_refuse(f, "pixel format");
	}
	f->ops->forward(f->arg, p, 20);
	return 0;
}

/* Only what is served; all else would reach code that nobody asked for. */
static bool filter_encoding_known(int32_t e)
{
	static const int16_t known[] = {
		0,    /* raw */
		1,    /* CopyRect */
		5,    /* hextile */
		7,    /* tight */
		16,   /* ZRLE */
		-223, /* DesktopSize */
		-224, /* LastRect */
		-258, /* QEMU extended key events */
		-308, /* ExtendedDesktopSize */
	};

	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (e == known[i])
			return true;
	/* JPEG quality and compression levels */
	return (e >= -32 && e <= -23) || (e >= -256 && e <= -247);
}

static int filter_encodings(struct filter *f, const uint8_t *p)
{
	uint8_t out[4 + 4 * FILTER_MAX_KEPT] = { MSG_ENCODINGS };
	unsigned n = get_be16(p + 2), kept = 0;

	for (unsigned i = 0; i < n && kept < FILTER_MAX_KEPT; i++) {
		const uint8_t *e = p + 4 + 4 * (size_t)i;

		if (filter_encoding_known((int32_t)get_be32(e)))
			memcpy(out + 4 + 4 * (size_t)kept++, e, 4);
	}
	put_be16(out + 2, (uint16_t)kept);
	f->ops->forward(f->arg, out, 4 + 4 * (size_t)kept);
	return 0;
}

static int filter_request(struct filter *f, const uint8_t *p)
{
	struct filter_request r = {
		.incremental = p[1] != 0,
		.x = get_be16(p + 2),
		.y = get_be16(p + 4),
		.w = get_be16(p + 6),
		.h = get_be16(p + 8),
	};

	f->ops->request(f->arg, &r);
	return 0;
}

/* Negative lengths are the extended clipboard, which is not offered. */
static int filter_cut_text(struct filter *f, const uint8_t *p)
{
	uint32_t len = get_be32(p + 4);

	if ((int32_t)len < 0)
		len = 0 - len;
	if (len > FILTER_MAX_TEXT)
		return filter_refuse(f, "clipboard text of more than 1 MiB");
	f->skip = len;
	return 0;
}

static int filter_desktop_size(struct filter *f, const uint8_t *p, size_t len)
{
	if (f->view_only)
		return 0;
	f->ops->resize(f->arg, get_be16(p + 2), get_be16(p + 4));
	f->ops->forward(f->arg, p, len);
	return 0;
}

/* A whole message. */
static int filter_message(struct filter *f, const uint8_t *p, size_t len)
{
	switch (p[0]) {
	case MSG_PIXEL_FORMAT:
		return filter_pixel_format(f, p);
	case MSG_ENCODINGS:
		return filter_encodings(f, p);
	case MSG_REQUEST:
		return filter_request(f, p);
	case MSG_CUT_TEXT:
		return filter_cut_text(f, p);
	case MSG_DESKTOP_SIZE:
		return filter_desktop_size(f, p, len);
	case MSG_KEY:
		if (!f->view_only)
			f->ops->key(f->arg, p[1] != 0, get_be32(p + 4), 0);
		break;
	case MSG_POINTER:
		if (!f->view_only)
			f->ops->pointer(f->arg, p[1], get_be16(p + 2),
				get_be16(p + 4));
		break;
	case MSG_QEMU:
		if (!f->view_only)
			f->ops->key(f->arg, get_be16(p + 2) != 0,
				get_be32(p + 4), get_be32(p + 8));
		break;
	}
	return 0;
}

/* Gather up to `want` bytes of a message; returns bytes taken from data. */
static size_t filter_gather(struct filter *f, const uint8_t *data, size_t len,
	size_t want)
{
	size_t n = want - f->have < len ? want - f->have : len;

	memcpy(f->buf + f->have, data, n);
	f->have += n;
	return n;
}

int filter_feed(struct filter *f, const uint8_t *data, size_t len)
{
	while (len) {
		size_t want, n;
		int r;

		if (f->skip) {
			n = f->skip < len ? f->skip : len;
			f->skip -= (uint32_t)n;
			data += n;
			len -= n;
			continue;
		}
		want = f->have ? filter_length(f->buf, f->have) : 1;
		if (!want)
			return filter_refuse(f, "message type");
		n = filter_gather(f, data, len, want);
		data += n;
		len -= n;
		if (f->have < want)
			return 0;
		want = filter_length(f->buf, f->have);
		if (!want)
			return filter_refuse(f, "message type");
		if (f->have < want)
			continue;
		f->have = 0;
		r = filter_message(f, f->buf, want);
		if (r)
			return r;
	}
	return 0;
}
