/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A VNC client that has logged in and says anything, in pieces of any size:
 * what the sieve passes on must be whole messages that are allowed, and keys
 * must be scancodes that exist.
 */
#include <stdlib.h>
#include <string.h>

#include "vm/base/bytes.h"

#include "display/keymap.h"
#include "display/viewer/filter.h"
#include "display/viewer/keys.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
	if (!ok)
		abort();
}

static void check_format(const uint8_t *m)
{
	unsigned bpp = m[4];

	must(bpp == 8 || bpp == 16 || bpp == 32);
	for (int i = 0; m[7] && i < 3; i++)
		must(get_be16(m + 8 + 2 * i) && m[14 + i] < bpp);
}

static void forward(void *arg, const uint8_t *m, size_t len)
{
	(void)arg;
	switch (m[0]) {
	case 0:
		must(len == 20);
		check_format(m);
		break;
	case 2:
		must(len == 4 + 4 * (size_t)get_be16(m + 2));
		must(get_be16(m + 2) <= FILTER_MAX_KEPT);
		break;
	case 251:
		must(len == 8 + 16 * (size_t)m[6] && m[6] && m[6] <= 16);
		break;
	default:
		abort();
	}
}

static void request(void *arg, const struct filter_request *r)
{
	(void)arg;
	(void)r;
}

static void key(void *arg, bool down, uint32_t keysym, uint32_t code)
{
	keys_event(arg, down, keysym, code);
}

static void pointer(void *arg, uint8_t buttons, uint16_t x, uint16_t y)
{
	(void)arg;
	(void)buttons;
	(void)x;
	(void)y;
}

static void resize(void *arg, uint16_t w, uint16_t h)
{
	(void)arg;
	(void)w;
	(void)h;
}

static int held;

static void sent(void *arg, uint16_t code, bool down)
{
	(void)arg;
	must(keymap_valid(code));
	held += down ? 1 : -1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct filter_ops ops = { forward, request, key, pointer,
		resize };
	static struct filter f;
	bool caps = false;
	struct keys k = { .send = sent, .caps = &caps };

	filter_init(&f, &ops, &k, size && data[0] & 0x80);
	while (size) {
		size_t n = 1 + (data[0] & 63);

		if (n > size)
			n = size;
		if (filter_feed(&f, data, n))
			break;
		data += n;
		size -= n;
	}
	keys_release(&k);
	for (unsigned i = 0; i < 4; i++)
		must(!k.down[i]);
	return 0;
}
