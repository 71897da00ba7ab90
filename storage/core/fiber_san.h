/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the address and thread sanitizers must hear of a change of stacks;
 * nothing in other builds. For fiber.c.
 */
#ifndef STORAGE_CORE_FIBER_SAN_H
#define STORAGE_CORE_FIBER_SAN_H

#include <stddef.h>

#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define FIBER_ASAN
#endif
#if __has_feature(thread_sanitizer)
#define FIBER_TSAN
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#define FIBER_ASAN
#endif
#ifdef __SANITIZE_THREAD__
#define FIBER_TSAN
#endif

/* One of a fiber, and one of the stack outside of a thread's fibers. */
struct fiber_san {
	const void *bottom;
	size_t size;
	void *fake; /* ASan's stack of locals, while it does not run */
	void *tsan;
};

#ifdef FIBER_ASAN
void __asan_unpoison_memory_region(void const volatile *addr, size_t size);
void __sanitizer_start_switch_fiber(void **fake, const void *bottom,
	size_t size);
void __sanitizer_finish_switch_fiber(void *fake, const void **bottom,
	size_t *size);
#else
static inline void __asan_unpoison_memory_region(void const volatile *addr,
	size_t size)
{
	(void)addr;
	(void)size;
}

static inline void __sanitizer_start_switch_fiber(void **fake,
	const void *bottom, size_t size)
{
	(void)fake;
	(void)bottom;
	(void)size;
}

static inline void __sanitizer_finish_switch_fiber(void *fake,
	const void **bottom, size_t *size)
{
	(void)fake;
	(void)bottom;
	(void)size;
}
#endif

#ifdef FIBER_TSAN
void *__tsan_get_current_fiber(void);
void *__tsan_create_fiber(unsigned flags);
void __tsan_destroy_fiber(void *fiber);
void __tsan_switch_to_fiber(void *fiber, unsigned flags);
#else
static inline void *__tsan_get_current_fiber(void)
{
	return NULL;
}

static inline void *__tsan_create_fiber(unsigned flags)
{
	(void)flags;
	return NULL;
}

static inline void __tsan_destroy_fiber(void *fiber)
{
	(void)fiber;
}

static inline void __tsan_switch_to_fiber(void *fiber, unsigned flags)
{
	(void)fiber;
	(void)flags;
}
#endif

/* TSan counts calls and returns by stack: the change must be in the caller. */
#define FIBER_INLINE static inline __attribute__((always_inline))

/* A stack is about to be used, perhaps not for the first time. */
FIBER_INLINE void fiber_san_init(struct fiber_san *s, void *bottom, size_t size)
{
	*s = (struct fiber_san){ .bottom = bottom,
		.size = size,
		.tsan = __tsan_create_fiber(0) };
	__asan_unpoison_memory_region(bottom, size);
}

FIBER_INLINE void fiber_san_fini(struct fiber_san *s)
{
	__tsan_destroy_fiber(s->tsan);
}

/* Outside: before and after a fiber runs. */
FIBER_INLINE void fiber_san_enter(struct fiber_san *outside,
	struct fiber_san *f)
{
	outside->tsan = __tsan_get_current_fiber();
	__sanitizer_start_switch_fiber(&outside->fake, f->bottom, f->size);
	__tsan_switch_to_fiber(f->tsan, 0);
}

FIBER_INLINE void fiber_san_back(struct fiber_san *outside)
{
	__sanitizer_finish_switch_fiber(outside->fake, NULL, NULL);
}

/* In a fiber: first thing; before it leaves (f NULL: ends); after. */
FIBER_INLINE void fiber_san_begin(struct fiber_san *outside)
{
	__sanitizer_finish_switch_fiber(NULL, &outside->bottom, &outside->size);
}

FIBER_INLINE void fiber_san_leave(struct fiber_san *f,
	struct fiber_san *outside)
{
	__sanitizer_start_switch_fiber(f ? &f->fake : NULL, outside->bottom,
		outside->size);
	__tsan_switch_to_fiber(outside->tsan, 0);
}

FIBER_INLINE void fiber_san_arrive(struct fiber_san *f,
	struct fiber_san *outside)
{
	__sanitizer_finish_switch_fiber(f->fake, &outside->bottom,
		&outside->size);
}

#endif
