/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Finding host clusters: first fit from q->free_hint, below which all is in
 * use. Behind q->file_end nobody ever wrote, so what is there reads as zeros.
 * What is given up goes by way of commit.c.
 */
#include <errno.h>

#include "vm/base/sizes.h"

#include "storage/qcow2/refs.h"

/*
 * The first free run of at least `least` clusters (at most `most` are told)
 * from `from` on. -ENOSPC when the table cannot hold it.
 */
static int qalloc_find(struct qcow2 *q, uint64_t from, uint64_t least,
	uint64_t most, uint64_t *at, uint64_t *got)
{
	uint64_t limit = qref_limit(q);

	for (;;) {
		uint64_t used;
		int r;

		if (from >= limit || limit - from < least)
			return -ENOSPC;
		r = qref_scan(q, from, limit - from, true, &used);
		if (r)
			return r;
		from += used;
		if (most > limit - from)
			most = limit - from;
		r = qref_scan(q, from, most, false, got);
		if (r)
			return r;
		if (*got && *got >= least) {
			*at = from;
			return 0;
		}
		from += *got;
	}
}

/* Count n free clusters from at as used. */
static int qalloc_take(struct qcow2 *q, uint64_t at, uint64_t n)
{
	uint64_t had = q->file_end;
	int r;

	if (qmeta_hits(q, at << q->cluster_bits, n << q->cluster_bits)) {
		qcow2_mark_corrupt(q,
			"a table in the %llu clusters from %llu on is not "
			"counted as used",
			(unsigned long long)n, (unsigned long long)at);
		return -EIO;
	}
	r = qref_add(q, at, n, 1);
	if (r)
		return r;
	q->fresh_from = had;
	if (q->file_end < at + n)
		q->file_end = at + n;
	return 0;
}

/* The same, of a run of least ... most that is searched for. */
static int qalloc_run(struct qcow2 *q, uint64_t least, uint64_t most,
	uint64_t *host, uint64_t *got)
{
	uint64_t at, hint = q->free_hint;
	int r = qalloc_find(q, hint, least, most, &at, got);

	if (r)
		return r;
	r = qalloc_take(q, at, *got);
	if (r)
		return r;
	if (least == 1 && q->free_hint == hint)
		q->free_hint = at + *got;
	*host = at << q->cluster_bits;
	return 0;
}

int qalloc_clusters(struct qcow2 *q, uint64_t n, uint64_t near, uint64_t *host,
	uint64_t *got)
{
	uint64_t at = near >> q->cluster_bits, k = 0;
	int r = 0;

	if (q->corrupt)
		return -EIO;
	if (at && at + n <= qref_limit(q))
		r = qref_scan(q, at, n, false, &k);
	if (r)
		return r;
	if (!k)
		return qalloc_run(q, 1, n, host, got);
	r = qalloc_take(q, at, k);
	*host = near;
	*got = k;
	return r;
}

int qalloc_table(struct qcow2 *q, uint64_t n, uint64_t *host)
{
	uint64_t got;
	int r;

	if (q->corrupt)
		return -EIO;
	r = qalloc_run(q, n, n, host, &got);
	if (r)
		return r;
	r = qmeta_add(q, *host, n << q->cluster_bits);
	if (r)
		(void)qfree_now(q, *host, n << q->cluster_bits);
	return r;
}

bool qalloc_is_fresh(const struct qcow2 *q, uint64_t host)
{
	return host >> q->cluster_bits >= q->fresh_from;
}

/* --- bytes --- */

/*
 * Can len bytes go on at q->bytes_next? The cluster there takes one more
 * user, and what does not fit into it goes to the next one if that is free.
 */
static int qalloc_bytes_here(struct qcow2 *q, uint64_t len, uint64_t *host)
{
	uint64_t at = q->bytes_next >> q->cluster_bits, k = 0;
	uint64_t room;
	int r;

	if (!q->bytes_next)
		return -ENOSPC;
	room = q->cluster_size - (q->bytes_next & (q->cluster_size - 1));
	if (len > room) {
		r = qref_scan(q, at + 1, 1, false, &k);
		if (r)
			return r;
		if (!k)
			return -ENOSPC;
	}
	r = qref_add(q, at, 1, 1);
	if (r)
		return r == -ERANGE ? -ENOSPC : r;
	if (k) {
		r = qalloc_take(q, at + 1, 1);
		if (r)
			(void)qref_add(q, at, 1, -1);
	}
	*host = q->bytes_next;
	return r;
}

int qalloc_bytes(struct qcow2 *q, uint64_t len, uint64_t *host)
{
	uint64_t got, end;
	int r;

	if (q->corrupt)
		return -EIO;
	r = qalloc_bytes_here(q, len, host);
	if (r == -ENOSPC)
		r = qalloc_run(q, 1, 1, host, &got);
	if (r)
		return r;
	end = *host + len;
	/* an entry's offset has fewer bits the larger the clusters are */
	if ((end - 1) >> (70 - q->cluster_bits)) {
		(void)qfree_now(q, *host, len);
		return -ENOSPC;
	}
	q->bytes_next = end & (q->cluster_size - 1) ? end : 0;
	return 0;
}
