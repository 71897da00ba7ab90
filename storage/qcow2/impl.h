/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Inside of the qcow2 room.
 *
 * Everything runs on the loop's thread. What waits runs in a fiber. Reads and
 * writes of clusters that are there and whose L2 entries are cached need no
 * fiber and no lock (node.c, map.c). Whatever changes metadata holds q->meta
 * from the first look that it builds on to the last change; data moves
 * without it.
 *
 * Order on disk, which keeps an image whole at any power loss. L2 and
 * refcount slices change in memory (cache.c) and reach the disk only in
 * qcommit(), in this order:
 *   1. dirty refcount slices, which hold only increments and the decrements
 *      of references that are durably gone; tables written apart (new L2
 *      tables, refcount blocks) were written before; sync. Data was written
 *      before its L2 entry changed in memory, so this sync covers it too.
 *      New refcount blocks are then entered in the refcount table; sync.
 *   2. dirty L2 slices and L1 entries; sync.
 *   3. what was given up before 1 (qfree_later) is counted down in memory
 *      now and may be used again.
 * So a reference is never older than its count, a count never goes down
 * before its last reference, and no cluster is used anew while the disk still
 * has a reference to it.
 */
#ifndef STORAGE_QCOW2_IMPL_H
#define STORAGE_QCOW2_IMPL_H

#include "storage/core/ctx.h"
#include "storage/core/fiber.h"
#include "storage/core/sync.h"
#include "storage/qcow2/qcow2.h"

/* --- header.c: the header and its extensions ------------------------------ */

#define QCOW2_MAGIC 0x514649fbu

enum {
	QINCOMPAT_DIRTY = 1,
	QINCOMPAT_CORRUPT = 2,
	QINCOMPAT_DATA_FILE = 4,
	QINCOMPAT_COMPRESSION = 8,
	QINCOMPAT_EXTENDED_L2 = 16,
	QCOMPAT_LAZY = 1,
	QAUTOCLEAR_BITMAPS = 1,
	QAUTOCLEAR_DATA_RAW = 2,
};

#define QCOW2_MAX_L1_BYTES        (UINT64_C(32) << 20) /* as QEMU has it */
#define QCOW2_MAX_RT_BYTES        (UINT64_C(8) << 20)
#define QCOW2_MAX_SNAPSHOTS       65536u
#define QCOW2_MAX_SNAPSHOTS_BYTES (UINT64_C(64) << 20)
#define QCOW2_MAX_EXT_BYTES       (UINT64_C(1) << 20)

enum qcompression { QCOMPRESS_ZLIB = 0, QCOMPRESS_ZSTD = 1 };

struct qheader {
	unsigned version;
	unsigned cluster_bits;
	uint64_t size; /* bytes */
	uint32_t l1_entries;
	uint64_t l1_offset;
	uint64_t rt_offset; /* refcount table */
	uint32_t rt_clusters;
	uint32_t nsnapshots;
	uint64_t snapshots_offset;
	uint64_t incompatible, compatible, autoclear;
	unsigned refcount_order; /* 0 ... 6: 1 ... 64 bits */
	uint32_t header_len;
	unsigned compression; /* enum qcompression */
	/* a header longer than ours is kept as it is */
	uint8_t *more;
	uint32_t more_len;
	char *backing_file, *backing_format, *data_file; /* owned, or NULL */
	/* extensions that we do not make ourselves, in their order: each
	 * type, length, data, padding as in the image */
	uint8_t *ext;
	uint32_t ext_len;
	/* of the bitmaps extension among them, 0 = none */
	uint64_t bitmaps_offset, bitmaps_bytes;
	uint32_t nbitmaps;
};

/*
 * Parse and check len bytes of the image's first cluster(s); file_bytes is
 * how long the image is; path for messages. No waiting. 0 or -errno with e
 * filled.
 */
int qheader_parse(struct qheader *h, const uint8_t *buf, uint64_t len,
	uint64_t file_bytes, const char *path, struct err *e);
void qheader_fini(struct qheader *h);

/* Read and parse the image's. In a fiber. */
int qheader_read(struct node *file, struct qheader *h, struct err *e);
/*
 * Write all of it: the first cluster is written whole, in one request. In a
 * fiber. No sync. -ENOSPC with e when it does not fit in a cluster.
 */
int qheader_write(struct node *file, const struct qheader *h, struct err *e);
/*
 * Write single fields that stand within one sector and are changed in
 * place; tables: the size, and where all tables are. In a fiber. No sync.
 * 0 or -errno.
 */
int qheader_write_features(struct node *file, const struct qheader *h);
int qheader_write_rt(struct node *file, const struct qheader *h);
int qheader_write_snapshots(struct node *file, const struct qheader *h);
int qheader_write_tables(struct node *file, const struct qheader *h);

/* --- cache.c: slices of tables in memory ---------------------------------- */

struct qcow2;

struct qslice {
	uint64_t offset; /* in the image; slice_bytes aligned */
	uint8_t *data;   /* slice_bytes, as on disk (big-endian) */
	unsigned pins;
	int err; /* of its loading */
	bool dirty, valid, loading;
	bool hashed; /* found by its offset; else it goes with the last pin */
	bool used;   /* since the LRU list last came to it */
	struct fiber_queue waiters; /* for its loading */
	struct list lru;            /* in lru, dirty or neither */
	struct qslice *hash_next;   /* or of the free ones */
};

struct qcache {
	struct qcow2 *q;
	uint32_t slice_bytes; /* min(cluster size, 4 KiB) */
	uint32_t max, count, ndirty;
	struct qslice **hash;
	uint32_t hash_mask;
	unsigned slice_bits;
	struct list lru;      /* clean, not pinned, oldest first */
	struct list dirty;    /* in the order that they became so */
	struct qslice *spare; /* allocated, hold nothing */
	struct qslab *slabs;  /* what they are allocated in */
};

int qcache_init(struct qcache *c, struct qcow2 *q, uint64_t max_bytes);
/* What is dirty is lost. Harmless for a zeroed one. */
void qcache_fini(struct qcache *c);
/* The slice at offset, or NULL when it is not there. Good until the caller
 * waits. No waiting. */
struct qslice *qcache_peek(struct qcache *c, uint64_t offset);
/* The same, read when it is not there, pinned. In a fiber. 0 or -errno. */
int qcache_get(struct qcache *c, uint64_t offset, struct qslice **out);
/* Pinned, all zeros, not read: for a table that is being made. */
int qcache_get_new(struct qcache *c, uint64_t offset, struct qslice **out);
void qcache_put(struct qcache *c, struct qslice *s);
/* It was changed. meta held. */
void qcache_mark_dirty(struct qcache *c, struct qslice *s);
/* It is on disk as it is. */
void qcache_mark_clean(struct qcache *c, struct qslice *s);
/* Write what is dirty, neighbours in one request. meta held. In a fiber. */
int qcache_write(struct qcache *c);
/* Forget what lies in a range, dirty or not: a table that is no more. */
void qcache_forget(struct qcache *c, uint64_t offset, uint64_t len);

/* --- the image ------------------------------------------------------------ */

/* An allocating write on its way: others to these clusters wait for it. */
struct qinflight {
	uint64_t start, end; /* guest bytes, whole clusters */
	struct fiber_queue waiters;
	struct list node;
};

/* Clusters to count down after the next commit. */
struct qpending {
	uint64_t host, len;
	unsigned epoch; /* given up in it */
	bool durable;   /* no reference to it is left on disk */
	struct list node;
};

struct qcow2 {
	struct node node;
	struct node *file; /* metadata, and data when there is no data file */
	struct node *data; /* data file, or = file */
	struct node *backing; /* or NULL */
	struct qcow2_opts opts;
	struct qheader h;

	uint32_t cluster_size, cluster_bits;
	unsigned l2_entry_bytes; /* 8, or 16 with subclusters */
	unsigned l2_bits;        /* entries of an L2 table: 1 << l2_bits */
	unsigned subclusters;    /* of a cluster: 32 or 1 */
	uint32_t subcluster_size;

	struct fiber_lock meta;
	bool keep_zeroes; /* see qcow2_keep_zeroes() */
	bool corrupt;     /* found so: no writes any more */
	bool written;     /* autoclear bits are cleared, dirty is set */
	bool active;
	bool marking;              /* a fiber writes the corrupt bit */
	struct fiber_queue marked; /* waits for that */
	struct list inflight;      /* struct qinflight */
	struct fiber_room fills;   /* cow.c */

	/* map.c */
	uint64_t *l1;      /* host order, h.l1_entries */
	uint8_t *l1_dirty; /* bitmap of 512-byte pieces of the L1 table */
	bool l1_any_dirty;
	struct qcache l2;

	/* read.c, unpack.c */
	struct qread_part *read_pool; /* to use again, by write.c too */
	unsigned read_pooled;
	struct qunpacked *unpacked; /* clusters decompressed last */

	/* refcount.c, alloc.c */
	uint64_t *rt; /* refcount table, host order; rt_entries */
	uint64_t rt_entries;
	unsigned rb_bits; /* counts of a refcount block: 1 << rb_bits */
	/* A larger table's place, when the one on disk is too small. */
	uint64_t rt_new, rt_new_clusters;
	struct qcache rb;
	uint64_t free_hint;     /* host cluster to look from */
	uint64_t file_end;      /* host clusters from here on were never used */
	uint64_t fresh_from;    /* file_end before the last qalloc_*() */
	uint64_t bytes_next;    /* compressed data goes on here, 0 = none */
	struct list pending;    /* struct qpending */
	struct list new_blocks; /* refcount blocks not in the table on disk */
	/* Direct reads and writes (no L2 change) in flight that began in an
	 * epoch. What is given up in epoch E is free when none of E or before
	 * is left. See qdirect_begin(). */
	unsigned epoch;
	unsigned direct[2];
	uint64_t commits_begun, commits_ok; /* qflush() */

	/* metaset.c: host clusters of tables, for overlap checks */
	uint64_t *metaset;
	uint64_t metaset_mask, metaset_count;

	/* snapshot.c */
	struct qsnap *snaps;
	uint32_t nsnaps;      /* = h.nsnapshots, but in a damaged image */
	uint64_t snaps_bytes; /* of the table in the image */
};

static inline struct qcow2 *qcow2_of(const struct node *n)
{
	return container_of(n, struct qcow2, node);
}

/* Log, once, and set the corrupt bit: the image is not written any more. In
 * a fiber or not: the bit is written by a fiber of its own. */
void qcow2_mark_corrupt(struct qcow2 *q, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/*
 * Before the first change since open: clear unknown and bitmap autoclear
 * bits; with lazy refcounts set the dirty bit; sync. meta held, in a fiber.
 */
int qcow2_begin_writing(struct qcow2 *q);

/* Refcounts and tables on disk agree: clear the dirty bit, sync. meta held
 * or nobody else about, in a fiber. 0 or -errno. */
int qstate_clear_dirty(struct qcow2 *q);
/* Wait until qcow2_mark_corrupt() has written what it writes. In a fiber,
 * without meta. */
void qstate_wait_marked(struct qcow2 *q);

/* --- metaset.c ------------------------------------------------------------ */

int qmeta_add(struct qcow2 *q, uint64_t host, uint64_t len);
void qmeta_del(struct qcow2 *q, uint64_t host, uint64_t len);
/* Does a range of the image meet the header or a table? No waiting. */
bool qmeta_hits(const struct qcow2 *q, uint64_t host, uint64_t len);

/* --- map.c: from guest offsets to the image ------------------------------- */

enum qkind {
	QMAP_NONE, /* what backs it, or zeros */
	QMAP_ZERO, /* zeros; host is kept for it when has_host */
	QMAP_DATA,
	QMAP_COMPRESSED, /* one cluster */
};

struct qmap {
	enum qkind kind;
	uint64_t len; /* guest bytes that are so, one after the other in host */
	uint64_t host;     /* of the byte asked for; compressed: of the data */
	uint32_t host_len; /* compressed: bytes (an upper bound) */
	bool has_host;
	bool copied; /* nobody else uses the clusters: write in place */
};

/*
 * What is at guest offset (len bytes are of interest, > 0, inside the disk)?
 * peek: without waiting, -EAGAIN when a slice is missing. get: in a fiber.
 * 0, or -EIO (also for an entry that is not right, which marks corrupt).
 */
int qmap_peek(struct qcow2 *q, uint64_t offset, uint64_t len, struct qmap *out);
int qmap_get(struct qcow2 *q, uint64_t offset, uint64_t len, struct qmap *out);

/*
 * The pinned slice with the entry of offset, for changing it, and the entry's
 * index in the slice: makes the L2 table, or a copy of one that a snapshot
 * shares. meta held, in a fiber.
 */
int qmap_l2_for_write(struct qcow2 *q, uint64_t offset, struct qslice **out,
	unsigned *index);

/* An entry as it is in a slice: 64-bit word, and the subcluster bitmap (0
 * without subclusters). */
uint64_t qmap_entry(const struct qcow2 *q, const struct qslice *s,
	unsigned index, uint64_t *bitmap);
void qmap_set_entry(struct qcow2 *q, struct qslice *s, unsigned index,
	uint64_t entry, uint64_t bitmap);

/* At activate: the L1 table, and q->l2 unless it is there. */
int qmap_read_l1(struct qcow2 *q, struct err *e);
void qmap_close(struct qcow2 *q);   /* both; harmless before */
int qmap_write_l1(struct qcow2 *q); /* dirty pieces; part of qcommit() */
/* L1 entry i changes in memory. meta held. */
void qmap_set_l1(struct qcow2 *q, uint64_t i, uint64_t entry);

/* Of n entries: 512-byte pieces, and bytes of l1_dirty. */
static inline uint64_t qmap_l1_pieces(uint64_t n)
{
	return (n * 8 + 511) / 512;
}

static inline uint64_t qmap_l1_dirty_bytes(uint64_t n)
{
	return qmap_l1_pieces(n) / 8 + 1;
}

/* Where the L2 entry of a guest offset is. */
struct qplace {
	uint64_t l1_index;
	uint64_t table; /* L2 table in the image, 0 = none */
	uint64_t slice; /* slice in the image */
	unsigned index; /* of the entry in the slice */
	bool copied;    /* the table is nobody else's */
};

/* 0, or -EIO when the L1 entry is wrong, which marks corrupt. No waiting. */
int qmap_place(struct qcow2 *q, uint64_t offset, struct qplace *p);

#define QL1_COPIED   (UINT64_C(1) << 63)
#define QL1_OFFSET   UINT64_C(0x00fffffffffffe00)
#define QL1_RESERVED UINT64_C(0x7f000000000001ff)

#define QL2_COPIED     (UINT64_C(1) << 63)
#define QL2_COMPRESSED (UINT64_C(1) << 62)
#define QL2_ZERO       UINT64_C(1) /* version 3, without subclusters */
#define QL2_OFFSET     UINT64_C(0x00fffffffffffe00)
#define QL2_RESERVED   UINT64_C(0x3f000000000001fe)

/* Take a compressed entry apart: offset and length in the image. False = it
 * makes no sense. */
bool qmap_compressed(const struct qcow2 *q, uint64_t entry, uint64_t *host,
	uint32_t *len);

/* --- read.c, status.c ----------------------------------------------------- */

void qread_submit(struct qcow2 *q, struct blk_req *r); /* with the hot path */
void qread_close(struct qcow2 *q); /* nothing in flight; harmless before */
/* Guest bytes into buf, from wherever they are. In a fiber. */
int qread(struct qcow2 *q, uint64_t offset, void *buf, uint64_t len);
void qstatus_submit(struct qcow2 *q, struct blk_req *r);

/* --- compress.c ----------------------------------------------------------- */

/* By the image's type, on a worker thread; in a fiber. The length, or
 * -ENOSPC when it does not get smaller than max, or -errno. */
int64_t qcomp_pack(struct qcow2 *q, void *dst, uint64_t max, const void *src,
	uint64_t len);
/* Exactly len bytes must come out, else -EIO. */
int qcomp_unpack(struct qcow2 *q, void *dst, uint64_t len, const void *src,
	uint64_t src_len);

/* --- refcount.c, alloc.c, commit.c ---------------------------------------- */

int qref_open(struct qcow2 *q, struct err *e); /* reads the refcount table */
void qref_close(struct qcow2 *q);
int qref_get(struct qcow2 *q, uint64_t cluster, uint64_t *count);
/* Add delta to the counts of n clusters: -EIO below 0, -ERANGE above the
 * width's most. Makes refcount blocks that are missing. meta held. Fiber. */
int qref_add(struct qcow2 *q, uint64_t cluster, uint64_t n, int64_t delta);

/*
 * 1 to n clusters in a row with count 1, for data; *got of them. near = where
 * they would continue what is there (0 = anywhere). meta held, in a fiber.
 */
int qalloc_clusters(struct qcow2 *q, uint64_t n, uint64_t near, uint64_t *host,
	uint64_t *got);
/* All n in a row, for a table; they are in the metaset then. */
int qalloc_table(struct qcow2 *q, uint64_t n, uint64_t *host);
/* len bytes for compressed data, counts raised. */
int qalloc_bytes(struct qcow2 *q, uint64_t len, uint64_t *host);
/* Is what the last qalloc_*() gave from host on sure to read as zeros, as
 * nobody wrote there before? Before anybody waits. */
bool qalloc_is_fresh(const struct qcow2 *q, uint64_t host);

/* Never referenced on disk: count down now. */
int qfree_now(struct qcow2 *q, uint64_t host, uint64_t len);
/* Whatever bytes lie in: each cluster they touch once, after the reference
 * is durably gone. Cannot fail: a lack of memory leaves a leak. */
void qfree_later(struct qcow2 *q, uint64_t host, uint64_t len);
/* What an L2 entry refers to, by its kind (with qfree_later()). A table is not
 * given up: that marks the image corrupt. */
void qfree_entry(struct qcow2 *q, uint64_t entry);

/* The order at the head of this file. meta held, in a fiber. */
int qcommit(struct qcow2 *q);
/* Too much is dirty: commit, so that the caches stay in their bounds. */
int qcommit_if_full(struct qcow2 *q);
/*
 * qcommit() until nothing is dirty or waits to be freed, refcounts with lazy
 * refcounts too: at close, and before what changes the image as a whole.
 * Nothing direct may be in flight. meta held, in a fiber.
 */
int qcommit_all(struct qcow2 *q);

/*
 * Around I/O on host clusters without meta, from the look at the map to the
 * end of it, so that they are not used anew meanwhile. No waiting.
 */
static inline unsigned qdirect_begin(struct qcow2 *q)
{
	unsigned slot = q->epoch & 1;

	q->direct[slot]++;
	return slot;
}

static inline void qdirect_end(struct qcow2 *q, unsigned slot)
{
	q->direct[slot]--;
}

/*
 * Hand all of r on to child, as one request at offset there, and be through
 * when that is (read.c). slot is qdirect_begin()'s and ends with it.
 */
void qdirect_submit(struct qcow2 *q, struct blk_req *r, struct node *child,
	uint64_t offset, unsigned slot);

/* --- write.c, zero.c ------------------------------------------------------ */

void qwrite_submit(struct qcow2 *q, struct blk_req *r);
void qflush_submit(struct qcow2 *q, struct blk_req *r);
/* What was acknowledged is durable when it returns 0. In a fiber, without
 * meta; flushes at the same time share a commit. */
int qflush(struct qcow2 *q);
/* Guest bytes from iov. In a fiber, without meta. 0 or -errno. */
int qwrite(struct qcow2 *q, uint64_t offset, const struct iovec *iov, int niov,
	uint64_t len);
void qzero_submit(struct qcow2 *q, struct blk_req *r); /* and discard */
/* Wait until no allocating write of [start, end) is on its way. meta held
 * before and after, dropped meanwhile. True = it was dropped: look anew. */
bool qwrite_wait_overlap(struct qcow2 *q, uint64_t start, uint64_t end);

/* --- snapshot.c ----------------------------------------------------------- */

struct qsnap {
	uint64_t l1_offset;
	uint32_t l1_entries;
	struct qcow2_snapshot s;
	/* extra data, id and name as in the image, one after the other: kept,
	 * with what we do not know and what does not fit in s */
	uint8_t *raw;
	uint32_t extra_len;
	uint16_t id_len, name_len;
};

int qsnap_read(struct qcow2 *q, struct err *e); /* at activate */
void qsnap_fini(struct qcow2 *q);

#endif
