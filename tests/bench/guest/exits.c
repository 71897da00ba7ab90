/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How many exits a second: a 32-bit PVH kernel without an operating system,
 * the same under every monitor of a q35 machine. It says one line a kind of
 * exit, "NAME COUNT CYCLES" in hex, after a line "clock CYCLES" that tells
 * the cycles of CAL_TICKS ticks of the ACPI timer (3.579545 MHz), and powers
 * off.
 *
 * The device is a virtio-rng found by a scan of PCI (virtio 1.2, 4.1); its
 * queue stays empty, so a kick finds nothing to do. Addresses that are above
 * 4 GiB are out of reach here.
 */
#include <stdint.h>

__asm__(".include \"pvh.s\"\n"
	".text\n"
	".globl start\n"
	"start: mov $stack_end, %esp\n"
	"call bench\n"
	".bss\n"
	".balign 16\n"
	".skip 16384\n"
	"stack_end:\n"
	".text\n");

#define PORT_POST   0x80
#define PORT_SERIAL 0x3f8
#define PORT_PM1    0x604
#define PORT_TIMER  0x608
#define TIMER_MASK  0xffffff
#define CAL_TICKS   357954 /* a tenth of a second */
/* In the window for PCI devices, between those placed low and high. */
#define NOTHING 0xd8000000u
#define BATCH   64

/* virtio 1.2, 4.1.4 */
#define CAP_VENDOR 9
#define CFG_COMMON 1
#define CFG_NOTIFY 2

struct common { /* 4.1.4.3 */
	uint32_t device_feature_select, device_feature;
	uint32_t driver_feature_select, driver_feature;
	uint16_t config_msix_vector, num_queues;
	uint8_t device_status, config_generation;
	uint16_t queue_select, queue_size, queue_msix_vector, queue_enable;
	uint16_t queue_notify_off;
	uint32_t queue_desc, queue_desc_hi, queue_driver, queue_driver_hi;
	uint32_t queue_device, queue_device_hi;
};

void bench(void);

static uint8_t ring[3][4096] __attribute__((aligned(4096)));
static volatile struct common *common;
static volatile uint16_t *notify;

static void out8(uint16_t port, uint8_t v)
{
	__asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port));
}

static void out16(uint16_t port, uint16_t v)
{
	__asm__ volatile("outw %0, %1" : : "a"(v), "Nd"(port));
}

static void out32(uint16_t port, uint32_t v)
{
	__asm__ volatile("outl %0, %1" : : "a"(v), "Nd"(port));
}

static uint8_t in8(uint16_t port)
{
	uint8_t v;

	__asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}

static uint32_t in32(uint16_t port)
{
	uint32_t v;

	__asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}

static uint64_t cycles(void)
{
	uint32_t lo, hi;

	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return (uint64_t)hi << 32 | lo;
}

/* --- the serial port --- */

static void put(char c)
{
	while (!(in8(PORT_SERIAL + 5) & 0x20))
		;
	out8(PORT_SERIAL, (uint8_t)c);
}

static void say(const char *s)
{
	while (*s)
		put(*s++);
}

static void say_hex(uint64_t v)
{
	put(' ');
	for (int shift = 60; shift >= 0; shift -= 4)
		put("0123456789abcdef"[v >> shift & 15]);
}

/* Does not come back. */
static void power_off(void)
{
	out16(PORT_PM1, 0x2000); /* S5 */
	for (;;)
		__asm__ volatile("cli; hlt");
}

/* --- PCI --- */

static uint32_t pci_read(unsigned slot, unsigned reg)
{
	out32(0xcf8, 0x80000000u | slot << 11 | (reg & ~3u));
	return in32(0xcfc) >> 8 * (reg & 3);
}

static void pci_write(unsigned slot, unsigned reg, uint32_t v)
{
	out32(0xcf8, 0x80000000u | slot << 11 | reg);
	out32(0xcfc, v);
}

static unsigned pci_find(uint32_t id)
{
	for (unsigned slot = 0; slot < 32; slot++)
		if (pci_read(slot, 0) == id)
			return slot;
	say("no virtio-rng\n");
	power_off();
	return 0;
}

static uint32_t pci_bar(unsigned slot, unsigned bar)
{
	uint32_t low = pci_read(slot, 0x10 + 4 * bar);

	if ((low & 6) == 4 && pci_read(slot, 0x14 + 4 * bar)) {
		say("a BAR is above 4 GiB\n");
		power_off();
	}
	return low & ~15u;
}

/* --- virtio --- */

static void virtio_look(unsigned slot, uint32_t *multiplier)
{
	unsigned at = pci_read(slot, 0x34) & 0xff;

	for (; at; at = pci_read(slot, at + 1) & 0xff) {
		unsigned type = pci_read(slot, at + 3) & 0xff;
		uint32_t addr;

		if ((pci_read(slot, at) & 0xff) != CAP_VENDOR)
			continue;
		if (type != CFG_COMMON && type != CFG_NOTIFY)
			continue;
		addr = pci_bar(slot, pci_read(slot, at + 4) & 0xff) +
		       pci_read(slot, at + 8);
		if (type == CFG_COMMON) {
			common = (volatile struct common *)addr;
		} else {
			notify = (volatile uint16_t *)addr;
			*multiplier = pci_read(slot, at + 16);
		}
	}
}

static void virtio_start(void)
{
	unsigned slot = pci_find(0x10441af4);
	uint32_t multiplier = 0;

	pci_write(slot, 4, (pci_read(slot, 4) & 0xffff) | 6);
	virtio_look(slot, &multiplier);
	common->device_status = 0;
	while (common->device_status)
		;
	common->device_status = 1;
	common->device_status = 3;
	common->driver_feature_select = 1;
	common->driver_feature = 1; /* VERSION_1 */
	common->device_status = 11;
	common->queue_select = 0;
	common->queue_size = 8;
	common->queue_desc = (uint32_t)ring[0];
	common->queue_driver = (uint32_t)ring[1];
	common->queue_device = (uint32_t)ring[2];
	common->queue_enable = 1;
	notify += common->queue_notify_off * multiplier / 2;
	common->device_status = 15;
	if (common->device_status != 15) {
		say("the virtio-rng does not start\n");
		power_off();
	}
}

/* --- what is measured --- */

static void port_write(void)
{
	out8(PORT_POST, 0);
}

static void port_read(void)
{
	in32(PORT_TIMER);
}

static void mmio_nothing(void)
{
	*(volatile uint32_t *)NOTHING = 0;
}

static void mmio_write(void)
{
	common->device_feature_select = 0;
}

static void kick(void)
{
	*notify = 0;
}

/* Cycles of CAL_TICKS. */
static uint64_t calibrate(void)
{
	uint32_t begin = in32(PORT_TIMER);
	uint64_t at = cycles();

	while (((in32(PORT_TIMER) - begin) & TIMER_MASK) < CAL_TICKS)
		;
	return cycles() - at;
}

static void measure(const char *name, void (*one)(void), uint64_t length)
{
	uint64_t begin = cycles(), now;
	uint32_t n = 0;

	do {
		for (int i = 0; i < BATCH; i++)
			one();
		n += BATCH;
		now = cycles();
	} while (now - begin < length);
	say(name);
	say_hex(n);
	say_hex(now - begin);
	say("\n");
}

void bench(void)
{
	uint64_t tenth;

	virtio_start();
	tenth = calibrate();
	say("clock");
	say_hex(tenth);
	say("\n");
	for (int i = 0; i < 3; i++) {
		measure("port-write", port_write, 4 * tenth);
		measure("port-read", port_read, 4 * tenth);
		measure("mmio-nothing", mmio_nothing, 4 * tenth);
		measure("mmio-write", mmio_write, 4 * tenth);
		measure("kick", kick, 4 * tenth);
	}
	say("done\n");
	power_off();
}
