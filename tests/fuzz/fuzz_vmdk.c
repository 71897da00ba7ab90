// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * The VMDK reader: the input is the image, and behind each "=EXTENT=" another
 * file, which an extent names by its number (the first digit of its name).
 */
#include <errno.h>

#include "tests/fuzz/fuzz_import.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char separator[] = "=EXTENT=";

struct input {
	const uint8_t *data;
	size_t size;
	bool later;
};

/* Part number of the input. */
static bool input_part(const struct input *in, unsigned number,
	const uint8_t **data, size_t *size)
{
	const uint8_t *at = in->data, *end = in->data + in->size, *next;

	for (unsigned i = 0;; i++) {
		next = memmem(at, (size_t)(end - at), separator,
			sizeof(separator) - 1);
		if (i == number)
			break;
		if (!next)
			return false;
		at = next + sizeof(separator) - 1;
	}
	*data = at;
	*size = (size_t)((next ? next : end) - at);
	return true;
}

static int open_extent(void *arg, const char *name, struct node **out,
	struct err *e)
{
	const struct input *in = arg;
	size_t skip = strcspn(name, "0123456789"), size;
	const uint8_t *data;

	if (strchr(name, '/')) /* it looks only beside the image */
		abort();
	if (!name[skip] ||
		!input_part(in, (unsigned)(name[skip] - '0'), &data, &size))
		return err_set(e, ENOENT, "%s: no such file", name);
	*out = fuzz_file_bytes(data, size, in->later);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size, size % 2 };
	struct fuzz_case c = { .open = vmdk_open };
	const uint8_t *image;
	size_t len;

	fuzz_start();
	(void)vmdk_probe(data, size);
	input_part(&in, 0, &image, &len);
	c.o.file = fuzz_file_bytes(image, len, in.later);
	c.o.open_extent = open_extent;
	c.o.arg = &in;
	ctx_run(fuzz_ctx, fuzz_case_run, &c);
	return 0;
}
