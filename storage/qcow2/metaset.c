/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The host clusters of an image that hold its tables: no data is ever written
 * there, whatever an L2 table says. A hash set of cluster numbers with linear
 * probing, at most half full; the header's cluster 0 is in it without being
 * stored, and 0 marks a free place. Thread: the loop's.
 */
#include <errno.h>
#include <stdlib.h>

#include "vm/base/sizes.h"

#include "storage/qcow2/impl.h"

#define MIN_PLACES 64u

static uint64_t place_of(const struct qcow2 *q, uint64_t cluster)
{
	/* Fibonacci hashing: tables often lie at equal distances */
	return (cluster * UINT64_C(0x9e3779b97f4a7c15) >> 20) & q->metaset_mask;
}

/* The place that has cluster, or the free one where it belongs. */
static uint64_t find(const struct qcow2 *q, uint64_t cluster)
{
	uint64_t i = place_of(q, cluster);

	while (q->metaset[i] && q->metaset[i] != cluster)
		i = (i + 1) & q->metaset_mask;
	return i;
}

static void insert(struct qcow2 *q, uint64_t cluster)
{
	uint64_t i = find(q, cluster);

	if (!q->metaset[i]) {
		q->metaset[i] = cluster;
		q->metaset_count++;
	}
}

/* Room for n more. */
static int reserve(struct qcow2 *q, uint64_t n)
{
	uint64_t *old = q->metaset;
	uint64_t had = old ? q->metaset_mask + 1 : 0;
	uint64_t places = had ? had : MIN_PLACES;
	uint64_t *new;

	while (places / 2 < q->metaset_count + n)
		places *= 2;
	if (places == had)
		return 0;
	new = calloc(places, sizeof(*new));
	if (!new)
		return -ENOMEM;
	q->metaset = new;
	q->metaset_mask = places - 1;
	q->metaset_count = 0;
	for (uint64_t i = 0; i < had; i++)
		if (old[i])
			insert(q, old[i]);
	free(old);
	return 0;
}

int qmeta_add(struct qcow2 *q, uint64_t host, uint64_t len)
{
	uint64_t first = host >> q->cluster_bits, last;
	int rc;

	if (!len)
		return 0;
	last = (host + len - 1) >> q->cluster_bits;
	rc = reserve(q, last - first + 1);
	if (rc < 0)
		return rc;
	for (uint64_t c = first; c <= last; c++)
		if (c)
			insert(q, c);
	return 0;
}

/* Free place i and move up those behind it that would be lost by that. */
static void delete (struct qcow2 *q, uint64_t i)
{
	uint64_t mask = q->metaset_mask, j = i;

	q->metaset[i] = 0;
	q->metaset_count--;
	for (;;) {
		uint64_t want;

		j = (j + 1) & mask;
		if (!q->metaset[j])
			return;
		want = place_of(q, q->metaset[j]);
		/* from where it should be it is not reached through i? */
		if (((j - want) & mask) < ((j - i) & mask))
			continue;
		q->metaset[i] = q->metaset[j];
		q->metaset[j] = 0;
		i = j;
	}
}

void qmeta_del(struct qcow2 *q, uint64_t host, uint64_t len)
{
	uint64_t first = host >> q->cluster_bits, last;

	if (!len || !q->metaset)
		return;
	last = (host + len - 1) >> q->cluster_bits;
	for (uint64_t c = first ? first : 1; c <= last; c++) {
		uint64_t i = find(q, c);

		if (q->metaset[i])
			delete (q, i);
	}
}

bool qmeta_hits(const struct qcow2 *q, uint64_t host, uint64_t len)
{
	uint64_t first = host >> q->cluster_bits, last;

	if (!len)
		return false;
	if (!first)
		return true;
	if (!q->metaset_count)
		return false;
	last = (host + len - 1) >> q->cluster_bits;
	if (last - first <= q->metaset_mask) {
		for (uint64_t c = first; c <= last; c++)
			if (q->metaset[find(q, c)])
				return true;
		return false;
	}
	for (uint64_t i = 0; i <= q->metaset_mask; i++)
		if (q->metaset[i] >= first && q->metaset[i] <= last)
			return true;
	return false;
}
