/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * L1 and L2 tables as a tree, read from the image when nothing is dirty. Each
 * entry is checked when it is used: what is counted up or down for its sake
 * must be a place that can be. See whole.h.
 */
#include <errno.h>
#include <stdlib.h>

#include "vm/base/bytes.h"
#include "vm/base/sizes.h"

#include "storage/qcow2/whole.h"

/* Can whole clusters of the image be there? */
static bool is_place(const struct qcow2 *q, uint64_t host)
{
	return !(host & (q->cluster_size - 1)) &&
	       host >> q->cluster_bits < q->file_end;
}

int qtree_read(struct qcow2 *q, uint64_t l1_entry, uint8_t *buf,
	uint64_t *table)
{
	*table = l1_entry & QL1_OFFSET;
	if (l1_entry & QL1_RESERVED || !is_place(q, *table)) {
		qcow2_mark_corrupt(q, "an L1 entry is %#llx",
			(unsigned long long)l1_entry);
		return -EIO;
	}
	if (!*table)
		return 0;
	return node_read(q->file, *table, buf, q->cluster_size);
}

uint64_t qtree_entry(const struct qcow2 *q, const uint8_t *buf, unsigned i)
{
	return get_be64(buf + (size_t)i * q->l2_entry_bytes);
}

int qtree_data(struct qcow2 *q, uint64_t entry, uint64_t *cluster, uint64_t *n)
{
	uint64_t host = entry & QL2_OFFSET, last;
	uint32_t len = q->cluster_size;
	bool good;

	*cluster = *n = 0;
	if (entry & QL2_COMPRESSED)
		good = qmap_compressed(q, entry, &host, &len);
	else if (!host || q->data != q->file)
		return 0;
	else
		good = !(entry & QL2_RESERVED) && is_place(q, host);
	last = (host + len - 1) >> q->cluster_bits;
	if (!good || last >= q->file_end) {
		qcow2_mark_corrupt(q, "an L2 entry is %#llx",
			(unsigned long long)entry);
		return -EIO;
	}
	*cluster = host >> q->cluster_bits;
	*n = last - *cluster + 1;
	return 0;
}

int qtree_free(struct qcow2 *q, uint64_t l1_entry)
{
	uint8_t *buf = malloc(q->cluster_size);
	uint64_t table, cluster, n;
	int r;

	if (!buf)
		return -ENOMEM;
	r = qtree_read(q, l1_entry, buf, &table);
	for (unsigned i = 0; i < qtree_entries(q) && table && !r; i++) {
		r = qtree_data(q, qtree_entry(q, buf, i), &cluster, &n);
		if (!r)
			qfree_later(q, cluster << q->cluster_bits,
				n << q->cluster_bits);
	}
	free(buf);
	if (!r && table)
		qfree_later(q, table, q->cluster_size);
	return r;
}

/* --- L1 tables ------------------------------------------------------------ */

uint64_t qtree_l1_clusters(const struct qcow2 *q, uint32_t n)
{
	return ((uint64_t)n * 8 + q->cluster_size - 1) >> q->cluster_bits;
}

uint64_t qtree_l1_need(const struct qcow2 *q, uint64_t size)
{
	unsigned shift = q->cluster_bits + q->l2_bits;

	return size ? ((size - 1) >> shift) + 1 : 0;
}

int qtree_read_l1(struct qcow2 *q, uint64_t offset, uint32_t n, uint64_t **out)
{
	uint64_t *l1;
	int r;

	*out = NULL;
	if ((uint64_t)n * 8 > QCOW2_MAX_L1_BYTES ||
		(n && (!offset || !is_place(q, offset) ||
			      (offset >> q->cluster_bits) +
					      qtree_l1_clusters(q, n) >
				      q->file_end)))
		return -EIO;
	l1 = calloc((size_t)n + 1, sizeof(*l1));
	if (!l1)
		return -ENOMEM;
	r = node_read(q->file, offset, l1, (uint64_t)n * 8);
	if (r) {
		free(l1);
		return r;
	}
	for (uint32_t i = 0; i < n; i++)
		l1[i] = be64toh(l1[i]);
	*out = l1;
	return 0;
}

int qtree_write_l1(struct qcow2 *q, uint64_t offset, const uint64_t *l1,
	uint32_t n)
{
	uint64_t clusters = qtree_l1_clusters(q, n), per = q->cluster_size / 8;
	uint8_t *buf = malloc(q->cluster_size);
	int r = 0;

	if (!buf)
		return -ENOMEM;
	for (uint64_t k = 0; k < clusters && !r; k++) {
		for (uint64_t i = 0; i < per; i++) {
			uint64_t at = k * per + i;

			put_be64(buf + i * 8, at < n ? l1[at] : 0);
		}
		r = node_write(q->file, offset + (k << q->cluster_bits), buf,
			q->cluster_size, 0);
	}
	free(buf);
	return r;
}
