/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The qcow2 format, versions 2 and 3 (QEMU's docs/interop/qcow2.txt): what
 * the rooms above see of it. All in a fiber on the loop's thread, unless it
 * says otherwise; nothing may be in flight for what changes the whole image
 * (snapshots, resize, rebase). 0 or -errno with e filled.
 */
#ifndef STORAGE_QCOW2_QCOW2_H
#define STORAGE_QCOW2_QCOW2_H

#include "storage/core/node.h"

extern const struct node_ops qcow2_ops;

/* Does an image begin so? head holds len of its first bytes. Thread: any. */
bool qcow2_probe(const void *head, uint64_t len);

/* --- open --- */

struct qcow2_opts {
	bool readonly;
	bool for_check;   /* no repair, the corrupt bit does not matter */
	bool no_discard;  /* discards give nothing back */
	bool header_only; /* nobody will read: a data file is not needed */
};

/*
 * From here on zeros are always recorded, also where nothing backs the image
 * now: it is to get another backing file.
 */
void qcow2_keep_zeroes(struct node *n);

/*
 * Read the header of the image in file and make its node. Takes file when it
 * succeeds. What the image needs besides is asked for and given before the
 * first request: data file, backing, then qcow2_activate().
 */
int qcow2_open(struct node *file, const struct qcow2_opts *o, struct node **out,
	struct err *e);

/* Name as in the header, NULL = has none. *format: "raw", "qcow2" ..., NULL
 * when it is not recorded. Good until close or rebase. */
const char *qcow2_backing_file(const struct node *n, const char **format);
/* Name as in the header; "" = has one without a name; NULL = has none. */
const char *qcow2_data_file(const struct node *n);
/* The header says the data file is the raw image itself. */
bool qcow2_data_file_raw(const struct node *n);

/* Taken; closed with n. NULL backing = what is not here reads as zeros. */
void qcow2_set_backing(struct node *n, struct node *backing);
struct node *qcow2_backing(const struct node *n); /* still n's */
struct node *qcow2_take_backing(struct node *n);  /* the caller's now */
void qcow2_set_data(struct node *n, struct node *data);

/* Read tables, repair what a crash left (dirty bit), be ready. */
int qcow2_activate(struct node *n, struct err *e);

/* --- create --- */

enum qcow2_prealloc {
	QCOW2_PREALLOC_OFF,
	QCOW2_PREALLOC_METADATA,
	QCOW2_PREALLOC_FALLOC,
	QCOW2_PREALLOC_FULL,
};

struct qcow2_create {
	uint64_t size;          /* bytes, multiple of 512; may be 0 */
	unsigned version;       /* 2, 3; 0 = 3 */
	uint32_t cluster_size;  /* 512 ... 2 MiB; 0 = 64 KiB */
	unsigned refcount_bits; /* 1 ... 64; 0 = 16 */
	bool lazy_refcounts, extended_l2;
	bool zstd; /* compressed clusters by zstd, not zlib */
	enum qcow2_prealloc prealloc;
	const char *backing_file, *backing_format; /* or NULL */
	const char *data_file;                     /* or NULL */
	bool data_file_raw;
};

/* Are the options such as the format has? No fiber; any thread. */
int qcow2_create_check(const struct qcow2_create *o, struct err *e);

/*
 * Write an empty image to file, which is empty (or a device); data is the
 * node of the data file or NULL. Keeps neither.
 */
int qcow2_create(struct node *file, struct node *data,
	const struct qcow2_create *o, struct err *e);

/* --- what an image is --- */

struct qcow2_info {
	unsigned version, refcount_bits;
	uint32_t cluster_size;
	uint64_t size;
	bool lazy_refcounts, extended_l2, zstd, dirty, corrupt;
	bool data_file_raw;
	const char *data_file, *backing_file, *backing_format; /* or NULL */
	unsigned nsnapshots;
	uint64_t vm_state_bytes;
};

void qcow2_info(const struct node *n, struct qcow2_info *out);

/* --- internal snapshots --- */

struct qcow2_snapshot {
	char id[32];
	char name[256];
	uint64_t size;          /* of the disk then, bytes */
	uint64_t vm_state_size; /* bytes */
	uint64_t date_s;        /* since 1970 */
	uint32_t date_ns;
	uint64_t vm_clock_ns;
	uint64_t icount; /* UINT64_MAX = not recorded */
};

/* Snapshot i of nsnapshots. -ENOENT past the end. No waiting. */
int qcow2_snapshot_get(const struct node *n, unsigned i,
	struct qcow2_snapshot *out);
/* From here on n, read-only and idle, is that snapshot, its size too. */
int qcow2_snapshot_load(struct node *n, const char *name, struct err *e);
int qcow2_snapshot_create(struct node *n, const char *name, struct err *e);
/* By name, or by id when no name fits: -ENOENT, -EINVAL (two fit). */
int qcow2_snapshot_revert(struct node *n, const char *name, struct err *e);
int qcow2_snapshot_delete(struct node *n, const char *name, struct err *e);

/* --- check and repair --- */

struct qcow2_check {
	uint64_t corruptions, leaks, errors; /* found, and still there */
	uint64_t corruptions_fixed, leaks_fixed;
	/* clusters of the active image; bytes that the file needs */
	uint64_t allocated, compressed, fragmented, total, image_end;
};

enum qcow2_repair {
	QCOW2_REPAIR_NONE = 0,
	QCOW2_REPAIR_LEAKS = 1,
	/* what a crash leaves: counts and COPIED flags. Nothing is dropped: an
	 * image whose tables are damaged stays as it is */
	QCOW2_REPAIR_COUNTS = 2,
	QCOW2_REPAIR_ALL = 3
};

/*
 * progress(arg, done, total) now and then; true = stop with -ECANCELED.
 * tell(arg, line) for each finding, at most a thousand. Both may be NULL.
 * Findings are no error: 0. -errno when the check itself could not go on.
 */
struct qcow2_check_fns {
	bool (*progress)(void *arg, uint64_t done, uint64_t total);
	void (*tell)(void *arg, const char *line);
	void *arg;
};

int qcow2_check(struct node *n, enum qcow2_repair how,
	const struct qcow2_check_fns *fns, struct qcow2_check *out,
	struct err *e);

/* --- change --- */

int qcow2_resize(struct node *n, uint64_t size, enum qcow2_prealloc how,
	struct err *e);

/* Rewrite the header's backing file and format; NULL = none. The node keeps
 * the backing that it has: see qcow2_set_backing(). */
int qcow2_set_backing_name(struct node *n, const char *file, const char *format,
	struct err *e);

/* Drop all clusters (commit is done with them): back to what backs it. */
int qcow2_make_empty(struct node *n, struct err *e);

#endif
