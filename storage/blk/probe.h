/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which format an image seems to have, by its first bytes. */
#ifndef STORAGE_BLK_PROBE_H
#define STORAGE_BLK_PROBE_H

#include "storage/storage.h"

/* No more is looked at: what a guest may not write is what is looked for. */
#define PROBE_BYTES 512u

struct probe {
	enum blk_format format; /* BLK_AUTO: known by name only, not taken */
	const char *name;       /* of the format, NULL = looks like none: raw */
};

/* head: the first len bytes, PROBE_BYTES unless the image is shorter. */
struct probe probe_head(const void *head, uint64_t len);

/* "qcow2", "auto" ... and back. False: none that we have. */
bool probe_format_of(const char *name, enum blk_format *out);
const char *probe_format_name(enum blk_format format);

#endif
