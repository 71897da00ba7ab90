/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * KVM's binary statistics of a vCPU (api.rst, KVM_GET_STATS_FD): a header, a
 * table of named counters, and the counters. The table is the same for all
 * vCPUs of a VM, so it is read once; after that a snapshot is one pread. The
 * descriptor is got when the vCPU is made, as later that would wait for the
 * running vCPU.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vm/base/bytes.h"
#include "vm/base/io.h"
#include "vm/base/sizes.h"

#include "vm/kvm/kvm_impl.h"

enum {
	STAT_EXITS,
	STAT_HALT_EXITS,
	STAT_IRQ_INJECTIONS,
	STAT_HALT_WAIT_NS,
	STAT_HALT_POLL_SUCCESS_NS,
	STAT_HALT_POLL_FAIL_NS,
	STATS_WANTED,
};

static const char *const stats_names[STATS_WANTED] = {
	[STAT_EXITS] = "exits",
	[STAT_HALT_EXITS] = "halt_exits",
	[STAT_IRQ_INJECTIONS] = "irq_injections",
	[STAT_HALT_WAIT_NS] = "halt_wait_ns",
	[STAT_HALT_POLL_SUCCESS_NS] = "halt_poll_success_ns",
	[STAT_HALT_POLL_FAIL_NS] = "halt_poll_fail_ns",
};

_Static_assert(STATS_WANTED <= ARRAY_LEN(((struct kvm_vm *)0)->stats_at),
	"room for every counter");

/* The counters of a vCPU take less (2 KiB with Linux 6). */
#define STATS_DATA_MAX 8192

void kvm_stats_open(struct kvm_vcpu *v)
{
	int r = -1;

	if (v->vm->binary_stats)
		r = kvm_ioctl_int(v->fd, KVM_GET_STATS_FD, 0);
	v->stats_fd = r >= 0 ? r : -1;
}

/* Keep where the counter d is, if it is wanted and near the first ones. */
static void stats_note(struct kvm_vm *vm, const struct kvm_stats_header *h,
	const uint8_t *d)
{
	uint32_t off = get_le32(d + offsetof(struct kvm_stats_desc, offset));
	const char *name = (const char *)d + sizeof(struct kvm_stats_desc);

	for (int i = 0; i < STATS_WANTED; i++)
		if (!strncmp(name, stats_names[i], h->name_size) &&
			off <= STATS_DATA_MAX - sizeof(uint64_t))
			vm->stats_at[i] = (int)off;
}

/* Read header and table. 0, or -1 when this kernel's are not understood. */
static int stats_learn(struct kvm_vm *vm, int fd)
{
	struct kvm_stats_header h;
	size_t each, len;
	uint8_t *d;

	for (int i = 0; i < STATS_WANTED; i++)
		vm->stats_at[i] = -1;
	if (io_pread_full(fd, &h, sizeof(h), 0) < 0 || h.num_desc > 4096 ||
		h.name_size == 0 || h.name_size > 256)
		return -1;
	each = sizeof(struct kvm_stats_desc) + h.name_size;
	len = each * h.num_desc;
	d = malloc(len);
	if (!d)
		return -1;
	if (io_pread_full(fd, d, len, h.desc_offset) < 0) {
		free(d);
		return -1;
	}
	for (uint32_t i = 0; i < h.num_desc; i++)
		stats_note(vm, &h, d + i * each);
	free(d);
	vm->stats_data = h.data_offset;
	return 0;
}

static bool stats_known(struct kvm_vm *vm, int fd)
{
	LOCK_GUARD(&vm->lock);
	if (!vm->stats_layout)
		vm->stats_layout = stats_learn(vm, fd) < 0 ? -1 : 1;
	return vm->stats_layout > 0;
}

void kvm_vcpu_stats(struct kvm_vcpu *v, struct kvm_vcpu_stats *out)
{
	uint8_t data[STATS_DATA_MAX];
	uint64_t val[STATS_WANTED];
	ssize_t n;

	memset(out, 0, sizeof(*out));
	if (v->stats_fd < 0 || !stats_known(v->vm, v->stats_fd))
		return;
	/* what stats_known() found does not change any more */
	n = pread(v->stats_fd, data, sizeof(data), v->vm->stats_data);
	for (int i = 0; i < STATS_WANTED; i++) {
		int at = v->vm->stats_at[i];

		/* not there: a counter that this kernel has not */
		val[i] = at >= 0 && at + 8 <= n ? get_le64(data + at) : 0;
	}
	out->exits = val[STAT_EXITS];
	out->halt_exits = val[STAT_HALT_EXITS];
	out->irq_injections = val[STAT_IRQ_INJECTIONS];
	out->halt_ns = val[STAT_HALT_WAIT_NS] + val[STAT_HALT_POLL_SUCCESS_NS] +
		       val[STAT_HALT_POLL_FAIL_NS];
}
