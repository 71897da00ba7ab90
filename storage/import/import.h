/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Formats of other programs, for reading only: VMDK (sparse, stream-optimised
 * and flat extents), VDI, VHDX. Open runs in a fiber, takes file when it
 * succeeds and fills *out, or -errno with e filled. Extents that a VMDK
 * descriptor names are opened by open_extent(arg, name, &node, e), which
 * looks only beside the image: a name with a folder in it is refused.
 */
#ifndef STORAGE_IMPORT_IMPORT_H
#define STORAGE_IMPORT_IMPORT_H

#include "storage/core/node.h"

struct import_open {
	struct node *file; /* the image, read-only */
	int (*open_extent)(void *arg, const char *name, struct node **out,
		struct err *e);
	void *arg;
};

int vmdk_open(const struct import_open *o, struct node **out, struct err *e);
int vdi_open(const struct import_open *o, struct node **out, struct err *e);
int vhdx_open(const struct import_open *o, struct node **out, struct err *e);

/* Does an image begin so? head holds len of its first bytes. Thread: any. */
bool vmdk_probe(const void *head, uint64_t len);
bool vdi_probe(const void *head, uint64_t len);
bool vhdx_probe(const void *head, uint64_t len);

#endif
