/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Counters: they stand beside the code that counts, are bumped with relaxed
 * atomics, and are read by copying. struct guest_stats is the plain snapshot
 * that leaves the engine; all figures are totals since the guest started,
 * rates are the reader's to compute from two snapshots. Thread: any.
 */
#ifndef VM_CORE_STATS_H
#define VM_CORE_STATS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "vm/base/hist.h"

#define STATS_MAX_VCPUS 64
#define STATS_MAX_DISKS 16
#define STATS_MAX_NETS  8
#define STATS_NAME      32

/* Userspace exits by reason; the kernel's own total is kvm_exits. */
enum exit_kind {
	EXIT_IO_READ,
	EXIT_IO_WRITE,
	EXIT_MMIO_READ,
	EXIT_MMIO_WRITE,
	EXIT_INTR,
	EXIT_OTHER,
	EXIT_KINDS,
};

struct vcpu_stats {
	uint64_t cpu_ns;   /* CPU time of the vCPU's thread */
	uint64_t guest_ns; /* of it in the guest (utime-like), 0 = unknown */
	uint64_t halt_ns;  /* halted in the kernel (KVM stats), 0 = unknown */
	uint64_t steal_ns; /* ready, but waiting for a host CPU */
	uint64_t exits[EXIT_KINDS];
	uint64_t kvm_exits; /* all exits as KVM counts them, 0 = unknown */
	uint64_t kvm_halt_exits;
	uint64_t kvm_irq_injections;
};

struct dir_stats { /* one direction of a disk or NIC */
	uint64_t ops, bytes, errors;
	uint64_t time_ns;         /* sum of latencies */
	struct hist_snap latency; /* disks only */
};

struct disk_stats {
	char name[STATS_NAME];
	const char *format, *aio; /* in use now: text that is never freed */
	struct dir_stats read, write, flush, discard;
	uint32_t in_flight;
};

struct net_stats {
	char name[STATS_NAME];
	struct dir_stats rx, tx; /* as the guest sees it */
	uint64_t rx_dropped, tx_dropped;
};

struct guest_stats {
	uint64_t when_ns;   /* clock_now_ns() of this snapshot */
	uint64_t uptime_ns; /* since start, 0 when off */
	unsigned nvcpus;
	struct vcpu_stats vcpu[STATS_MAX_VCPUS];
	uint64_t io_cpu_ns; /* I/O thread */
	uint64_t memory_bytes, memory_resident_bytes;
	int64_t dirty_pages; /* since the last snapshot; -1 = not measured */
	unsigned ndisks, nnets;
	struct disk_stats disk[STATS_MAX_DISKS];
	struct net_stats net[STATS_MAX_NETS];
	uint64_t frames;        /* refreshes that changed the surface */
	unsigned viewers;       /* connected now */
	unsigned width, height; /* of the screen, 0 = none */
};

/* Relaxed add for a counter that only one snapshot reader looks at. */
#define STAT_ADD(c, n)                                                         \
	atomic_fetch_add_explicit(&(c), (n), memory_order_relaxed)
#define STAT_GET(c) atomic_load_explicit(&(c), memory_order_relaxed)

#endif
