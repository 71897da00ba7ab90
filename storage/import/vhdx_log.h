/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The log of a VHDX ([MS-VHDX] 2.3): changes to its tables that were promised
 * and are perhaps not in the file. They are read and checked, and laid over
 * the file in memory; the file itself is never written.
 */
#ifndef STORAGE_IMPORT_VHDX_LOG_H
#define STORAGE_IMPORT_VHDX_LOG_H

#include "storage/core/node.h"
#include "storage/import/vhdx_overlay.h"

#define VHDX_LOG_MAX (UINT32_C(32) << 20) /* bytes that are replayed */

struct vhdx_log {
	uint64_t offset; /* in the file, bytes */
	uint32_t len;    /* a multiple of 1 MiB */
	uint8_t guid[16];
};

/*
 * Read the log of file, whose size is *file_size, into *out (zeroed before;
 * vhdx_overlay_fini()). *file_size becomes what the log makes of it. 0, or
 * -errno with e filled: -EINVAL the log, or the file by what the log says,
 * is damaged; -ENOTSUP it is too large. In a fiber.
 */
int vhdx_log_read(struct node *file, const struct vhdx_log *log,
	uint64_t *file_size, struct vhdx_overlay *out, struct err *e);

#endif
