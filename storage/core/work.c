/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Pools of threads; see pool.h, and ctx_work() in ctx.h. A thread is started
 * when more work waits than threads do. What was done comes back through an
 * eventfd, written once until it is looked at.
 *
 * Lock: one a pool, rank LOCK_BLK, held for list moves only.
 */
#include <assert.h>
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "vm/base/lock.h"
#include "vm/base/thread.h"

#include "storage/core/ctx_impl.h"
#include "storage/core/fiber.h"
#include "storage/core/pool.h"

struct pool {
	struct ctx *ctx;
	const char *name;
	struct ctx_fd watch;
	int fd;
	unsigned in_flight; /* by the loop's thread */

	struct lock lock;
	pthread_cond_t work;  /* with lock: queue got longer, or quit */
	struct list queue;    /* guarded by lock */
	struct list finished; /* guarded by lock */
	bool quit;            /* guarded by lock */
	unsigned idle;        /* guarded by lock; threads that wait */
	unsigned queued;      /* guarded by lock; length of queue */

	unsigned nthreads, max; /* by the loop's thread */
	struct thread threads[POOL_MAX];
};

static void pool_thread(void *arg)
{
	struct pool *p = arg;
	struct list *n;

	LOCK_GUARD(&p->lock);
	for (;;) {
		while (!(n = list_pop(&p->queue)) && !p->quit) {
			p->idle++;
			lock_wait(&p->lock, &p->work);
			p->idle--;
		}
		if (!n)
			return;
		p->queued--;
		struct ctx_work *w = list_entry(n, struct ctx_work, node);

		lock_drop(&p->lock);
		w->run(w);
		lock_take(&p->lock);
		if (list_empty(&p->finished))
			eventfd_write(p->fd, 1);
		list_add_tail(&p->finished, &w->node);
	}
}

static int pool_grow(struct pool *p)
{
	int r = thread_start(&p->threads[p->nthreads], p->name, pool_thread, p,
		NULL);

	if (!r)
		p->nthreads++;
	return r;
}

void pool_submit(struct pool *p, struct ctx_work *w)
{
	bool more;

	if (!p->in_flight++)
		ctx_fd_show(&p->watch);
	lock_take(&p->lock);
	list_add_tail(&p->queue, &w->node);
	p->queued++;
	more = p->queued > p->idle;
	pthread_cond_signal(&p->work);
	lock_drop(&p->lock);
	/* one thread is there for certain; no more is slow, not wrong */
	if (more && p->nthreads < p->max)
		pool_grow(p);
}

static void pool_reap(void *arg, uint32_t events)
{
	struct pool *p = arg;
	struct list done, *n;
	unsigned ndone = 0;
	eventfd_t ignored;

	(void)events;
	list_init(&done);
	lock_take(&p->lock);
	eventfd_read(p->fd, &ignored);
	while ((n = list_pop(&p->finished))) {
		list_add_tail(&done, n);
		ndone++;
	}
	lock_drop(&p->lock);
	p->in_flight -= ndone;
	if (!p->in_flight)
		ctx_fd_hide(&p->watch);
	while ((n = list_pop(&done))) {
		struct ctx_work *w = list_entry(n, struct ctx_work, node);

		w->done(w);
	}
}

void pool_free(struct pool *p)
{
	if (!p)
		return;
	assert(!p->in_flight);
	ctx_fd_del(&p->watch);
	lock_take(&p->lock);
	p->quit = true;
	pthread_cond_broadcast(&p->work);
	lock_drop(&p->lock);
	while (p->nthreads)
		thread_join(&p->threads[--p->nthreads]);
	pthread_cond_destroy(&p->work);
	lock_fini(&p->lock);
	if (p->fd >= 0)
		close(p->fd);
	free(p);
}

int pool_new(struct ctx *c, const char *name, unsigned max, struct pool **out)
{
	struct pool *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return -ENOMEM;
	p->ctx = c;
	p->name = name;
	p->max = max;
	lock_init(&p->lock, "storage pool", LOCK_BLK);
	lock_cond_init(&p->work);
	list_init(&p->queue);
	list_init(&p->finished);
	p->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r = p->fd < 0 ? -errno : 0;
	if (!r)
		r = ctx_fd_add(c, &p->watch, p->fd, EPOLLIN, pool_reap, p);
	if (!r) {
		ctx_fd_hide(&p->watch);
		r = pool_grow(p);
	}
	if (r)
		pool_free(p);
	else
		*out = p;
	return r;
}

int pool_io(struct ctx *c, struct pool **out)
{
	int r = c->io ? 0 : pool_new(c, "disk io", POOL_MAX, &c->io);

	*out = c->io;
	return r;
}

/* Computing: as many threads as there are cores for us. */

static unsigned work_threads(void)
{
	cpu_set_t set;
	int n = 1;

	if (!sched_getaffinity(0, sizeof(set), &set))
		n = CPU_COUNT(&set);
	return n < 1 ? 1 : n > (int)POOL_MAX ? POOL_MAX : (unsigned)n;
}

/* Where no thread can be had it is done here, at the end of the round. */
static void work_here(void *arg)
{
	struct ctx *c = arg;
	struct list now, *n;

	list_init(&now);
	while ((n = list_pop(&c->undone)))
		list_add_tail(&now, n);
	while ((n = list_pop(&now))) {
		struct ctx_work *w = list_entry(n, struct ctx_work, node);

		w->run(w);
		w->done(w);
	}
}

void ctx_work_init(struct ctx *c)
{
	list_init(&c->undone);
	ctx_call_init(&c->work_here, c, work_here, c);
}

void ctx_work_fini(struct ctx *c)
{
	assert(list_empty(&c->undone));
	pool_free(c->cpu);
	pool_free(c->io);
}

void ctx_work_submit(struct ctx *c, struct ctx_work *w)
{
	if (c->cpu || !pool_new(c, "disk work", work_threads(), &c->cpu)) {
		pool_submit(c->cpu, w);
		return;
	}
	list_add_tail(&c->undone, &w->node);
	ctx_call_schedule(&c->work_here);
}

/* From a fiber; lies on its stack. */
struct work_call {
	struct ctx_work work;
	int (*fn)(void *arg);
	void *arg;
	int ret;
	bool done;
	struct fiber *waiter;
};

static void work_call_run(struct ctx_work *w)
{
	struct work_call *k = container_of(w, struct work_call, work);

	k->ret = k->fn(k->arg);
}

static void work_call_done(struct ctx_work *w)
{
	struct work_call *k = container_of(w, struct work_call, work);

	k->done = true;
	fiber_wake(k->waiter);
}

int ctx_work(struct ctx *c, int (*fn)(void *arg), void *arg)
{
	struct work_call k = { .fn = fn,
		.arg = arg,
		.waiter = fiber_self(),
		.work = { .run = work_call_run, .done = work_call_done } };

	ctx_work_submit(c, &k.work);
	fiber_wait_for(&k.done);
	return k.ret;
}
