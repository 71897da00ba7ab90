/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Blocks and views: device memory that the guest sees without an exit. A
 * view is one memslot while it is mapped. KVM cannot move a slot that vCPUs
 * may be using, so moving is hiding and showing again; an access in between
 * exits to the bus like any other that meets no memory. KVM drops the log of
 * a hidden slot, and vCPUs may write up to that moment, so a logged view that
 * was hidden counts as written whole.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "vm/base/sizes.h"

#include "vm/core/gmem_impl.h"
#include "vm/kvm/kvm.h"

int gmem_block_new(struct gmem *g, const char *name, uint64_t size,
	struct gmem_block **out, struct err *e)
{
	struct gmem_block *b;
	void *p;

	if (size == 0 || size > TiB)
		return err_set(e, EINVAL, "%s: %llu bytes of device memory",
			name, (unsigned long long)size);
	b = calloc(1, sizeof(*b));
	if (!b)
		return err_set(e, ENOMEM, "%s: no memory", name);
	b->g = g;
	b->name = name;
	b->size = size_up(size, GMEM_PAGE);
	list_init(&b->views);
	p = mmap(NULL, b->size, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED) {
		int code = errno;

		free(b);
		return err_sys(e, code, "%s: no device memory", name);
	}
	b->host = p;
	madvise(p, b->size, MADV_DONTFORK);
	/* guests use a part of it, which KVM watches in small pages */
	madvise(p, b->size, MADV_NOHUGEPAGE);
	LOCK_GUARD(&g->lock);
	list_add_tail(&g->blocks, &b->node);
	*out = b;
	return 0;
}

void *gmem_block_ptr(struct gmem_block *b)
{
	return b->host;
}

uint64_t gmem_block_size(const struct gmem_block *b)
{
	return b->size;
}

static size_t view_words(const struct gmem_view *v)
{
	return (size_t)((v->len / GMEM_PAGE + 63) / 64);
}

static int view_init(struct gmem_view *v, struct err *e)
{
	const char *name = v->b->name;
	struct kvm_vm *vm = v->b->g->vm;

	if (v->flags & GMEM_DIRTY) {
		v->scratch = calloc(view_words(v), sizeof(*v->scratch));
		if (!v->scratch)
			return err_set(e, ENOMEM, "%s: no memory", name);
	}
	if (!vm)
		return 0;
	v->slot = kvm_slot_new(vm);
	if (v->slot < 0)
		return err_set(e, ENOSPC, "%s: KVM has no memslot left", name);
	return 0;
}

static void view_free(struct gmem_view *v)
{
	if (v->slot >= 0)
		kvm_slot_free(v->b->g->vm, v->slot);
	free(v->scratch);
	free(v);
}

int gmem_view_new(struct gmem_block *b, uint64_t off, uint64_t len,
	unsigned flags, struct gmem_view **out, struct err *e)
{
	struct gmem *g = b->g;
	struct gmem_view *v;
	int r;

	if (len == 0 || off % GMEM_PAGE || len % GMEM_PAGE ||
		!size_in(off, len, b->size))
		return err_set(e, EINVAL,
			"%s: a view on %llu+%llu of %llu bytes", b->name,
			(unsigned long long)off, (unsigned long long)len,
			(unsigned long long)b->size);
	v = calloc(1, sizeof(*v));
	if (!v)
		return err_set(e, ENOMEM, "%s: no memory", b->name);
	v->b = b;
	v->off = off;
	v->len = len;
	v->flags = flags;
	v->slot = -1;
	r = view_init(v, e);
	if (r < 0) {
		view_free(v);
		return r;
	}
	LOCK_GUARD(&g->lock);
	list_add_tail(&b->views, &v->node);
	*out = v;
	return 0;
}

void gmem_blocks_free(struct gmem *g)
{
	list_each_safe (it, tmp, &g->blocks) {
		struct gmem_block *b = list_entry(it, struct gmem_block, node);

		list_each_safe (vi, vtmp, &b->views)
			view_free(list_entry(vi, struct gmem_view, node));
		munmap(b->host, b->size);
		free(b);
	}
	list_init(&g->blocks);
}

/* Would v meet RAM or another view at gpa? */
static bool view_collides_locked(const struct gmem_view *v, gpa_t gpa)
{
	const struct gmem *g = v->b->g;

	for (unsigned i = 0; i < g->nranges; i++)
		if (gmem_overlap(gpa, v->len, g->range[i].gpa, g->range[i].len))
			return true;
	list_each (it, &g->blocks) {
		struct gmem_block *b = list_entry(it, struct gmem_block, node);

		list_each (vi, &b->views) {
			const struct gmem_view *o =
				list_entry(vi, struct gmem_view, node);

			if (o != v && o->mapped &&
				gmem_overlap(gpa, v->len, o->gpa, o->len))
				return true;
		}
	}
	return false;
}

static int view_hide_locked(struct gmem_view *v)
{
	int r;

	if (!v->mapped)
		return 0;
	if (v->b->g->vm) {
		r = kvm_slot_hide(v->b->g->vm, v->slot);
		if (r < 0)
			return r;
	}
	v->mapped = false;
	v->all = true;
	return 0;
}

static int view_show_locked(struct gmem_view *v, gpa_t gpa)
{
	struct kvm_vm *vm = v->b->g->vm;
	unsigned flags = 0;
	int r = 0;

	if (v->flags & GMEM_ROM)
		flags |= KVM_SLOT_ROM;
	if (v->flags & GMEM_DIRTY)
		flags |= KVM_SLOT_DIRTY;
	if (vm)
		r = kvm_slot_show(vm, v->slot, gpa, v->len, v->b->host + v->off,
			flags);
	if (r < 0)
		return r;
	v->gpa = gpa;
	v->mapped = true;
	return 0;
}

int gmem_view_map(struct gmem_view *v, gpa_t gpa)
{
	struct gmem *g = v->b->g;
	int r;

	LOCK_GUARD(&g->lock);
	if (v->mapped && v->gpa == gpa)
		return 0;
	r = view_hide_locked(v);
	if (r < 0)
		return r;
	if (gpa % GMEM_PAGE ||
		!size_in(gpa, v->len, UINT64_C(1) << g->phys_bits))
		return -EINVAL;
	if (view_collides_locked(v, gpa))
		return -EEXIST;
	return view_show_locked(v, gpa);
}

void gmem_view_unmap(struct gmem_view *v)
{
	LOCK_GUARD(&v->b->g->lock);
	view_hide_locked(v);
}

int gmem_view_shift(struct gmem_view *v, uint64_t off)
{
	gpa_t gpa;
	int r;

	if (off % GMEM_PAGE || !size_in(off, v->len, v->b->size))
		return -EINVAL;
	LOCK_GUARD(&v->b->g->lock);
	if (v->off == off)
		return 0;
	if (!v->mapped) {
		v->off = off;
		return 0;
	}
	gpa = v->gpa;
	r = view_hide_locked(v);
	if (r < 0)
		return r;
	v->off = off;
	return view_show_locked(v, gpa);
}

int gmem_view_dirty(struct gmem_view *v, uint64_t *bitmap)
{
	size_t words = view_words(v);
	uint64_t pages = v->len / GMEM_PAGE;
	int r = 0;

	if (!v->scratch)
		return -EINVAL;
	LOCK_GUARD(&v->b->g->lock);
	if (v->mapped && v->b->g->vm)
		r = kvm_slot_dirty(v->b->g->vm, v->slot, v->len, bitmap,
			v->scratch);
	if (r < 0 || !v->all)
		return r;
	/* no bits past the end of the window */
	for (size_t i = 0; i < words; i++)
		bitmap[i] |= (i + 1) * 64 <= pages
				     ? UINT64_MAX
				     : (UINT64_C(1) << pages % 64) - 1;
	v->all = false;
	return 1;
}

int gmem_peek(struct gmem *g, gpa_t gpa, void *buf, uint64_t len)
{
	if (gmem_read(g, gpa, buf, len) == 0)
		return 0;
	LOCK_GUARD(&g->lock);
	list_each (it, &g->blocks) {
		struct gmem_block *b = list_entry(it, struct gmem_block, node);

		list_each (vi, &b->views) {
			const struct gmem_view *v =
				list_entry(vi, struct gmem_view, node);

			if (!v->mapped || gpa < v->gpa ||
				!size_in(gpa - v->gpa, len, v->len))
				continue;
			memcpy(buf, b->host + v->off + (gpa - v->gpa), len);
			return 0;
		}
	}
	return -EFAULT;
}
