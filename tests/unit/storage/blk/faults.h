/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What tests of faults share: a disk of SIZE bytes whose clusters are each
 * filled with one byte, and what each must read as.
 */
#ifndef TESTS_UNIT_STORAGE_BLK_FAULTS_H
#define TESTS_UNIT_STORAGE_BLK_FAULTS_H

#include "vm/base/sizes.h"

#include "tests/unit/storage/rig.h"

#define CLUSTER (64 * KiB)
#define SIZE    (8 * MiB)
#define BLOCKS  (SIZE / CLUSTER)

struct disk {
	char *path;
	struct blk *b;
	uint8_t fill[BLOCKS];
	bool torn[BLOCKS]; /* a write failed: sectors are old or new */
	uint8_t tried[BLOCKS];
	uint8_t buf[CLUSTER];
	struct log *log; /* rig_path("log") */
};

struct disk *disk_new(const char *path);
void disk_free(struct disk *d);

/* A qcow2 by -o text; backing is raw, or NULL. */
void disk_create(const char *path, const char *options, const char *backing);
void disk_open(struct disk *d, enum blk_format format, enum blk_aio aio,
	enum blk_cache cache);
/* Close, which returns want. */
void disk_end(struct disk *d, int want);

/* Write cluster i full of fill; read it to d->buf. Their error. */
int disk_write(struct disk *d, unsigned i, uint8_t fill);
int disk_read(struct disk *d, unsigned i);
int disk_flush(struct disk *d);

/* It reads as was written. */
void disk_has(struct disk *d);
/* The log has this text. */
void disk_logged(const char *text);
/* An incompatible bit of a qcow2's header; version 2 has none. */
bool disk_has_bit(const char *path, unsigned bit);
/* At most leaks, says QEMU. The image may be open. */
void disk_sound(struct disk *d);

#endif
