/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The boot CPU's state at a direct boot. At VCPU_RESET it is KVM's own
 * power-on state (SDM 3A 10.1.1), which nothing is added to. For a kernel it
 * is what firmware and boot loader would have left: flat segments, no
 * interrupts, MTRRs on with write-back as default, the local APIC wired to
 * the PIC (boot.rst "64-bit boot protocol", Xen misc/pvh).
 */
#include <errno.h>
#include <string.h>

#include "vm/core/vcpu_impl.h"

#define CR0_PE    0x1u
#define CR0_ET    0x10u
#define CR0_NE    0x20u
#define CR0_PG    0x80000000u
#define CR4_PAE   0x20u
#define EFER_LME  0x100u
#define EFER_LMA  0x400u
#define RFLAGS_1  0x2u /* always set */
#define SEL_CODE  0x10
#define SEL_DATA  0x18
#define SEL_TSS   0x20
#define TYPE_CODE 0xb /* execute, read, accessed */
#define TYPE_DATA 0x3 /* read, write, accessed */
#define TYPE_TSS  0xb /* busy */

#define MSR_MISC_ENABLE   0x1a0u
#define MSR_MTRR_DEF_TYPE 0x2ffu
#define MTRR_ON_WB        0x806u /* MTRRs on, what they leave is WB */
#define LVT0_EXTINT       0x8700u
#define LVT1_NMI          0x400u

static struct kvm_segment segment(uint16_t sel, uint8_t type, bool long64)
{
	return (struct kvm_segment){
		.limit = 0xffffffff,
		.selector = sel,
		.type = type,
		.present = 1,
		.s = 1,
		.g = 1,
		.l = long64,
		.db = !long64,
	};
}

static void entry_segments(struct kvm_sregs *s, bool long64)
{
	s->cs = segment(SEL_CODE, TYPE_CODE, long64);
	s->ds = segment(SEL_DATA, TYPE_DATA, false);
	s->es = s->fs = s->gs = s->ss = s->ds;
	s->tr = (struct kvm_segment){
		.limit = 0x67,
		.selector = SEL_TSS,
		.type = TYPE_TSS,
		.present = 1,
	};
	s->idt = (struct kvm_dtable){ 0 };
}

static void entry_long64(const struct vcpu_entry *n, struct kvm_regs *g,
	struct kvm_sregs *s)
{
	entry_segments(s, true);
	s->gdt = (struct kvm_dtable){
		.base = n->gdt_base,
		.limit = n->gdt_limit,
	};
	s->cr0 = CR0_PE | CR0_ET | CR0_NE | CR0_PG;
	s->cr3 = n->cr3;
	s->cr4 = CR4_PAE;
	s->efer = EFER_LME | EFER_LMA;
	g->rsi = n->rsi;
}

static void entry_pvh32(const struct vcpu_entry *n, struct kvm_regs *g,
	struct kvm_sregs *s)
{
	entry_segments(s, false);
	s->gdt = (struct kvm_dtable){
		.base = n->gdt_base,
		.limit = n->gdt_limit,
	};
	s->cr0 = CR0_PE | CR0_ET;
	s->cr3 = 0;
	s->cr4 = 0;
	s->efer = 0;
	g->rbx = n->rbx;
}

/* What firmware would have set up besides. */
static int entry_firmware_part(struct vcpu *v)
{
	struct vcpus *vs = v->group;

	/* a host whose CPU has none of these gets along without */
	for (unsigned i = 0; i < vs->n; i++) {
		(void)kvm_vcpu_set_msr(vs->v[i].kvm, MSR_MTRR_DEF_TYPE,
			MTRR_ON_WB);
		(void)kvm_vcpu_set_msr(vs->v[i].kvm, MSR_MISC_ENABLE, 1);
	}
	return kvm_vcpu_set_lints(v->kvm, LVT0_EXTINT, LVT1_NMI);
}

int vcpu_enter(struct vcpu *v, const struct vcpu_entry *entry)
{
	struct kvm_regs g;
	struct kvm_sregs s;
	int r;

	if (entry->mode == VCPU_RESET)
		return 0;
	r = kvm_vcpu_get_regs(v->kvm, &g, &s);
	if (r < 0)
		return r;
	memset(&g, 0, sizeof(g));
	g.rip = entry->rip;
	g.rsp = entry->rsp;
	g.rflags = RFLAGS_1;
	if (entry->mode == VCPU_LONG64)
		entry_long64(entry, &g, &s);
	else
		entry_pvh32(entry, &g, &s);
	r = kvm_vcpu_set_regs(v->kvm, &g, &s);
	return r < 0 ? r : entry_firmware_part(v);
}
