// SPDX-License-Identifier: GPL-3.0-or-later
/* The VDI reader: the input is the image. */
#include "tests/fuzz/fuzz_import.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_case c = { .open = vdi_open };

	fuzz_start();
	(void)vdi_probe(data, size);
	c.o.file = fuzz_file_bytes(data, size, size % 2);
	ctx_run(fuzz_ctx, fuzz_case_run, &c);
	return 0;
}
