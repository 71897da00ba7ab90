/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * fw_cfg's DMA: the guest writes the big-endian address of a descriptor
 * {be32 control, be32 length, be64 address}, high half first; the low half
 * starts it. It is carried out in that write, straight between the item and
 * guest RAM. Whatever is wrong sets the descriptor's error bit and nothing
 * else.
 *
 * A read past the item's end gives zeroes, as through the port. How many is
 * bounded: a vCPU shall not sit here writing gigabytes.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/bytes.h"
#include "vm/base/sizes.h"

#include "vm/dev/fwcfg_impl.h"

#define DMA_DESC_LEN 16
#define ZEROES_MAX   MiB
#define PIECES       8

enum dma_control {
	DMA_ERROR = 0x01,
	DMA_READ = 0x02,
	DMA_SKIP = 0x04,
	DMA_SELECT = 0x08,
	DMA_WRITE = 0x10,
};

static int zero_guest(struct gmem *g, uint64_t gpa, uint64_t len)
{
	struct iovec v[PIECES];
	int n;

	if (!len)
		return 0;
	n = gmem_iov(g, gpa, len, v, PIECES);
	for (int i = 0; i < n; i++)
		memset(v[i].iov_base, 0, v[i].iov_len);
	return n < 0 ? n : 0;
}

static int dma_read_locked(struct fwcfg *f, uint64_t gpa, uint32_t len)
{
	struct gmem *g = f->core->gmem;
	size_t n = fwcfg_left_locked(f);
	int rc = 0;

	if (n > len)
		n = len;
	if (len - n > ZEROES_MAX)
		return -EINVAL;
	if (n)
		rc = gmem_write(g, gpa, f->cur->data + f->off, n);
	if (rc)
		return rc;
	f->off += n;
	return zero_guest(g, gpa + n, len - n);
}

static int dma_write_locked(struct fwcfg *f, uint64_t gpa, uint32_t len)
{
	int rc;

	if (!f->cur || !f->cur->written || len > fwcfg_left_locked(f))
		return -EINVAL;
	rc = len ? gmem_read(f->core->gmem, gpa, f->cur->data + f->off, len)
		 : 0;
	if (!rc)
		f->off += len;
	return rc;
}

static void dma_skip_locked(struct fwcfg *f, uint32_t len)
{
	size_t left = fwcfg_left_locked(f);

	if (f->cur)
		f->off += len < left ? len : left;
}

/* Tell the owner of a writable file, outside the lock, with a copy. */
struct dma_note {
	void (*written)(void *arg, const void *data, size_t len);
	void *arg;
	uint8_t *data;
	size_t len;
};

static void note_fill_locked(struct fwcfg *f, struct dma_note *note)
{
	struct fwcfg_item *it = f->cur;

	note->data = malloc(it->len ? it->len : 1);
	if (!note->data)
		return; /* as if it had not been written yet */
	memcpy(note->data, it->data, it->len);
	note->len = it->len;
	note->arg = it->arg;
	note->written = it->written;
}

static int dma_carry_out_locked(struct fwcfg *f, const uint8_t *desc,
	struct dma_note *note)
{
	uint32_t control = get_be32(desc), len = get_be32(desc + 4);
	uint64_t gpa = get_be64(desc + 8);
	int rc = 0;

	if (control & DMA_SELECT)
		fwcfg_select_locked(f, control >> 16);
	if (control & DMA_READ) {
		rc = dma_read_locked(f, gpa, len);
	} else if (control & DMA_WRITE) {
		rc = dma_write_locked(f, gpa, len);
		if (!rc)
			note_fill_locked(f, note);
	} else if (control & DMA_SKIP) {
		dma_skip_locked(f, len);
	}
	return rc;
}

static void dma_run(struct fwcfg *f, uint64_t addr)
{
	struct gmem *g = f->core->gmem;
	struct dma_note note = { .data = NULL };
	uint8_t desc[DMA_DESC_LEN], control[4];
	int rc = gmem_read(g, addr, desc, sizeof(desc));

	if (!rc) {
		LOCK_GUARD(&f->lock);
		rc = dma_carry_out_locked(f, desc, &note);
	}
	if (rc)
		log_limited(f->core->log, &f->limit, LOG_WARN,
			"fw_cfg: guest's DMA at 0x%llx fails: %s",
			(unsigned long long)addr, strerror(-rc));
	put_be32(control, rc ? DMA_ERROR : 0);
	(void)gmem_write(g, addr, control, sizeof(control));
	if (note.written)
		note.written(note.arg, note.data, note.len);
	free(note.data);
}

/* The register's bytes in the order of their addresses: "QEMU CFG". */
static uint64_t dma_read(void *opaque, uint64_t off, unsigned size)
{
	static const uint8_t signature[8] = { 'Q', 'E', 'M', 'U', ' ', 'C', 'F',
		'G' };

	(void)opaque;
	return size_in(off, size, 8) ? get_le(signature + off, size)
				     : UINT64_MAX;
}

static void dma_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
	struct fwcfg *f = opaque;
	uint64_t addr;
	uint32_t half = be32toh(htole32((uint32_t)val));

	if (size != 4 || (off != 0 && off != 4))
		return;
	lock_take(&f->lock);
	if (!off) {
		f->dma_addr = (uint64_t)half << 32;
		lock_drop(&f->lock);
		return;
	}
	addr = f->dma_addr | half;
	f->dma_addr = 0;
	lock_drop(&f->lock);
	dma_run(f, addr);
}

const struct bus_ops fwcfg_dma_ops = { .read = dma_read, .write = dma_write };
