/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Direct boot: look at a kernel file and hand it to its loader. What is
 * wrong with the usual wrong file is said by name.
 */
#include <errno.h>
#include <string.h>

#include "vm/base/bytes.h"
#include "vm/base/sizes.h"

#include "vm/fw/layout.h"
#include "vm/fw/load.h"

#define HDRS 0x53726448 /* "HdrS" at 0x202 */

static const struct {
	uint8_t magic[6];
	uint8_t len;
	const char *what;
} packed[] = {
	{ { 0x1F, 0x8B }, 2, "gzip" },
	{ { 0xFD, '7', 'z', 'X', 'Z' }, 5, "xz" },
	{ { 0x28, 0xB5, 0x2F, 0xFD }, 4, "zstd" },
	{ { 'B', 'Z', 'h' }, 3, "bzip2" },
	{ { 0x02, 0x21, 0x4C, 0x18 }, 4, "lz4" },
};

static int unknown(struct load *l)
{
	for (size_t i = 0; i < ARRAY_LEN(packed); i++)
		if (l->head_len >= packed[i].len &&
			!memcmp(l->head, packed[i].magic, packed[i].len))
			return load_bad(l,
				"is packed with %s: unpack it, or take the "
				"kernel's bzImage",
				packed[i].what);
	return load_bad(l, "is neither a bzImage nor an ELF kernel");
}

static int load_kernel(struct load *l, struct fw_entry *out)
{
	int rc;

	l->head_len =
		l->kernel.size < LOAD_HEAD ? (size_t)l->kernel.size : LOAD_HEAD;
	rc = load_read(&l->kernel, 0, l->head, l->head_len, l->e);
	if (rc)
		return rc;
	if (l->head_len >= 4 && !memcmp(l->head, "\177ELF", 4))
		return pvh_load(l, out);
	if (l->head_len >= 0x206 && get_le32(l->head + 0x202) == HDRS)
		return bzimage_load(l, out);
	return unknown(l);
}

int fw_linux_load(const struct fw_machine *m, struct gmem *g,
	const char *kernel, const char *initrd, const char *cmdline,
	uint64_t rsdp, struct fw_entry *out, struct err *e)
{
	uint64_t low = gmem_low_end(g);
	struct load l = {
		.m = m,
		.g = g,
		.initrd = initrd,
		.cmdline = cmdline ? cmdline : "",
		.rsdp = rsdp,
		.e = e,
	};
	int rc;

	memset(out, 0, sizeof(*out));
	if (low > m->low_end)
		low = m->low_end;
	if (low < FW_KERNEL_MIN + MiB)
		return err_set(e, ENOMEM,
			"direct boot needs at least 2 MiB of memory");
	l.ram_end = low;
	rc = load_open(&l.kernel, kernel, e);
	if (rc)
		return rc;
	rc = load_kernel(&l, out);
	load_close(&l.kernel);
	return rc;
}
