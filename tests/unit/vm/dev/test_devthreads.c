// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Devices with a real I/O thread beside the guest's: what the thread
 * sanitizer is to look at.
 */
#include <sched.h>

#include "vm/base/thread.h"

#include "vm/dev/debugcon.h"
#include "vm/dev/i8042.h"
#include "vm/dev/lpc.h"
#include "vm/dev/rtc.h"
#include "vm/dev/serial.h"

#include "tests/unit/suite.h"
#include "tests/unit/vm/dev/ahcirig.h"

static struct thread io;

static void run_loop(void *arg)
{
	loop_run(arg);
}

static void io_start(void)
{
	struct err e = ERR_NONE;

	ck_assert_int_eq(thread_start(&io, "io", run_loop, rig.core.io, &e), 0);
}

static void io_stop(void)
{
	loop_stop(rig.core.io);
	thread_join(&io);
}

static void queue_read(unsigned slot, uint64_t lba)
{
	struct cmd c = { .command = 0x60,
		.device = 0x40,
		.features = 8,
		.lba = lba,
		.count = (uint16_t)(slot << 3),
		.prds = 1 };

	put_prd(0, slot, 0, DATA + slot * 4096, 4096);
	put_cmd(0, slot, &c);
	preg_set(0, SACT, 1u << slot);
	preg_set(0, CI, 1u << slot);
}

START_TEST (queued_reads_from_another_thread) {
	ahci_up();
	io_start();
	for (unsigned round = 0; round < 100; round++) {
		for (unsigned s = 0; s < 32; s++)
			queue_read(s, round * 32 + s);
		while (preg(0, SACT))
			sched_yield();
		ck_assert_uint_eq(preg(0, TFD), 0x50);
		for (unsigned s = 0; s < 32; s++)
			ck_assert_mem_eq(ram(DATA + s * 4096, 4096),
				disk->data + (round * 32 + s) * 512, 4096);
	}
	io_stop();
	ahci_down();
}
END_TEST

START_TEST (resets_in_the_midst_of_reads) {
	ahci_up();
	io_start();
	for (unsigned round = 0; round < 200; round++) {
		for (unsigned s = 0; s < 8; s++)
			queue_read(s, s);
		switch (round % 4) {
		case 0: /* stop and start */
			preg_set(0, CMD, 0x10);
			while (preg(0, CMD) & 0x8000)
				sched_yield();
			break;
		case 1: /* COMRESET */
			preg_set(0, CMD, 0x10);
			preg_set(0, SCTL, 1);
			preg_set(0, SCTL, 0);
			while (preg(0, SSTS) != 0x113)
				sched_yield();
			break;
		case 2: /* controller reset */
			hba_set(0x04, 0x80000001);
			while (hba(0x04) & 1)
				sched_yield();
			break;
		default: /* of the machine */
			dev->ops->reset(dev);
		}
		hba_set(0x04, 0x80000002);
		port_start(0);
		port_start(1);
		ck_assert_uint_eq(preg(0, CI) | preg(0, SACT), 0);
	}
	io_stop();
	ahci_down();
}
END_TEST

START_TEST (media_changes_from_another_thread) {
	struct err e = ERR_NONE;

	ahci_up();
	io_start();
	for (unsigned round = 0; round < 100; round++) {
		const uint8_t cdb[12] = { 0x28, 0, 0, 0, 0, 1, 0, 0, 1 };
		struct cmd c = { .command = 0xa0, .cdb = cdb, .len = 2048 };

		put_cmd(1, 0, &c);
		preg_set(1, CI, 1);
		ck_assert_int_eq(ahci_set_media(dev, 1, round % 2 ? cd : NULL,
					 false, &e),
			0);
		while (preg(1, TFD) & 0x80 ||
			(preg(1, CI) && !(preg(1, TFD) & 1)))
			sched_yield();
		recover(1);
	}
	io_stop();
	ahci_down();
}
END_TEST

/* Typing, moving, pressing and asking on a thread of its own. */
struct people {
	struct device *lpc, *i8042, *rtc;
	struct console *con;
};

static void people_do(void *arg)
{
	struct people *p = arg;

	for (unsigned i = 0; i < 2000; i++) {
		struct input_event key = { .kind = INPUT_KEY,
			.scancode = (uint16_t)(i % 127 + 1),
			.down = i & 1 };
		struct input_event move = { .kind = INPUT_POINTER_REL,
			.x = 1,
			.y = 1,
			.buttons = i & 7 };

		i8042_input(p->i8042, &key);
		i8042_input(p->i8042, &move);
		i8042_leds(p->i8042);
		console_input(p->con, "x", 1);
		lpc_power_button(p->lpc);
		lpc_gpe(p->lpc, i % 64);
		rtc_offset_s(p->rtc);
	}
}

START_TEST (port_devices_with_people_and_io_thread) {
	const struct rtc_conf conf = { .cpus = 1 };
	struct device *serial, *debug;
	struct err e = ERR_NONE;
	struct thread t;
	struct people p;

	devrig_init(&rig, MiB);
	ck_assert_int_eq(console_new(NULL, &p.con, &e), 0);
	ck_assert_int_eq(lpc_new(&rig.core, rig.pci, &p.lpc, &e), 0);
	ck_assert_int_eq(rtc_new(&rig.core, &conf, &p.rtc, &e), 0);
	ck_assert_int_eq(i8042_new(&rig.core, NULL, &p.i8042, &e), 0);
	ck_assert_int_eq(serial_new(&rig.core, p.con, 0x3f8, 4, &serial, &e),
		0);
	ck_assert_int_eq(debugcon_new(&rig.core, p.con, &debug, &e), 0);
	io_start();
	ck_assert_int_eq(thread_start(&t, "people", people_do, &p, &e), 0);
	out8(&rig, 0x3fc, 0x0b);
	out8(&rig, 0x3f9, 0x0f);
	out8(&rig, 0x64, 0xd4);
	out8(&rig, 0x60, 0xf4);
	out8(&rig, 0x70, 0x0b);
	out8(&rig, 0x71, 0x72);
	out16(&rig, 0x602, 0x101);
	for (unsigned i = 0; i < 20000; i++) {
		out8(&rig, 0x3f8, 'a');
		out8(&rig, 0x402, 'b');
		in8(&rig, 0x3f8);
		in8(&rig, 0x3fa);
		in8(&rig, 0x60);
		out8(&rig, 0x70, 0x0c);
		in8(&rig, 0x71);
		in32(&rig, 0x608);
		out16(&rig, 0x600, 0xffff);
		out32(&rig, 0x620, 0xffffffff);
	}
	thread_join(&t);
	io_stop();
	debug->ops->free(debug);
	serial->ops->free(serial);
	p.i8042->ops->free(p.i8042);
	p.rtc->ops->free(p.rtc);
	p.lpc->ops->free(p.lpc);
	console_free(p.con);
	devrig_fini(&rig);
}
END_TEST

SUITE("devthreads", queued_reads_from_another_thread,
	resets_in_the_midst_of_reads, media_changes_from_another_thread,
	port_devices_with_people_and_io_thread)
