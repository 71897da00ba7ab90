// SPDX-License-Identifier: GPL-3.0-or-later
/* A guest's frames as the user-mode network's guard sees them. */
#include <string.h>

#include "vm/net/guard.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Frames of a length byte and a flags byte, time goes on by them. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t now = 1;
	static struct guard g;
	uint8_t f[2048];

	memset(&g, 0, sizeof(g));
	guard_init(&g, now);
	while (size >= 2) {
		size_t len = (size_t)data[0] * 8, n = len;
		unsigned flags = data[1];

		data += 2;
		size -= 2;
		if (n > size)
			n = size;
		memset(f, 0, sizeof(f));
		memcpy(f, data, n);
		data += n;
		size -= n;
		now += (uint64_t)flags << 20;
		if (flags & 1)
			guard_learn(&g, f, len);
		else
			guard_pass(&g, f, len, flags & 2, now);
	}
	return 0;
}
