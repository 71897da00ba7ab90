// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * The VHDX reader. Its parts lie far from each other, so the input is a list
 * of chunks: the file's size in MiB (a byte), then for each chunk its place
 * in KiB (three bytes), its length (two) and its bytes. Checksums of headers,
 * region tables and of the first entries in the log are put right, unless the
 * byte of the size is odd.
 */
#include "vm/base/bytes.h"

#include "storage/import/crc32c.h"

#include "tests/fuzz/fuzz_import.h"

#define CHUNKS_MAX 64
#define SECTOR     4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	struct fuzz_file *f;
	uint8_t *fixed[CHUNKS_MAX]; /* copies that may be changed */
};

static void input_parse(struct input *in, const uint8_t *data, size_t size)
{
	uint64_t mib = data[0] / 2;

	in->f = fuzz_file_new(mib * MiB, CHUNKS_MAX, size % 2);
	data++;
	size--;
	while (size > 5 && in->f->nchunks < CHUNKS_MAX) {
		struct fuzz_chunk *c = &in->f->chunks[in->f->nchunks];
		uint64_t kib = get_le16(data) | (uint64_t)data[2] << 16;

		c->at = kib * KiB;
		c->len = get_le16(data + 3);
		data += 5;
		size -= 5;
		if (c->len > size)
			c->len = size;
		in->fixed[in->f->nchunks] = malloc(c->len ? c->len : 1);
		memcpy(in->fixed[in->f->nchunks], data, c->len);
		c->bytes = in->fixed[in->f->nchunks++];
		data += c->len;
		size -= c->len;
	}
}

/* What the file has at a place, as one piece. */
static void input_read(struct input *in, uint64_t at, uint8_t *buf,
	uint64_t len)
{
	struct iovec iov = { buf, len };
	struct blk_req r = { .offset = at, .len = len, .iov = &iov, .niov = 1 };

	memset(buf, 0, len);
	for (unsigned i = 0; i < in->f->nchunks; i++)
		fuzz_chunk_read(&in->f->chunks[i], &r);
}

/* Put the sum of len bytes at a place into its bytes 4 to 7, if it has any.
 * chunk: the last one that begins there. */
static void input_sum(struct input *in, uint64_t at, const char *signature,
	uint64_t len)
{
	uint8_t *buf = NULL;

	for (unsigned i = in->f->nchunks; i-- > 0;) {
		struct fuzz_chunk *c = &in->f->chunks[i];

		if (c->at != at || c->len < 8 ||
			memcmp(c->bytes, signature, 4) != 0)
			continue;
		if (!buf) {
			buf = malloc(len);
			input_read(in, at, buf, len);
		}
		put_le32(in->fixed[i] + 4, crc32c_without(buf, len, 4));
	}
	free(buf);
}

static void input_fix(struct input *in)
{
	for (unsigned i = 0; i < in->f->nchunks; i++) {
		struct fuzz_chunk *c = &in->f->chunks[i];
		uint64_t len;

		if (c->at % SECTOR || c->len < 64 ||
			memcmp(c->bytes, "loge", 4) != 0)
			continue;
		len = get_le32(c->bytes + 8);
		if (len >= SECTOR && len <= 64 * KiB)
			input_sum(in, c->at, "loge", len);
	}
	for (uint64_t at = 64 * KiB; at <= 128 * KiB; at += 64 * KiB)
		input_sum(in, at, "head", 4096);
	for (uint64_t at = 192 * KiB; at <= 256 * KiB; at += 64 * KiB)
		input_sum(in, at, "regi", 65536);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_case c = { .open = vhdx_open };
	struct input in = { 0 };
	unsigned n;

	if (!size)
		return 0;
	fuzz_start();
	(void)vhdx_probe(data, size);
	input_parse(&in, data, size);
	n = in.f->nchunks;
	if (data[0] % 2 == 0)
		input_fix(&in);
	c.o.file = &in.f->node;
	ctx_run(fuzz_ctx, fuzz_case_run, &c);
	for (unsigned i = 0; i < n; i++)
		free(in.fixed[i]);
	return 0;
}
