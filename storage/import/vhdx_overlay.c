// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Later writes hide earlier ones. All their ends cut the file into cells; the
 * newest write is laid first, each takes the cells that are still free, and
 * next[] leads over those that are not, so that the work grows with the
 * number of writes and not with how often they overlap.
 */
#include "storage/import/vhdx_overlay.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct cells {
	size_t n;        /* cuts */
	uint64_t *cuts;  /* sorted; cell i = [cuts[i], cuts[i + 1]) */
	uint32_t *owner; /* index of the write + 1, 0 = free */
	uint32_t *next;  /* the first cell from i on that may be free */
};

static int u64_cmp(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void cells_free(struct cells *c)
{
	free(c->cuts);
	free(c->owner);
	free(c->next);
}

static int cells_make(struct cells *c, const struct vhdx_write *writes,
	size_t n)
{
	size_t all = 2 * n, k = 0;

	c->cuts = calloc(all, sizeof(c->cuts[0]));
	c->owner = calloc(all, sizeof(c->owner[0]));
	c->next = calloc(all, sizeof(c->next[0]));
	if (!c->cuts || !c->owner || !c->next)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		c->cuts[2 * i] = writes[i].start;
		c->cuts[2 * i + 1] = writes[i].end;
	}
	qsort(c->cuts, all, sizeof(c->cuts[0]), u64_cmp);
	for (size_t i = 0; i < all; i++)
		if (!k || c->cuts[i] != c->cuts[k - 1])
			c->cuts[k++] = c->cuts[i];
	c->n = k;
	for (size_t i = 0; i < k; i++)
		c->next[i] = (uint32_t)i;
	return 0;
}

/* Index of a cut that is there. */
static uint32_t cut_index(const struct cells *c, uint64_t at)
{
	size_t lo = 0, hi = c->n - 1;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (c->cuts[mid] < at)
			lo = mid + 1;
		else
			hi = mid;
	}
	return (uint32_t)lo;
}

static uint32_t next_free(struct cells *c, uint32_t i)
{
	while (c->next[i] != i) {
		c->next[i] = c->next[c->next[i]]; /* shorten the way */
		i = c->next[i];
	}
	return i;
}

static void cells_paint(struct cells *c, const struct vhdx_write *writes,
	size_t n)
{
	for (size_t w = n; w-- > 0;) {
		uint32_t end = cut_index(c, writes[w].end);
		uint32_t i = next_free(c, cut_index(c, writes[w].start));

		while (i < end) {
			c->owner[i] = (uint32_t)w + 1;
			c->next[i] = i + 1; /* the last cut is never owned */
			i = next_free(c, i);
		}
	}
}

int vhdx_overlay_build(struct vhdx_overlay *o, const struct vhdx_write *writes,
	size_t n)
{
	struct cells c = { 0 };
	int rc;

	if (!n)
		return 0;
	rc = cells_make(&c, writes, n);
	if (!rc) {
		cells_paint(&c, writes, n);
		o->writes = calloc(c.n, sizeof(o->writes[0]));
		rc = o->writes ? 0 : -ENOMEM;
	}
	for (size_t i = 0; !rc && i + 1 < c.n; i++) {
		const struct vhdx_write *w;

		if (!c.owner[i])
			continue;
		w = &writes[c.owner[i] - 1];
		o->writes[o->n].start = c.cuts[i];
		o->writes[o->n].end = c.cuts[i + 1];
		o->writes[o->n].data =
			w->data ? w->data + (c.cuts[i] - w->start) : NULL;
		o->n++;
	}
	cells_free(&c);
	return rc;
}

void vhdx_overlay_fini(struct vhdx_overlay *o)
{
	free(o->writes);
	free(o->log);
	memset(o, 0, sizeof(*o));
}

const struct vhdx_write *vhdx_overlay_find(const struct vhdx_overlay *o,
	uint64_t offset, uint64_t *len)
{
	size_t lo = 0, hi = o->n;
	const struct vhdx_write *w;

	while (lo < hi) { /* the first that ends behind offset */
		size_t mid = lo + (hi - lo) / 2;

		if (o->writes[mid].end <= offset)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == o->n)
		return NULL;
	w = &o->writes[lo];
	if (w->start > offset) {
		if (*len > w->start - offset)
			*len = w->start - offset;
		return NULL;
	}
	if (*len > w->end - offset)
		*len = w->end - offset;
	return w;
}

void vhdx_overlay_apply(const struct vhdx_overlay *o, uint64_t offset,
	uint8_t *buf, uint64_t len)
{
	while (len) {
		uint64_t step = len;
		const struct vhdx_write *w =
			vhdx_overlay_find(o, offset, &step);

		if (w && w->data)
			memcpy(buf, w->data + (offset - w->start), step);
		else if (w)
			memset(buf, 0, step);
		offset += step;
		buf += step;
		len -= step;
	}
}
