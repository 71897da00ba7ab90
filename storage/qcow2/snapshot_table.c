/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The snapshot table: read, checked, and put together again with all that is
 * not ours to know. Entries have no fixed length, so the table is read
 * through a window. See snapshot.h.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/bytes.h"
#include "vm/base/sizes.h"

#include "storage/qcow2/snapshot.h"

#define WINDOW 65536u

/* Entry of the table ("Snapshot table entry"). */
enum {
	SN_L1_OFFSET = 0,
	SN_L1_ENTRIES = 8,
	SN_ID_LEN = 12,
	SN_NAME_LEN = 14,
	SN_DATE_S = 16,
	SN_DATE_NS = 20,
	SN_VM_CLOCK = 24,
	SN_VM_STATE = 32,
	SN_EXTRA_LEN = 36,
	SN_LEN = 40,
	/* in the extra data */
	SNX_VM_STATE = 0,
	SNX_DISK_SIZE = 8,
	SNX_V3_LEN = 16,
	SNX_ICOUNT = 16,
	SNX_LEN = 24,
};

/* --- reading -------------------------------------------------------------- */

struct window {
	struct node *file;
	uint8_t *buf;
	uint64_t at, end; /* what buf has of the file */
	uint64_t limit;   /* of the file: nothing is read behind it */
};

/* len (<= WINDOW) bytes at pos, or NULL with *err: 0 = there are fewer. */
static const uint8_t *window_get(struct window *w, uint64_t pos, uint32_t len,
	int *err)
{
	uint64_t n;

	*err = 0;
	if (!size_in(pos, len, w->limit))
		return NULL;
	if (pos >= w->at && pos + len <= w->end)
		return w->buf + (pos - w->at);
	n = w->limit - pos < WINDOW ? w->limit - pos : WINDOW;
	w->end = w->at = 0;
	*err = node_read(w->file, pos, w->buf, n);
	if (*err)
		return NULL;
	w->at = pos;
	w->end = pos + n;
	return w->buf;
}

/* Copy len bytes at pos, however many. 1, 0 = there are fewer, -errno. */
static int window_copy(struct window *w, uint64_t pos, uint8_t *to,
	uint32_t len)
{
	uint32_t n;

	for (; len; len -= n, pos += n, to += n) {
		const uint8_t *p;
		int r;

		n = len < WINDOW ? len : WINDOW;
		p = window_get(w, pos, n, &r);
		if (!p)
			return r;
		memcpy(to, p, n);
	}
	return 1;
}

static void copy_string(char *to, size_t room, const uint8_t *from, size_t len)
{
	if (len >= room)
		len = room - 1;
	memcpy(to, from, len);
	to[len] = '\0';
}

/* What the extra data and the strings of s->raw say. */
static void take_raw(const struct qcow2 *q, struct qsnap *s)
{
	const uint8_t *x = s->raw;

	if (s->extra_len >= SNX_VM_STATE + 8)
		s->s.vm_state_size = get_be64(x + SNX_VM_STATE);
	s->s.size = s->extra_len >= SNX_DISK_SIZE + 8
			    ? get_be64(x + SNX_DISK_SIZE)
			    : q->h.size;
	s->s.icount = s->extra_len >= SNX_ICOUNT + 8 ? get_be64(x + SNX_ICOUNT)
						     : UINT64_MAX;
	x += s->extra_len;
	copy_string(s->s.id, sizeof(s->s.id), x, s->id_len);
	copy_string(s->s.name, sizeof(s->s.name), x + s->id_len, s->name_len);
}

/*
 * The entry at *pos, which then is at the next. Extra data above the limit is
 * left out. 1, 0 = it is not all there, or -errno.
 */
static int read_entry(struct qcow2 *q, struct window *w, uint64_t *pos,
	struct qsnap *s, struct qsnaps *t)
{
	uint32_t extra, strings;
	uint64_t at = *pos;
	const uint8_t *p;
	int r;

	p = window_get(w, at, SN_LEN, &r);
	if (!p)
		return r;
	s->l1_offset = get_be64(p + SN_L1_OFFSET);
	s->l1_entries = get_be32(p + SN_L1_ENTRIES);
	s->id_len = get_be16(p + SN_ID_LEN);
	s->name_len = get_be16(p + SN_NAME_LEN);
	s->s.date_s = get_be32(p + SN_DATE_S);
	s->s.date_ns = get_be32(p + SN_DATE_NS);
	s->s.vm_clock_ns = get_be64(p + SN_VM_CLOCK);
	s->s.vm_state_size = get_be32(p + SN_VM_STATE);
	extra = get_be32(p + SN_EXTRA_LEN);
	strings = (uint32_t)s->id_len + s->name_len;
	at += SN_LEN;
	if (!size_in(at, (uint64_t)extra + strings, w->limit))
		return 0;
	s->extra_len = extra < QSNAP_MAX_EXTRA ? extra : QSNAP_MAX_EXTRA;
	s->raw = malloc((size_t)s->extra_len + strings + 1);
	if (!s->raw)
		return -ENOMEM;
	r = window_copy(w, at, s->raw, s->extra_len);
	at += extra;
	if (r == 1)
		r = window_copy(w, at, s->raw + s->extra_len, strings);
	if (r != 1)
		return r;
	t->too_long += extra > QSNAP_MAX_EXTRA;
	t->incomplete += q->h.version > 2 && extra < SNX_V3_LEN;
	take_raw(q, s);
	*pos = at + strings;
	return 1;
}

static int grow_list(struct qsnaps *t, uint32_t *room)
{
	uint32_t more = *room ? *room * 2 : 8;
	struct qsnap *list;

	if (t->n < *room)
		return 0;
	list = realloc(t->list, more * sizeof(*list));
	if (!list)
		return -ENOMEM;
	t->list = list;
	*room = more;
	return 0;
}

static int read_all(struct qcow2 *q, struct window *w, struct qsnaps *t)
{
	uint64_t begin = q->h.snapshots_offset, pos = begin;
	uint32_t room = 0;
	int r = 1;

	while (t->n < q->h.nsnapshots) {
		struct qsnap *s;

		r = grow_list(t, &room);
		if (r < 0)
			return r;
		s = &t->list[t->n];
		memset(s, 0, sizeof(*s));
		pos = begin + size_up(pos - begin, 8);
		r = read_entry(q, w, &pos, s, t);
		if (r != 1) {
			free(s->raw);
			break;
		}
		t->n++;
		t->bytes = pos - begin;
	}
	t->missing = q->h.nsnapshots - t->n;
	return r < 0 ? r : 0;
}

int qsnaps_read(struct qcow2 *q, struct qsnaps *out)
{
	uint64_t file = node_size(q->file), limit;
	struct window w = { .file = q->file };
	int r;

	memset(out, 0, sizeof(*out));
	if (!q->h.nsnapshots)
		return 0;
	if (!size_add(q->h.snapshots_offset, QCOW2_MAX_SNAPSHOTS_BYTES,
		    &limit) ||
		limit > file)
		limit = file;
	w.limit = limit;
	w.buf = malloc(WINDOW);
	if (!w.buf)
		return -ENOMEM;
	r = read_all(q, &w, out);
	free(w.buf);
	if (r) {
		qsnaps_free(out->list, out->n);
		memset(out, 0, sizeof(*out));
	}
	return r;
}

void qsnaps_free(struct qsnap *list, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		free(list[i].raw);
	free(list);
}

/* --- writing -------------------------------------------------------------- */

/* Version 3 wants extra data as far as the disk's size. */
static uint32_t extra_bytes(const struct qsnap *s)
{
	return s->extra_len < SNX_V3_LEN ? SNX_V3_LEN : s->extra_len;
}

uint64_t qsnap_bytes(const struct qsnap *s)
{
	uint64_t len = SN_LEN + (uint64_t)extra_bytes(s) + s->id_len;

	return size_up(len + s->name_len, 8);
}

static void pack_entry(const struct qsnap *s, uint8_t *p)
{
	uint32_t extra = extra_bytes(s);
	uint8_t *x = p + SN_LEN;
	bool fits = s->s.vm_state_size <= UINT32_MAX;

	put_be64(p + SN_L1_OFFSET, s->l1_offset);
	put_be32(p + SN_L1_ENTRIES, s->l1_entries);
	put_be16(p + SN_ID_LEN, s->id_len);
	put_be16(p + SN_NAME_LEN, s->name_len);
	put_be32(p + SN_DATE_S, (uint32_t)s->s.date_s);
	put_be32(p + SN_DATE_NS, s->s.date_ns);
	put_be64(p + SN_VM_CLOCK, s->s.vm_clock_ns);
	/* who reads only this field must not take a part for the whole */
	put_be32(p + SN_VM_STATE, fits ? (uint32_t)s->s.vm_state_size : 0);
	put_be32(p + SN_EXTRA_LEN, extra);
	memcpy(x, s->raw, s->extra_len);
	put_be64(x + SNX_VM_STATE, s->s.vm_state_size);
	put_be64(x + SNX_DISK_SIZE, s->s.size);
	memcpy(x + extra, s->raw + s->extra_len,
		(size_t)s->id_len + s->name_len);
}

int qsnaps_pack(const struct qsnap *list, uint32_t n, uint8_t **buf,
	uint64_t *len)
{
	uint64_t bytes = 0;
	uint8_t *p;

	*buf = NULL;
	*len = 0;
	for (uint32_t i = 0; i < n; i++)
		bytes += qsnap_bytes(&list[i]);
	if (!n)
		return 0;
	if (bytes > QCOW2_MAX_SNAPSHOTS_BYTES || n > QCOW2_MAX_SNAPSHOTS)
		return -EFBIG;
	p = calloc(1, bytes);
	if (!p)
		return -ENOMEM;
	*buf = p;
	*len = bytes;
	for (uint32_t i = 0; i < n; i++) {
		pack_entry(&list[i], p);
		p += qsnap_bytes(&list[i]);
	}
	return 0;
}

/* --- at activate ---------------------------------------------------------- */

static int refuse(struct qcow2 *q, const struct qsnaps *t, struct err *e)
{
	const char *what = "is damaged";

	if (t->missing)
		what = "goes past its end";
	else if (t->incomplete)
		what = "lacks what version 3 wants";
	return err_set(e, EINVAL,
		"%s: its snapshot table %s: mend it with `guestdeck disk check "
		"--repair all`",
		q->node.path, what);
}

/* Tables that may be told apart from data; more clusters are not watched. */
#define QSNAP_WATCHED (UINT64_C(1) << 20)

static int add_to_metaset(struct qcow2 *q, const struct qsnaps *t)
{
	uint64_t file = node_size(q->file), clusters = 0;
	int r = qmeta_add(q, q->h.snapshots_offset, t->bytes);

	for (uint32_t i = 0; i < t->n && !r; i++) {
		const struct qsnap *s = &t->list[i];
		uint64_t len = (uint64_t)s->l1_entries * 8;

		/* a wrong one is found when the snapshot is used */
		if (len > QCOW2_MAX_L1_BYTES ||
			!size_in(s->l1_offset, len, file))
			continue;
		clusters += (len >> q->cluster_bits) + 1;
		if (clusters > QSNAP_WATCHED)
			break;
		r = qmeta_add(q, s->l1_offset, len);
	}
	return r;
}

int qsnap_read(struct qcow2 *q, struct err *e)
{
	struct qsnaps t;
	int r = qsnaps_read(q, &t);

	if (r)
		return err_sys(e, -r, "%s: cannot read its snapshot table",
			q->node.path);
	if ((t.missing || t.incomplete || t.too_long) && !q->opts.for_check)
		r = refuse(q, &t, e);
	if (!r) {
		r = add_to_metaset(q, &t);
		if (r)
			err_sys(e, -r, "%s: reading its snapshots",
				q->node.path);
	}
	if (r) {
		qsnaps_free(t.list, t.n);
		return r;
	}
	q->snaps = t.list;
	/* a check tells of those that cannot be read; nobody else gets here */
	q->nsnaps = t.n;
	q->snaps_bytes = t.bytes;
	return 0;
}

void qsnap_fini(struct qcow2 *q)
{
	qsnaps_free(q->snaps, q->nsnaps);
	q->snaps = NULL;
	q->nsnaps = 0;
	q->snaps_bytes = 0;
}
