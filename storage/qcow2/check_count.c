/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * References to host clusters, counted sparsely and in bounds; see check.h.
 * When there are too many pieces the upper half of them goes and is left to
 * another round. Thread: the loop's.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "storage/qcow2/check.h"

#define QCOUNTS_HASH 65536u /* chains stay short with QCHUNK_MAX pieces */

int qcounts_init(struct qcounts *t, uint64_t clusters)
{
	uint64_t pieces = (clusters >> QCHUNK_BITS) + 1;
	uint32_t places = 16;

	memset(t, 0, sizeof(*t));
	while (places < QCOUNTS_HASH && places < pieces)
		places *= 2;
	t->hash = calloc(places, sizeof(struct qchunk *));
	if (!t->hash)
		return -ENOMEM;
	t->mask = places - 1;
	t->max = QCHUNK_MAX;
	t->hi = clusters;
	return 0;
}

static void drop_from(struct qcounts *t, uint64_t index)
{
	if (!t->hash)
		return;
	for (uint32_t i = 0; i <= t->mask; i++) {
		struct qchunk **p = &t->hash[i];

		while (*p) {
			struct qchunk *k = *p;

			if (k->index < index) {
				p = &k->next;
				continue;
			}
			*p = k->next;
			free(k);
			t->n--;
		}
	}
}

void qcounts_fini(struct qcounts *t)
{
	drop_from(t, 0);
	free(t->hash);
	memset(t, 0, sizeof(*t));
}

void qcounts_begin(struct qcounts *t, uint64_t lo, uint64_t clusters)
{
	drop_from(t, 0);
	t->lo = lo;
	t->hi = clusters;
	t->failed = false;
}

static uint32_t slot(const struct qcounts *t, uint64_t index)
{
	return (uint32_t)((index * UINT64_C(0x9e3779b97f4a7c15)) >> 40) &
	       t->mask;
}

static int by_index(const void *a, const void *b)
{
	const struct qchunk *x = *(struct qchunk *const *)a;
	const struct qchunk *y = *(struct qchunk *const *)b;

	return x->index < y->index ? -1 : x->index > y->index;
}

struct qchunk **qcounts_sorted(const struct qcounts *t)
{
	struct qchunk **all = calloc((size_t)t->n + 1, sizeof(struct qchunk *));
	uint32_t n = 0;

	if (!all)
		return NULL;
	for (uint32_t i = 0; i <= t->mask; i++)
		for (struct qchunk *k = t->hash[i]; k; k = k->next)
			all[n++] = k;
	qsort(all, n, sizeof(struct qchunk *), by_index);
	return all;
}

/* Leave the upper half of what is counted to another round. */
static bool make_room(struct qcounts *t)
{
	struct qchunk **all;
	uint64_t middle;

	if (t->n < 2)
		return false;
	all = qcounts_sorted(t);
	if (!all)
		return false;
	middle = all[t->n / 2]->index;
	free(all);
	drop_from(t, middle);
	t->hi = middle << QCHUNK_BITS;
	return true;
}

uint32_t *qcounts_peek(const struct qcounts *t, uint64_t cluster)
{
	uint64_t index = cluster >> QCHUNK_BITS;
	struct qchunk *k;

	if (cluster < t->lo || cluster >= t->hi)
		return NULL;
	k = t->hash[slot(t, index)];
	while (k && k->index != index)
		k = k->next;
	return k ? &k->v[cluster & (QCHUNK - 1)] : NULL;
}

uint32_t *qcounts_get(struct qcounts *t, uint64_t cluster)
{
	uint32_t *v = qcounts_peek(t, cluster);
	struct qchunk *k = NULL;
	uint32_t i;

	while (!v && !k && cluster >= t->lo && cluster < t->hi) {
		if (t->n < t->max)
			k = calloc(1, sizeof(*k));
		if (!k && !make_room(t)) {
			t->failed = true;
			return NULL;
		}
	}
	if (!k)
		return v;
	k->index = cluster >> QCHUNK_BITS;
	i = slot(t, k->index);
	k->next = t->hash[i];
	t->hash[i] = k;
	t->n++;
	return &k->v[cluster & (QCHUNK - 1)];
}
