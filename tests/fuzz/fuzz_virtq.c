/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A driver that breaks every rule of the rings: random descriptors, indices,
 * kicks, status writes and resets on a disk whose requests end when the
 * fuzzer likes. The device must neither crash nor hang; after a machine
 * reset nothing is in flight and it starts anew.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/bytes.h"
#include "vm/base/sizes.h"

#include "storage/storage.h"

#include "vm/virtio/virtio.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define RAM   (2 * MiB)
#define FN    PCI_DEVFN(1, 0)
#define RINGS 0x10000 /* two queues' rings, a page each part */
#define DISK  (256 * KiB)

struct blk {
	struct list pending;
	unsigned n;
};

static struct core core;
static struct pci_bus *bus;
static struct device *dev;
static struct blk blk = { .pending = { &blk.pending, &blk.pending } };
static uint64_t bar;
static uint8_t *ram;
static bool packed;
static uint16_t avail[2], next[2], ring_size;
static bool wrap[2];

static void must(bool ok)
{
	if (!ok)
		abort();
}

/* --- the image --- */

void blk_info(const struct blk *b, struct blk_info *out)
{
	(void)b;
	*out = (struct blk_info){ .size = DISK,
		.block_size = 512,
		.phys_size = 512,
		.can_discard = true,
		.can_write_zeroes = true,
		.discard_align = 512 };
}

void blk_submit(struct blk *b, struct blk_req *r)
{
	uint64_t sum = 0;

	must(r->offset % 512 == 0 && size_in(r->offset, r->len, DISK));
	for (int i = 0; i < r->niov; i++)
		sum += r->iov[i].iov_len;
	if (r->op == BLK_READ || r->op == BLK_WRITE)
		must(sum == r->len && r->len % 512 == 0);
	list_add_tail(&b->pending, &r->node);
	b->n++;
}

void blk_plug(struct blk *b)
{
	(void)b;
}

void blk_unplug(struct blk *b)
{
	(void)b;
}

static void end_one(bool newest)
{
	struct list *n = newest ? blk.pending.prev : blk.pending.next;
	struct blk_req *r = list_entry(n, struct blk_req, node);

	if (n == &blk.pending)
		return;
	list_del(n);
	blk.n--;
	if (r->op == BLK_READ)
		for (int i = 0; i < r->niov; i++)
			memset(r->iov[i].iov_base, 0, r->iov[i].iov_len);
	r->done(r, newest ? -EIO : 0);
}

void blk_drain(struct blk *b)
{
	while (b->n)
		end_one(false);
}

/* --- the driver --- */

static void request(void *arg, enum core_request what, const char *why)
{
	(void)arg;
	(void)what;
	(void)why;
}

static void setup(void)
{
	core.request = request;
	must(!log_open("/dev/null", &core.log, NULL));
	must(!gmem_new(NULL, RAM, false, &core.gmem, NULL));
	must(!bus_new(NULL, true, 0x10000, &core.pio, NULL));
	must(!bus_new(NULL, false, UINT64_C(1) << 46, &core.mmio, NULL));
	must(!irqs_new(NULL, &core.irqs, NULL));
	must(!loop_new(&core.io, NULL));
	must(!pci_bus_new(&core, true, &bus, NULL));
	must(!virtio_blk_new(&core, bus, FN, &blk, 2, "fuzz", &dev, NULL));
	ram = gmem_host(core.gmem, RINGS, 0x10000);
	must(ram);
}

static void out(unsigned off, uint64_t val, unsigned size)
{
	bus_write(core.mmio, bar + off, val, size);
}

static void run(int rounds)
{
	while (rounds--)
		loop_run_once(core.io, 0);
}

static unsigned part(unsigned q, unsigned n)
{
	return q * 0x4000 + n * 0x1000;
}

static void start(uint8_t kind)
{
	uint64_t f = VIRTIO_BIT(VIRTIO_F_VERSION_1) | 0x7e44;
	uint16_t size = (uint16_t)(1 << (kind >> 4 & 7));

	packed = kind & 1;
	if (packed)
		f |= VIRTIO_BIT(VIRTIO_F_RING_PACKED);
	if (kind & 2)
		f |= VIRTIO_BIT(VIRTIO_F_EVENT_IDX);
	if (kind & 4)
		f |= VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC);
	memset(ram, 0, 0x10000);
	memset(avail, 0, sizeof(avail));
	memset(next, 0, sizeof(next));
	wrap[0] = wrap[1] = true;
	ring_size = size;
	out(20, 3, 1);
	for (unsigned i = 0; i < 2; i++) {
		out(8, i, 4);
		out(12, f >> 32 * i, 4);
	}
	out(20, 11, 1);
	for (unsigned q = 0; q < 2; q++) {
		out(22, q, 2);
		out(24, size, 2);
		for (unsigned n = 0; n < 3; n++)
			out(32 + 8 * n, RINGS + part(q, n), 8);
		out(28, 1, 2);
	}
	out(20, 15, 1);
	run(2);
}

/* A descriptor: mostly near the rings or in RAM, now and then anywhere. */
static void descriptor(unsigned q, const uint8_t *s)
{
	uint8_t *d = ram + part(q, s[1] & 0x80 ? 3 : 0) + 16 * (s[1] & 0x7f);
	uint64_t addr = RINGS + (uint64_t)get_le16(s + 2);
	uint32_t len = s[4];

	if (s[5] & 0x10)
		len *= 16;
	if (s[5] & 0x20)
		addr += RAM - 0x18000;
	if (s[5] & 0x40)
		addr = addr << 40 | len;
	if (s[5] & 0x80)
		len = s[4] & 1 ? UINT32_MAX : 512 * (s[4] & 0xf) + 1;
	put_le64(d, addr);
	put_le32(d + 8, len);
	put_le16(d + (packed ? 14 : 12), s[5] & 7);
	put_le16(d + (packed ? 12 : 14), s[0] >> 4);
	if (packed)
		d[s[0] & 0x10 ? 15 : 14] |= 0x80;
}

static void header(const uint8_t *s)
{
	uint8_t *h = ram + get_le16(s + 1) % 0xfff0;

	put_le32(h, s[3] % 15);
	put_le64(h + 8, s[4] | (uint64_t)s[5] << (s[5] & 0x3f));
}

static void make_available(unsigned q, uint8_t head)
{
	uint8_t *a = ram + part(q, 1);

	if (packed)
		return;
	put_le16(a + 4 + 2 * (avail[q] % ring_size), head);
	put_le16(a + 2, ++avail[q]);
}

static void put_next(unsigned q, uint64_t addr, uint32_t len, uint16_t flags)
{
	uint8_t *d = ram + part(q, 0) + 16 * next[q];
	uint16_t mark = wrap[q] ? 0x80 : 0x8000;

	if (++next[q] == ring_size) {
		next[q] = 0;
		wrap[q] = !wrap[q];
	}
	put_le64(d, addr);
	put_le32(d + 8, len);
	put_le16(d + 12, packed ? next[q] : flags);
	put_le16(d + 14, packed ? flags | mark : next[q]);
}

/* A request as drivers make them, sound but for what the fuzzer changes. */
static void request_put(unsigned q, const uint8_t *s)
{
	static const uint16_t lens[8] = { 512, 4096, 16, 20, 32, 0, 511, 513 };
	uint16_t head = next[q], type = s[1] % 15;
	bool write = type != 0 && type != 8;

	put_le32(ram + 0xc000, type);
	put_le64(ram + 0xc008, s[2]);
	put_le64(ram + 0xd000, s[3]);
	put_le32(ram + 0xd008, s[4]);
	put_le32(ram + 0xd00c, s[5] >> 7);
	put_next(q, RINGS + 0xc000, 16, 1);
	if (s[5] & 8)
		put_next(q, RINGS + 0xd000, lens[s[5] & 7],
			(write ? 0 : 2) | 1);
	put_next(q, RINGS + 0xc100, s[5] & 0x10 ? 600 : 1, 2);
	make_available(q, (uint8_t)head);
	out(0x3000 + 4 * q, q, 2);
	run(1);
}

/* Six bytes a step */
static void step(const uint8_t *s)
{
	unsigned q = s[0] >> 3 & 1;

	switch (s[0] & 7) {
	case 0:
		descriptor(q, s);
		break;
	case 1:
		if (s[0] & 0x20)
			header(s);
		else
			request_put(q, s);
		break;
	case 2:
		make_available(q, s[1]);
		out(0x3000 + 4 * q, q, 2);
		run(2);
		break;
	case 3:
		memcpy(ram + get_le16(s + 1) % 0xfffd, s + 3, 3);
		break;
	case 4:
		for (unsigned i = 0; i < s[1]; i++)
			end_one(s[2] & 1);
		run(1);
		break;
	case 5:
		out(get_le16(s + 1) & 0x7f, get_le16(s + 3), 1U << (s[5] & 3));
		bus_read(core.mmio, bar + (get_le16(s + 1) & 0x3fff), 4);
		run(2);
		break;
	case 6:
		out(0x3000 + 4 * q, 0, 4);
		run(3);
		break;
	default:
		if (s[1] < 200) {
			out(0x2020, s[2], 1);
			break;
		}
		out(20, 0, 1);
		run(2);
		start(s[2]);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct virtio_dev *v;

	if (size < 1)
		return 0;
	if (!bus)
		setup();
	v = (struct virtio_dev *)dev;
	pci_bus_reset(bus);
	pci_bus_assign(bus);
	bus_write(core.pio, 0xcf8, 0x80000000u | FN << 8 | 4, 4);
	bus_write(core.pio, 0xcfc, 6, 2);
	bus_write(core.pio, 0xcf8, 0x80000000u | FN << 8 | 0x20, 4);
	bar = bus_read(core.pio, 0xcfc, 4) & ~UINT64_C(15);
	start(data[0]);
	for (data++, size--; size >= 6; data += 6, size -= 6)
		step(data);
	dev->ops->reset(dev);
	must(blk.n == 0 && v->status == 0 && !v->live);
	run(2);
	return 0;
}
