/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Inside of check and repair (check*.c, repair*.c).
 *
 * A run walks everything that the image refers to, counts the references to
 * each host cluster and compares them with the image's own counts. It reads
 * the file by itself, not through the caches, so it serves images that can
 * not be used. meta is held; in a fiber.
 *
 * Memory: references are counted in pieces of QCHUNK clusters, made where
 * something is found, at most QCHUNK_MAX of them. What does not fit is left
 * to another round over the same tables, from `hi` on. An L2 table that many
 * L1 tables share is walked once and weighs as often as it is used, so the
 * work is bounded by the tables' bytes.
 */
#ifndef STORAGE_QCOW2_CHECK_H
#define STORAGE_QCOW2_CHECK_H

#include "storage/qcow2/refs.h"
#include "storage/qcow2/snapshot.h"

/* --- check_count.c -------------------------------------------------------- */

#define QCHUNK_BITS 10u
#define QCHUNK      (1u << QCHUNK_BITS)
#define QCHUNK_MAX  32768u /* 128 MiB: 2 TiB of 64 KiB clusters in a round */

/* What is known of a cluster: references, and flags above them. */
#define QCOUNT_REFS  UINT32_C(0x0fffffff) /* stays there when it is full */
#define QCOUNT_TABLE UINT32_C(0x80000000)
#define QCOUNT_ONE   UINT32_C(0x10000000) /* the image's count is 1 */
#define QCOUNT_KNOWN UINT32_C(0x20000000) /* it could be read */

struct qchunk {
	uint64_t index; /* its first cluster >> QCHUNK_BITS */
	struct qchunk *next;
	uint32_t v[QCHUNK];
};

struct qcounts {
	uint64_t lo, hi; /* clusters of this round */
	struct qchunk **hash;
	uint32_t mask, n, max;
	bool failed; /* no memory */
};

int qcounts_init(struct qcounts *t, uint64_t clusters);
void qcounts_fini(struct qcounts *t);
/* Begin a round at cluster lo. */
void qcounts_begin(struct qcounts *t, uint64_t lo, uint64_t clusters);
/* The cluster's value to be changed; NULL = not of this round. */
uint32_t *qcounts_get(struct qcounts *t, uint64_t cluster);
/* The same if it is there. */
uint32_t *qcounts_peek(const struct qcounts *t, uint64_t cluster);
/* Pieces in order of their clusters, t->n of them; the caller frees. */
struct qchunk **qcounts_sorted(const struct qcounts *t);

/* --- a run ---------------------------------------------------------------- */

/* What a run mends on its way. */
enum qfix {
	QFIX_ENTRIES = 1, /* of L1 and L2 tables that cannot be right */
	QFIX_LEAKS = 2,
	QFIX_COUNTS = 4, /* too low ones too */
	QFIX_COPIED = 8,
};

/* An L2 table, whoever refers to it. */
struct ql2 {
	uint64_t offset;
	uint32_t uses; /* by L1 entries */
	bool active;   /* the active L1 table is among them */
	bool bad;      /* lies where something else lies, or behind the end */
	bool seen;
};

struct qcheck {
	struct qcow2 *q;
	const struct qcow2_check_fns *fns; /* NULL = quiet */
	struct qcow2_check r;
	unsigned told;
	bool quiet, ran;     /* what the first run tells is all */
	unsigned fix;        /* enum qfix */
	uint32_t max_pieces; /* QCHUNK_MAX, less in tests */

	/* how the image is */
	unsigned bits, l2_bits, l2_entry, rb_bits;
	uint32_t cluster;
	bool has_data_file;
	uint64_t file_bytes, file_clusters;

	/* what is found */
	bool first;       /* round of this run: says what is not by cluster */
	bool damaged;     /* entries or tables are wrong */
	bool rebuild;     /* refcount table or blocks cannot be mended */
	bool bad_bitmaps; /* in the bitmaps extension */
	bool bad_snaps;   /* in the snapshot table */
	uint64_t bad_copied, highest;

	struct qcounts counts;
	uint8_t *buf; /* of a cluster */
	uint64_t *l1; /* active, host order */
	struct qsnaps snaps;
	bool *snap_bad; /* one a snapshot: it is not walked */
	struct ql2 *l2s;
	size_t nl2s, max_l2s;
	uint64_t *rt; /* QRT_BAD = not to be used */
	uint64_t rt_entries;
	uint64_t done, total; /* of progress() */
};

#define QRT_BAD UINT64_C(1)

/* --- check.c --- */

int qcheck_init(struct qcheck *c, struct qcow2 *q,
	const struct qcow2_check_fns *fns, struct err *e);
void qcheck_fini(struct qcheck *c);
/* All stages, or with QFIX_ENTRIES only the walk. 0 or -errno, e filled. */
int qcheck_run(struct qcheck *c, unsigned fix, struct err *e);

/* Findings: counted, told. Corruption that is not one of counts or of COPIED
 * flags also sets damaged. */
void qcheck_bad(struct qcheck *c, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void qcheck_tell(struct qcheck *c, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* Part of the file cannot be read: counted, told. What is not mended yet
 * stays as it is. */
void qcheck_unread(struct qcheck *c, int err, const char *what,
	uint64_t offset);
/* One more step done. True = stop. */
bool qcheck_step(struct qcheck *c);

enum qref { QREF_OK, QREF_BEYOND, QREF_OVERLAP };

/* Does a range end a cluster or more behind the end of the file? */
bool qcheck_is_beyond(const struct qcheck *c, uint64_t host, uint64_t len);
/*
 * Count `uses` references to each cluster of a range: a table's (which must
 * be the only thing there) or data. BEYOND counts nothing.
 */
enum qref qcheck_ref(struct qcheck *c, uint64_t host, uint64_t len,
	uint32_t uses, bool table);

/* --- check_tables.c --- */

int qcheck_load(struct qcheck *c, struct err *e); /* L1, snapshots */
int qcheck_find_l2s(struct qcheck *c);            /* all L1 tables */
int qcheck_count_tables(struct qcheck *c);        /* all but refcounts' */
int qcheck_drop_l1_entries(struct qcheck *c);     /* to bad L2 tables */
struct ql2 *qcheck_l2(struct qcheck *c, uint64_t offset);

/* --- check_bitmaps.c --- */

int qcheck_bitmaps(struct qcheck *c, bool tables);

/* --- check_walk.c --- */

/* Which of the L2 tables are none? They get bad. */
int qcheck_judge_l2s(struct qcheck *c);
int qcheck_walk(struct qcheck *c);
int qcheck_copied(struct qcheck *c);

/* --- check_refs.c --- */

int qcheck_load_rt(struct qcheck *c, struct err *e);
int qcheck_count_refs(struct qcheck *c);
int qcheck_compare(struct qcheck *c);

/* The most that a count holds, and that is told apart here. */
uint64_t qcheck_max_count(unsigned order);

/* --- repair.c, repair_refs.c --- */

/* c has run. It runs again, c->r is what is left then. */
int qrepair(struct qcheck *c, enum qcow2_repair how, struct err *e);
/* New refcount table and blocks in clusters from `at` on, where nothing is. */
int qrepair_rebuild(struct qcheck *c, uint64_t at, struct err *e);

#endif
