/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Guest RAM: one mapping, three stretches of guest space. It is a memfd, so
 * that it can be shared, where the host gives such memory huge pages. Most
 * hosts do not (/sys/kernel/mm/transparent_hugepage/shmem_enabled is "never"
 * as kernels come) but give them to private memory that asks. A guest on
 * 4 KiB pages pays at every TLB miss, and nothing shares RAM yet: there it
 * is private memory. Who will share it (migration on one host, vhost-user)
 * chooses the memfd then.
 *
 * The mapping is aligned so that a guest's 2 MiB page is one of the host's:
 * low RAM starts at its begin and high RAM follows low RAM, which ends on
 * 2 MiB whenever there is high RAM. The 128 KiB behind the VGA hole are never
 * touched. No stretch borders on another, so whatever is RAM as a whole is
 * one piece of host memory.
 */
#include "vm/core/gmem.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vm/base/clock.h"
#include "vm/base/sizes.h"

#include "vm/core/gmem_impl.h"
#include "vm/kvm/kvm.h"

#define GMEM_ALIGN (2 * MiB)
/* linux/memfd.h has it, but that does not go together with sys/mman.h. */
#ifndef MFD_HUGE_2MB
#define MFD_HUGE_2MB (21U << 26)
#endif
/* Without KVM (unit tests): what most hosts have. */
#define GMEM_TEST_PHYS_BITS 46

static int gmem_err_ram(int code, bool hugepages, uint64_t size, struct err *e)
{
	char text[32];

	size_format(size, text, sizeof(text));
	if (hugepages)
		return err_set(e, code == EINVAL ? ENOMEM : code,
			"no %s of free huge pages: raise vm.nr_hugepages by "
			"%llu, or set hugepages = no",
			text, (unsigned long long)(size / GMEM_ALIGN));
	if (code == ENOMEM)
		return err_set(e, code,
			"no address space for %s of guest memory: give the "
			"guest less, or raise the limit (ulimit -v)",
			text);
	return err_sys(e, code, "cannot make %s of guest memory", text);
}

/* Does the word in brackets in a sysfs file of choices say no? */
static bool gmem_chosen_off(const char *path)
{
	char text[128] = "";
	FILE *f = fopen(path, "re");
	bool off = true;

	if (f && fgets(text, sizeof(text), f))
		off = strstr(text, "[never]") || strstr(text, "[deny]");
	if (f)
		fclose(f);
	return off;
}

enum gmem_kind gmem_kind(void)
{
#define THP "/sys/kernel/mm/transparent_hugepage/"
	if (!gmem_chosen_off(THP "shmem_enabled"))
		return GMEM_SHARED_HUGE;
	return gmem_chosen_off(THP "enabled") ? GMEM_SMALL : GMEM_PRIVATE_HUGE;
#undef THP
}

/* The memfd behind the RAM; none where private memory is better. */
static int gmem_memfd(struct gmem *g, bool hugepages, struct err *e)
{
	unsigned flags = MFD_CLOEXEC;

	if (!hugepages && gmem_kind() == GMEM_PRIVATE_HUGE)
		return 0;
	if (hugepages)
		flags |= MFD_HUGETLB | MFD_HUGE_2MB;
	g->fd = memfd_create("guest-ram", flags);
	if (g->fd < 0)
		return gmem_err_ram(errno, hugepages, g->map_size, e);
	if (ftruncate(g->fd, (off_t)g->map_size))
		return gmem_err_ram(errno, hugepages, g->map_size, e);
	return 0;
}

/* How the RAM is mapped. */
static int gmem_map_flags(const struct gmem *g, bool hugepages)
{
	if (g->fd < 0)
		return MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
	return MAP_SHARED | (hugepages ? 0 : MAP_NORESERVE);
}

/*
 * Ask for huge pages, but not for the first: the VGA hole is in it, so KVM
 * maps it by small ones anyway, and zeroing a huge one is a good part of the
 * time that a start takes.
 */
static void gmem_advise_huge(struct gmem *g)
{
	uint64_t first = g->map_size < GMEM_ALIGN ? g->map_size : GMEM_ALIGN;

	madvise(g->ram, first, MADV_NOHUGEPAGE);
	madvise(g->ram + first, g->map_size - first, MADV_HUGEPAGE);
}

/* Map the RAM at a multiple of 2 MiB. */
static int gmem_map(struct gmem *g, bool hugepages, struct err *e)
{
	uint64_t span;
	uint8_t *p, *at;
	void *ram;

	if (!size_add(g->map_size, GMEM_ALIGN, &span))
		return gmem_err_ram(ENOMEM, hugepages, g->map_size, e);
	p = mmap(NULL, span, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return gmem_err_ram(errno, false, g->map_size, e);
	at = (uint8_t *)size_up((uintptr_t)p, GMEM_ALIGN);
	/*
	 * Huge pages are reserved here, all of them: a guest that runs out
	 * later would be ended by SIGBUS. Other memory is not.
	 */
	ram = mmap(at, g->map_size, PROT_READ | PROT_WRITE,
		MAP_FIXED | gmem_map_flags(g, hugepages), g->fd, 0);
	if (ram == MAP_FAILED) {
		int code = errno;

		munmap(p, span);
		return gmem_err_ram(code, hugepages, g->map_size, e);
	}
	if (at > p)
		munmap(p, (size_t)(at - p));
	if (at + g->map_size < p + span)
		munmap(at + g->map_size,
			(size_t)(p + span - (at + g->map_size)));
	g->ram = at;
	if (!hugepages)
		gmem_advise_huge(g);
	/* neither a viewer process nor a core file is to hold a guest */
	madvise(at, g->map_size, MADV_DONTFORK);
	madvise(at, g->map_size, MADV_DONTDUMP);
	return 0;
}

static void gmem_layout(struct gmem *g)
{
	uint64_t low = g->size < GMEM_LOW_LIMIT ? g->size : GMEM_LOW_MAX;

	g->low_end = low;
	g->high_end = GMEM_HIGH_BASE + (g->size - low);
	g->range[0] = (struct gmem_range){ 0, GMEM_VGA_BASE, g->ram, -1 };
	g->range[1] = (struct gmem_range){ GMEM_VGA_END, low - GMEM_VGA_END,
		g->ram + GMEM_VGA_END, -1 };
	g->nranges = 2;
	if (g->size > low)
		g->range[g->nranges++] = (struct gmem_range){ GMEM_HIGH_BASE,
			g->size - low, g->ram + low, -1 };
}

static int gmem_show_ram(struct gmem *g, struct err *e)
{
	int r;

	if (!g->vm)
		return 0;
	for (unsigned i = 0; i < g->nranges; i++) {
		struct gmem_range *m = &g->range[i];

		m->slot = r = kvm_slot_new(g->vm);
		if (r >= 0)
			r = kvm_slot_show(g->vm, m->slot, m->gpa, m->len,
				m->host, 0);
		if (r < 0)
			return err_sys(e, -r, "KVM refuses guest memory");
	}
	return 0;
}

static int gmem_check_size(const struct gmem *g, struct err *e)
{
	char text[32];

	if (g->size < MiB || g->size % GMEM_PAGE)
		return err_set(e, EINVAL,
			"guest memory of %llu bytes: give at least 1M and a "
			"multiple of 4K",
			(unsigned long long)g->size);
	if (g->size > (UINT64_C(1) << g->phys_bits) - GMEM_HIGH_BASE)
		return err_set(e, EINVAL,
			"guest memory of %s is more than %u address bits of "
			"the host's CPU reach: give less",
			size_format(g->size, text, sizeof(text)), g->phys_bits);
	return 0;
}

int gmem_new(struct kvm_vm *vm, uint64_t size, bool hugepages,
	struct gmem **out, struct err *e)
{
	struct gmem *g = calloc(1, sizeof(*g));
	int r;

	if (!g)
		return err_set(e, ENOMEM, "no memory for guest memory");
	g->vm = vm;
	g->fd = -1;
	g->size = size;
	g->huge = hugepages;
	g->phys_bits = vm ? kvm_phys_bits(vm) : GMEM_TEST_PHYS_BITS;
	lock_init(&g->lock, "gmem", LOCK_BUS);
	list_init(&g->blocks);
	r = gmem_check_size(g, e);
	if (r >= 0) {
		g->map_size = hugepages ? size_up(size, GMEM_ALIGN) : size;
		r = gmem_memfd(g, hugepages, e);
	}
	if (r >= 0)
		r = gmem_map(g, hugepages, e);
	if (r >= 0) {
		gmem_layout(g);
		r = gmem_show_ram(g, e);
	}
	if (r < 0) {
		gmem_free(g);
		return r;
	}
	*out = g;
	return 0;
}

void gmem_free(struct gmem *g)
{
	if (!g)
		return;
	gmem_blocks_free(g);
	for (unsigned i = 0; i < g->nranges && g->vm; i++)
		kvm_slot_free(g->vm, g->range[i].slot);
	if (g->ram)
		munmap(g->ram, g->map_size);
	if (g->fd >= 0)
		close(g->fd);
	free(g->dirty);
	lock_fini(&g->lock);
	free(g);
}

uint64_t gmem_size(const struct gmem *g)
{
	return g->size;
}

uint64_t gmem_low_end(const struct gmem *g)
{
	return g->low_end;
}

uint64_t gmem_high_end(const struct gmem *g)
{
	return g->high_end;
}

/* Private memory: ask for the pages, a stretch at a time. */
static uint64_t gmem_count_pages(const struct gmem *g)
{
	unsigned char pages[8192];
	uint64_t n = 0;

	for (uint64_t at = 0; at < g->map_size;) {
		uint64_t len = g->map_size - at;

		if (len > sizeof(pages) * GMEM_PAGE)
			len = sizeof(pages) * GMEM_PAGE;
		if (mincore(g->ram + at, len, pages))
			return n * GMEM_PAGE;
		for (uint64_t i = 0; i < len / GMEM_PAGE; i++)
			n += pages[i] & 1;
		at += len;
	}
	return n * GMEM_PAGE;
}

/*
 * A count of many GiB takes a while: the next one is then put off, so that
 * counting costs a hundredth of the time at most. Two threads may count at
 * once; either's figure will do.
 */
static uint64_t gmem_count_seldom(struct gmem *g)
{
	uint64_t now = clock_now_ns(), took, n;

	if (now < atomic_load(&g->count_at_ns))
		return atomic_load(&g->counted);
	n = gmem_count_pages(g);
	took = clock_now_ns() - now;
	atomic_store(&g->counted, n);
	if (took > NS_PER_MS)
		atomic_store(&g->count_at_ns, now + 100 * took);
	return n;
}

uint64_t gmem_resident(struct gmem *g)
{
	struct stat st;

	if (g->fd < 0)
		return gmem_count_seldom(g);
	/* a memfd has blocks only where pages were touched */
	return fstat(g->fd, &st) ? 0 : (uint64_t)st.st_blocks * 512;
}

void *gmem_host(struct gmem *g, gpa_t gpa, uint64_t len)
{
	for (unsigned i = 0; i < g->nranges; i++) {
		const struct gmem_range *m = &g->range[i];

		if (gpa >= m->gpa && size_in(gpa - m->gpa, len, m->len))
			return m->host + (gpa - m->gpa);
	}
	return NULL;
}

int gmem_read(struct gmem *g, gpa_t gpa, void *buf, uint64_t len)
{
	const void *p = gmem_host(g, gpa, len);

	if (!p)
		return len ? -EFAULT : 0;
	memcpy(buf, p, len);
	return 0;
}

int gmem_write(struct gmem *g, gpa_t gpa, const void *buf, uint64_t len)
{
	void *p = gmem_host(g, gpa, len);

	if (!p)
		return len ? -EFAULT : 0;
	memcpy(p, buf, len);
	return 0;
}

int gmem_zero(struct gmem *g, gpa_t gpa, uint64_t len)
{
	uint8_t *p = gmem_host(g, gpa, len), *from, *to;
	int advice = g->fd < 0 ? MADV_DONTNEED : MADV_REMOVE;
	/* less than a huge page would break it up: 500 faults for the guest */
	uint64_t unit = g->fd < 0 ? GMEM_ALIGN : GMEM_PAGE;

	if (!p)
		return len ? -EFAULT : 0;
	from = (uint8_t *)size_up((uintptr_t)p, unit);
	to = (uint8_t *)size_down((uintptr_t)p + len, unit);
	/*
	 * A huge page that was given back has lost its reservation, and the
	 * next touch may be a SIGBUS.
	 */
	if (g->huge || from >= to ||
		madvise(from, (size_t)(to - from), advice)) {
		memset(p, 0, len);
		return 0;
	}
	memset(p, 0, (size_t)(from - p));
	memset(to, 0, (size_t)(p + len - to));
	return 0;
}

int gmem_iov(struct gmem *g, gpa_t gpa, uint64_t len, struct iovec *iov,
	int max)
{
	void *p;

	if (len == 0)
		return -EINVAL;
	p = gmem_host(g, gpa, len);
	if (!p)
		return -EFAULT;
	if (max < 1)
		return -E2BIG;
	iov[0].iov_base = p;
	iov[0].iov_len = len;
	return 1;
}

/* Log writes to all RAM, or stop it. */
static int gmem_log_ram_locked(struct gmem *g, bool on)
{
	int r = 0;

	for (unsigned i = 0; i < g->nranges && r >= 0 && g->vm; i++) {
		const struct gmem_range *m = &g->range[i];

		r = kvm_slot_show(g->vm, m->slot, m->gpa, m->len, m->host,
			on ? KVM_SLOT_DIRTY : 0);
	}
	return r;
}

int gmem_dirty_start(struct gmem *g)
{
	int r;

	LOCK_GUARD(&g->lock);
	if (g->dirty)
		return 0;
	/* as long as the longest stretch could be */
	g->dirty_words = (size_t)(g->size / GMEM_PAGE / 64 + 1);
	g->dirty = calloc(2 * g->dirty_words, sizeof(*g->dirty));
	if (!g->dirty)
		return -ENOMEM;
	r = gmem_log_ram_locked(g, true);
	if (r < 0) {
		gmem_log_ram_locked(g, false);
		free(g->dirty);
		g->dirty = NULL;
	}
	return r;
}

void gmem_dirty_stop(struct gmem *g)
{
	LOCK_GUARD(&g->lock);
	if (!g->dirty)
		return;
	gmem_log_ram_locked(g, false);
	free(g->dirty);
	g->dirty = NULL;
}

int64_t gmem_dirty_fetch(struct gmem *g)
{
	int64_t pages = 0;
	int r;

	LOCK_GUARD(&g->lock);
	if (!g->dirty)
		return -EINVAL;
	for (unsigned i = 0; i < g->nranges && g->vm; i++) {
		const struct gmem_range *m = &g->range[i];
		size_t words = (size_t)((m->len / GMEM_PAGE + 63) / 64);

		memset(g->dirty, 0, words * sizeof(*g->dirty));
		r = kvm_slot_dirty(g->vm, m->slot, m->len, g->dirty,
			g->dirty + g->dirty_words);
		if (r < 0)
			return r;
		for (size_t w = 0; r > 0 && w < words; w++)
			pages += __builtin_popcountll(g->dirty[w]);
	}
	return pages;
}
