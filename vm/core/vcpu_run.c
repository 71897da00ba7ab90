/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Running a vCPU and serving its exits (api.rst section 5, MACHINE.md 6).
 * What only a host or a guest gone wrong can cause ends the guest with a
 * reason that names it and the registers in the guest's log; the process
 * goes on. Thread: the vCPU's, no lock held when a handler is called.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "vm/base/bytes.h"
#include "vm/base/sizes.h"

#include "vm/core/vcpu_impl.h"

/* The guest cannot go on: say why, stop all of it. */
static void vcpu_crash(struct vcpu *v, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* A dump of several lines goes into the log line by line. */
static void vcpu_log_lines(struct log *log, char *text)
{
	char *save = NULL;

	for (char *line = strtok_r(text, "\n", &save); line;
		line = strtok_r(NULL, "\n", &save))
		log_msg(log, LOG_ERROR, "%s", line);
}

static void vcpu_crash(struct vcpu *v, const char *fmt, ...)
{
	struct vcpus *vs = v->group;
	char why[400], text[2048];
	va_list ap;
	int n = snprintf(why, sizeof(why), "CPU %u: ", v->index);

	va_start(ap, fmt);
	vsnprintf(why + n, sizeof(why) - (size_t)n, fmt, ap);
	va_end(ap);
	vcpus_park(vs);
	log_msg(vs->o.core->log, LOG_ERROR, "%s", why);
	vcpu_dump(v, text, sizeof(text));
	vcpu_log_lines(vs->o.core->log, text);
	if (vs->o.crashed)
		vs->o.crashed(vs->o.crashed_arg, v, why);
	else
		core_request(vs->o.core, CORE_CRASH, why);
}

/* Port access, count items of a string instruction in guest order. */
static void vcpu_exit_io(struct vcpu *v)
{
	struct kvm_run *run = v->run;
	struct bus *pio = v->group->o.core->pio;
	unsigned size = run->io.size;
	uint64_t bytes = (uint64_t)size * run->io.count;
	uint8_t *p = (uint8_t *)run + run->io.data_offset;
	bool in = run->io.direction == KVM_EXIT_IO_IN;

	if (!size_in(run->io.data_offset, bytes, kvm_vcpu_page_size(v->kvm))) {
		vcpu_crash(v, "KVM gave a port access of %llu bytes",
			(unsigned long long)bytes);
		return;
	}
	vcpu_count(v, in ? EXIT_IO_READ : EXIT_IO_WRITE);
	for (uint32_t i = 0; i < run->io.count; i++, p += size) {
		if (in)
			put_le(p, bus_read(pio, run->io.port, size), size);
		else
			bus_write(pio, run->io.port, get_le(p, size), size);
	}
}

static void vcpu_exit_mmio(struct vcpu *v)
{
	struct kvm_run *run = v->run;
	struct bus *mmio = v->group->o.core->mmio;
	uint64_t addr = run->mmio.phys_addr;
	unsigned len = run->mmio.len;

	if (len > sizeof(run->mmio.data))
		len = sizeof(run->mmio.data);
	if (run->mmio.is_write) {
		vcpu_count(v, EXIT_MMIO_WRITE);
		bus_write(mmio, addr, get_le(run->mmio.data, len), len);
	} else {
		vcpu_count(v, EXIT_MMIO_READ);
		put_le(run->mmio.data, bus_read(mmio, addr, len), len);
	}
}

/* KVM's emulator met an instruction that it cannot do. */
static void vcpu_crash_emulation(struct vcpu *v)
{
	const struct kvm_run *run = v->run;
	char bytes[16 * 3 + 1] = "";
	unsigned n = 0, max = sizeof(run->emulation_failure.insn_bytes);

	if (run->emulation_failure.ndata >= 3 &&
		run->emulation_failure.flags &
			KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES)
		n = run->emulation_failure.insn_size;
	for (unsigned i = 0; i < n && i < max; i++)
		snprintf(bytes + 3 * i, 4, " %02x",
			run->emulation_failure.insn_bytes[i]);
	vcpu_crash(v, "KVM cannot emulate an instruction of the guest:%s",
		n ? bytes : " see the bytes at rip");
}

static void vcpu_crash_internal(struct vcpu *v)
{
	const struct kvm_run *run = v->run;
	char data[8 * 18 + 1] = "";
	size_t at = 0;

	if (run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION) {
		vcpu_crash_emulation(v);
		return;
	}
	for (unsigned i = 0; i < run->internal.ndata && i < 8; i++)
		at += (size_t)snprintf(data + at, sizeof(data) - at, " %llx",
			(unsigned long long)run->internal.data[i]);
	vcpu_crash(v, "KVM internal error %u:%s", run->internal.suberror,
		at ? data : " no data");
}

static void vcpu_exit_system(struct vcpu *v)
{
	struct core *core = v->group->o.core;

	switch (v->run->system_event.type) {
	case KVM_SYSTEM_EVENT_SHUTDOWN:
		core_request(core, CORE_POWEROFF, NULL);
		vcpus_park(v->group);
		break;
	case KVM_SYSTEM_EVENT_RESET:
		core_request(core, CORE_RESET, NULL);
		vcpus_park(v->group);
		break;
	case KVM_SYSTEM_EVENT_CRASH:
		vcpu_crash(v, "the guest says that it crashed");
		break;
	default:
		vcpu_crash(v, "unknown system event %u",
			v->run->system_event.type);
		break;
	}
}

/* KVM_RUN came back with an exit. */
static void vcpu_exit(struct vcpu *v)
{
	struct kvm_run *run = v->run;

	v->pending = true;
	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		vcpu_exit_io(v);
		return;
	case KVM_EXIT_MMIO:
		vcpu_exit_mmio(v);
		return;
	case KVM_EXIT_INTR:
		vcpu_count(v, EXIT_INTR);
		return;
	default:
		break;
	}
	vcpu_count(v, EXIT_OTHER);
	switch (run->exit_reason) {
	case KVM_EXIT_NMI: /* a host's NMI, served by the host */
		break;
	case KVM_EXIT_SHUTDOWN:
		vcpu_crash(v, "triple fault");
		break;
	case KVM_EXIT_FAIL_ENTRY:
		vcpu_crash(v,
			"the host's CPU refuses to enter the guest, reason "
			"0x%llx",
			(unsigned long long)
				run->fail_entry.hardware_entry_failure_reason);
		break;
	case KVM_EXIT_INTERNAL_ERROR:
		vcpu_crash_internal(v);
		break;
	case KVM_EXIT_SYSTEM_EVENT:
		vcpu_exit_system(v);
		break;
	case KVM_EXIT_UNKNOWN:
		vcpu_crash(v, "unknown exit of the host's CPU, reason 0x%llx",
			(unsigned long long)run->hw.hardware_exit_reason);
		break;
	default:
		vcpu_crash(v, "unexpected exit %u from KVM", run->exit_reason);
		break;
	}
}

/* KVM_RUN failed with anything but a kick. */
static void vcpu_run_failed(struct vcpu *v, int code)
{
	vcpu_count(v, EXIT_OTHER);
	switch (code) {
	case EFAULT:
		vcpu_crash(v,
			"the host could not give memory that the guest "
			"touched; if hugepages = yes, its huge pages are used "
			"up");
		break;
	case EHWPOISON:
		vcpu_crash(v, "memory of the host under the guest is broken");
		break;
	case ENOMEM:
		vcpu_crash(v, "the host's kernel is out of memory");
		break;
	default:
		vcpu_crash(v, "KVM_RUN failed: %s", strerror(code));
		break;
	}
}

/* Once into the guest and back. */
static void vcpu_turn(struct vcpu *v)
{
	int r = kvm_vcpu_run(v->kvm);

	switch (-r) {
	case 0:
		/* what was written before this exit comes before it */
		bus_flush(v->group->o.core->mmio);
		vcpu_exit(v);
		break;
	case EINTR:
		vcpu_count(v, EXIT_INTR);
		/* before leave is looked at again: see vcpu.c */
		__atomic_store_n(&v->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
		break;
	case EAGAIN: /* an AP that waits for its SIPI was woken */
		break;
	default:
		vcpu_run_failed(v, -r);
		break;
	}
}

/*
 * The instruction that caused the last exit is finished at the next KVM_RUN;
 * immediate_exit makes it return before another one is begun. An access that
 * KVM does in pieces exits again for each.
 */
static void vcpu_finish(struct vcpu *v)
{
	int r = 0;

	while (v->pending && r == 0) {
		__atomic_store_n(&v->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
		r = kvm_vcpu_run(v->kvm);
		if (r == 0) {
			bus_flush(v->group->o.core->mmio);
			vcpu_exit(v);
		}
	}
	v->pending = false;
}

void vcpu_loop(struct vcpu *v)
{
	struct vcpus *vs = v->group;

	__atomic_store_n(&v->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
	while (!atomic_load(&vs->leave))
		vcpu_turn(v);
	vcpu_finish(v);
	bus_flush(vs->o.core->mmio);
}
