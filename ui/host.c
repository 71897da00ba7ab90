/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Host figures from /proc: proc_stat(5), proc_meminfo(5), proc_loadavg(5). */
#include "ui/host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

static void host_cpu(struct host *h)
{
	unsigned long long t[8] = { 0 };
	uint64_t all = 0, idle, busy;
	FILE *f = fopen("/proc/stat", "re");
	int n;

	h->cpu_percent = -1;
	if (!f)
		return;
	n = fscanf(f, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &t[0],
		&t[1], &t[2], &t[3], &t[4], &t[5], &t[6], &t[7]);
	fclose(f);
	if (n < 4)
		return;
	for (int i = 0; i < n; i++)
		all += t[i];
	idle = t[3] + t[4];
	busy = all - idle;
	if (h->all_ticks && all > h->all_ticks && busy >= h->busy_ticks)
		h->cpu_percent = 100.0 * (double)(busy - h->busy_ticks) /
				 (double)(all - h->all_ticks);
	h->busy_ticks = busy;
	h->all_ticks = all;
}

static void host_memory(struct host *h)
{
	unsigned long long kib, total = 0, avail = 0;
	FILE *f = fopen("/proc/meminfo", "re");
	char line[128];

	if (!f)
		return;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "MemTotal: %llu", &kib) == 1)
			total = kib;
		else if (sscanf(line, "MemAvailable: %llu", &kib) == 1)
			avail = kib;
	}
	fclose(f);
	h->memory_bytes = (uint64_t)total << 10;
	h->memory_used_bytes =
		total > avail ? (uint64_t)(total - avail) << 10 : 0;
}

void host_read(struct host *h)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);
	struct utsname u;

	h->cpus = n > 0 ? (unsigned)n : 1;
	snprintf(h->name, sizeof(h->name), "%s", uname(&u) ? "?" : u.nodename);
	if (getloadavg(h->load, 3) != 3)
		memset(h->load, 0, sizeof(h->load));
	host_cpu(h);
	host_memory(h);
}
