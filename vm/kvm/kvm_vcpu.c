/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A virtual CPU's descriptor, its page shared with the kernel, and running
 * it. KVM holds the vCPU's mutex over KVM_RUN, so any other ioctl from
 * another thread would wait for the next exit: see kvm.h for who may call.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vm/kvm/kvm_impl.h"

static int kvm_err_vcpu(int code, unsigned index, struct err *e)
{
	switch (code) {
	case EINVAL:
	case EEXIST:
		return err_set(e, code,
			"KVM refuses CPU %u: too many for one guest on this "
			"host; lower cpus =",
			index);
	case EMFILE:
	case ENFILE:
		return err_set(e, code,
			"no descriptor for CPU %u: raise the limit of open "
			"files (ulimit -n, LimitNOFILE=)",
			index);
	default:
		return err_sys(e, code, "KVM cannot make CPU %u", index);
	}
}

/* CPUID comes before all else: KVM checks MSRs and sregs against it. */
static int kvm_vcpu_cpuid(struct kvm_vcpu *v, unsigned ncpus, struct err *e)
{
	struct kvm_cpuid2 *c;
	int r;

	if (v->index == 0) {
		r = kvm_ioctl_int(v->fd, KVM_GET_TSC_KHZ, 0);
		v->vm->tsc_khz = r > 0 ? (uint32_t)r : 0;
	}
	c = kvm_cpuid_make(v->vm, v->index, ncpus);
	if (!c)
		return err_set(e, ENOMEM, "no memory for a CPUID table");
	r = kvm_ioctl(v->fd, KVM_SET_CPUID2, c);
	free(c);
	if (r < 0)
		return err_sys(e, -r, "KVM refuses the CPUID of CPU %u",
			v->index);
	return 0;
}

static int kvm_vcpu_map(struct kvm_vcpu *v, struct err *e)
{
	struct kvm_vm *vm = v->vm;
	void *p = mmap(NULL, vm->page_size, PROT_READ | PROT_WRITE, MAP_SHARED,
		v->fd, 0);

	if (p == MAP_FAILED)
		return err_sys(e, errno, "cannot map the page of CPU %u",
			v->index);
	v->run = p;
	/* all vCPUs map the same ring; the first stays until the last ends */
	if (v->index == 0 && vm->coalesced_page)
		atomic_store(&vm->ring,
			(void *)((char *)p + vm->coalesced_page * 4096u));
	return 0;
}

int kvm_vcpu_new(struct kvm_vm *vm, unsigned index, unsigned ncpus,
	struct kvm_vcpu **out, struct err *e)
{
	struct kvm_vcpu *v = calloc(1, sizeof(*v));
	int r;

	if (!v)
		return err_set(e, ENOMEM, "no memory for CPU %u", index);
	v->vm = vm;
	v->index = index;
	v->stats_fd = -1;
	v->fd = r = kvm_ioctl_int(vm->fd, KVM_CREATE_VCPU, index);
	if (r < 0)
		kvm_err_vcpu(-r, index, e);
	if (r >= 0)
		r = kvm_vcpu_map(v, e);
	if (r >= 0)
		r = kvm_vcpu_cpuid(v, ncpus, e);
	if (r >= 0) {
		r = kvm_state_keep(v);
		if (r < 0)
			err_sys(e, -r, "KVM hides the state of CPU %u", index);
	}
	if (r < 0) {
		kvm_vcpu_free(v);
		return r;
	}
	kvm_stats_open(v);
	*out = v;
	return 0;
}

void kvm_vcpu_free(struct kvm_vcpu *v)
{
	if (!v)
		return;
	if (v->index == 0)
		atomic_store(&v->vm->ring, NULL);
	kvm_state_free(v);
	if (v->stats_fd >= 0)
		close(v->stats_fd);
	if (v->run)
		munmap(v->run, v->vm->page_size);
	if (v->fd >= 0)
		close(v->fd);
	free(v);
}

struct kvm_run *kvm_vcpu_page(struct kvm_vcpu *v)
{
	return v->run;
}

size_t kvm_vcpu_page_size(const struct kvm_vcpu *v)
{
	return v->vm->page_size;
}

int kvm_vcpu_run(struct kvm_vcpu *v)
{
	/* not kvm_ioctl(): EINTR is how a kick arrives */
	return ioctl(v->fd, KVM_RUN, 0) < 0 ? -errno : 0;
}

void kvm_vcpu_was_paused(struct kvm_vcpu *v)
{
	/* refused until the guest uses kvmclock, which is fine */
	if (v->vm->kvmclock_ctrl)
		(void)kvm_ioctl_int(v->fd, KVM_KVMCLOCK_CTRL, 0);
}
