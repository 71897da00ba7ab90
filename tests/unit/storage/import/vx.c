/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See vx.h. */
#include "tests/unit/storage/import/vx.h"

#include <string.h>

#include "vm/base/bytes.h"

#include "storage/import/crc32c.h"

static const uint8_t log_guid[16] = { 1, 2, 3, 4, 5, 6, 7, 8, 9 };

void vx_load(struct vx *v, const char *name)
{
	const uint8_t *h, *r;

	memset(v, 0, sizeof(*v));
	v->f = imp_load(name);
	v->b = memnode_bytes(v->f, &v->size);
	h = v->b + VX_HEADER(0);
	v->log_len = get_le32(h + 68);
	v->log_at = get_le64(h + 72);
	r = v->b + VX_REGIONS(0);
	for (uint32_t i = 0; i < get_le32(r + 8); i++) {
		const uint8_t *e = r + 16 + i * 32;

		if (get_le32(e) == 0x2dc27766)
			v->bat_at = get_le64(e + 16);
		else
			v->meta_at = get_le64(e + 16);
	}
	ck_assert(v->bat_at && v->meta_at && v->log_at);
}

static void sum(uint8_t *p, size_t len)
{
	put_le32(p + 4, crc32c_without(p, len, 4));
}

void vx_sum_headers(struct vx *v)
{
	sum(v->b + VX_HEADER(0), 4096);
	sum(v->b + VX_HEADER(1), 4096);
}

void vx_sum_regions(struct vx *v)
{
	sum(v->b + VX_REGIONS(0), 65536);
	sum(v->b + VX_REGIONS(1), 65536);
}

uint8_t *vx_item(struct vx *v, uint32_t guid)
{
	uint8_t *t = v->b + v->meta_at;

	for (unsigned i = 1; i <= get_le16(t + 10); i++)
		if (get_le32(t + i * 32) == guid)
			return t + i * 32;
	ck_abort_msg("no metadata item %08x", guid);
	return NULL;
}

uint8_t *vx_value(struct vx *v, uint32_t guid)
{
	return v->b + v->meta_at + get_le32(vx_item(v, guid) + 16);
}

void vx_use_log(struct vx *v)
{
	for (int i = 0; i < 2; i++)
		memcpy(v->b + VX_HEADER(i) + 48, log_guid, 16);
	vx_sum_headers(v);
}

uint8_t *vx_sector(struct vx *v, uint32_t at)
{
	return v->b + v->log_at + at % (v->log_len / VX_SECTOR) * VX_SECTOR;
}

void vx_sum_entry(struct vx *v, uint32_t at)
{
	uint8_t *h = vx_sector(v, at);
	uint32_t crc = 0, n = get_le32(h + 8) / VX_SECTOR;

	put_le32(h + 4, 0);
	for (uint32_t i = 0; i < n; i++)
		crc = crc32c(crc, vx_sector(v, at + i), VX_SECTOR);
	put_le32(h + 4, crc);
}

static void put_desc(uint8_t *d, uint64_t number, const struct vx_change *c)
{
	memcpy(d, c->data ? "desc" : "zero", 4);
	put_le64(d + 16, c->at);
	put_le64(d + 24, number);
	if (!c->data) {
		put_le64(d + 8, c->zeros);
		return;
	}
	memcpy(d + 4, c->data + VX_SECTOR - 4, 4);
	memcpy(d + 8, c->data, 8);
}

static void put_data(uint8_t *s, uint64_t number, const struct vx_change *c)
{
	memcpy(s, c->data, VX_SECTOR);
	memcpy(s, "data", 4);
	put_le32(s + 4, (uint32_t)(number >> 32));
	put_le32(s + VX_SECTOR - 4, (uint32_t)number);
}

uint32_t vx_entry(struct vx *v, uint32_t at, uint32_t tail, uint64_t number,
	const struct vx_change *c, uint32_t n)
{
	uint32_t descs = (n + 2 + 127) / 128, next = at + descs;
	uint8_t *h = vx_sector(v, at);

	for (uint32_t i = 0; i < descs; i++)
		memset(vx_sector(v, at + i), 0, VX_SECTOR);
	for (uint32_t i = 0; i < n; i++) {
		put_desc(vx_sector(v, at + (i + 2) / 128) + (i + 2) % 128 * 32,
			number, &c[i]);
		if (c[i].data)
			put_data(vx_sector(v, next++), number, &c[i]);
	}
	memcpy(h, "loge", 4);
	put_le32(h + 8, (next - at) * VX_SECTOR);
	put_le32(h + 12, tail * VX_SECTOR);
	put_le64(h + 16, number);
	put_le32(h + 24, n);
	memcpy(h + 32, log_guid, 16);
	put_le64(h + 48, v->size);
	put_le64(h + 56, v->size);
	vx_sum_entry(v, at);
	return next;
}
