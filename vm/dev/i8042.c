// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * 8042 keyboard controller as PCs have it (IBM PS/2 Technical Reference,
 * "Keyboard and auxiliary device controller"). One byte waits in the output
 * buffer; the next is loaded as the guest reads it: the controller's own
 * replies first, then the keyboard, then the mouse.
 *
 * Threads: ports on vCPUs, input on any. Lock: one of rank LOCK_DEVICE
 * guards all state.
 */
#include "vm/dev/i8042.h"

#include <errno.h>
#include <stdlib.h>

#include "vm/base/list.h"
#include "vm/base/lock.h"

#include "vm/dev/ps2.h"

#define PORT_DATA 0x60
#define PORT_CMD  0x64
#define IRQ_KBD   1
#define IRQ_AUX   12

#define ST_OBF    0x01
#define ST_SYS    0x04
#define ST_CMD    0x08 /* the last write went to the command port */
#define ST_UNLOCK 0x10
#define ST_AUX    0x20

#define CTR_KBD_IRQ 0x01
#define CTR_AUX_IRQ 0x02
#define CTR_SYS     0x04
#define CTR_KBD_OFF 0x10
#define CTR_AUX_OFF 0x20
#define CTR_XLATE   0x40

#define OUT_RUN     0x01 /* 0 = the CPU's reset line is held */
#define OUT_A20     0x02
#define OUT_KBD_OBF 0x10
#define OUT_AUX_OBF 0x20

enum {
	CC_READ_RAM = 0x20,
	CC_READ_RAM_END = 0x3f,
	CC_WRITE_RAM = 0x60,
	CC_WRITE_RAM_END = 0x7f,
	CC_TEST_PASSWORD = 0xa4,
	CC_AUX_OFF = 0xa7,
	CC_AUX_ON = 0xa8,
	CC_AUX_TEST = 0xa9,
	CC_SELF_TEST = 0xaa,
	CC_KBD_TEST = 0xab,
	CC_KBD_OFF = 0xad,
	CC_KBD_ON = 0xae,
	CC_READ_IN = 0xc0,
	CC_READ_OUT = 0xd0,
	CC_WRITE_OUT = 0xd1,
	CC_WRITE_KBD_OBUF = 0xd2,
	CC_WRITE_AUX_OBUF = 0xd3,
	CC_WRITE_AUX = 0xd4,
	CC_READ_TEST = 0xe0,
	CC_PULSE = 0xf0,
};

enum source { SRC_KBD, SRC_AUX };

struct i8042 {
	struct device dev;
	struct core *core;
	struct display *display; /* NULL = none */
	struct bus_region data, cmd;

	struct lock lock; /* LOCK_DEVICE; guards all that follows */
	uint8_t ram[32];  /* ram[0] is the command byte, CTR_* */
	uint8_t pending;  /* command that waits for a data write */
	uint8_t out;      /* output port, OUT_RUN and OUT_A20 */
	uint8_t status;   /* ST_SYS, ST_CMD */
	bool obf;
	enum source src; /* who filled obuf */
	uint8_t obuf;
	bool break_code;          /* translation saw 0xf0 */
	struct ps2_fifo reply[2]; /* the controller's own, by source */
	bool kbd_line, aux_line;
	struct ps2kbd kbd;
	struct ps2mouse mouse;
};

static void set_lines_locked(struct i8042 *c)
{
	bool kbd = c->obf && c->src == SRC_KBD && c->ram[0] & CTR_KBD_IRQ;
	bool aux = c->obf && c->src == SRC_AUX && c->ram[0] & CTR_AUX_IRQ;

	if (kbd != c->kbd_line)
		irq_set(c->core->irqs, IRQ_KBD, kbd);
	if (aux != c->aux_line)
		irq_set(c->core->irqs, IRQ_AUX, aux);
	c->kbd_line = kbd;
	c->aux_line = aux;
}

/* One byte from the keyboard; false when translation swallowed it. */
static bool kbd_byte_locked(struct i8042 *c, uint8_t *byte)
{
	*byte = ps2kbd_read(&c->kbd);
	if (!(c->ram[0] & CTR_XLATE)) {
		c->break_code = false;
		return true;
	}
	if (*byte == 0xf0) {
		c->break_code = true;
		return false;
	}
	*byte = ps2_translate(*byte);
	if (c->break_code)
		*byte |= 0x80;
	c->break_code = false;
	return true;
}

/* Next byte for the output buffer; false when nobody has one. */
static bool next_byte_locked(struct i8042 *c)
{
	for (unsigned s = SRC_KBD; s <= SRC_AUX; s++) {
		if (!c->reply[s].len)
			continue;
		c->src = s;
		c->obuf = ps2_fifo_get(&c->reply[s]);
		return true;
	}
	c->src = SRC_KBD;
	while (!(c->ram[0] & CTR_KBD_OFF) && ps2kbd_ready(&c->kbd))
		if (kbd_byte_locked(c, &c->obuf))
			return true;
	if (c->ram[0] & CTR_AUX_OFF || !ps2mouse_ready(&c->mouse))
		return false;
	c->src = SRC_AUX;
	c->obuf = ps2mouse_read(&c->mouse);
	return true;
}

static void update_locked(struct i8042 *c)
{
	if (!c->obf)
		c->obf = next_byte_locked(c);
	set_lines_locked(c);
}

static void reply_locked(struct i8042 *c, uint8_t byte)
{
	ps2_fifo_put(&c->reply[SRC_KBD], byte);
}

static void reset_request(struct i8042 *c)
{
	core_request(c->core, CORE_RESET, "keyboard controller");
}

static uint8_t out_read_locked(struct i8042 *c)
{
	return c->out | (c->kbd_line ? OUT_KBD_OBF : 0) |
	       (c->aux_line ? OUT_AUX_OBF : 0);
}

static void out_write_locked(struct i8042 *c, uint8_t val)
{
	c->out = val & (OUT_RUN | OUT_A20);
	if (!(val & OUT_RUN))
		reset_request(c);
}

static void ram_write_locked(struct i8042 *c, unsigned addr, uint8_t val)
{
	c->ram[addr] = val;
	if (addr)
		return;
	c->status &= (uint8_t)~ST_SYS;
	if (val & CTR_SYS)
		c->status |= ST_SYS;
}

/* Commands without data. */
static void command_locked(struct i8042 *c, uint8_t cmd)
{
	switch (cmd) {
	case CC_READ_RAM ... CC_READ_RAM_END:
		reply_locked(c, c->ram[cmd & 31]);
		break;
	case CC_WRITE_RAM ... CC_WRITE_RAM_END:
	case CC_WRITE_OUT ... CC_WRITE_AUX:
		c->pending = cmd;
		break;
	case CC_TEST_PASSWORD:
		reply_locked(c, 0xf1); /* none is set */
		break;
	case CC_AUX_OFF:
		c->ram[0] |= CTR_AUX_OFF;
		break;
	case CC_AUX_ON:
		c->ram[0] &= (uint8_t)~CTR_AUX_OFF;
		break;
	case CC_SELF_TEST:
		c->status |= ST_SYS;
		c->ram[0] |= CTR_SYS;
		reply_locked(c, 0x55);
		break;
	case CC_AUX_TEST:
	case CC_KBD_TEST:
	case CC_READ_TEST:
		reply_locked(c, 0);
		break;
	case CC_KBD_OFF:
		c->ram[0] |= CTR_KBD_OFF;
		break;
	case CC_KBD_ON:
		c->ram[0] &= (uint8_t)~CTR_KBD_OFF;
		break;
	case CC_READ_IN:
		reply_locked(c, 0x80); /* keyboard not locked */
		break;
	case CC_READ_OUT:
		reply_locked(c, out_read_locked(c));
		break;
	case CC_PULSE ... 0xff:
		if (!(cmd & OUT_RUN))
			reset_request(c);
		break;
	default:
		break;
	}
}

static void data_locked(struct i8042 *c, uint8_t val)
{
	uint8_t cmd = c->pending;

	c->pending = 0;
	switch (cmd) {
	case CC_WRITE_RAM ... CC_WRITE_RAM_END:
		ram_write_locked(c, cmd & 31, val);
		break;
	case CC_WRITE_OUT:
		out_write_locked(c, val);
		break;
	case CC_WRITE_KBD_OBUF:
		ps2_fifo_put(&c->reply[SRC_KBD], val);
		break;
	case CC_WRITE_AUX_OBUF:
		ps2_fifo_put(&c->reply[SRC_AUX], val);
		break;
	case CC_WRITE_AUX: /* talking to a device turns its clock on */
		c->ram[0] &= (uint8_t)~CTR_AUX_OFF;
		ps2mouse_write(&c->mouse, val);
		break;
	default:
		c->ram[0] &= (uint8_t)~CTR_KBD_OFF;
		ps2kbd_write(&c->kbd, val);
		break;
	}
}

static uint64_t data_read(void *opaque, uint64_t off, unsigned size)
{
	struct i8042 *c = opaque;
	uint8_t byte;

	(void)off;
	(void)size;
	LOCK_GUARD(&c->lock);
	byte = c->obuf;
	if (c->obf) {
		c->obf = false;
		set_lines_locked(c); /* the next byte is an edge of its own */
	}
	update_locked(c);
	return byte;
}

static void data_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
	struct i8042 *c = opaque;

	(void)off;
	(void)size;
	LOCK_GUARD(&c->lock);
	c->status &= (uint8_t)~ST_CMD;
	data_locked(c, (uint8_t)val);
	update_locked(c);
}

static uint64_t cmd_read(void *opaque, uint64_t off, unsigned size)
{
	struct i8042 *c = opaque;

	(void)off;
	(void)size;
	LOCK_GUARD(&c->lock);
	return c->status | ST_UNLOCK | (c->obf ? ST_OBF : 0) |
	       (c->obf && c->src == SRC_AUX ? ST_AUX : 0);
}

static void cmd_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
	struct i8042 *c = opaque;

	(void)off;
	(void)size;
	LOCK_GUARD(&c->lock);
	c->status |= ST_CMD;
	c->pending = 0;
	command_locked(c, (uint8_t)val);
	update_locked(c);
}

static const struct bus_ops data_ops = { data_read, data_write };
static const struct bus_ops cmd_ops = { cmd_read, cmd_write };

void i8042_input(struct device *d, const struct input_event *ev)
{
	struct i8042 *c = container_of(d, struct i8042, dev);

	LOCK_GUARD(&c->lock);
	if (ev->kind == INPUT_KEY)
		ps2kbd_key(&c->kbd, ev->scancode, ev->down);
	else if (ev->kind == INPUT_POINTER_REL)
		ps2mouse_move(&c->mouse, ev->x, ev->y, ev->buttons);
	update_locked(c);
}

static void i8042_event(void *arg, const struct input_event *ev)
{
	i8042_input(arg, ev);
}

unsigned i8042_leds(struct device *d)
{
	struct i8042 *c = container_of(d, struct i8042, dev);

	LOCK_GUARD(&c->lock);
	return c->kbd.leds;
}

static void reset_locked(struct i8042 *c)
{
	for (unsigned i = 0; i < sizeof(c->ram); i++)
		c->ram[i] = 0;
	c->ram[0] = CTR_KBD_IRQ | CTR_AUX_IRQ;
	c->pending = 0;
	c->out = OUT_RUN | OUT_A20;
	c->status = ST_CMD;
	c->obf = c->break_code = false;
	c->obuf = 0;
	ps2_fifo_clear(&c->reply[SRC_KBD]);
	ps2_fifo_clear(&c->reply[SRC_AUX]);
	ps2kbd_reset(&c->kbd);
	ps2mouse_reset(&c->mouse);
	set_lines_locked(c);
}

static void i8042_reset(struct device *d)
{
	struct i8042 *c = container_of(d, struct i8042, dev);

	LOCK_GUARD(&c->lock);
	reset_locked(c);
}

static void i8042_free(struct device *d)
{
	struct i8042 *c = container_of(d, struct i8042, dev);

	if (c->display)
		display_del_sink(c->display, d);
	bus_unmap(c->core->pio, &c->data);
	bus_unmap(c->core->pio, &c->cmd);
	lock_fini(&c->lock);
	free(c);
}

static const struct device_ops i8042_ops = {
	.reset = i8042_reset,
	.free = i8042_free,
};

static int i8042_attach(struct i8042 *c, struct display *display, struct err *e)
{
	struct input_sink sink = {
		.kinds = 1 << INPUT_KEY | 1 << INPUT_POINTER_REL,
		.event = i8042_event,
		.arg = &c->dev,
	};
	int r = bus_map(c->core->pio, &c->data, PORT_DATA);

	if (!r)
		r = bus_map(c->core->pio, &c->cmd, PORT_CMD);
	if (r)
		return err_sys(e, -r, "keyboard controller at 0x60");
	if (!display)
		return 0;
	r = display_add_sink(display, &sink, true);
	if (!r)
		c->display = display;
	return r ? err_sys(e, -r, "keyboard controller: input") : 0;
}

int i8042_new(struct core *core, struct display *display, struct device **out,
	struct err *e)
{
	struct i8042 *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return err_sys(e, ENOMEM, "keyboard controller");
	c->dev = (struct device){ .name = "i8042", .ops = &i8042_ops };
	c->core = core;
	c->data = (struct bus_region){
		.name = "i8042 data",
		.ops = &data_ops,
		.opaque = c,
		.len = 1,
		.prio = BUS_FIXED,
	};
	c->cmd = c->data;
	c->cmd.name = "i8042 command";
	c->cmd.ops = &cmd_ops;
	lock_init(&c->lock, "i8042", LOCK_DEVICE);
	reset_locked(c);
	r = i8042_attach(c, display, e);
	if (r) {
		i8042_free(&c->dev);
		return r;
	}
	*out = &c->dev;
	return 0;
}
