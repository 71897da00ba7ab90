// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Opening and reading qcow2 images, for reading only. Bit 0 of the first byte:
 * the rest is the image. Else a header is made from the next bytes, and what
 * follows lies behind it; with bit 1 its 64-bit words become entries that
 * refer to the first clusters, so that tables are found and walked. Bit 2:
 * a small cache.
 */
#include "vm/base/bytes.h"

#include "storage/qcow2/impl.h"

#include "tests/fuzz/fuzz_import.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FUZZ_HEAD  8
#define FUZZ_WORDS 4096

struct qfuzz {
	struct fuzz_file *file;
	struct fuzz_file *data;
	bool small_cache;
};

/* The header that h asks for, into b (512 bytes). Its cluster size. */
static uint32_t make_header(const uint8_t *h, uint8_t *b)
{
	bool wide = h[3] & 1;
	unsigned bits = wide ? 14 : 9 + h[2] % 4;
	unsigned version = h[1] & 1 && !(h[3] & 7) ? 2 : 3;
	uint64_t incompatible = 0;

	if (h[3] & 1)
		incompatible |= QINCOMPAT_EXTENDED_L2;
	if (h[3] & 2)
		incompatible |= QINCOMPAT_COMPRESSION;
	if (h[3] & 4)
		incompatible |= QINCOMPAT_DATA_FILE;
	put_be32(b, QCOW2_MAGIC);
	put_be32(b + 4, version);
	put_be32(b + 20, bits);
	put_be64(b + 24, (uint64_t)get_le16(h + 4) * 512);
	put_be32(b + 36, h[6]);
	put_be64(b + 40, UINT64_C(1) << bits); /* L1 */
	put_be64(b + 48, UINT64_C(2) << bits); /* refcount table */
	put_be32(b + 56, 1);
	if (version == 3) {
		put_be64(b + 72, incompatible);
		put_be32(b + 96, 4);
		put_be32(b + 100, 112);
		b[104] = h[3] & 2 ? 1 : 0;
	}
	return 1u << bits;
}

/* Make w an entry of an L1 or L2 table, or leave it. */
static uint64_t make_entry(uint64_t w, uint32_t cluster)
{
	unsigned how = w >> 56;
	uint64_t host = (w & 31) * cluster;

	if (how < 0x60)
		return QL2_COPIED | host;
	if (how < 0x80)
		return host | (w >> 8 & 1);
	if (how < 0xa0)
		return QL2_COMPRESSED | (host + (w >> 8 & 0x1ff));
	return w;
}

static int run(void *arg)
{
	struct qcow2_opts o = { .readonly = true };
	struct qfuzz *f = arg;
	struct err e = ERR_NONE;
	struct blk_info info;
	struct node *n;
	int r = qcow2_open(&f->file->node, &o, &n, &e);

	if (r) {
		node_close(&f->file->node);
		node_close(&f->data->node);
	} else if (qcow2_data_file(n)) {
		qcow2_set_data(n, &f->data->node);
	} else {
		node_close(&f->data->node);
	}
	if (!r && (r = qcow2_activate(n, &e)))
		node_close(n);
	if (r && (e.code != -r || !e.msg[0]))
		abort(); /* an error has its text */
	if (r)
		return 0;
	if (f->small_cache)
		qcow2_of(n)->l2.max = 1;
	n->ops->info(n, &info);
	for (uint64_t at = 0; at < info.size && at < 8 * FUZZ_READ;
		at += FUZZ_READ)
		fuzz_read(n, at, info.size);
	fuzz_walk(n, 0, info.size);
	fuzz_walk(n, info.size / 1024 * 512, info.size);
	if (info.size)
		fuzz_read(n, info.size - 512, info.size);
	return node_close(n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t header[512], words[FUZZ_WORDS * 8];
	struct fuzz_chunk *c;
	struct qfuzz f = { 0 };
	uint32_t cluster;

	fuzz_start();
	if (size < FUZZ_HEAD)
		return 0;
	(void)qcow2_probe(data + 1, size - 1);
	f.small_cache = data[0] & 4;
	f.file = fuzz_file_new(size - 1, 2, size % 2);
	f.data = fuzz_file_new(65536, 0, size % 2);
	f.data->node.path = "fuzz.data";
	c = f.file->chunks;
	if (data[0] & 1) {
		c[0] = (struct fuzz_chunk){ 0, size - 1, data + 1 };
		f.file->nchunks = 1;
		ctx_run(fuzz_ctx, run, &f);
		return 0;
	}
	memset(header, 0, sizeof(header));
	cluster = make_header(data, header);
	data += FUZZ_HEAD;
	size -= FUZZ_HEAD;
	c[0] = (struct fuzz_chunk){ 0, sizeof(header), header };
	c[1] = (struct fuzz_chunk){ cluster, size, data };
	f.file->nchunks = 2;
	/* not all of it in the input, so that there is something to find */
	f.file->size = 32 * (uint64_t)cluster;
	if (data[-FUZZ_HEAD] & 2) {
		if (size > sizeof(words))
			size = sizeof(words);
		for (size_t i = 0; i + 8 <= size; i += 8)
			put_be64(words + i,
				make_entry(get_le64(data + i), cluster));
		c[1].bytes = words;
		c[1].len = size & ~(size_t)7;
	}
	ctx_run(fuzz_ctx, run, &f);
	return 0;
}
