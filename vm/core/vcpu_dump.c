/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A vCPU's registers as text for people. Thread: see vcpus_dump(). */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "vm/core/vcpu_impl.h"

#define DUMP_CODE_BYTES 16

struct text {
	char *buf;
	size_t size, len; /* len < size */
};

static void text_add(struct text *t, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static void text_add(struct text *t, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(t->buf + t->len, t->size - t->len, fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	t->len += (size_t)n;
	if (t->len >= t->size)
		t->len = t->size - 1;
}

static void dump_gprs(struct text *t, const struct kvm_regs *g)
{
	text_add(t, "rip %016llx rflags %08llx\n", g->rip, g->rflags);
	text_add(t, "rax %016llx rbx %016llx rcx %016llx rdx %016llx\n", g->rax,
		g->rbx, g->rcx, g->rdx);
	text_add(t, "rsi %016llx rdi %016llx rbp %016llx rsp %016llx\n", g->rsi,
		g->rdi, g->rbp, g->rsp);
	text_add(t, "r8  %016llx r9  %016llx r10 %016llx r11 %016llx\n", g->r8,
		g->r9, g->r10, g->r11);
	text_add(t, "r12 %016llx r13 %016llx r14 %016llx r15 %016llx\n", g->r12,
		g->r13, g->r14, g->r15);
}

static void dump_segment(struct text *t, const char *name,
	const struct kvm_segment *s)
{
	text_add(t, "%s %04x base %016llx limit %08x type %x dpl %u%s%s%s%s\n",
		name, s->selector, s->base, s->limit, s->type, s->dpl,
		s->l    ? " 64"
		: s->db ? " 32"
			: " 16",
		s->s ? "" : " system", s->present ? "" : " absent",
		s->unusable ? " unusable" : "");
}

static void dump_sregs(struct text *t, const struct kvm_sregs *s)
{
	dump_segment(t, "cs ", &s->cs);
	dump_segment(t, "ds ", &s->ds);
	dump_segment(t, "es ", &s->es);
	dump_segment(t, "ss ", &s->ss);
	dump_segment(t, "fs ", &s->fs);
	dump_segment(t, "gs ", &s->gs);
	dump_segment(t, "tr ", &s->tr);
	dump_segment(t, "ldt", &s->ldt);
	text_add(t,
		"gdt base %016llx limit %04x  idt base %016llx limit %04x\n",
		s->gdt.base, s->gdt.limit, s->idt.base, s->idt.limit);
	text_add(t, "cr0 %08llx cr2 %016llx cr3 %016llx cr4 %08llx cr8 %llx\n",
		s->cr0, s->cr2, s->cr3, s->cr4, s->cr8);
	text_add(t, "efer %llx apic base %llx\n", s->efer, s->apic_base);
}

/* Guest-linear bytes, page by page; returns how many could be read. */
static unsigned dump_fetch(struct vcpu *v, const struct kvm_sregs *s,
	uint64_t linear, uint8_t *buf, unsigned len)
{
	unsigned n = 0;

	while (n < len) {
		uint64_t gpa, at = linear + n;
		unsigned part = 4096 - (unsigned)(at % 4096);

		if (!(s->cr0 & 0x80000000u)) /* no paging */
			gpa = at & 0xffffffff;
		else if (kvm_vcpu_translate(v->kvm, at, &gpa) < 0)
			break;
		if (part > len - n)
			part = len - n;
		if (gmem_peek(v->group->o.core->gmem, gpa, buf + n, part) < 0)
			break;
		n += part;
	}
	return n;
}

static void dump_code(struct text *t, struct vcpu *v, const struct kvm_regs *g,
	const struct kvm_sregs *s)
{
	uint64_t linear = s->cs.l ? g->rip : (uint32_t)(s->cs.base + g->rip);
	uint8_t code[DUMP_CODE_BYTES];
	unsigned n = dump_fetch(v, s, linear, code, sizeof(code));

	text_add(t, "code at %llx:", (unsigned long long)linear);
	for (unsigned i = 0; i < n; i++)
		text_add(t, " %02x", code[i]);
	text_add(t, n ? "\n" : " not readable\n");
}

size_t vcpu_dump(struct vcpu *v, char *buf, size_t size)
{
	struct text t = { .buf = buf, .size = size };
	struct kvm_regs g;
	struct kvm_sregs s;

	buf[0] = 0;
	if (kvm_vcpu_get_regs(v->kvm, &g, &s) < 0) {
		text_add(&t, "KVM does not give the registers\n");
		return t.len;
	}
	dump_gprs(&t, &g);
	dump_sregs(&t, &s);
	dump_code(&t, v, &g, &s);
	/* AMD's CPU leaves nothing else after a triple fault (KVM resets) */
	if (g.rip == 0xfff0 && s.cs.base == 0xffff0000)
		text_add(&t, "(this is the state after a reset)\n");
	return t.len;
}
