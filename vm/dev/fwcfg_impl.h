/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Inside of fw_cfg, for fwcfg.c and fwcfg_dma.c only. */
#ifndef VM_DEV_FWCFG_IMPL_H
#define VM_DEV_FWCFG_IMPL_H

#include "vm/base/lock.h"

#include "vm/dev/fwcfg.h"

#define FWCFG_PORT          0x510
#define FWCFG_DMA_PORT      0x514
#define FWCFG_FILES_MAX     128
#define FWCFG_KEYS_MAX      32
#define FWCFG_ITEM_MAX      ((size_t)64 << 20)
#define FWCFG_WRITE_CHANNEL 0x4000u /* flag in a key, without meaning */
#define FWCFG_ARCH_LOCAL    0x8000u

struct fwcfg_item {
	char name[FWCFG_NAME_MAX + 1]; /* files */
	unsigned key;                  /* numbered items */
	uint8_t *data;
	size_t len;
	/* writable files */
	uint8_t *first; /* content after reset */
	void (*written)(void *arg, const void *data, size_t len);
	void *arg;
};

struct fwcfg {
	struct device dev;
	struct core *core;
	struct bus_region ctl, dma;
	struct lock lock; /* LOCK_DEVICE; guards all that follows */
	struct fwcfg_item files[FWCFG_FILES_MAX];
	unsigned nfiles;
	struct fwcfg_item keys[FWCFG_KEYS_MAX];
	unsigned nkeys;
	struct fwcfg_item dir;
	bool listed; /* the directory is made, nothing can be added */
	struct fwcfg_item *cur; /* NULL = nothing there: reads give 0 */
	size_t off;             /* <= cur->len */
	uint64_t dma_addr;
	struct log_limit limit;
};

void fwcfg_select_locked(struct fwcfg *f, unsigned key);
/* Bytes of the selected item from the offset on. */
size_t fwcfg_left_locked(const struct fwcfg *f);

extern const struct bus_ops fwcfg_dma_ops;

#endif
