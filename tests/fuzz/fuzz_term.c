/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a guest may write to its serial port, through the filter, libvterm
 * and its scrollback. Byte 0xf8 (never in UTF-8) and two more begin anew with
 * another size.
 */
#include <stdlib.h>
#include <string.h>

#include "ui/term.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ignore(void *arg, const char *data, size_t len)
{
	(void)arg;
	(void)data;
	(void)len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct term *t = term_new(24, 80, ignore, NULL);
	struct key k = { .code = K_UP };
	size_t from = 0;

	for (size_t i = 0; t && i < size; i++) {
		if (data[i] != 0xf8 || i + 2 >= size)
			continue;
		term_write(t, (const char *)data + from, i - from);
		term_key(t, &k);
		term_free(t);
		t = term_new(data[i + 1] % 60, data[i + 2], ignore, NULL);
		i += 2;
		from = i + 1;
	}
	if (t)
		term_write(t, (const char *)data + from, size - from);
	term_free(t);
	return 0;
}
