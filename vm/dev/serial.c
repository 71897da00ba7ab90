// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * 16550A UART (National PC16550D data sheet). The line has no speed: a byte
 * written is sent at once and the transmitter is empty again, unless the
 * gathered output is full: then it stays busy until the I/O thread drained
 * it, as a slow line would, and the vCPU never waits. Received bytes are
 * taken from the console as the guest empties the FIFO; the receive timeout
 * is due at once when bytes stay below the trigger level.
 *
 * Threads: registers on vCPUs, input on any thread, output on the I/O
 * thread. Lock: one of rank LOCK_DEVICE guards all state.
 */
#include "vm/dev/serial.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/list.h"
#include "vm/base/lock.h"

#include "vm/dev/outbuf.h"

#define FIFO_SIZE 16

enum {              /* register offsets */
	R_DATA = 0, /* RBR, THR, DLL */
	R_IER = 1,  /* and DLM */
	R_IIR = 2,  /* and FCR */
	R_LCR = 3,
	R_MCR = 4,
	R_LSR = 5,
	R_MSR = 6,
	R_SCR = 7,
};

#define IER_RDA  0x01
#define IER_THRE 0x02
#define IER_LSR  0x04
#define IER_MSR  0x08
#define IER_ALL  0x0f

#define IIR_NONE    0x01
#define IIR_MSR     0x00
#define IIR_THRE    0x02
#define IIR_RDA     0x04
#define IIR_LSR     0x06
#define IIR_TIMEOUT 0x0c
#define IIR_FIFO    0xc0

#define FCR_ENABLE   0x01
#define FCR_CLEAR_RX 0x02
#define FCR_CLEAR_TX 0x04

#define LCR_DLAB 0x80

#define MCR_DTR  0x01
#define MCR_RTS  0x02
#define MCR_OUT1 0x04
#define MCR_OUT2 0x08 /* gates the interrupt on a PC */
#define MCR_LOOP 0x10
#define MCR_ALL  0x1f

#define LSR_DR     0x01
#define LSR_OE     0x02
#define LSR_ERRORS 0x1e
#define LSR_THRE   0x20
#define LSR_TEMT   0x40

#define MSR_TERI 0x04
#define MSR_CTS  0x10
#define MSR_DSR  0x20
#define MSR_RI   0x40
#define MSR_DCD  0x80

struct serial {
	struct device dev;
	struct core *core;
	struct console *con;
	struct bus_region region;
	unsigned irq;

	struct lock lock; /* LOCK_DEVICE; guards all that follows */
	uint8_t ier, fcr, lcr, mcr, lsr, msr, scr, dll, dlm;
	bool thre_pending; /* THRE interrupt not yet acknowledged */
	bool level;        /* what the interrupt line was last set to */
	unsigned rx_head, rx_len;
	uint8_t rx[FIFO_SIZE];
	struct outbuf tx;
};

static unsigned rx_capacity(const struct serial *s)
{
	return s->fcr & FCR_ENABLE ? FIFO_SIZE : 1;
}

static unsigned rx_trigger(const struct serial *s)
{
	static const uint8_t levels[4] = { 1, 4, 8, 14 };

	return s->fcr & FCR_ENABLE ? levels[s->fcr >> 6] : 1;
}

/* The interrupt with the highest priority, as IIR[3:0]. */
static uint8_t pending_locked(const struct serial *s)
{
	if (s->ier & IER_LSR && s->lsr & LSR_ERRORS)
		return IIR_LSR;
	if (s->ier & IER_RDA && s->rx_len)
		return s->rx_len >= rx_trigger(s) ? IIR_RDA : IIR_TIMEOUT;
	if (s->ier & IER_THRE && s->thre_pending)
		return IIR_THRE;
	if (s->ier & IER_MSR && s->msr & 0x0f)
		return IIR_MSR;
	return IIR_NONE;
}

static void set_line_locked(struct serial *s, bool level)
{
	if (s->level == level)
		return;
	s->level = level;
	irq_set(s->core->irqs, s->irq, level);
}

static void update_irq_locked(struct serial *s)
{
	set_line_locked(s, pending_locked(s) != IIR_NONE && s->mcr & MCR_OUT2);
}

static void rx_put_locked(struct serial *s, uint8_t byte)
{
	if (s->rx_len == rx_capacity(s)) {
		s->lsr |= LSR_OE;
		return;
	}
	s->rx[(s->rx_head + s->rx_len) % FIFO_SIZE] = byte;
	s->rx_len++;
}

/* Take what people typed, as far as there is room. */
static void rx_fill_locked(struct serial *s)
{
	uint8_t buf[FIFO_SIZE];
	size_t n;

	if (s->mcr & MCR_LOOP || s->rx_len >= rx_capacity(s))
		return;
	n = console_input_take(s->con, buf, rx_capacity(s) - s->rx_len);
	for (size_t i = 0; i < n; i++)
		rx_put_locked(s, buf[i]);
}

static uint8_t rx_get_locked(struct serial *s)
{
	uint8_t byte = s->rx[s->rx_head];

	if (!s->rx_len)
		return byte; /* the last byte again, as the chip does */
	s->rx_len--;
	if (s->rx_len)
		s->rx_head = (s->rx_head + 1) % FIFO_SIZE;
	else
		rx_fill_locked(s);
	return byte;
}

static void rx_clear_locked(struct serial *s)
{
	s->rx_len = 0;
	rx_fill_locked(s);
}

static void serial_input(void *arg)
{
	struct serial *s = arg;

	LOCK_GUARD(&s->lock);
	rx_fill_locked(s);
	update_irq_locked(s);
}

static void serial_output(void *arg, const void *buf, size_t len)
{
	struct serial *s = arg;

	console_output(s->con, buf, len);
}

/* Output was drained: a transmitter that was full is empty again. */
static void serial_room(void *arg)
{
	struct serial *s = arg;

	if (s->lsr & LSR_THRE)
		return;
	s->lsr |= LSR_THRE | LSR_TEMT;
	s->thre_pending = true;
	update_irq_locked(s);
}

/*
 * Writing THR acknowledges the THRE interrupt, and the byte being gone raises
 * it again: the line must be seen to fall and rise, or a guest that never
 * reads IIR would wait for ever.
 */
static void tx_locked(struct serial *s, uint8_t byte)
{
	s->thre_pending = false;
	if (s->level)
		update_irq_locked(s);
	if (s->mcr & MCR_LOOP)
		rx_put_locked(s, byte);
	else
		outbuf_put_locked(&s->tx, byte); /* full: lost, as on a wire */
	if (outbuf_full_locked(&s->tx)) {
		s->lsr &= (uint8_t) ~(LSR_THRE | LSR_TEMT);
	} else {
		s->lsr |= LSR_THRE | LSR_TEMT;
		s->thre_pending = true;
	}
	update_irq_locked(s);
}

static void ier_write_locked(struct serial *s, uint8_t val)
{
	val &= IER_ALL;
	if (val & ~s->ier & IER_THRE && s->lsr & LSR_THRE)
		s->thre_pending = true;
	s->ier = val;
}

static void fcr_write_locked(struct serial *s, uint8_t val)
{
	bool toggled = (val ^ s->fcr) & FCR_ENABLE;

	s->fcr = val & FCR_ENABLE ? val & (0xc0 | FCR_ENABLE) : 0;
	if (toggled || val & FCR_CLEAR_RX)
		rx_clear_locked(s);
	/* Nothing waits in the transmitter: clearing it changes nothing. */
}

/* In loopback the modem lines in are the modem lines out. */
static void mcr_write_locked(struct serial *s, uint8_t val)
{
	uint8_t lines = MSR_CTS | MSR_DSR | MSR_DCD, old = s->msr;

	s->mcr = val & MCR_ALL;
	if (s->mcr & MCR_LOOP) {
		lines = (uint8_t)((s->mcr & MCR_RTS ? MSR_CTS : 0) |
				  (s->mcr & MCR_DTR ? MSR_DSR : 0) |
				  (s->mcr & MCR_OUT1 ? MSR_RI : 0) |
				  (s->mcr & MCR_OUT2 ? MSR_DCD : 0));
	}
	s->msr = lines | (old & 0x0f);
	s->msr |= (lines ^ old) >> 4 & 0x0b;
	if (old & ~lines & MSR_RI) /* only its falling edge counts */
		s->msr |= MSR_TERI;
	rx_fill_locked(s);
}

static uint8_t iir_read_locked(struct serial *s)
{
	uint8_t iir = pending_locked(s);

	if (iir == IIR_THRE)
		s->thre_pending = false;
	return iir | (s->fcr & FCR_ENABLE ? IIR_FIFO : 0);
}

static uint8_t read_locked(struct serial *s, unsigned reg)
{
	uint8_t val;

	switch (reg) {
	case R_DATA:
		return s->lcr & LCR_DLAB ? s->dll : rx_get_locked(s);
	case R_IER:
		return s->lcr & LCR_DLAB ? s->dlm : s->ier;
	case R_IIR:
		return iir_read_locked(s);
	case R_LCR:
		return s->lcr;
	case R_MCR:
		return s->mcr;
	case R_LSR:
		val = s->lsr | (s->rx_len ? LSR_DR : 0);
		s->lsr &= (uint8_t)~LSR_ERRORS;
		return val;
	case R_MSR:
		val = s->msr;
		s->msr &= 0xf0;
		return val;
	default:
		return s->scr;
	}
}

static void write_locked(struct serial *s, unsigned reg, uint8_t val)
{
	switch (reg) {
	case R_DATA:
		if (s->lcr & LCR_DLAB)
			s->dll = val;
		else
			tx_locked(s, val);
		break;
	case R_IER:
		if (s->lcr & LCR_DLAB)
			s->dlm = val;
		else
			ier_write_locked(s, val);
		break;
	case R_IIR:
		fcr_write_locked(s, val);
		break;
	case R_LCR:
		s->lcr = val;
		break;
	case R_MCR:
		mcr_write_locked(s, val);
		break;
	case R_SCR:
		s->scr = val;
		break;
	default: /* LSR and MSR are read only */
		break;
	}
}

static uint64_t serial_read(void *opaque, uint64_t off, unsigned size)
{
	struct serial *s = opaque;
	uint64_t val = 0;

	LOCK_GUARD(&s->lock);
	for (unsigned i = 0; i < size && off + i < 8; i++)
		val |= (uint64_t)read_locked(s, (unsigned)off + i) << (8 * i);
	update_irq_locked(s);
	return val;
}

static void serial_write(void *opaque, uint64_t off, uint64_t val,
	unsigned size)
{
	struct serial *s = opaque;

	LOCK_GUARD(&s->lock);
	for (unsigned i = 0; i < size && off + i < 8; i++)
		write_locked(s, (unsigned)off + i, (uint8_t)(val >> (8 * i)));
	update_irq_locked(s);
}

static const struct bus_ops serial_bus_ops = {
	.read = serial_read,
	.write = serial_write,
};

static void reset_locked(struct serial *s)
{
	s->ier = s->fcr = s->lcr = s->mcr = s->scr = s->dlm = 0;
	s->dll = 12; /* 9600 baud; means nothing here */
	s->lsr = outbuf_full_locked(&s->tx) ? 0 : LSR_THRE | LSR_TEMT;
	s->msr = MSR_CTS | MSR_DSR | MSR_DCD;
	s->thre_pending = false;
	s->rx_head = s->rx_len = 0;
	set_line_locked(s, false);
}

static void serial_reset(struct device *d)
{
	struct serial *s = container_of(d, struct serial, dev);

	LOCK_GUARD(&s->lock);
	reset_locked(s);
}

static void serial_free(struct device *d)
{
	struct serial *s = container_of(d, struct serial, dev);

	bus_unmap(s->core->pio, &s->region);
	console_set_sink(s->con, NULL, NULL);
	outbuf_fini(&s->tx);
	lock_fini(&s->lock);
	free(s);
}

static const struct device_ops serial_ops = {
	.reset = serial_reset,
	.free = serial_free,
};

int serial_new(struct core *core, struct console *con, uint16_t base,
	unsigned irq, struct device **out, struct err *e)
{
	struct serial *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return err_sys(e, ENOMEM, "serial port");
	s->dev = (struct device){ .name = "serial", .ops = &serial_ops };
	s->core = core;
	s->con = con;
	s->irq = irq;
	s->region = (struct bus_region){
		.name = "serial",
		.ops = &serial_bus_ops,
		.opaque = s,
		.len = 8,
		.prio = BUS_FIXED,
	};
	lock_init(&s->lock, "serial", LOCK_DEVICE);
	outbuf_init(&s->tx, &s->lock, core->io, serial_output, serial_room, s);
	reset_locked(s);
	r = bus_map(core->pio, &s->region, base);
	if (r) {
		lock_fini(&s->lock);
		free(s);
		return err_sys(e, -r, "serial port at 0x%x", base);
	}
	console_set_sink(con, serial_input, s);
	serial_input(s);
	*out = &s->dev;
	return 0;
}
