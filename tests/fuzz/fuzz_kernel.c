/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Any bytes as a kernel file. The first byte chooses what goes with it. What
 * loads must be entered inside RAM; what does not has a line of text.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vm/base/io.h"
#include "vm/base/sizes.h"

#include "vm/fw/fw.h"

#define RAM (8 * MiB)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct gmem *g;

static void must(bool ok)
{
	if (!ok)
		abort();
}

static void load(const char *path, unsigned how)
{
	struct fw_machine m = { .cpus = 1,
		.low_end = RAM,
		.high_end = GMEM_HIGH_BASE,
		.phys_bits = 40,
		.direct_boot = true };
	struct err e = ERR_NONE;
	struct fw_entry en;
	uint8_t byte;
	int rc = fw_linux_load(&m, g, path, how & 1 ? path : "",
		how & 2 ? "console=ttyS0 quiet" : "", how & 4 ? 0xE0000 : 0,
		&en, &e);

	if (rc) {
		must(e.code == -rc && e.msg[0]);
		return;
	}
	must(en.mode != FW_ENTRY_RESET);
	must(!gmem_read(g, en.rip, &byte, 1));
	must(!gmem_read(g, en.gdt_base + en.gdt_limit, &byte, 1));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char path[64];
	int fd;

	if (!size)
		return 0;
	if (!g)
		must(!gmem_new(NULL, RAM, false, &g, NULL));
	fd = memfd_create("kernel", MFD_CLOEXEC);
	must(fd >= 0);
	must(!io_write_full(fd, data + 1, size - 1));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	load(path, data[0]);
	close(fd);
	return 0;
}
