/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A guest that writes and reads anything at fw_cfg's ports and puts any
 * descriptors into its memory. Each operation takes 4 bytes of the input and
 * what it writes.
 */
#include <stdlib.h>
#include <string.h>

#include "vm/base/bytes.h"
#include "vm/base/sizes.h"

#include "vm/dev/fwcfg.h"

#define RAM  (2 * MiB)
#define DESC UINT64_C(0x1000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct core core;

static void must(bool ok)
{
	if (!ok)
		abort();
}

static void written(void *arg, const void *data, size_t len)
{
	static uint8_t copy[64];

	(void)arg;
	must(len <= sizeof(copy));
	memcpy(copy, data, len);
}

static void core_up(void)
{
	if (core.gmem)
		return;
	must(!log_open("/dev/null", &core.log, NULL));
	must(!gmem_new(NULL, RAM, false, &core.gmem, NULL));
	must(!bus_new(NULL, true, 0x10000, &core.pio, NULL));
}

static void dma(const uint8_t *d, size_t len)
{
	uint8_t desc[16] = { 0 };

	memcpy(desc, d, len < 16 ? len : 16);
	/* mostly addresses that are near RAM, as guests would have them */
	if (desc[15] & 1)
		memset(desc + 8, 0, 5);
	must(!gmem_write(core.gmem, DESC, desc, 16));
	bus_write(core.pio, 0x514, 0, 4);
	bus_write(core.pio, 0x518, htobe32((uint32_t)DESC), 4);
}

static void step(struct device *dev, const uint8_t *op, const uint8_t *arg,
	size_t len)
{
	uint64_t addr = 0x510 + op[1] % 12, val = 0;
	unsigned width = 1u << (op[2] & 3);

	memcpy(&val, arg, len < 8 ? len : 8);
	switch (op[0] & 7) {
	case 0:
	case 1:
		bus_read(core.pio, addr, width);
		break;
	case 2:
	case 3:
		bus_write(core.pio, addr, val, width);
		break;
	case 4:
		bus_write(core.pio, 0x510, val & 0xFF, 2);
		break;
	case 5:
		if (op[1] == 0xFF)
			dev->ops->reset(dev);
		break;
	default:
		dma(arg, len);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char text[] = "some bytes of a file";
	struct fwcfg *f;
	struct device *dev;

	core_up();
	must(!fwcfg_new(&core, &f, NULL));
	dev = fwcfg_device(f);
	must(!fwcfg_add_file(f, "a/file", text, sizeof(text), false));
	must(!fwcfg_add_file(f, "b/empty", NULL, 0, false));
	must(!fwcfg_add_writable(f, "c/rw", text, 16, written, NULL));
	while (size >= 4) {
		size_t len = data[3] & 31;

		if (len > size - 4)
			len = size - 4;
		step(dev, data, data + 4, len);
		data += 4 + len;
		size -= 4 + len;
	}
	dev->ops->free(dev);
	return 0;
}
