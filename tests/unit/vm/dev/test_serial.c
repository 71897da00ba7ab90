// SPDX-License-Identifier: GPL-3.0-or-later
#include <errno.h>

#include "vm/dev/outbuf.h"
#include "vm/dev/serial.h"

#include "tests/unit/suite.h"
#include "tests/unit/vm/dev/devrig.h"

#define PORT 0x3f8
#define IRQ  4

static struct devrig rig;
static struct console *con;
static struct device *dev;

static void up(void)
{
	struct err e = ERR_NONE;

	devrig_init(&rig, MiB);
	ck_assert_int_eq(console_new(NULL, &con, &e), 0);
	ck_assert_int_eq(serial_new(&rig.core, con, PORT, IRQ, &dev, &e), 0);
}

static void down(void)
{
	dev->ops->free(dev);
	console_free(con);
	devrig_fini(&rig);
}

static uint8_t get(unsigned reg)
{
	return in8(&rig, PORT + reg);
}

static void put(unsigned reg, uint8_t val)
{
	out8(&rig, PORT + reg, val);
}

/* What the console has got so far. */
static const char *shown(uint64_t *pos)
{
	static char buf[OUTBUF_SIZE * 2 + 1];
	size_t n = console_read(con, pos, buf, sizeof(buf) - 1);

	buf[n] = 0;
	return buf;
}

START_TEST (starts_empty_and_ready) {
	up();
	ck_assert_uint_eq(get(5), 0x60);
	ck_assert_uint_eq(get(2), 0x01);
	ck_assert_uint_eq(get(6), 0xb0);
	ck_assert_uint_eq(get(1), 0);
	ck_assert(!irq(&rig, IRQ));
	down();
}
END_TEST

START_TEST (output_reaches_the_console_through_the_loop) {
	uint64_t pos = 0;

	up();
	for (const char *s = "hello"; *s; s++)
		put(0, (uint8_t)*s);
	ck_assert_uint_eq(get(5), 0x60);
	ck_assert_str_eq(shown(&pos), "");
	devrig_until(&rig, console_end(con) == 5);
	ck_assert_str_eq(shown(&pos), "hello");
	down();
}
END_TEST

START_TEST (output_left_over_is_shown_at_the_end) {
	uint64_t pos = 0;

	up();
	put(0, 'x');
	dev->ops->free(dev);
	ck_assert_str_eq(shown(&pos), "x");
	console_free(con);
	devrig_fini(&rig);
}
END_TEST

START_TEST (full_output_makes_the_transmitter_busy) {
	uint64_t pos = 0;

	up();
	put(4, 0x08);
	put(1, 0x02);
	for (unsigned i = 0; i < OUTBUF_SIZE; i++)
		put(0, 'a');
	ck_assert_uint_eq(get(5) & 0x60, 0);
	ck_assert(!irq(&rig, IRQ));
	put(0, 'b'); /* lost */
	devrig_until(&rig, console_end(con) == OUTBUF_SIZE);
	ck_assert_uint_eq(get(5) & 0x60, 0x60);
	ck_assert(irq(&rig, IRQ));
	ck_assert_ptr_null(strchr(shown(&pos), 'b'));
	down();
}
END_TEST

START_TEST (thre_interrupt_comes_and_reading_iir_takes_it) {
	up();
	put(4, 0x08);
	ck_assert(!irq(&rig, IRQ));
	put(1, 0x02);
	ck_assert(irq(&rig, IRQ));
	ck_assert_uint_eq(get(2), 0x02);
	ck_assert(!irq(&rig, IRQ));
	ck_assert_uint_eq(get(2), 0x01);
	put(0, 'a');
	ck_assert(irq(&rig, IRQ));
	ck_assert_uint_eq(get(2), 0x02);
	ck_assert(!irq(&rig, IRQ));
	/* enabling anew tells again, as Linux's probe expects */
	put(1, 0x00);
	put(1, 0x02);
	ck_assert(irq(&rig, IRQ));
	down();
}
END_TEST

START_TEST (out2_gates_the_interrupt) {
	up();
	put(1, 0x02);
	ck_assert(!irq(&rig, IRQ));
	put(4, 0x08);
	ck_assert(irq(&rig, IRQ));
	put(4, 0x00);
	ck_assert(!irq(&rig, IRQ));
	down();
}
END_TEST

START_TEST (input_raises_rda_without_fifo) {
	up();
	put(4, 0x08);
	put(1, 0x01);
	console_input(con, "ab", 2);
	ck_assert(irq(&rig, IRQ));
	ck_assert_uint_eq(get(2), 0x04);
	ck_assert_uint_eq(get(5), 0x61);
	ck_assert_uint_eq(get(0), 'a');
	ck_assert_uint_eq(get(0), 'b');
	ck_assert(!irq(&rig, IRQ));
	ck_assert_uint_eq(get(5), 0x60);
	down();
}
END_TEST

START_TEST (fifo_tells_timeout_below_and_rda_at_the_trigger) {
	up();
	put(2, 0x81); /* trigger at 8 */
	put(4, 0x08);
	put(1, 0x01);
	console_input(con, "1234567", 7);
	ck_assert_uint_eq(get(2), 0xcc);
	console_input(con, "8", 1);
	ck_assert_uint_eq(get(2), 0xc4);
	ck_assert_uint_eq(get(0), '1');
	ck_assert_uint_eq(get(2), 0xcc);
	for (int i = 0; i < 7; i++)
		get(0);
	ck_assert_uint_eq(get(2), 0xc1);
	down();
}
END_TEST

START_TEST (long_input_comes_in_order_and_complete) {
	char text[200];

	up();
	put(2, 0x01);
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)('A' + i % 50);
	ck_assert_uint_eq(console_input(con, text, sizeof(text)), sizeof(text));
	for (size_t i = 0; i < sizeof(text); i++) {
		ck_assert_uint_eq(get(5) & 1, 1);
		ck_assert_uint_eq(get(0), (uint8_t)text[i]);
	}
	ck_assert_uint_eq(get(5) & 1, 0);
	down();
}
END_TEST

START_TEST (fcr_clears_what_was_received) {
	up();
	put(2, 0x01);
	console_input(con, "abc", 3);
	put(2, 0x03);
	ck_assert_uint_eq(get(5) & 1, 0);
	ck_assert_uint_eq(get(2), 0xc1);
	put(2, 0x00);
	ck_assert_uint_eq(get(2), 0x01);
	down();
}
END_TEST

START_TEST (loopback_returns_bytes_and_modem_lines) {
	uint64_t pos = 0;

	up();
	put(4, 0x1a);
	ck_assert_uint_eq(get(6) & 0xf0, 0x90);
	put(0, 0x5a);
	ck_assert_uint_eq(get(0), 0x5a);
	put(0, 1);
	put(0, 2); /* no FIFO: overrun */
	ck_assert_uint_eq(get(5) & 0x03, 0x03);
	ck_assert_uint_eq(get(5) & 0x02, 0);
	devrig_io(&rig);
	ck_assert_str_eq(shown(&pos), "");
	down();
}
END_TEST

START_TEST (modem_change_interrupts_until_msr_is_read) {
	up();
	get(6);
	put(1, 0x08);
	put(4, 0x18); /* loop and OUT2: CTS and DSR fall */
	ck_assert(irq(&rig, IRQ));
	ck_assert_uint_eq(get(2), 0x00);
	ck_assert_uint_eq(get(6) & 0x0f, 0x03);
	ck_assert(!irq(&rig, IRQ));
	put(4, 0x1c); /* RI rises: tells nothing */
	ck_assert_uint_eq(get(6), 0xc0);
	put(4, 0x18);
	ck_assert_uint_eq(get(6), 0x84);
	down();
}
END_TEST

START_TEST (line_errors_come_before_data) {
	up();
	put(4, 0x18);
	put(1, 0x05);
	put(0, 1);
	put(0, 2);
	ck_assert_uint_eq(get(2), 0x06);
	get(5);
	ck_assert_uint_eq(get(2), 0x04);
	down();
}
END_TEST

START_TEST (divisor_and_scratch_are_storage) {
	up();
	put(3, 0x83);
	put(0, 0x01);
	put(1, 0x02);
	ck_assert_uint_eq(get(0), 0x01);
	ck_assert_uint_eq(get(1), 0x02);
	put(3, 0x03);
	ck_assert_uint_eq(get(3), 0x03);
	ck_assert_uint_eq(get(1), 0x00);
	put(7, 0xa5);
	ck_assert_uint_eq(get(7), 0xa5);
	put(1, 0xff);
	ck_assert_uint_eq(get(1), 0x0f);
	put(4, 0xff);
	ck_assert_uint_eq(get(4), 0x1f);
	down();
}
END_TEST

START_TEST (word_access_reaches_two_registers) {
	up();
	put(3, 0x80);
	out16(&rig, PORT, 0x1234);
	ck_assert_uint_eq(get(0), 0x34);
	ck_assert_uint_eq(get(1), 0x12);
	ck_assert_uint_eq(bus_read(rig.core.pio, PORT, 2), 0x1234);
	down();
}
END_TEST

START_TEST (reset_goes_back_to_power_on) {
	up();
	put(2, 0x01);
	put(4, 0x08);
	put(1, 0x0f);
	console_input(con, "abc", 3);
	ck_assert(irq(&rig, IRQ));
	dev->ops->reset(dev);
	ck_assert(!irq(&rig, IRQ));
	ck_assert_uint_eq(get(1), 0);
	ck_assert_uint_eq(get(2), 0x01);
	ck_assert_uint_eq(get(5), 0x60);
	down();
}
END_TEST

START_TEST (port_past_the_end_is_refused) {
	struct err e = ERR_NONE;
	struct device *bad = NULL;

	up();
	ck_assert_int_eq(serial_new(&rig.core, con, 0xfffc, 4, &bad, &e),
		-EINVAL);
	ck_assert_err(e, EINVAL, "serial port at 0xfffc");
	down();
}
END_TEST

SUITE("serial", starts_empty_and_ready,
	output_reaches_the_console_through_the_loop,
	output_left_over_is_shown_at_the_end,
	full_output_makes_the_transmitter_busy,
	thre_interrupt_comes_and_reading_iir_takes_it, out2_gates_the_interrupt,
	input_raises_rda_without_fifo,
	fifo_tells_timeout_below_and_rda_at_the_trigger,
	long_input_comes_in_order_and_complete, fcr_clears_what_was_received,
	loopback_returns_bytes_and_modem_lines,
	modem_change_interrupts_until_msr_is_read, line_errors_come_before_data,
	divisor_and_scratch_are_storage, word_access_reaches_two_registers,
	reset_goes_back_to_power_on, port_past_the_end_is_refused)
