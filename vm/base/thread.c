/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Threads. Signals are the main thread's business: a new thread starts with
 * all blocked but those that a fault raises, which cannot wait.
 */
#include "vm/base/thread.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vm/base/clock.h"

static void thread_sigset(sigset_t *set)
{
	sigfillset(set);
	sigdelset(set, SIGSEGV);
	sigdelset(set, SIGBUS);
	sigdelset(set, SIGFPE);
	sigdelset(set, SIGILL);
}

/*
 * A stack that is too small for a huge page: the usual 8 MiB get one of 2 MiB
 * at the first touch where the host gives them to all who have room.
 */
#define THREAD_STACK (1024 * 1024)

static void *thread_main(void *arg)
{
	struct thread *t = arg;

	pthread_setname_np(pthread_self(), t->name);
	atomic_store(&t->tid, gettid());
	t->fn(t->arg);
	/* the kernel may give the number to another thread from here on */
	atomic_store(&t->tid, 0);
	return NULL;
}

int thread_start(struct thread *t, const char *name, void (*fn)(void *),
	void *arg, struct err *e)
{
	sigset_t block, old;
	pthread_attr_t attr;
	int r;

	snprintf(t->name, sizeof(t->name), "%s", name);
	t->fn = fn;
	t->arg = arg;
	atomic_init(&t->tid, 0);
	/* the mask is inherited, so no signal gets in before it is set */
	thread_sigset(&block);
	pthread_sigmask(SIG_SETMASK, &block, &old);
	pthread_attr_init(&attr); /* neither can fail in glibc */
	pthread_attr_setstacksize(&attr, THREAD_STACK);
	r = pthread_create(&t->id, &attr, thread_main, t);
	pthread_attr_destroy(&attr);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r)
		return err_sys(e, r, "cannot start thread %s", t->name);
	return 0;
}

void thread_join(struct thread *t)
{
	pthread_join(t->id, NULL);
}

uint64_t thread_cpu_ns(const struct thread *t)
{
	pid_t tid = atomic_load(&t->tid);
	struct timespec ts;

	if (!tid)
		return 0;
	/*
	 * The clock of one thread by its kernel id, clock_getcpuclockid(3):
	 * ~id in the upper bits, 4 = of a thread, 2 = scheduler time. Unlike
	 * pthread_getcpuclockid() it may name a thread that has ended.
	 */
	if (clock_gettime((clockid_t)(~(unsigned)tid << 3 | 6), &ts))
		return 0;
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

uint64_t thread_wait_ns(const struct thread *t)
{
	pid_t tid = atomic_load(&t->tid);
	char path[64], text[128], *end;
	ssize_t n;
	int fd;

	if (!tid)
		return 0;
	snprintf(path, sizeof(path), "/proc/self/task/%d/schedstat", (int)tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return 0;
	text[n] = 0;
	/* "run_ns wait_ns slices" */
	end = strchr(text, ' ');
	return end ? strtoull(end, NULL, 10) : 0;
}
