/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What header.c, header_ext.c and header_write.c share: where the fields are
 * ("Header" and "Header extensions" of the format's description), and a walk
 * over extensions. Thread: any, no state.
 */
#ifndef STORAGE_QCOW2_HEADER_H
#define STORAGE_QCOW2_HEADER_H

#include <stdbool.h>
#include <stdint.h>

#include "storage/qcow2/impl.h"

enum qheader_at {
	QH_MAGIC = 0,
	QH_VERSION = 4,
	QH_BACKING_OFFSET = 8,
	QH_BACKING_LEN = 16,
	QH_CLUSTER_BITS = 20,
	QH_SIZE = 24,
	QH_CRYPT = 32,
	QH_L1_ENTRIES = 36,
	QH_L1_OFFSET = 40,
	QH_RT_OFFSET = 48,
	QH_RT_CLUSTERS = 56,
	QH_NSNAPSHOTS = 60,
	QH_SNAPSHOTS_OFFSET = 64,
	QH_V2_LEN = 72,
	QH_INCOMPATIBLE = 72,
	QH_COMPATIBLE = 80,
	QH_AUTOCLEAR = 88,
	QH_REFCOUNT_ORDER = 96,
	QH_HEADER_LEN = 100,
	QH_V3_LEN = 104, /* at least */
	QH_COMPRESSION = 104,
	QH_OUR_LEN = 112, /* all fields that we know */
};

enum qext_type {
	QEXT_END = 0,
	QEXT_BACKING_FORMAT = (int)0xe2792aca,
	QEXT_FEATURES = 0x6803f857,
	QEXT_BITMAPS = 0x23852875,
	QEXT_CRYPTO = 0x0537be77,
	QEXT_DATA_FILE = 0x44415441,
};

#define QH_MAX_BACKING_LEN 1023u /* bytes of the name */
#define QH_MAX_FORMAT_LEN  63u   /* bytes of its format's name */
#define QH_MAX_DATA_LEN    4095u /* bytes of the data file's name */
#define QEXT_FEATURE_LEN   48u   /* of an entry of the feature name table */

#define QH_INCOMPATIBLE_KNOWN                                                  \
	((uint64_t)(QINCOMPAT_DIRTY | QINCOMPAT_CORRUPT |                      \
		    QINCOMPAT_DATA_FILE | QINCOMPAT_COMPRESSION |              \
		    QINCOMPAT_EXTENDED_L2))

/* Where extensions may lie in a first cluster, by its (checked) fields. */
struct qext_area {
	const uint8_t *buf;
	uint64_t begin, end;
};

struct qext {
	uint32_t type, len;
	const uint8_t *data;
	uint64_t pos, raw_len; /* of all of it in buf, with padding */
};

/*
 * The extension at *pos, which then moves behind it. 1, 0 = there are no
 * more, -EINVAL = it is longer than what there is.
 */
int qext_next(const struct qext_area *a, uint64_t *pos, struct qext *x);

/* Unknown incompatible bits: -ENOTSUP, named as the image names them. */
int qext_check_features(uint64_t incompatible, const struct qext_area *a,
	const char *path, struct err *e);

/* Names and extensions into h. 0, -EINVAL, -ENOTSUP or -ENOMEM. */
int qext_parse(struct qheader *h, const struct qext_area *a, const char *path,
	struct err *e);

/* A string of the image, up to its first NUL, at most len bytes. */
char *qheader_string(const uint8_t *p, uint32_t len);

/* "path: damaged header: ..." with what to do. -EINVAL. */
int qheader_bad(struct err *e, const char *path, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * As qheader_parse() and qheader_read() for an image that shall be checked.
 * 1 = all is right but where the refcount table is, e says what, and h has a
 * place behind the file's end for it, so that a repair makes a new one.
 */
int qheader_parse_damaged(struct qheader *h, const uint8_t *buf, uint64_t len,
	uint64_t file_bytes, const char *path, struct err *e);
int qheader_read_damaged(struct node *file, struct qheader *h, struct err *e);

/*
 * All of the header as it goes into the first cluster: fields, extensions,
 * names. buf has cluster bytes, all overwritten up to *end. -ENOSPC.
 */
int qheader_pack(const struct qheader *h, uint8_t *buf, uint64_t cluster,
	uint64_t *end);

#endif
