/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the host does, for the console's head. Thread: the caller's. */
#ifndef UI_HOST_H
#define UI_HOST_H

#include <stdint.h>

struct host {
	char name[65];
	unsigned cpus;
	double cpu_percent; /* of all CPUs together, 0..100; < 0 = unknown */
	uint64_t memory_bytes, memory_used_bytes;
	double load[3];
	/* of the last reading */
	uint64_t busy_ticks, all_ticks;
};

/* Read /proc anew; what cannot be read stays 0. */
void host_read(struct host *h);

#endif
