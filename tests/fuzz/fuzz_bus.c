// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * The bus against a plain model: regions are mapped, moved, unmapped and
 * accessed in a space of 256 addresses; each byte of an access must reach the
 * region that the rules say, and no handler may see past its region's end.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "vm/base/err.h"

#include "vm/core/bus.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SPACE   256u
#define REGIONS 12u

struct region {
	struct bus_region bus;
	unsigned age; /* when it was mapped; a move counts */
};

static struct region regions[REGIONS];
static int touched[SPACE]; /* region + 1 that handled this address */

static void touch(struct region *r, uint64_t off, unsigned size)
{
	if (size != 1 && size != 2 && size != 4 && size != 8)
		abort();
	if (off > r->bus.len || size > r->bus.len - off)
		abort();
	for (unsigned i = 0; i < size; i++) {
		uint64_t at = r->bus.base + off + i;

		if (at >= SPACE || touched[at])
			abort();
		touched[at] = (int)(r - regions) + 1;
	}
}

static uint64_t on_read(void *opaque, uint64_t off, unsigned size)
{
	struct region *r = opaque;

	touch(r, off, size);
	return UINT64_C(0x0101010101010101) * (uint64_t)(r - regions);
}

static void on_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
	if (size < 8 && val >> 8 * size)
		abort();
	touch(opaque, off, size);
}

static const struct bus_ops ops = { on_read, on_write };

/* Who has this address by the rules: fixed before BAR, older before newer. */
static int owner(uint64_t at)
{
	const struct region *best = NULL;

	for (unsigned i = 0; i < REGIONS; i++) {
		const struct region *r = &regions[i];

		if (!r->bus.mapped || at < r->bus.base ||
			at - r->bus.base >= r->bus.len)
			continue;
		if (!best || r->bus.prio > best->bus.prio ||
			(r->bus.prio == best->bus.prio && r->age < best->age))
			best = r;
	}
	return best ? (int)(best - regions) + 1 : 0;
}

static void check_access(struct bus *b, uint64_t at, unsigned size, int write)
{
	uint64_t got = UINT64_MAX;

	for (unsigned i = 0; i < SPACE; i++)
		touched[i] = 0;
	if (write)
		bus_write(b, at, got, size);
	else
		got = bus_read(b, at, size);
	for (unsigned i = 0; i < SPACE; i++) {
		int want = i >= at && i - at < size ? owner(i) : 0;

		if (touched[i] != want)
			abort();
		if (write || i < at || i - at >= size || i - at >= 8)
			continue;
		if ((got >> 8 * (i - at) & 0xff) !=
			(want ? (uint64_t)want - 1 : 0xff))
			abort();
	}
}

static void step(struct bus *b, const uint8_t *op, unsigned now)
{
	static const unsigned sizes[] = { 1, 2, 4, 8, 3, 5, 6, 7 };
	struct region *r = &regions[op[0] % REGIONS];
	int old = r->bus.mapped;
	uint64_t was = r->bus.base;

	switch (op[0] / REGIONS % 4) {
	case 0:
		if (!r->bus.mapped)
			r->bus.len = op[2];
		if (bus_map(b, &r->bus, op[1]) == 0 && !(old && was == op[1]))
			r->age = now;
		break;
	case 1:
		bus_unmap(b, &r->bus);
		break;
	default:
		check_access(b, op[1], sizes[op[2] % 8], op[0] & 1);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err e;
	struct bus *b;

	if (bus_new(NULL, false, SPACE, &b, &e) < 0)
		return 0;
	for (unsigned i = 0; i < REGIONS; i++)
		regions[i] = (struct region){ .bus = {
						      .name = "fuzz",
						      .ops = &ops,
						      .opaque = &regions[i],
						      .prio = i % 3 ? BUS_BAR
								    : BUS_FIXED,
					      } };
	for (size_t i = 0; i + 3 <= size && i < 3000; i += 3)
		step(b, data + i, (unsigned)i);
	bus_free(b);
	return 0;
}
