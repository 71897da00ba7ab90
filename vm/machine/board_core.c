// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * What every device needs of the machine: the VM, its memory, buses and
 * interrupts, the I/O thread; and the vCPUs on top.
 */
#include <errno.h>

#include "vm/machine/board_impl.h"

/*
 * What devices and vCPUs ask for. A vCPU that asks stops right there: the
 * guest executes nothing past its reset or power-off.
 */
static void request(void *arg, enum core_request what, const char *why)
{
	struct board *b = arg;

	if (b->vcpus)
		vcpus_park(b->vcpus);
	b->o.request(b->o.request_arg, what, why);
}

int board_core_up(struct board *b, struct err *e)
{
	const struct conf *c = b->o.conf;
	struct core *core = &b->core;
	int r;

	core->log = b->o.log;
	core->request = request;
	core->request_arg = b;
	r = kvm_vm_new(&b->kvm, e);
	if (r >= 0)
		r = loop_new(&b->io, e);
	if (r >= 0)
		r = gmem_new(b->kvm, c->memory_bytes, c->hugepages, &core->gmem,
			e);
	if (r >= 0)
		r = bus_new(b->kvm, true, 0x10000, &core->pio, e);
	if (r >= 0)
		r = bus_new(b->kvm, false, UINT64_C(1) << kvm_phys_bits(b->kvm),
			&core->mmio, e);
	if (r >= 0)
		r = irqs_new(b->kvm, &core->irqs, e);
	core->io = b->io;
	return r;
}

void board_core_down(struct board *b)
{
	irqs_free(b->core.irqs);
	bus_free(b->core.mmio);
	bus_free(b->core.pio);
	gmem_free(b->core.gmem);
	loop_free(b->io);
	kvm_vm_free(b->kvm);
}

static void io_main(void *arg)
{
	loop_run(arg);
}

int board_io_up(struct board *b, struct err *e)
{
	int r = thread_start(&b->io_thread, "io", io_main, b->io, e);

	b->io_runs = r >= 0;
	return r;
}

void board_io_down(struct board *b)
{
	if (!b->io_runs)
		return;
	loop_stop(b->io);
	thread_join(&b->io_thread);
	b->io_runs = false;
}

int board_vcpus_up(struct board *b, struct err *e)
{
	const struct vcpus_opts o = {
		.kvm = b->kvm,
		.core = &b->core,
		.n = b->o.conf->cpus,
	};
	int r = vcpus_new(&o, &b->vcpus, e);

	return r < 0 ? r : board_vcpus_reset(b, e);
}

void board_vcpus_down(struct board *b)
{
	vcpus_free(b->vcpus);
	b->vcpus = NULL;
}

int board_vcpus_reset(struct board *b, struct err *e)
{
	static const enum vcpu_mode modes[] = {
		[FW_ENTRY_RESET] = VCPU_RESET,
		[FW_ENTRY_LONG64] = VCPU_LONG64,
		[FW_ENTRY_PVH32] = VCPU_PVH32,
	};
	const struct fw_entry *f = &b->entry;
	const struct vcpu_entry entry = {
		.mode = modes[f->mode],
		.rip = f->rip,
		.rsp = f->rsp,
		.rsi = f->rsi,
		.rbx = f->rbx,
		.cr3 = f->cr3,
		.gdt_base = f->gdt_base,
		.gdt_limit = f->gdt_limit,
	};

	return vcpus_reset(b->vcpus, &entry, e);
}
