/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A guest that writes anything to the VGA's ports, its window and BAR 2, and
 * a display that looks at it now and then. The scanner must stay inside video
 * memory and the surface whatever the registers say.
 */
#include <stdlib.h>
#include <string.h>

#include "vm/base/bytes.h"

#include "display/display.h"

#include "vm/dev/vga.h"

#include "tests/unit/vm/dev/devrig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define BAR2 0xD0000000u

static struct devrig rig;
static struct device *dev;
static struct display *disp;
static struct display_text text;

static void make(void)
{
	struct display_service *svc;
	struct err e = ERR_NONE;

	devrig_init(&rig, 2 * MiB);
	if (display_service_new("/nowhere", rig.core.log, &svc, &e) ||
		display_new(svc, "fuzz", rig.core.log, &disp, &e) ||
		vga_new(&rig.core, rig.pci, PCI_DEVFN(1, 0), NULL, 0, disp,
			&dev, &e))
		abort();
	cfg_out(&rig, PCI_DEVFN(1, 0), 0x18, BAR2, 4);
	cfg_out(&rig, PCI_DEVFN(1, 0), 0x04, 3, 2);
	/* colours and a mode to begin with */
	for (unsigned i = 0; i < 768; i++)
		out8(&rig, 0x3c9, (uint8_t)i);
}

/* Five bytes a step: what, where, value. */
static void step(const uint8_t *p)
{
	unsigned at = get_le16(p + 1), val = get_le16(p + 3);

	switch (p[0] & 7) {
	case 0:
		out8(&rig, 0x3b0 + at % 0x30, (uint8_t)val);
		break;
	case 1:
		out16(&rig, 0x3b0 + at % 0x2f, (uint16_t)val);
		break;
	case 2:
		out16(&rig, 0x1ce, (uint16_t)(at % 12));
		out16(&rig, 0x1cf, (uint16_t)val);
		break;
	case 3:
		bus_write(rig.core.mmio, 0xA0000 + 2 * at, val * 0x10001u, 4);
		break;
	case 4:
		bus_read(rig.core.mmio, 0xA0000 + 2 * at, 1u << (val & 3));
		break;
	case 5:
		bus_write(rig.core.mmio, BAR2 + at % 4096, val,
			1u << (p[0] >> 6));
		break;
	case 6:
		bus_read(rig.core.mmio, BAR2 + at % 4096, 1u << (p[0] >> 6));
		in8(&rig, 0x3b0 + at % 0x30);
		break;
	default:
		/* the text of DISPLAY_TEXT_MAX cells is copied as well */
		display_text(disp, &text);
		if (text.cols > DISPLAY_TEXT_MAX_COLS ||
			text.rows > DISPLAY_TEXT_MAX_ROWS)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!dev)
		make();
	out8(&rig, 0x3c2, 1);
	in8(&rig, 0x3da);
	out8(&rig, 0x3c0, 0x20); /* or all is black */
	for (; size >= 5; size -= 5, data += 5)
		step(data);
	display_text(disp, &text);
	dev->ops->reset(dev);
	return 0;
}
