// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * AHCI with a disk and a CD-ROM drive over images in memory. Input is a list
 * of steps: commands laid out well with wild contents, wild bytes over them,
 * register writes, storage that waits or fails, resets, media changes.
 */
#include "tests/unit/vm/dev/ahcirig.h"

struct input {
	const uint8_t *data;
	size_t len;
};

static uint8_t u8(struct input *in)
{
	if (!in->len)
		return 0;
	in->len--;
	return *in->data++;
}

static uint16_t u16(struct input *in)
{
	uint16_t low = u8(in);

	return (uint16_t)(low | u8(in) << 8);
}

static uint32_t u32(struct input *in)
{
	uint32_t low = u16(in);

	return low | (uint32_t)u16(in) << 16;
}

static void command(struct input *in)
{
	uint8_t where = u8(in), cdb[12];
	unsigned port = where & 1, slot = where >> 3;
	struct cmd c = { .command = u8(in),
		.device = 0x40,
		.features = u16(in),
		.count = u16(in),
		.lba = u32(in),
		.len = (u16(in) & 0x7fff) * 2 + 2u };

	if (port && where & 2) {
		c.command = 0xa0;
		for (unsigned i = 0; i < sizeof(cdb); i++)
			cdb[i] = u8(in);
		c.cdb = cdb;
	}
	put_cmd(port, slot, &c);
	if (where & 4) {
		c.prds = 1 + u8(in);
		put_cmd(port, slot, &c);
		for (unsigned i = 0; i < c.prds; i++)
			put_prd(port, slot, i,
				DATA + (uint64_t)(u8(in) % 250 * 40000),
				u16(in) + 1u);
	}
	if (c.command == 0x60 || c.command == 0x61)
		preg_set(port, SACT, 1u << slot);
	preg_set(port, CI, 1u << slot);
}

static void wild_bytes(struct input *in)
{
	uint8_t bytes[16], n = u8(in) % sizeof(bytes);
	uint64_t at = clb(u8(in) & 1) + u16(in) % 0x9000;

	for (unsigned i = 0; i < n; i++)
		bytes[i] = u8(in);
	gmem_write(rig.core.gmem, at, bytes, n);
}

static void step(struct input *in)
{
	struct err e = ERR_NONE;
	uint8_t op = u8(in), arg = u8(in);

	switch (op % 12) {
	case 0:
	case 1:
	case 2:
		command(in);
		break;
	case 3:
		wild_bytes(in);
		break;
	case 4:
		hba_set(arg * 4u, u32(in));
		break;
	case 5:
		bus_read(rig.core.mmio, ABAR + u16(in) % 4096, 1u << (arg & 3));
		break;
	case 6:
		disk->hold = arg & 1;
		cd->hold = arg & 2;
		disk->fail = arg & 4 ? -EIO : 0;
		cd->fail = arg & 8 ? -EIO : 0;
		fake_run(disk);
		fake_run(cd);
		break;
	case 7:
		recover(arg & 1);
		break;
	case 8:
		if (arg < 32)
			dev->ops->reset(dev);
		hba_set(0x04, 0x80000002 | (arg >> 7));
		port_start(0);
		port_start(1);
		break;
	case 9:
		ahci_set_media(dev, 1, arg & 1 ? cd : NULL, arg & 2, &e);
		break;
	case 10:
		cfg_out(&rig, AHCI, 0x80 + arg % 16, u8(in), 1);
		cfg_out(&rig, AHCI, 0x04, arg & 1 ? 0x6 : 0x2, 2);
		break;
	default:
		devrig_io(&rig);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* The same state for each input, without making it all anew. */
static void fresh(void)
{
	static bool made;
	struct err e = ERR_NONE;

	if (!made)
		ahci_up();
	made = true;
	disk->hold = cd->hold = false;
	disk->fail = cd->fail = 0;
	memset(gmem_host(rig.core.gmem, clb(0), 0x20000), 0, 0x20000);
	dev->ops->reset(dev);
	ahci_set_media(dev, 1, cd, true, &e);
	cfg_out(&rig, AHCI, 0x04, 0x0006, 2);
	hba_set(0x04, 0x80000002);
	port_start(0);
	port_start(1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct input in = { data, len };

	fresh();
	for (unsigned i = 0; in.len && i < 256; i++)
		step(&in);
	devrig_io(&rig);
	return 0;
}
