/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The whole state of a vCPU. It is read once when the vCPU is made, which is
 * its power-on state as KVM sees it, and written back at a reset: no table
 * of reset values that could differ from KVM's. Order of writing by
 * MACHINE.md 6: APIC base with the sregs first, LAPIC after the MSRs, MP
 * state last.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/bytes.h"

#include "vm/kvm/kvm_impl.h"

#define MSR_TSC    0x10u
#define LAPIC_LVT0 0x350u
#define LAPIC_LVT1 0x360u

struct kvm_vcpu_power_on {
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_xcrs xcrs;
	struct kvm_debugregs debugregs;
	struct kvm_vcpu_events events;
	struct kvm_lapic_state lapic;
	struct kvm_mp_state mp;
	struct kvm_xsave *xsave;
	struct kvm_msrs *msrs;
};

static int state_ioctl(struct kvm_vcpu *v, unsigned long request, void *arg)
{
	int r = kvm_ioctl(v->fd, request, arg);

	return r < 0 ? r : 0;
}

/*
 * All MSRs of the list. KVM stops at one that it does not let be read; that
 * one is left out.
 */
static int state_get_msrs(struct kvm_vcpu *v, struct kvm_vcpu_power_on *s)
{
	const struct kvm_msr_list *l = v->vm->msrs;
	struct kvm_msrs *m =
		calloc(1, sizeof(*m) + (l->nmsrs + 1) * sizeof(m->entries[0]));
	unsigned left = l->nmsrs, good = 0;
	int r = 0;

	if (!m)
		return -ENOMEM;
	s->msrs = m;
	for (unsigned i = 0; i < left; i++)
		m->entries[i].index = l->indices[i];
	while (left) {
		/* the header lies over what is done, so go by a copy */
		struct kvm_msrs *part = calloc(1,
			sizeof(*part) + left * sizeof(part->entries[0]));

		if (!part)
			return -ENOMEM;
		part->nmsrs = left;
		memcpy(part->entries, m->entries + good,
			left * sizeof(part->entries[0]));
		r = kvm_ioctl(v->fd, KVM_GET_MSRS, part);
		if (r > 0)
			memcpy(m->entries + good, part->entries,
				(size_t)r * sizeof(part->entries[0]));
		free(part);
		if (r < 0)
			return r;
		good += (unsigned)r;
		left -= (unsigned)r;
		if (left) { /* skip the one that was refused */
			memmove(m->entries + good, m->entries + good + 1,
				(left - 1) * sizeof(m->entries[0]));
			left--;
		}
	}
	m->nmsrs = good;
	return 0;
}

static int state_get_xsave(struct kvm_vcpu *v, struct kvm_vcpu_power_on *s)
{
	bool xsave2 = v->vm->xsave_size > sizeof(struct kvm_xsave);

	s->xsave = calloc(1, v->vm->xsave_size);
	if (!s->xsave)
		return -ENOMEM;
	return state_ioctl(v, xsave2 ? KVM_GET_XSAVE2 : KVM_GET_XSAVE,
		s->xsave);
}

int kvm_state_keep(struct kvm_vcpu *v)
{
	struct kvm_vcpu_power_on *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	v->power_on = s;
	r = state_ioctl(v, KVM_GET_MP_STATE, &s->mp);
	if (r >= 0)
		r = state_ioctl(v, KVM_GET_REGS, &s->regs);
	if (r >= 0)
		r = state_ioctl(v, KVM_GET_SREGS, &s->sregs);
	if (r >= 0)
		r = state_get_xsave(v, s);
	if (r >= 0)
		r = state_ioctl(v, KVM_GET_XCRS, &s->xcrs);
	if (r >= 0)
		r = state_ioctl(v, KVM_GET_DEBUGREGS, &s->debugregs);
	if (r >= 0)
		r = state_ioctl(v, KVM_GET_VCPU_EVENTS, &s->events);
	if (r >= 0)
		r = state_ioctl(v, KVM_GET_LAPIC, &s->lapic);
	if (r >= 0)
		r = state_get_msrs(v, s);
	return r;
}

void kvm_state_free(struct kvm_vcpu *v)
{
	if (!v->power_on)
		return;
	free(v->power_on->xsave);
	free(v->power_on->msrs);
	free(v->power_on);
	v->power_on = NULL;
}

/* Write the MSRs; one that KVM does not take back is passed over. */
static int state_set_msrs(struct kvm_vcpu *v, const struct kvm_msrs *kept)
{
	unsigned left = kept->nmsrs, done = 0;
	struct kvm_msrs *m =
		calloc(1, sizeof(*m) + (left + 1) * sizeof(m->entries[0]));
	int r = 0;

	if (!m)
		return -ENOMEM;
	while (left) {
		m->nmsrs = left;
		memcpy(m->entries, kept->entries + done,
			left * sizeof(m->entries[0]));
		for (unsigned i = 0; i < left; i++)
			/* 0 makes KVM keep the vCPUs' clocks in step */
			if (m->entries[i].index == MSR_TSC)
				m->entries[i].data = 0;
		r = kvm_ioctl(v->fd, KVM_SET_MSRS, m);
		if (r < 0)
			break;
		done += (unsigned)r;
		left -= (unsigned)r;
		if (left) {
			done++;
			left--;
		}
	}
	free(m);
	return r < 0 ? r : 0;
}

/*
 * Set the sregs such that KVM makes its page table root anew. On AMD a triple
 * fault clears the control block and with it the root, which KVM (seen with
 * 6.1) only sets again when paging changes: the guest would fault for ever
 * at its first instruction. A cr3 that differs counts as a change.
 */
static int state_set_sregs(struct kvm_vcpu *v, const struct kvm_sregs *sregs)
{
	struct kvm_sregs s = *sregs;
	int r;

	s.cr3 ^= 0x1000;
	r = state_ioctl(v, KVM_SET_SREGS, &s);
	if (r < 0)
		return r;
	s.cr3 = sregs->cr3;
	return state_ioctl(v, KVM_SET_SREGS, &s);
}

int kvm_vcpu_reset(struct kvm_vcpu *v)
{
	struct kvm_vcpu_power_on *s = v->power_on;
	struct kvm_mp_state mp;
	int r;

	/* makes KVM take an INIT or SIPI on its way now, not after the reset */
	r = state_ioctl(v, KVM_GET_MP_STATE, &mp);
	if (r >= 0)
		r = state_set_sregs(v, &s->sregs);
	if (r >= 0)
		r = state_ioctl(v, KVM_SET_XCRS, &s->xcrs);
	if (r >= 0)
		r = state_ioctl(v, KVM_SET_XSAVE, s->xsave);
	if (r >= 0)
		r = state_ioctl(v, KVM_SET_REGS, &s->regs);
	if (r >= 0)
		r = state_set_msrs(v, s->msrs);
	if (r >= 0)
		r = state_ioctl(v, KVM_SET_LAPIC, &s->lapic);
	if (r >= 0)
		r = state_ioctl(v, KVM_SET_VCPU_EVENTS, &s->events);
	if (r >= 0)
		r = state_ioctl(v, KVM_SET_DEBUGREGS, &s->debugregs);
	if (r >= 0)
		r = state_ioctl(v, KVM_SET_MP_STATE, &s->mp);
	return r;
}

int kvm_vcpu_get_regs(struct kvm_vcpu *v, struct kvm_regs *regs,
	struct kvm_sregs *sregs)
{
	int r = state_ioctl(v, KVM_GET_REGS, regs);

	return r < 0 ? r : state_ioctl(v, KVM_GET_SREGS, sregs);
}

int kvm_vcpu_set_regs(struct kvm_vcpu *v, const struct kvm_regs *regs,
	const struct kvm_sregs *sregs)
{
	struct kvm_sregs s = *sregs;
	struct kvm_regs g = *regs;
	int r = state_ioctl(v, KVM_SET_SREGS, &s);

	return r < 0 ? r : state_ioctl(v, KVM_SET_REGS, &g);
}

/* struct kvm_msrs with room for one. */
union one_msr {
	struct kvm_msrs msrs;
	char room[sizeof(struct kvm_msrs) + sizeof(struct kvm_msr_entry)];
};

int kvm_vcpu_get_msr(struct kvm_vcpu *v, uint32_t index, uint64_t *val)
{
	union one_msr m = { .msrs.nmsrs = 1 };
	int r;

	m.msrs.entries[0] = (struct kvm_msr_entry){ .index = index };
	r = kvm_ioctl(v->fd, KVM_GET_MSRS, &m);
	if (r < 0)
		return r;
	if (r != 1)
		return -ENOENT;
	*val = m.msrs.entries[0].data;
	return 0;
}

int kvm_vcpu_set_msr(struct kvm_vcpu *v, uint32_t index, uint64_t val)
{
	union one_msr m = { .msrs.nmsrs = 1 };
	int r;

	m.msrs.entries[0] = (struct kvm_msr_entry){
		.index = index,
		.data = val,
	};
	r = kvm_ioctl(v->fd, KVM_SET_MSRS, &m);
	if (r < 0)
		return r;
	return r == 1 ? 0 : -ENOENT;
}

int kvm_vcpu_set_lints(struct kvm_vcpu *v, uint32_t lvt0, uint32_t lvt1)
{
	struct kvm_lapic_state s;
	int r = state_ioctl(v, KVM_GET_LAPIC, &s);

	if (r < 0)
		return r;
	put_le32(s.regs + LAPIC_LVT0, lvt0);
	put_le32(s.regs + LAPIC_LVT1, lvt1);
	return state_ioctl(v, KVM_SET_LAPIC, &s);
}

int kvm_vcpu_get_mp_state(struct kvm_vcpu *v, uint32_t *state)
{
	struct kvm_mp_state mp;
	int r = state_ioctl(v, KVM_GET_MP_STATE, &mp);

	if (r >= 0)
		*state = mp.mp_state;
	return r;
}

int kvm_vcpu_translate(struct kvm_vcpu *v, uint64_t linear, uint64_t *gpa)
{
	struct kvm_translation t = { .linear_address = linear };
	int r = state_ioctl(v, KVM_TRANSLATE, &t);

	if (r < 0)
		return r;
	if (!t.valid)
		return -EFAULT;
	*gpa = t.physical_address;
	return 0;
}
