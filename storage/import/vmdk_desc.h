/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The text part of a VMDK: what kind of disk it is, and the extents that it
 * is made of (VMware's Virtual Disk Format 5.0, "The Descriptor File").
 * Thread: any, no state.
 */
#ifndef STORAGE_IMPORT_VMDK_DESC_H
#define STORAGE_IMPORT_VMDK_DESC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vm/base/err.h"

#define VMDK_DESC_MAX    (UINT64_C(1) << 20) /* bytes of text */
#define VMDK_EXTENTS_MAX 4096
#define VMDK_NAME_MAX    255

enum vmdk_extent_kind { VMDK_FLAT, VMDK_SPARSE, VMDK_ZERO };

struct vmdk_desc_extent {
	enum vmdk_extent_kind kind;
	uint64_t len;    /* bytes */
	uint64_t offset; /* VMDK_FLAT: bytes into the file */
	char *name;      /* NULL with VMDK_ZERO */
};

struct vmdk_desc {
	char create_type[32];
	unsigned nextents;
	struct vmdk_desc_extent *extents;
};

/* Does text (len bytes) begin as a descriptor? */
bool vmdk_desc_probe(const char *text, size_t len);

/*
 * Parse len bytes of text, which end there or at a NUL. path is for messages.
 * 0 with *out filled (vmdk_desc_fini()), or -errno with e filled and *out
 * empty: -EINVAL damaged, -ENOTSUP a kind that is not for reading alone
 * (deltas, devices).
 */
int vmdk_desc_parse(const char *text, size_t len, const char *path,
	struct vmdk_desc *out, struct err *e);
void vmdk_desc_fini(struct vmdk_desc *d);

#endif
