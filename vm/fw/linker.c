/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The linker list: writing entries, and carrying them out for direct boot.
 * The list is ours, but it is read with every offset checked: a mistake in
 * it must show as an error, not as a write beside a table.
 */
#include "vm/fw/linker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/bytes.h"
#include "vm/base/sizes.h"

#include "vm/fw/layout.h"

static size_t entry(struct fw_buf *l, enum linker_command what)
{
	size_t at = l->len;

	fw_buf_zero(l, LINKER_ENTRY);
	fw_buf_put(l, at, what, 4);
	return at;
}

static void put_name(struct fw_buf *l, size_t off, const char *name)
{
	if (size_in(off, LINKER_FILE, l->len))
		memcpy(l->p + off, name, strnlen(name, LINKER_FILE - 1));
}

void linker_allocate(struct fw_buf *l, const char *file, uint32_t align,
	enum linker_zone zone)
{
	size_t at = entry(l, LINKER_ALLOCATE);

	put_name(l, at + 4, file);
	fw_buf_put(l, at + 60, align, 4);
	fw_buf_put(l, at + 64, zone, 1);
}

void linker_pointer(struct fw_buf *l, const char *dest, const char *src,
	uint32_t off, uint8_t size)
{
	size_t at = entry(l, LINKER_ADD_POINTER);

	put_name(l, at + 4, dest);
	put_name(l, at + 60, src);
	fw_buf_put(l, at + 116, off, 4);
	fw_buf_put(l, at + 120, size, 1);
}

void linker_checksum(struct fw_buf *l, const char *file, uint32_t off,
	uint32_t start, uint32_t len)
{
	size_t at = entry(l, LINKER_ADD_CHECKSUM);

	put_name(l, at + 4, file);
	fw_buf_put(l, at + 60, off, 4);
	fw_buf_put(l, at + 64, start, 4);
	fw_buf_put(l, at + 68, len, 4);
}

/* A file while the list is carried out. */
struct placed {
	const struct fw_blob *blob;
	uint8_t *data; /* our copy, never NULL then */
	uint64_t gpa;
	bool allocated;
};

struct link_run {
	struct placed file[2]; /* tables, rsdp */
	uint64_t zone_next[3], zone_end[3];
};

static struct placed *find(struct link_run *r, const uint8_t *name)
{
	for (size_t i = 0; i < ARRAY_LEN(r->file); i++)
		if (r->file[i].data && !strncmp(r->file[i].blob->name,
					       (const char *)name, LINKER_FILE))
			return &r->file[i];
	return NULL;
}

static int do_allocate(struct link_run *r, const uint8_t *c)
{
	struct placed *f = find(r, c + 4);
	uint32_t align = get_le32(c + 60);
	unsigned zone = c[64];

	if (!f || f->allocated || !size_is_pow2(align) ||
		(zone != LINKER_HIGH && zone != LINKER_FSEG))
		return -EINVAL;
	f->gpa = size_up(r->zone_next[zone], align);
	if (f->gpa > r->zone_end[zone] ||
		f->blob->len > r->zone_end[zone] - f->gpa)
		return -ENOSPC;
	r->zone_next[zone] = f->gpa + f->blob->len;
	f->allocated = true;
	return 0;
}

static int do_pointer(struct link_run *r, const uint8_t *c)
{
	struct placed *dest = find(r, c + 4), *src = find(r, c + 60);
	uint32_t off = get_le32(c + 116);
	unsigned size = c[120];
	uint64_t v;

	if (!dest || !src || !dest->allocated || !src->allocated || size > 8 ||
		!size_is_pow2(size) || !size_in(off, size, dest->blob->len))
		return -EINVAL;
	v = get_le(dest->data + off, size) + src->gpa;
	if (size < 8 && v >> (8 * size))
		return -ERANGE;
	put_le(dest->data + off, v, size);
	return 0;
}

static int do_checksum(struct link_run *r, const uint8_t *c)
{
	struct placed *f = find(r, c + 4);
	uint32_t off = get_le32(c + 60), start = get_le32(c + 64);
	uint32_t len = get_le32(c + 68);

	if (!f || !size_in(off, 1, f->blob->len) ||
		!size_in(start, len, f->blob->len))
		return -EINVAL;
	f->data[off] =
		(uint8_t)(f->data[off] + fw_checksum(f->data + start, len));
	return 0;
}

static int do_entry(struct link_run *r, const uint8_t *c)
{
	switch (get_le32(c)) {
	case LINKER_ALLOCATE:
		return do_allocate(r, c);
	case LINKER_ADD_POINTER:
		return do_pointer(r, c);
	case LINKER_ADD_CHECKSUM:
		return do_checksum(r, c);
	default:
		return -EINVAL;
	}
}

static int run_list(struct link_run *r, const struct fw_blob *l, struct err *e)
{
	int rc;

	if (l->len % LINKER_ENTRY)
		return err_set(e, EINVAL, "ACPI linker list has a part entry");
	for (size_t at = 0; at < l->len; at += LINKER_ENTRY) {
		rc = do_entry(r, l->data + at);
		if (rc)
			return err_sys(e, -rc,
				"ACPI linker entry %zu does not work",
				at / LINKER_ENTRY);
	}
	return 0;
}

static int store(struct link_run *r, struct gmem *g, struct err *e)
{
	for (size_t i = 0; i < ARRAY_LEN(r->file); i++) {
		struct placed *f = &r->file[i];
		int rc;

		if (!f->allocated)
			return err_set(e, EINVAL,
				"ACPI linker list gives %s no place",
				f->blob->name);
		rc = gmem_write(g, f->gpa, f->data, f->blob->len);
		if (rc)
			return err_sys(e, -rc,
				"cannot place ACPI tables at 0x%llx",
				(unsigned long long)f->gpa);
	}
	return 0;
}

int fw_acpi_install(const struct fw_acpi *a, struct gmem *g, uint64_t *rsdp,
	struct err *e)
{
	struct link_run r = {
		.file = { { .blob = &a->tables }, { .blob = &a->rsdp } },
	};
	int rc = 0;

	if (gmem_low_end(g) < FW_KERNEL_MIN + MiB)
		return err_set(e, ENOMEM,
			"direct boot needs at least 2 MiB of memory");
	r.zone_next[LINKER_HIGH] = FW_ACPI;
	r.zone_end[LINKER_HIGH] = FW_SMBIOS;
	r.zone_next[LINKER_FSEG] = FW_RSDP;
	r.zone_end[LINKER_FSEG] = FW_ACPI;
	for (size_t i = 0; i < ARRAY_LEN(r.file); i++) {
		struct placed *f = &r.file[i];

		f->data = malloc(f->blob->len ? f->blob->len : 1);
		if (!f->data)
			rc = err_set(e, ENOMEM, "no memory for ACPI tables");
		else if (f->blob->len)
			memcpy(f->data, f->blob->data, f->blob->len);
	}
	if (!rc)
		rc = run_list(&r, &a->loader, e);
	if (!rc)
		rc = store(&r, g, e);
	if (!rc)
		*rsdp = r.file[1].gpa;
	for (size_t i = 0; i < ARRAY_LEN(r.file); i++)
		free(r.file[i].data);
	return rc;
}
