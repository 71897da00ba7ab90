/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The group of vCPUs: threads, and commands to all of them.
 *
 * A kick must not be lost between a vCPU's look at `leave` and KVM_RUN. The
 * kicker sets leave, then immediate_exit in the shared page, then signals;
 * the vCPU clears immediate_exit before it looks at leave. So either it sees
 * leave, or KVM_RUN sees immediate_exit, or the signal breaks KVM_RUN off.
 * The signal's handler does nothing and it is open in vCPU threads only.
 */
#include "vm/core/vcpu.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vm/core/vcpu_impl.h"

#define VCPUS_RANK ((enum lock_rank)(LOCK_BUS + 2))
/* Free for programs, and no person sends it by mistake. */
#define VCPU_SIGNAL SIGRTMIN

static void vcpu_signal(int sig)
{
	(void)sig;
}

static void vcpu_signal_install(void)
{
	struct sigaction sa = { .sa_handler = vcpu_signal,
		.sa_flags = SA_RESTART };

	sigfillset(&sa.sa_mask);
	sigaction(VCPU_SIGNAL, &sa, NULL);
}

static void vcpu_signal_open(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, VCPU_SIGNAL);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static int vcpus_make(struct vcpus *vs, struct err *e)
{
	vs->v = calloc(vs->o.n, sizeof(*vs->v));
	if (!vs->v)
		return err_set(e, ENOMEM, "no memory for vCPUs");
	vs->n = vs->o.n;
	for (unsigned i = 0; i < vs->n; i++) {
		struct vcpu *v = &vs->v[i];
		int r;

		v->group = vs;
		v->index = i;
		r = kvm_vcpu_new(vs->o.kvm, i, vs->n, &v->kvm, e);
		if (r < 0)
			return r;
		v->run = kvm_vcpu_page(v->kvm);
	}
	return 0;
}

int vcpus_new(const struct vcpus_opts *o, struct vcpus **out, struct err *e)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct vcpus *vs;
	int r;

	if (o->n < 1 || o->n > STATS_MAX_VCPUS)
		return err_set(e, EINVAL, "%u CPUs: give 1 to %u", o->n,
			STATS_MAX_VCPUS);
	vs = calloc(1, sizeof(*vs));
	if (!vs)
		return err_set(e, ENOMEM, "no memory for vCPUs");
	pthread_once(&once, vcpu_signal_install);
	vs->o = *o;
	vs->want = VCPUS_PARK;
	atomic_init(&vs->leave, true);
	lock_init(&vs->lock, "vcpus", VCPUS_RANK);
	lock_cond_init(&vs->go);
	lock_cond_init(&vs->parked);
	r = vcpus_make(vs, e);
	if (r < 0) {
		vcpus_free(vs);
		return r;
	}
	*out = vs;
	return 0;
}

void vcpus_free(struct vcpus *vs)
{
	if (!vs)
		return;
	vcpus_stop(vs);
	/* the boot CPU last: the ring of gathered writes is in its page */
	for (unsigned i = vs->n; i-- > 0;)
		kvm_vcpu_free(vs->v[i].kvm);
	free(vs->v);
	pthread_cond_destroy(&vs->parked);
	pthread_cond_destroy(&vs->go);
	lock_fini(&vs->lock);
	free(vs);
}

int vcpus_reset(struct vcpus *vs, const struct vcpu_entry *entry, struct err *e)
{
	bool ran;
	int r = 0;

	lock_take(&vs->lock);
	ran = vs->ran;
	vs->ran = false;
	lock_drop(&vs->lock);
	/* fresh vCPUs are at power-on already, and starting is to be quick */
	if (ran) {
		r = kvm_vm_reset(vs->o.kvm);
		if (r < 0)
			return err_sys(e, -r,
				"KVM cannot reset the interrupt chips");
	}
	for (unsigned i = 0; i < vs->n && ran && r >= 0; i++)
		r = kvm_vcpu_reset(vs->v[i].kvm);
	if (r >= 0)
		r = vcpu_enter(&vs->v[0], entry);
	if (r < 0)
		return err_sys(e, -r, "KVM cannot set the CPUs' registers");
	return 0;
}

/* Count v as parked and wait for the next run. False = end the thread. */
static bool vcpu_wait(struct vcpu *v)
{
	struct vcpus *vs = v->group;

	LOCK_GUARD(&vs->lock);
	if (!--vs->running)
		pthread_cond_broadcast(&vs->parked);
	while (vs->want == VCPUS_PARK)
		lock_wait(&vs->lock, &vs->go);
	if (vs->want == VCPUS_QUIT) {
		v->alive = false;
		return false;
	}
	vs->running++;
	return true;
}

static void vcpu_main(void *arg)
{
	struct vcpu *v = arg;

	vcpu_signal_open();
	while (vcpu_wait(v))
		vcpu_loop(v);
}

static void vcpus_want_locked(struct vcpus *vs, enum vcpus_want want)
{
	vs->want = want;
	if (want == VCPUS_RUN)
		vs->ran = true;
	atomic_store(&vs->leave, want != VCPUS_RUN);
	pthread_cond_broadcast(&vs->go);
}

/* Get all vCPUs out of the guest; leave is set. */
static void vcpus_kick_locked(struct vcpus *vs)
{
	for (unsigned i = 0; i < vs->n; i++) {
		struct vcpu *v = &vs->v[i];

		if (!v->alive || !vs->running)
			continue;
		__atomic_store_n(&v->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
		if (!pthread_equal(v->thread.id, pthread_self()))
			pthread_kill(v->thread.id, VCPU_SIGNAL);
	}
}

int vcpus_start(struct vcpus *vs, struct err *e)
{
	char name[24];
	int r = 0;

	/* under the lock: nobody kicks a thread whose id is not there yet */
	lock_take(&vs->lock);
	vcpus_want_locked(vs, VCPUS_RUN);
	for (unsigned i = 0; i < vs->n && r >= 0; i++) {
		struct vcpu *v = &vs->v[i];

		snprintf(name, sizeof(name), "vcpu%u", i);
		r = thread_start(&v->thread, name, vcpu_main, v, e);
		if (r >= 0) {
			v->alive = true;
			vs->running++;
		}
	}
	lock_drop(&vs->lock);
	if (r < 0)
		vcpus_stop(vs);
	return r;
}

void vcpus_park(struct vcpus *vs)
{
	LOCK_GUARD(&vs->lock);
	if (vs->want != VCPUS_RUN)
		return;
	vcpus_want_locked(vs, VCPUS_PARK);
	vcpus_kick_locked(vs);
}

void vcpus_pause(struct vcpus *vs)
{
	vcpus_park(vs);
	LOCK_GUARD(&vs->lock);
	while (vs->running)
		lock_wait(&vs->lock, &vs->parked);
}

void vcpus_resume(struct vcpus *vs)
{
	LOCK_GUARD(&vs->lock);
	if (vs->want != VCPUS_PARK)
		return;
	/* one that still is on its way to park goes on, and needs no telling */
	for (unsigned i = 0; i < vs->n && !vs->running; i++)
		kvm_vcpu_was_paused(vs->v[i].kvm);
	vcpus_want_locked(vs, VCPUS_RUN);
}

void vcpus_stop(struct vcpus *vs)
{
	bool join[STATS_MAX_VCPUS] = { false };

	lock_take(&vs->lock);
	vcpus_want_locked(vs, VCPUS_QUIT);
	vcpus_kick_locked(vs);
	for (unsigned i = 0; i < vs->n; i++)
		join[i] = vs->v[i].alive;
	lock_drop(&vs->lock);
	for (unsigned i = 0; i < vs->n; i++)
		if (join[i])
			thread_join(&vs->v[i].thread);
	lock_take(&vs->lock);
	vcpus_want_locked(vs, VCPUS_PARK);
	lock_drop(&vs->lock);
}

unsigned vcpu_index(const struct vcpu *v)
{
	return v->index;
}

size_t vcpus_dump(struct vcpus *vs, unsigned i, char *buf, size_t size)
{
	if (i >= vs->n)
		return 0;
	return vcpu_dump(&vs->v[i], buf, size);
}
