/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Address decoding. The mapped regions are kept in order of precedence; from
 * them a table of spans is made that is sorted by address and free of
 * overlaps. Each exit looks its address up in the spans, so that look-up
 * takes no lock: a sequence number is odd while the table is being changed
 * and readers try again when it moved. All that readers touch is atomic.
 *
 * Locks: lock (rank BUS) guards the regions and the writing of spans; flush
 * (below all devices, which its holder calls) keeps gathered writes in order.
 */
#include "vm/core/bus.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/bytes.h"
#include "vm/base/lock.h"
#include "vm/base/sizes.h"

#include "vm/kvm/kvm.h"

#define BUS_REGIONS_MAX 256
/* Each region adds two edges, so there are at most two spans a region. */
#define BUS_SPANS_MAX (2 * BUS_REGIONS_MAX)
#define BUS_TRIES_MAX 64
#define BUS_FLUSH_MAX 1024 /* several times what KVM's ring holds */
/* Held while devices are called, so it ranks before theirs and PCI's. */
#define BUS_FLUSH_RANK ((enum lock_rank)(LOCK_VM + 2))

struct bus_span {
	_Atomic uint64_t first, last; /* both inclusive */
	_Atomic uint64_t base;        /* of the region */
	_Atomic(struct bus_region *) region;
};

struct bus {
	struct kvm_vm *vm;
	bool ports;
	uint64_t limit;

	struct lock lock;
	struct bus_region *regions[BUS_REGIONS_MAX]; /* guarded by lock */
	unsigned nregions;                           /* likewise */

	/* written under lock, read by sequence */
	_Atomic unsigned seq;
	_Atomic unsigned nspans;
	struct bus_span spans[BUS_SPANS_MAX];

	struct lock flush;
	_Atomic bool flushing; /* writes were taken but not yet passed on */
};

int bus_new(struct kvm_vm *vm, bool ports, uint64_t limit, struct bus **out,
	struct err *e)
{
	struct bus *b = calloc(1, sizeof(*b));

	if (!b)
		return err_set(e, ENOMEM, "no memory for a bus");
	b->vm = vm;
	b->ports = ports;
	b->limit = limit;
	lock_init(&b->lock, ports ? "port bus" : "mmio bus", LOCK_BUS);
	lock_init(&b->flush, "gathered writes", BUS_FLUSH_RANK);
	*out = b;
	return 0;
}

void bus_free(struct bus *b)
{
	if (!b)
		return;
	lock_fini(&b->flush);
	lock_fini(&b->lock);
	free(b);
}

/* --- the table of spans --- */

struct span { /* while the table is made */
	uint64_t first, last;
	struct bus_region *region;
};

struct span_table {
	struct span span[BUS_SPANS_MAX];
	unsigned n;
};

static void span_insert(struct span_table *t, unsigned at, uint64_t first,
	uint64_t last, struct bus_region *r)
{
	if (t->n == BUS_SPANS_MAX) /* cannot be: see BUS_SPANS_MAX */
		return;
	memmove(&t->span[at + 1], &t->span[at],
		(t->n - at) * sizeof(t->span[0]));
	t->span[at] = (struct span){ first, last, r };
	t->n++;
}

/* Add what no region before r has taken. */
static void span_add(struct span_table *t, struct bus_region *r)
{
	uint64_t at = r->base, last = r->base + r->len - 1;
	unsigned i = 0;

	while (i < t->n && t->span[i].last < at)
		i++;
	for (; i < t->n && t->span[i].first <= last; i++) {
		if (t->span[i].first > at) {
			span_insert(t, i, at, t->span[i].first - 1, r);
			i++;
		}
		if (t->span[i].last >= last)
			return;
		at = t->span[i].last + 1;
	}
	span_insert(t, i, at, last, r);
}

/* Make the spans anew from the regions. */
static void bus_rebuild_locked(struct bus *b)
{
	struct span_table t;
	unsigned seq = atomic_load_explicit(&b->seq, memory_order_relaxed);

	t.n = 0;
	for (unsigned i = 0; i < b->nregions; i++)
		span_add(&t, b->regions[i]);
	atomic_store_explicit(&b->seq, seq + 1, memory_order_relaxed);
	/*
	 * Each store below orders those before it (release), and each of a
	 * reader's loads those after it (acquire): who meets a new value in a
	 * span finds the number moved.
	 */
	for (unsigned i = 0; i < t.n; i++) {
		struct bus_span *s = &b->spans[i];

		atomic_store_explicit(&s->first, t.span[i].first,
			memory_order_release);
		atomic_store_explicit(&s->last, t.span[i].last,
			memory_order_release);
		atomic_store_explicit(&s->base, t.span[i].region->base,
			memory_order_release);
		atomic_store_explicit(&s->region, t.span[i].region,
			memory_order_release);
	}
	atomic_store_explicit(&b->nspans, t.n, memory_order_release);
	atomic_store_explicit(&b->seq, seq + 2, memory_order_release);
}

struct hit { /* where an address leads */
	struct bus_region *region;
	uint64_t off;
	uint64_t left; /* bytes up to the end of the span, >= 1 */
};

static bool span_match(const struct bus_span *s, uint64_t addr, struct hit *h)
{
	uint64_t first = atomic_load_explicit(&s->first, memory_order_acquire);
	uint64_t last = atomic_load_explicit(&s->last, memory_order_acquire);

	if (addr < first || addr > last)
		return false;
	h->region = atomic_load_explicit(&s->region, memory_order_acquire);
	h->off = addr - atomic_load_explicit(&s->base, memory_order_acquire);
	h->left = last - addr + 1;
	return true;
}

static bool span_search(const struct bus *b, uint64_t addr, struct hit *h)
{
	unsigned n = atomic_load_explicit(&b->nspans, memory_order_acquire);
	unsigned low = 0, high = n < BUS_SPANS_MAX ? n : BUS_SPANS_MAX;

	while (low < high) {
		unsigned mid = (low + high) / 2;
		const struct bus_span *s = &b->spans[mid];

		if (addr <
			atomic_load_explicit(&s->first, memory_order_acquire))
			high = mid;
		else if (addr >
			 atomic_load_explicit(&s->last, memory_order_acquire))
			low = mid + 1;
		else
			return span_match(s, addr, h);
	}
	return false;
}

/* The region at addr, or false. */
static bool bus_find(struct bus *b, uint64_t addr, struct hit *h)
{
	for (int i = 0; i < BUS_TRIES_MAX; i++) {
		unsigned seq =
			atomic_load_explicit(&b->seq, memory_order_acquire);
		bool found = span_search(b, addr, h);

		if (!(seq & 1) && seq == atomic_load_explicit(&b->seq,
						 memory_order_relaxed))
			return found;
	}
	/* somebody maps all the time: wait for him */
	LOCK_GUARD(&b->lock);
	return span_search(b, addr, h);
}

/* --- mapping --- */

static void bus_remove_locked(struct bus *b, struct bus_region *r)
{
	unsigned i = 0;

	while (i < b->nregions && b->regions[i] != r)
		i++;
	for (; i + 1 < b->nregions; i++)
		b->regions[i] = b->regions[i + 1];
	b->nregions--;
	r->mapped = false;
}

/* Fixed ones first, then BARs, each in the order they came. */
static void bus_insert_locked(struct bus *b, struct bus_region *r)
{
	unsigned i = b->nregions++;

	for (; i > 0 && b->regions[i - 1]->prio < r->prio; i--)
		b->regions[i] = b->regions[i - 1];
	b->regions[i] = r;
	r->mapped = true;
}

int bus_map(struct bus *b, struct bus_region *r, uint64_t base)
{
	int err = 0;

	LOCK_GUARD(&b->lock);
	if (r->mapped && r->base == base)
		return 0;
	if (r->mapped)
		bus_remove_locked(b, r);
	if (r->len == 0 || !size_in(base, r->len, b->limit)) {
		err = -EINVAL;
	} else if (b->nregions == BUS_REGIONS_MAX) {
		err = -ENOSPC;
	} else {
		r->base = base;
		bus_insert_locked(b, r);
	}
	bus_rebuild_locked(b);
	return err;
}

void bus_unmap(struct bus *b, struct bus_region *r)
{
	LOCK_GUARD(&b->lock);
	if (!r->mapped)
		return;
	bus_remove_locked(b, r);
	bus_rebuild_locked(b);
}

/* --- access --- */

static uint64_t all_ones(unsigned size)
{
	return size < 8 ? (UINT64_C(1) << 8 * size) - 1 : UINT64_MAX;
}

static bool size_ok(unsigned size)
{
	return size == 1 || size == 2 || size == 4 || size == 8;
}

/* An access that one handler cannot take: byte by byte, little endian. */
static uint64_t bus_read_bytes(struct bus *b, uint64_t addr, unsigned size)
{
	uint64_t val = 0;

	for (unsigned i = 0; i < size && i < 8; i++)
		val |= bus_read(b, addr + i, 1) << 8 * i;
	return val;
}

static void bus_write_bytes(struct bus *b, uint64_t addr, uint64_t val,
	unsigned size)
{
	for (unsigned i = 0; i < size && i < 8; i++)
		bus_write(b, addr + i, val >> 8 * i & 0xff, 1);
}

/*
 * Does an access that starts at addr, where nothing is, reach a region? One
 * that meets nothing at all is by far the most common: probes.
 */
static bool bus_reaches(struct bus *b, uint64_t addr, unsigned size)
{
	struct hit h;

	for (unsigned i = 1; i < size; i++)
		if (bus_find(b, addr + i, &h))
			return true;
	return false;
}

uint64_t bus_read(struct bus *b, uint64_t addr, unsigned size)
{
	struct hit h;

	if (!bus_find(b, addr, &h)) {
		if (bus_reaches(b, addr, size))
			return bus_read_bytes(b, addr, size);
		return all_ones(size);
	}
	if (!size_ok(size) || h.left < size)
		return bus_read_bytes(b, addr, size);
	if (!h.region->ops->read)
		return all_ones(size);
	return h.region->ops->read(h.region->opaque, h.off, size) &
	       all_ones(size);
}

void bus_write(struct bus *b, uint64_t addr, uint64_t val, unsigned size)
{
	struct hit h;

	if (!bus_find(b, addr, &h)) {
		if (bus_reaches(b, addr, size))
			bus_write_bytes(b, addr, val, size);
		return;
	}
	if (!size_ok(size) || h.left < size)
		bus_write_bytes(b, addr, val, size);
	else if (h.region->ops->write)
		h.region->ops->write(h.region->opaque, h.off,
			val & all_ones(size), size);
}

/* --- writes without an exit --- */

int bus_ioeventfd_add(struct bus *b, uint64_t addr, unsigned size, bool match,
	uint64_t val, int fd)
{
	if ((size && !size_ok(size)) || (!size && (match || b->ports)) ||
		!size_in(addr, size ? size : 1, b->limit))
		return -EINVAL;
	if (!b->vm)
		return 0;
	return kvm_ioeventfd(b->vm, b->ports, addr, size, match, val, fd, true);
}

void bus_ioeventfd_del(struct bus *b, uint64_t addr, unsigned size, bool match,
	uint64_t val, int fd)
{
	if (b->vm)
		kvm_ioeventfd(b->vm, b->ports, addr, size, match, val, fd,
			false);
}

int bus_coalesce(struct bus *b, uint64_t addr, uint64_t len, bool on)
{
	if (b->ports || len == 0 || !size_in(addr, len, b->limit))
		return -EINVAL;
	if (!b->vm)
		return 0;
	return kvm_coalesce(b->vm, addr, len, on);
}

void bus_flush(struct bus *b)
{
	struct kvm_write w;

	if (!b->vm || b->ports)
		return;
	/* in this order: flushing is set before the ring gets empty */
	if (!kvm_coalesced_any(b->vm) && !atomic_load(&b->flushing))
		return;
	/*
	 * The lock is held over the handlers: a vCPU must not pass a later
	 * write on, or read, before its earlier write has arrived, which
	 * another vCPU may have taken from the ring.
	 */
	LOCK_GUARD(&b->flush);
	atomic_store(&b->flushing, true);
	/* a bound, as another vCPU may be filling the ring all the while */
	for (int i = 0; i < BUS_FLUSH_MAX && kvm_coalesced_pop(b->vm, &w); i++)
		bus_write(b, w.addr, get_le(w.data, w.len), w.len);
	atomic_store(&b->flushing, false);
}
