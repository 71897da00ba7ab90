/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What gmem.c and gmem_view.c share; nobody else includes this. */
#ifndef VM_CORE_GMEM_IMPL_H
#define VM_CORE_GMEM_IMPL_H

#include <stdatomic.h>

#include "vm/base/list.h"
#include "vm/base/lock.h"

#include "vm/core/gmem.h"

#define GMEM_PAGE       4096u
#define GMEM_RAM_RANGES 3

/* Does [a, a+alen) meet [b, b+blen)? Neither wraps. */
static inline bool gmem_overlap(gpa_t a, uint64_t alen, gpa_t b, uint64_t blen)
{
	return a < b + blen && b < a + alen;
}

struct gmem_range { /* a stretch of RAM in guest space; constant */
	gpa_t gpa;
	uint64_t len;
	uint8_t *host;
	int slot; /* -1 without KVM */
};

struct gmem {
	struct kvm_vm *vm; /* NULL in unit tests */
	int fd;            /* the RAM's memfd, -1 = private memory */
	bool huge;         /* of reserved huge pages */
	uint8_t *ram;
	uint64_t size;     /* bytes of RAM */
	uint64_t map_size; /* of the mapping at ram */
	gpa_t low_end, high_end;
	unsigned phys_bits;
	struct gmem_range range[GMEM_RAM_RANGES];
	unsigned nranges;
	_Atomic uint64_t counted;     /* bytes held when last looked */
	_Atomic uint64_t count_at_ns; /* no look before */

	struct lock lock; /* rank BUS; guards all that follows */
	struct list blocks;
	uint64_t *dirty; /* two bitmaps of dirty_words; NULL = no logging */
	size_t dirty_words;
};

struct gmem_block {
	struct gmem *g;
	const char *name;
	uint8_t *host;
	uint64_t size;
	struct list views; /* guarded by g->lock */
	struct list node;  /* likewise */
};

struct gmem_view {
	struct gmem_block *b;
	uint64_t len;
	unsigned flags;
	int slot; /* -1 without KVM */
	/* guarded by the gmem's lock */
	uint64_t off;
	bool mapped;
	gpa_t gpa;
	uint64_t *scratch; /* GMEM_DIRTY: one bit a page */
	bool all;          /* counts as written whole */
	struct list node;
};

/* Hide and free all views and blocks. */
void gmem_blocks_free(struct gmem *g);

#endif
