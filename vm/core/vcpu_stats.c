/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A snapshot of the vCPUs' counters: ours, the thread's from the host's
 * scheduler, KVM's own. Nothing here makes a vCPU wait. Thread: any.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vm/base/clock.h"

#include "vm/core/vcpu_impl.h"

/* proc(5): the 43rd field of stat, the third being the first behind ")". */
#define STAT_GUEST_TIME 43

/* Time that the thread spent in the guest, 0 = the kernel does not tell. */
static uint64_t vcpu_guest_ns(const struct vcpu *v)
{
	pid_t tid = atomic_load(&v->thread.tid);
	char path[64], text[1024], *p;
	long hz = sysconf(_SC_CLK_TCK);
	ssize_t n;
	int fd;

	if (!tid || hz <= 0)
		return 0;
	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return 0;
	text[n] = 0;
	p = strrchr(text, ')'); /* the name before may hold anything */
	for (int field = 2; p && field < STAT_GUEST_TIME; field++)
		p = strchr(p + 1, ' ');
	if (!p)
		return 0;
	return strtoull(p, NULL, 10) * (NS_PER_S / (uint64_t)hz);
}

static void vcpu_stats_copy(struct vcpu *v, struct vcpu_stats *out)
{
	struct kvm_vcpu_stats k;

	memset(out, 0, sizeof(*out));
	for (int i = 0; i < EXIT_KINDS; i++)
		out->exits[i] = STAT_GET(v->exits[i]);
	out->cpu_ns = thread_cpu_ns(&v->thread);
	out->steal_ns = thread_wait_ns(&v->thread);
	out->guest_ns = vcpu_guest_ns(v);
	kvm_vcpu_stats(v->kvm, &k);
	out->halt_ns = k.halt_ns;
	out->kvm_exits = k.exits;
	out->kvm_halt_exits = k.halt_exits;
	out->kvm_irq_injections = k.irq_injections;
}

unsigned vcpus_stats(struct vcpus *vs, struct vcpu_stats *out, unsigned max)
{
	unsigned n = vs->n < max ? vs->n : max;

	for (unsigned i = 0; i < n; i++)
		vcpu_stats_copy(&vs->v[i], &out[i]);
	return n;
}
