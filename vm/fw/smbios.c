/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * SMBIOS tables with the 2.8 entry point ("_SM_"): what both SeaBIOS 1.16
 * and OVMF take through fw_cfg and put in place; for direct boot we place
 * them ourselves. Firmware adds its own type 0 when there is none, so ours
 * is there for direct boot only. DMTF DSP0134 2.8.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/bytes.h"
#include "vm/base/sizes.h"

#include "vm/fw/buf.h"
#include "vm/fw/layout.h"

#define MAKER      "guestdeck"
#define PRODUCT    "guestdeck virtual machine"
#define ANCHOR_LEN 0x1F
#define DIMM_MIN   (16 * GiB)
#define DIMM_COUNT 64
#define NAME_MAX_  64
#define NO_HANDLE  0xFFFF
#define NO_ERRORS  0xFFFE

/* First handles of structures by type, so that they cannot collide. */
#define HANDLE(type, n) ((uint16_t)((type) << 8 | (n)))

struct smbios_build {
	struct fw_buf b;
	size_t at;      /* the structure being written */
	size_t largest; /* bytes of the largest one */
	unsigned count;
	char strings[320];
	size_t strings_len;
	uint8_t nstrings;
};

/* Begin a structure of len bytes (header included), all zero. */
static void begin(struct smbios_build *s, uint8_t type, uint16_t handle,
	uint8_t len)
{
	s->at = s->b.len;
	s->strings_len = 0;
	s->nstrings = 0;
	fw_buf_zero(&s->b, len);
	fw_buf_put(&s->b, s->at, type, 1);
	fw_buf_put(&s->b, s->at + 1, len, 1);
	fw_buf_put(&s->b, s->at + 2, handle, 2);
}

static void put(struct smbios_build *s, size_t off, uint64_t v, unsigned size)
{
	fw_buf_put(&s->b, s->at + off, v, size);
}

/* Give the structure a string and put its number at off. */
static void text(struct smbios_build *s, size_t off, const char *v)
{
	size_t len = strlen(v);

	if (!len || s->strings_len + len + 1 > sizeof(s->strings))
		return;
	memcpy(s->strings + s->strings_len, v, len + 1);
	s->strings_len += len + 1;
	put(s, off, ++s->nstrings, 1);
}

static void end(struct smbios_build *s)
{
	fw_buf_add(&s->b, s->strings, s->strings_len);
	fw_buf_zero(&s->b, s->nstrings ? 1 : 2);
	if (s->b.len - s->at > s->largest)
		s->largest = s->b.len - s->at;
	s->count++;
}

/* The guest's name as a DMI string: printable ASCII, not too long. */
static void clean_name(const char *name, char out[NAME_MAX_ + 1])
{
	size_t n = 0;

	for (; name && *name && n < NAME_MAX_; name++)
		out[n++] = *name > ' ' && *name <= '~' ? *name : '_';
	out[n] = 0;
}

static void bios_information(struct smbios_build *s)
{
	begin(s, 0, HANDLE(0, 0), 0x18);
	text(s, 0x04, MAKER);
	text(s, 0x05, "direct boot");
	put(s, 0x06, 0xE800, 2);
	text(s, 0x08, "01/01/2026");
	put(s, 0x0A, 1u << 3, 8); /* no characteristics are told ... */
	put(s, 0x13, 0x14, 1);    /* ... but that it is a virtual machine */
	put(s, 0x16, 0xFF, 1);
	put(s, 0x17, 0xFF, 1);
	end(s);
}

static void system_information(struct smbios_build *s,
	const struct fw_machine *m, const char *name)
{
	const uint8_t *u = m->uuid;

	begin(s, 1, HANDLE(1, 0), 0x1B);
	text(s, 0x04, MAKER);
	text(s, 0x05, PRODUCT);
	text(s, 0x06, "q35");
	text(s, 0x07, name);
	/* The first three parts are little endian since SMBIOS 2.6. */
	put(s, 0x08, get_be32(u), 4);
	put(s, 0x0C, get_be16(u + 4), 2);
	put(s, 0x0E, get_be16(u + 6), 2);
	put(s, 0x10, get_le64(u + 8), 8);
	put(s, 0x18, 0x06, 1); /* woken by the power switch */
	end(s);
}

static void chassis(struct smbios_build *s)
{
	begin(s, 3, HANDLE(3, 0), 0x16);
	text(s, 0x04, MAKER);
	put(s, 0x05, 0x01, 1); /* other */
	text(s, 0x06, "q35");
	for (size_t i = 0x09; i <= 0x0B; i++)
		put(s, i, 0x03, 1); /* safe */
	put(s, 0x0C, 0x02, 1);      /* security unknown */
	end(s);
}

static void processor(struct smbios_build *s, unsigned cpus)
{
	uint8_t cores = cpus > 255 ? 255 : (uint8_t)cpus;

	begin(s, 4, HANDLE(4, 0), 0x2A);
	text(s, 0x04, "CPU 0");
	put(s, 0x05, 0x03, 1); /* central */
	put(s, 0x06, 0x01, 1); /* family other */
	text(s, 0x07, MAKER);
	text(s, 0x10, "q35");
	put(s, 0x14, 2000, 2);
	put(s, 0x16, 2000, 2);
	put(s, 0x18, 0x41, 1); /* populated, enabled */
	put(s, 0x19, 0x01, 1);
	for (size_t i = 0x1A; i <= 0x1E; i += 2)
		put(s, i, NO_HANDLE, 2); /* caches: ask CPUID */
	put(s, 0x23, cores, 1);
	put(s, 0x24, cores, 1);
	put(s, 0x25, cores, 1);
	put(s, 0x26, 0x02, 2); /* characteristics unknown */
	put(s, 0x28, 0x01, 2);
	end(s);
}

static uint64_t ram_size(const struct fw_machine *m)
{
	if (m->high_end <= GMEM_HIGH_BASE)
		return m->low_end;
	return m->low_end + (m->high_end - GMEM_HIGH_BASE);
}

static void memory_array(struct smbios_build *s, uint64_t ram, unsigned dimms)
{
	begin(s, 16, HANDLE(16, 0), 0x17);
	put(s, 0x04, 0x01, 1); /* other location */
	put(s, 0x05, 0x03, 1); /* system memory */
	put(s, 0x06, 0x03, 1); /* no error correction */
	if (ram < 2 * TiB) {
		put(s, 0x07, ram / KiB, 4);
	} else {
		put(s, 0x07, 0x80000000, 4);
		put(s, 0x0F, ram, 8);
	}
	put(s, 0x0B, NO_ERRORS, 2);
	put(s, 0x0D, dimms, 2);
	end(s);
}

static void memory_device(struct smbios_build *s, unsigned n, uint64_t size)
{
	uint64_t mib = size_up(size, MiB) / MiB;
	char name[16];

	snprintf(name, sizeof(name), "DIMM %u", n);
	begin(s, 17, HANDLE(17, n), 0x28);
	put(s, 0x04, HANDLE(16, 0), 2);
	put(s, 0x06, NO_ERRORS, 2);
	put(s, 0x08, 0xFFFF, 2);
	put(s, 0x0A, 0xFFFF, 2);
	put(s, 0x0C, mib < 0x7FFF ? mib : 0x7FFF, 2);
	put(s, 0x0E, 0x09, 1); /* DIMM */
	text(s, 0x10, name);
	put(s, 0x12, 0x07, 1); /* RAM */
	put(s, 0x13, 0x02, 2);
	text(s, 0x17, MAKER);
	if (mib >= 0x7FFF)
		put(s, 0x1C, mib, 4);
	end(s);
}

static void memory_mapping(struct smbios_build *s, unsigned n, uint64_t from,
	uint64_t to)
{
	begin(s, 19, HANDLE(19, n), 0x1F);
	if (to / KiB <= UINT32_MAX) {
		put(s, 0x04, from / KiB, 4);
		put(s, 0x08, to / KiB - 1, 4);
	} else {
		put(s, 0x04, UINT32_MAX, 4);
		put(s, 0x08, UINT32_MAX, 4);
		put(s, 0x0F, from, 8);
		put(s, 0x17, to - 1, 8);
	}
	put(s, 0x0C, HANDLE(16, 0), 2);
	put(s, 0x0E, 1, 1);
	end(s);
}

static void memory(struct smbios_build *s, const struct fw_machine *m)
{
	uint64_t ram = ram_size(m), dimm = DIMM_MIN;
	unsigned n;

	while (ram / dimm >= DIMM_COUNT)
		dimm *= 2;
	n = (unsigned)((ram + dimm - 1) / dimm);
	memory_array(s, ram, n);
	for (unsigned i = 0; i < n; i++)
		memory_device(s, i, i + 1 < n ? dimm : ram - i * dimm);
	memory_mapping(s, 0, 0, m->low_end);
	if (m->high_end > GMEM_HIGH_BASE)
		memory_mapping(s, 1, GMEM_HIGH_BASE, m->high_end);
}

static void build_structures(struct smbios_build *s, const struct fw_machine *m)
{
	char name[NAME_MAX_ + 1];

	clean_name(m->name, name);
	if (m->direct_boot)
		bios_information(s);
	system_information(s, m, name);
	chassis(s);
	processor(s, m->cpus);
	memory(s, m);
	begin(s, 32, HANDLE(32, 0), 11); /* no boot error */
	end(s);
	begin(s, 127, HANDLE(127, 0), 4);
	end(s);
}

/* The 2.8 entry point for tables of that many bytes at gpa. */
static void anchor_fill(uint8_t a[ANCHOR_LEN], const struct smbios_build *s,
	uint32_t gpa)
{
	static const uint8_t sm[4] = { '_', 'S', 'M', '_' };
	static const uint8_t dmi[5] = { '_', 'D', 'M', 'I', '_' };

	memset(a, 0, ANCHOR_LEN);
	memcpy(a, sm, sizeof(sm));
	a[5] = ANCHOR_LEN;
	a[6] = 2;
	a[7] = 8;
	put_le16(a + 8, (uint16_t)s->largest);
	memcpy(a + 0x10, dmi, sizeof(dmi));
	put_le16(a + 0x16, (uint16_t)s->b.len);
	put_le32(a + 0x18, gpa);
	put_le16(a + 0x1C, (uint16_t)s->count);
	a[0x1E] = 0x28;
	a[0x15] = fw_checksum(a + 0x10, ANCHOR_LEN - 0x10);
	a[4] = fw_checksum(a, ANCHOR_LEN);
}

int fw_smbios_build(const struct fw_machine *m, struct fw_blob *anchor,
	struct fw_blob *tables, struct err *e)
{
	struct smbios_build s = { .largest = 0 };
	struct fw_buf ab = { 0 };
	uint8_t a[ANCHOR_LEN];
	int rc;

	memset(anchor, 0, sizeof(*anchor));
	build_structures(&s, m);
	anchor_fill(a, &s, 0);
	fw_buf_add(&ab, a, sizeof(a));
	rc = fw_buf_take(&s.b, "etc/smbios/smbios-tables", tables, e);
	if (!rc)
		rc = fw_buf_take(&ab, "etc/smbios/smbios-anchor", anchor, e);
	if (rc) {
		free(tables->data);
		memset(tables, 0, sizeof(*tables));
	}
	fw_buf_fini(&ab);
	return rc;
}

int fw_smbios_install(const struct fw_machine *m, struct gmem *g, struct err *e)
{
	struct smbios_build s = { .largest = 0 };
	uint32_t gpa = FW_SMBIOS + 0x20;
	uint8_t a[ANCHOR_LEN];
	int rc = 0;

	build_structures(&s, m);
	if (s.b.failed)
		rc = err_set(e, ENOMEM, "no memory to build SMBIOS tables");
	else if (s.b.len > FW_BIOS_END - gpa)
		rc = err_set(e, ENOSPC, "SMBIOS tables take %zu bytes, %u fit",
			s.b.len, FW_BIOS_END - gpa);
	if (!rc) {
		anchor_fill(a, &s, gpa);
		rc = gmem_write(g, FW_SMBIOS, a, sizeof(a));
		if (!rc)
			rc = gmem_write(g, gpa, s.b.p, s.b.len);
		if (rc)
			err_sys(e, -rc, "cannot place SMBIOS tables");
	}
	fw_buf_fini(&s.b);
	return rc;
}
