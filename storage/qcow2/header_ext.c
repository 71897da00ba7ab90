/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Header extensions of a qcow2 image ("Header extensions" of the format's
 * description). Those that say where data lies are taken apart; what we do
 * not know is kept byte for byte; the feature name table is used for messages
 * and made anew on writing. Thread: any, no state.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/bytes.h"
#include "vm/base/sizes.h"

#include "storage/qcow2/header.h"

#define BITMAPS_LEN 24u /* of the bitmaps extension */

int qext_next(const struct qext_area *a, uint64_t *pos, struct qext *x)
{
	uint64_t at = *pos, left;

	if (at > a->end || a->end - at < 8)
		return 0;
	x->pos = at;
	x->type = get_be32(a->buf + at);
	x->len = get_be32(a->buf + at + 4);
	if (x->type == QEXT_END)
		return 0;
	at += 8;
	left = a->end - at;
	if (x->len > left)
		return -EINVAL;
	x->data = a->buf + at;
	/* the last one's padding may be missing */
	x->raw_len = 8 + size_up(x->len, 8);
	if (x->raw_len > left + 8)
		x->raw_len = left + 8;
	*pos = x->pos + x->raw_len;
	return 1;
}

char *qheader_string(const uint8_t *p, uint32_t len)
{
	return strndup((const char *)p, len);
}

/* --- features by name ----------------------------------------------------- */

/* The name that the image's table gives to an incompatible bit, printable;
 * false = none. */
static bool feature_name(const struct qext_area *a, unsigned bit, char *out)
{
	uint64_t pos = a->begin;
	struct qext x;

	while (qext_next(a, &pos, &x) > 0) {
		if (x.type != QEXT_FEATURES)
			continue;
		for (uint64_t i = 0; i + QEXT_FEATURE_LEN <= x.len;
			i += QEXT_FEATURE_LEN) {
			const uint8_t *p = x.data + i;

			if (p[0] != 0 || p[1] != bit || !p[2])
				continue;
			memcpy(out, p + 2, QEXT_FEATURE_LEN - 2);
			out[QEXT_FEATURE_LEN - 2] = '\0';
			for (char *c = out; *c; c++)
				if (*c < ' ' || *c > '~')
					*c = '?';
			return true;
		}
	}
	return false;
}

int qext_check_features(uint64_t incompatible, const struct qext_area *a,
	const char *path, struct err *e)
{
	uint64_t unknown = incompatible & ~QH_INCOMPATIBLE_KNOWN;
	char list[200] = "", name[QEXT_FEATURE_LEN];
	size_t at = 0;

	if (!unknown)
		return 0;
	for (unsigned bit = 0; bit < 64 && at < sizeof(list); bit++) {
		int n;

		if (!(unknown & (UINT64_C(1) << bit)))
			continue;
		if (!feature_name(a, bit, name))
			snprintf(name, sizeof(name), "bit %u", bit);
		n = snprintf(list + at, sizeof(list) - at, "%s%s",
			at ? ", " : "", name);
		at += (size_t)n;
	}
	return err_set(e, ENOTSUP,
		"%s: the image uses qcow2 features that are not known here "
		"(%s); convert it with the program that made it",
		path, list);
}

/* --- into a struct qheader ------------------------------------------------ */

static int take_string(char **to, const struct qext *x, uint32_t max,
	const char *what, const char *path, struct err *e)
{
	if (*to)
		return qheader_bad(e, path, "two extensions with %s", what);
	if (x->len > max)
		return qheader_bad(e, path, "%s has %u bytes (at most %u)",
			what, x->len, max);
	*to = qheader_string(x->data, x->len);
	if (!*to)
		return err_sys(e, ENOMEM, "%s: reading the header", path);
	return 0;
}

/*
 * Bitmaps hold nothing that a guest sees, and without their autoclear bit
 * nobody trusts them: one that makes no sense is as good as none.
 */
static void take_bitmaps(struct qheader *h, const struct qext *x)
{
	uint64_t cluster = UINT64_C(1) << h->cluster_bits;
	uint64_t offset, bytes;
	uint32_t n;

	if (x->len < BITMAPS_LEN || !(h->autoclear & QAUTOCLEAR_BITMAPS))
		return;
	n = get_be32(x->data);
	bytes = get_be64(x->data + 8);
	offset = get_be64(x->data + 16);
	if (!n || !bytes || !offset || offset & (cluster - 1))
		return;
	h->nbitmaps = n;
	h->bitmaps_bytes = bytes;
	h->bitmaps_offset = offset;
}

static int keep_ext(struct qheader *h, const struct qext *x, const char *path,
	struct err *e)
{
	uint64_t raw = size_up(x->raw_len, 8);
	uint8_t *p;

	if (h->ext_len + raw > QCOW2_MAX_EXT_BYTES)
		return qheader_bad(e, path, "extensions of more than 1 MiB");
	p = realloc(h->ext, h->ext_len + raw);
	if (!p)
		return err_sys(e, ENOMEM, "%s: reading the header", path);
	h->ext = p;
	memset(p + h->ext_len, 0, raw);
	memcpy(p + h->ext_len, x->data - 8, x->raw_len);
	h->ext_len += (uint32_t)raw;
	return 0;
}

static int take_ext(struct qheader *h, const struct qext *x, const char *path,
	struct err *e)
{
	switch (x->type) {
	case (uint32_t)QEXT_BACKING_FORMAT:
		return take_string(&h->backing_format, x, QH_MAX_FORMAT_LEN,
			"the backing file's format", path, e);
	case QEXT_DATA_FILE:
		return take_string(&h->data_file, x, QH_MAX_DATA_LEN,
			"the data file's name", path, e);
	case QEXT_CRYPTO:
		return err_set(e, ENOTSUP,
			"%s: the image is encrypted, which is not read here; "
			"decrypt it with `qemu-img convert`",
			path);
	case QEXT_FEATURES: /* made anew */
		return 0;
	case QEXT_BITMAPS:
		take_bitmaps(h, x);
		return keep_ext(h, x, path, e);
	default:
		return keep_ext(h, x, path, e);
	}
}

int qext_parse(struct qheader *h, const struct qext_area *a, const char *path,
	struct err *e)
{
	uint64_t pos = a->begin;
	struct qext x;
	int more;

	while ((more = qext_next(a, &pos, &x)) > 0) {
		int rc = take_ext(h, &x, path, e);

		if (rc < 0)
			return rc;
	}
	if (more < 0)
		return qheader_bad(e, path,
			"extension 0x%08x is longer than the room for it",
			x.type);
	return 0;
}
