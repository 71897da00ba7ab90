/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Guest-physical memory. The one place where a guest address becomes a host
 * pointer, always with a length. Guest RAM is one mapping, split at the
 * holes of a PC: [0, 0xA0000), [0xC0000, low end), [4 GiB, ...). It is a
 * memfd where that gets huge pages, else private memory (gmem.c says why).
 * Other memory that the guest sees directly (VRAM, ROM) is a block of its own,
 * shown through views that can be mapped, moved and dirty-logged.
 *
 * RAM never goes away while the guest lives, so pointers into it stay good
 * until gmem_free(). Reads and writes through them race with the guest by
 * nature: copy once, then check.
 *
 * Locks: one LOCK_BUS lock for the slots; look-ups of RAM take none.
 */
#ifndef VM_CORE_GMEM_H
#define VM_CORE_GMEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "vm/base/err.h"

typedef uint64_t gpa_t;

#define GPA_NONE UINT64_MAX

/* The PC's memory map (MACHINE.md 1; same as QEMU's q35 where guests see it) */
#define GMEM_VGA_BASE   UINT64_C(0xA0000)
#define GMEM_VGA_END    UINT64_C(0xC0000)
#define GMEM_LOW_MAX    UINT64_C(0x80000000) /* low RAM when RAM > 2.75 GiB */
#define GMEM_LOW_LIMIT  UINT64_C(0xB0000000) /* else low RAM may reach here */
#define GMEM_ECAM_BASE  UINT64_C(0xB0000000)
#define GMEM_ECAM_SIZE  UINT64_C(0x10000000)
#define GMEM_PCI32_BASE UINT64_C(0xC0000000)
#define GMEM_PCI32_END  UINT64_C(0xFEC00000)
#define GMEM_HIGH_BASE  UINT64_C(0x100000000)

struct kvm_vm;
struct gmem;
struct gmem_block; /* host memory for one device: VRAM, ROM */

/* One window of a block in guest space: a KVM memslot when mapped. */
struct gmem_view;

enum gmem_view_flags {
	GMEM_ROM = 1,   /* guest reads only; its writes come as MMIO exits */
	GMEM_DIRTY = 2, /* KVM logs pages that the guest writes */
};

/*
 * Make guest RAM of size bytes (a multiple of 4 KiB, at least 1 MiB) in vm.
 * hugepages = from hugetlbfs, else transparent huge pages are advised.
 * vm is borrowed (NULL in unit tests: then no memslots are set).
 * 0, -ENOMEM, -EINVAL with e naming the mend.
 */
int gmem_new(struct kvm_vm *vm, uint64_t size, bool hugepages,
	struct gmem **out, struct err *e);
/* All vCPUs and devices are gone. Unmaps and frees views and blocks too. */
void gmem_free(struct gmem *g);

/* What RAM this host would get; for the doctor. Thread: any. */
enum gmem_kind {
	GMEM_SHARED_HUGE,  /* memfd, transparent huge pages */
	GMEM_PRIVATE_HUGE, /* private memory, transparent huge pages */
	GMEM_SMALL,        /* memfd, 4 KiB pages */
};
enum gmem_kind gmem_kind(void);

uint64_t gmem_size(const struct gmem *g);     /* bytes of RAM */
uint64_t gmem_low_end(const struct gmem *g);  /* end of RAM below 4 GiB */
uint64_t gmem_high_end(const struct gmem *g); /* 4 GiB or end of RAM above */
/* Bytes of RAM really held; of a large guest as some seconds ago. */
uint64_t gmem_resident(struct gmem *g);

/*
 * Copy between guest RAM and buf. -EFAULT when any byte is not RAM (then
 * nothing, or a front part, was copied). Thread: any.
 */
int gmem_read(struct gmem *g, gpa_t gpa, void *buf, uint64_t len);
int gmem_write(struct gmem *g, gpa_t gpa, const void *buf, uint64_t len);

/* As gmem_read(), but also from one view that is mapped (register dumps). */
int gmem_peek(struct gmem *g, gpa_t gpa, void *buf, uint64_t len);

/*
 * Make [gpa, gpa+len) read as zeroes. Whole pages (huge ones where RAM may
 * have such) are given back to the host, so that this touches little memory
 * that the guest has not touched. -EFAULT when any byte is not RAM. Thread:
 * any.
 */
int gmem_zero(struct gmem *g, gpa_t gpa, uint64_t len);

/*
 * Turn guest range [gpa, gpa+len) into host pieces, all inside RAM. Returns
 * the number of pieces (1..max), -EFAULT if any byte is not RAM, -E2BIG if
 * more than max are needed, -EINVAL for len 0. Thread: any.
 */
int gmem_iov(struct gmem *g, gpa_t gpa, uint64_t len, struct iovec *iov,
	int max);

/* Host pointer to [gpa, gpa+len) when it is one piece of RAM, else NULL. */
void *gmem_host(struct gmem *g, gpa_t gpa, uint64_t len);

/*
 * Dirty rate of RAM: start logging, later fetch-and-clear the number of
 * pages (4 KiB) written since. Logging costs the guest faults, so it is on
 * only while somebody measures. Thread: any.
 */
int gmem_dirty_start(struct gmem *g);
void gmem_dirty_stop(struct gmem *g);
int64_t gmem_dirty_fetch(struct gmem *g); /* pages, or -errno */

/* size bytes (rounded up to 4 KiB) of zeroed host memory; g owns the block. */
int gmem_block_new(struct gmem *g, const char *name, uint64_t size,
	struct gmem_block **out, struct err *e);
void *gmem_block_ptr(struct gmem_block *b);
uint64_t gmem_block_size(const struct gmem_block *b);

/*
 * A window on [off, off+len) of b, page-aligned, not mapped yet; g owns it.
 * flags: enum gmem_view_flags.
 */
int gmem_view_new(struct gmem_block *b, uint64_t off, uint64_t len,
	unsigned flags, struct gmem_view **out, struct err *e);

/*
 * Show the view at gpa (page-aligned; moves it when it is mapped elsewhere),
 * or hide it. A place that overlaps RAM or another mapped view, or lies past
 * the guest's physical address width, is -EEXIST or -EINVAL and the view is
 * then not mapped: the guest asked for it, it sees no memory there.
 * Thread: any (vCPUs may run).
 */
int gmem_view_map(struct gmem_view *v, gpa_t gpa);
void gmem_view_unmap(struct gmem_view *v);

/*
 * Change what part of the block a view shows (VGA banks). 0 or -errno. Fetch
 * what was written to the part shown before, if that matters: see below.
 */
int gmem_view_shift(struct gmem_view *v, uint64_t off);

/*
 * OR into bitmap (one bit a 4 KiB page of the view's window, len/4096 bits)
 * the pages that the guest wrote since the last fetch, and clear KVM's log.
 * Writes by host code are not in it. Returns 1 if any bit was set, 0 if
 * none, -errno (-EINVAL: made without GMEM_DIRTY). Moving, unmapping or
 * shifting a view loses KVM's log, so the next fetch then gives all pages,
 * once; after that a view that is not mapped has none. Thread: any.
 */
int gmem_view_dirty(struct gmem_view *v, uint64_t *bitmap);

#endif
