// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * The port devices: serial, i8042, rtc, lpc with PM, debugcon. Input is a
 * list of steps of four bytes: what to do, where, and a value.
 */
#include "vm/core/console.h"
#include "vm/dev/debugcon.h"
#include "vm/dev/i8042.h"
#include "vm/dev/lpc.h"
#include "vm/dev/rtc.h"
#include "vm/dev/serial.h"

#include "tests/unit/vm/dev/devrig.h"

enum { SERIAL, DEBUGCON, I8042, RTC, LPC, DEVICES };

static const uint16_t ports[] = { 0x3f8, 0x3f9, 0x3fa, 0x3fb, 0x3fc, 0x3fd,
	0x3fe, 0x3ff, 0x402, 0x60, 0x64, 0x70, 0x71, 0x80, 0x92, 0xb2, 0xb3,
	0xed, 0xcf9, 0x600, 0x601, 0x602, 0x604, 0x605, 0x608, 0x60a, 0x620,
	0x624, 0x628, 0x62f, 0x630, 0x67e };
static const uint8_t regs[] = { 0x40, 0x41, 0x44, 0x60, 0x63, 0x68, 0x6b, 0xa0,
	0xf0, 0xf1, 0xf2, 0xf3, 0x04, 0x10, 0x3c, 0x80 };

static struct devrig rig;
static struct console *con;
static struct device *dev[DEVICES];

static void up(void)
{
	const struct rtc_conf conf = { .cpus = 2 };
	struct err e = ERR_NONE;
	int bad = 0;

	devrig_init(&rig, MiB);
	bad |= console_new(NULL, &con, &e);
	bad |= serial_new(&rig.core, con, 0x3f8, 4, &dev[SERIAL], &e);
	bad |= debugcon_new(&rig.core, NULL, &dev[DEBUGCON], &e);
	bad |= i8042_new(&rig.core, NULL, &dev[I8042], &e);
	bad |= rtc_new(&rig.core, &conf, &dev[RTC], &e);
	bad |= lpc_new(&rig.core, rig.pci, &dev[LPC], &e);
	if (bad)
		abort();
}

static void down(void)
{
	for (int i = DEVICES - 1; i >= 0; i--)
		dev[i]->ops->free(dev[i]);
	console_free(con);
	devrig_fini(&rig);
}

static void input(uint8_t kind, uint16_t val)
{
	struct input_event ev = {
		.kind = kind & 1 ? INPUT_KEY : INPUT_POINTER_REL,
		.scancode = val,
		.down = kind & 2,
		.x = (int16_t)val,
		.y = (int8_t)val,
		.buttons = kind >> 2,
	};

	i8042_input(dev[I8042], &ev);
}

static void step(uint8_t op, uint8_t where, uint16_t val)
{
	uint16_t port = ports[where % ARRAY_LEN(ports)];
	unsigned size = 1u << (where >> 6) % 3;

	switch (op % 8) {
	case 0:
	case 1:
		bus_write(rig.core.pio, port, val | (uint32_t)val << 16, size);
		break;
	case 2:
		bus_read(rig.core.pio, port, size);
		break;
	case 3:
		input(where, val);
		break;
	case 4:
		console_input(con, &val, sizeof(val));
		break;
	case 5:
		cfg_out(&rig, PCI_DEVFN(31, 0), regs[where % sizeof(regs)], val,
			1 + (where >> 7));
		break;
	case 6:
		devrig_io(&rig);
		break;
	default:
		if (val & 1)
			lpc_power_button(dev[LPC]);
		else if (val & 2)
			lpc_gpe(dev[LPC], where);
		else
			dev[where % DEVICES]->ops->reset(dev[where % DEVICES]);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	up();
	for (size_t i = 0; i + 4 <= len && i < 4096; i += 4)
		step(data[i], data[i + 1],
			(uint16_t)(data[i + 2] | data[i + 3] << 8));
	devrig_io(&rig);
	down();
	return 0;
}
