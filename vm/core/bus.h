/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Address decoding for what traps: one bus for ports (16 bit), one for MMIO.
 * Devices embed regions and map them; a vCPU's exit finds the region and
 * calls it with the offset. Reads of nothing give all ones, writes to
 * nothing vanish. Where regions overlap the one with the higher prio wins
 * (fixed devices BUS_FIXED, BARs BUS_BAR), so a guest cannot cover the
 * chipset with a BAR; of equals the one that was mapped first.
 *
 * An access never reaches past the end of a region: one that straddles is
 * split into bytes. The handler runs on the vCPU's thread with no bus lock
 * held; devices live until all vCPUs have stopped, so a handler may run once
 * more after bus_unmap() returned on another thread.
 */
#ifndef VM_CORE_BUS_H
#define VM_CORE_BUS_H

#include <stdbool.h>
#include <stdint.h>

#include "vm/base/err.h"

struct bus;
struct kvm_vm;

enum bus_prio { BUS_BAR, BUS_FIXED };

struct bus_ops {
	/*
	 * size is 1, 2, 4 or 8; the value is in the low bytes. Either may be
	 * NULL: reads of it give all ones, writes to it vanish.
	 */
	uint64_t (*read)(void *opaque, uint64_t off, unsigned size);
	void (*write)(void *opaque, uint64_t off, uint64_t val, unsigned size);
};

struct bus_region {
	const char *name;
	const struct bus_ops *ops;
	void *opaque;
	uint64_t len;
	enum bus_prio prio;
	/* private to bus.c */
	uint64_t base;
	bool mapped;
};

/* limit: highest address + 1 (0x10000 for ports). vm may be NULL in tests. */
int bus_new(struct kvm_vm *vm, bool ports, uint64_t limit, struct bus **out,
	struct err *e);
void bus_free(struct bus *b);

/*
 * Map or move r to base; unmap it. -EINVAL when it does not fit below the
 * limit, -ENOSPC when the map is full. Thread: any.
 */
int bus_map(struct bus *b, struct bus_region *r, uint64_t base);
void bus_unmap(struct bus *b, struct bus_region *r);

/* What a vCPU exit does. Thread: vCPU. */
uint64_t bus_read(struct bus *b, uint64_t addr, unsigned size);
void bus_write(struct bus *b, uint64_t addr, uint64_t val, unsigned size);

/*
 * Let KVM signal eventfd fd instead of exiting when the guest writes addr
 * with this size (0 = any size, MMIO only) and, where match, the value.
 * 0 or -errno (-EEXIST when the place is taken). del undoes the very same.
 */
int bus_ioeventfd_add(struct bus *b, uint64_t addr, unsigned size, bool match,
	uint64_t val, int fd);
void bus_ioeventfd_del(struct bus *b, uint64_t addr, unsigned size, bool match,
	uint64_t val, int fd);

/*
 * Let KVM gather the guest's writes to [addr, addr+len) in a ring that is
 * flushed to bus_write() before the next exit is handled (VGA planes). MMIO
 * only. 0, -EINVAL, or -ENOTSUP where KVM cannot: the writes then exit.
 */
int bus_coalesce(struct bus *b, uint64_t addr, uint64_t len, bool on);

/*
 * Pass gathered writes on now. vCPUs do it at each exit; who looks at the
 * outcome without an exit (a screen being refreshed) calls it first, with no
 * lock held. Costs two loads when there is nothing. Thread: any.
 */
void bus_flush(struct bus *b);

#endif
