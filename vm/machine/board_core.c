// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * What every device needs of the machine: the VM, its memory, buses and
 * interrupts, the I/O thread; and the vCPUs on top.
 */
#include <errno.h>

#include "vm/machine/board_impl.h"

int board_core_up(struct board *b, struct err *e)
{
	const struct conf *c = b->o.conf;
	struct core *core = &b->core;
	int r;

	core->log = b->o.log;
	core->request = b->o.request;
	core->request_arg = b->o.request_arg;
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
