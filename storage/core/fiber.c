/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Fibers: a stack each, and a switch that saves what the System V ABI for
 * x86-64 lets no function change. (Nobody here changes the rounding modes,
 * so those stay out of it.)
 *
 * A fiber is entered from outside only, by fiber_enter(), and leaves to
 * there: what is woken from inside of one waits on the thread's list of
 * ready fibers, which whoever entered works off. So stacks never nest.
 *
 * The struct lies at the top of its stack's mapping, a guard page at the
 * bottom. Only pages that were touched cost memory. Spare stacks are kept.
 */
#include "storage/core/fiber.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <sys/mman.h>

#include "storage/core/ctx_impl.h"
#include "storage/core/fiber_san.h"

#define FIBER_MAP   ((size_t)256 << 10)
#define FIBER_GUARD ((size_t)4096)
#define FIBER_SPARE 64u

struct fiber {
	void *sp; /* while it does not run */
	struct ctx *ctx;
	void (*fn)(void *arg);
	void *arg;
	struct list node; /* in the list of ready, waiting or spare ones */
	bool waiting;     /* in fiber_wait() */
	bool woken;       /* a wake came before the wait */
	bool ended;
	struct fiber_san san;
};

/* What a thread has of fibers. */
struct fiber_thread {
	struct fiber *self;
	void *outside;     /* stack pointer of who entered self */
	struct list ready; /* .next is NULL before first use */
	struct fiber_san san;
};

static _Thread_local struct fiber_thread fiber_thread_data;

/*
 * Not inline: a fiber may go on in another thread than it waited in (a loop
 * that no longer runs), so its address must not be kept over a switch.
 */
static __attribute__((noinline)) struct fiber_thread *fiber_thread(void)
{
	struct fiber_thread *t = &fiber_thread_data;

	if (!t->ready.next)
		list_init(&t->ready);
	return t;
}

/* Save the stack pointer in *from and go on at to. */
void fiber_switch(void **from, void *to);

__asm__(".pushsection .text\n"
	".type fiber_switch, @function\n"
	".hidden fiber_switch\n"
	".globl fiber_switch\n"
	"fiber_switch:\n"
	"	pushq %rbp\n"
	"	pushq %rbx\n"
	"	pushq %r12\n"
	"	pushq %r13\n"
	"	pushq %r14\n"
	"	pushq %r15\n"
	"	movq %rsp, (%rdi)\n"
	"	movq %rsi, %rsp\n"
	"	popq %r15\n"
	"	popq %r14\n"
	"	popq %r13\n"
	"	popq %r12\n"
	"	popq %rbx\n"
	"	popq %rbp\n"
	"	ret\n"
	".size fiber_switch, . - fiber_switch\n"
	".popsection\n");

/* What fiber_switch() finds on a stack that was never left. */
struct fiber_frame {
	uint64_t saved[6];
	void (*entry)(void);
	uint64_t caller; /* of entry: none */
};

static void *fiber_bottom(struct fiber *f)
{
	return (char *)(f + 1) - FIBER_MAP + FIBER_GUARD;
}

static size_t fiber_size(struct fiber *f)
{
	return (size_t)((char *)f - (char *)fiber_bottom(f));
}

/* Leave the running fiber for outside, for good when it has ended. */
static void fiber_leave(struct fiber *f)
{
	struct fiber_thread *t = fiber_thread();

	fiber_san_leave(f->ended ? NULL : &f->san, &t->san);
	fiber_switch(&f->sp, t->outside);
	fiber_san_arrive(&f->san, &fiber_thread()->san);
}

static void fiber_main(void)
{
	struct fiber *f = fiber_thread()->self;

	fiber_san_begin(&fiber_thread()->san);
	f->fn(f->arg);
	f->ended = true;
	fiber_leave(f);
	__builtin_unreachable();
}

static struct fiber *fiber_map(struct ctx *c)
{
	char *p = mmap(NULL, FIBER_MAP, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
	struct fiber *f;

	if (p == MAP_FAILED)
		return NULL;
	if (mprotect(p, FIBER_GUARD, PROT_NONE)) {
		munmap(p, FIBER_MAP);
		return NULL;
	}
	f = (struct fiber *)(void *)(p + FIBER_MAP) - 1;
	f->ctx = c;
	return f;
}

static void fiber_unmap(struct fiber *f)
{
	munmap((char *)(f + 1) - FIBER_MAP, FIBER_MAP);
}

static struct fiber *fiber_get(struct ctx *c)
{
	struct list *n = list_pop(&c->stacks);

	if (!n)
		return fiber_map(c);
	c->nstacks--;
	return list_entry(n, struct fiber, node);
}

static void fiber_put(struct fiber *f)
{
	struct ctx *c = f->ctx;

	c->nfibers--;
	fiber_san_fini(&f->san);
	if (c->nstacks == FIBER_SPARE) {
		fiber_unmap(f);
		return;
	}
	c->nstacks++;
	list_add_head(&c->stacks, &f->node); /* what is in the cache first */
}

void fiber_fini(struct ctx *c)
{
	struct list *n;

	assert(!c->nfibers);
	while ((n = list_pop(&c->stacks)))
		fiber_unmap(list_entry(n, struct fiber, node));
	c->nstacks = 0;
}

static void fiber_enter(struct fiber_thread *t, struct fiber *f)
{
	t->self = f;
	fiber_san_enter(&t->san, &f->san);
	fiber_switch(&t->outside, f->sp);
	fiber_san_back(&t->san);
	t->self = NULL;
	if (f->ended)
		fiber_put(f);
}

/* f can run: now, with all that it wakes, or after the one that does. */
static void fiber_run(struct fiber *f)
{
	struct fiber_thread *t = fiber_thread();
	struct list *n;

	list_add_tail(&t->ready, &f->node);
	if (t->self)
		return;
	while ((n = list_pop(&t->ready)))
		fiber_enter(t, list_entry(n, struct fiber, node));
}

int fiber_start(struct ctx *c, void (*fn)(void *arg), void *arg)
{
	struct fiber *f = fiber_get(c);
	struct fiber_frame *frame;

	if (!f)
		return -ENOMEM;
	f->fn = fn;
	f->arg = arg;
	f->waiting = f->woken = f->ended = false;
	list_init(&f->node);
	fiber_san_init(&f->san, fiber_bottom(f), fiber_size(f));
	/* entry is jumped to with the stack as after a call: 16n + 8 */
	frame = (void *)(((uintptr_t)f & ~(uintptr_t)15) - sizeof(*frame));
	*frame = (struct fiber_frame){ .entry = fiber_main };
	f->sp = frame;
	c->nfibers++;
	fiber_run(f);
	return 0;
}

struct fiber *fiber_self(void)
{
	return fiber_thread()->self;
}

void fiber_wait(void)
{
	struct fiber *f = fiber_self();

	assert(f);
	if (!f->woken) {
		f->waiting = true;
		fiber_leave(f);
	}
	f->woken = false;
}

void fiber_wake(struct fiber *f)
{
	if (!f->waiting) {
		f->woken = true;
		return;
	}
	f->waiting = false;
	fiber_run(f);
}

void fiber_wait_for(const bool *flag)
{
	struct fiber *f = fiber_self();
	bool other = false;

	while (!*flag) {
		fiber_wait();
		other = other || !*flag;
	}
	f->woken = f->woken || other;
}

/* Queues and locks. */

void fiber_queue_init(struct fiber_queue *q)
{
	list_init(&q->waiters);
}

/* A place in a queue; lies on the waiting fiber's stack. */
struct fiber_place {
	struct list node;
	struct fiber *fiber;
	bool passed;
};

void fiber_queue_wait(struct fiber_queue *q)
{
	struct fiber_place p = { .fiber = fiber_self() };

	list_add_tail(&q->waiters, &p.node);
	fiber_wait_for(&p.passed);
}

static struct fiber *fiber_queue_pass(struct list *n)
{
	struct fiber_place *p = list_entry(n, struct fiber_place, node);

	p->passed = true;
	return p->fiber;
}

bool fiber_queue_wake(struct fiber_queue *q)
{
	struct list *n = list_pop(&q->waiters);

	if (n)
		fiber_wake(fiber_queue_pass(n));
	return n != NULL;
}

/* Those that are there now: who comes back waits for the next time. */
void fiber_queue_wake_all(struct fiber_queue *q)
{
	struct list now, *n;

	list_init(&now);
	while ((n = list_pop(&q->waiters)))
		list_add_tail(&now, n);
	while ((n = list_pop(&now)))
		fiber_wake(fiber_queue_pass(n));
}

void fiber_room_init(struct fiber_room *r)
{
	r->in = 0;
	fiber_queue_init(&r->queue);
}

void fiber_room_enter(struct fiber_room *r, uint64_t max)
{
	if (r->in && r->in >= max)
		fiber_queue_wait(&r->queue); /* a place is left to us */
	else
		r->in++;
}

void fiber_room_leave(struct fiber_room *r)
{
	if (!fiber_queue_wake(&r->queue))
		r->in--;
}

void fiber_lock_init(struct fiber_lock *l)
{
	l->owner = NULL;
	fiber_queue_init(&l->queue);
}

void fiber_lock_take(struct fiber_lock *l)
{
	if (fiber_lock_try(l))
		return;
	assert(l->owner != fiber_self());
	fiber_queue_wait(&l->queue); /* the lock is ours when we are let go */
}

bool fiber_lock_try(struct fiber_lock *l)
{
	assert(fiber_self());
	if (l->owner)
		return false;
	l->owner = fiber_self();
	return true;
}

void fiber_lock_drop(struct fiber_lock *l)
{
	struct list *n = list_pop(&l->queue.waiters);

	assert(l->owner && l->owner == fiber_self());
	l->owner = n ? fiber_queue_pass(n) : NULL;
	if (n)
		fiber_wake(l->owner);
}
