/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The snapshot table ("Snapshots" of the format's description) as snapshot.c,
 * check and repair share it.
 */
#ifndef STORAGE_QCOW2_SNAPSHOT_H
#define STORAGE_QCOW2_SNAPSHOT_H

#include "storage/qcow2/impl.h"

#define QSNAP_MAX_EXTRA 1024u /* bytes of extra data, as QEMU has it */

/* A table, and what is wrong with it. */
struct qsnaps {
	struct qsnap *list;
	uint32_t n;
	uint64_t bytes;      /* of the table in the image */
	uint32_t missing;    /* the header counts them, they cannot be read */
	uint32_t incomplete; /* version 3 wants more extra data */
	uint32_t too_long;   /* extra data was cut */
};

/*
 * Read the image's table as far as it can be: what is wrong is in *out, not
 * an error. 0, -ENOMEM or the error of reading. In a fiber.
 */
int qsnaps_read(struct qcow2 *q, struct qsnaps *out);
void qsnaps_free(struct qsnap *list, uint32_t n);

/* The table as it goes into the image; *buf is the caller's. 0, -ENOMEM,
 * -EFBIG. An empty one has no bytes and *buf = NULL. */
int qsnaps_pack(const struct qsnap *list, uint32_t n, uint8_t **buf,
	uint64_t *len);

/* Of one entry, padded. */
uint64_t qsnap_bytes(const struct qsnap *s);

/* By name, or by id when no name fits. 0, or with e filled -ENOENT, -EINVAL
 * (two fit). No waiting. */
int qsnap_find(const struct qcow2 *q, const char *name, uint32_t *out,
	struct err *e);

#endif
