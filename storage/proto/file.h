/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * An image's file on the host: a regular file or a block device, opened,
 * locked and measured.
 */
#ifndef STORAGE_FILE_H
#define STORAGE_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "storage/core/node.h"

struct file {
	int fd;
	bool bdev;              /* block device, else regular file */
	bool direct;            /* O_DIRECT */
	uint64_t size;          /* bytes, rounded down to block_size */
	uint32_t block_size;    /* of offsets and lengths, power of two */
	uint32_t phys_size;     /* a hint */
	uint32_t mem_align;     /* of memory under O_DIRECT, else 1 */
	uint32_t discard_align; /* what a discard should keep to */
};

/*
 * Open o->opts->path as its options say. 0 or -errno with e filled: what
 * blk_open() promises. The caller ends it with file_close().
 */
int file_open(const struct node_open *o, struct file *f, struct err *e);

/* Unlock and close. */
void file_close(struct file *f);

/* Does the image begin as a qcow2 does? */
bool file_is_qcow2(const struct file *f);

#endif
