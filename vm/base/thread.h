/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Threads with a name that `top -H` shows, all signals blocked but those a
 * thread unblocks itself, and the CPU time that each has used.
 */
#ifndef VM_BASE_THREAD_H
#define VM_BASE_THREAD_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

#include "vm/base/err.h"

struct thread {
	pthread_t id;
	char name[16];
	void (*fn)(void *arg);
	void *arg;
	_Atomic pid_t tid; /* kernel id, 0 until it runs */
};

/* Start fn(arg) on a new thread. t stays good until thread_join(). */
int thread_start(struct thread *t, const char *name, void (*fn)(void *),
	void *arg, struct err *e);
void thread_join(struct thread *t);

/* CPU time used so far in ns, 0 when the thread has ended. Thread: any. */
uint64_t thread_cpu_ns(const struct thread *t);

/*
 * Time the thread was ready but waited for a CPU, in ns (run_delay of
 * /proc/self/task/TID/schedstat), 0 where the kernel does not tell.
 */
uint64_t thread_wait_ns(const struct thread *t);

#endif
