/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * An AHCI driver for tests: lays out command lists in guest memory as a
 * guest does and rings the doorbells. Port n has its structures at 64 KiB
 * times n + 1.
 */
#ifndef TESTS_UNIT_VM_DEV_AHCIRIG_H
#define TESTS_UNIT_VM_DEV_AHCIRIG_H

#include "vm/base/bytes.h"

#include "vm/dev/ahci.h"

#include "tests/unit/vm/dev/devrig.h"
#include "tests/unit/vm/dev/fake_blk.h"

#define AHCI   PCI_DEVFN(31, 2)
#define ABAR   UINT64_C(0xc0000000)
#define RAM    (16 * MiB)
#define DATA   UINT64_C(0x400000)
#define MSI_AT 0xfee00000u

static struct devrig rig;
static struct device *dev;
static struct blk *disk, *cd, *extra;

static inline uint32_t hba(unsigned off)
{
	return (uint32_t)bus_read(rig.core.mmio, ABAR + off, 4);
}

static inline void hba_set(unsigned off, uint32_t val)
{
	bus_write(rig.core.mmio, ABAR + off, val, 4);
}

static inline uint32_t preg(unsigned port, unsigned off)
{
	return hba(0x100 + port * 0x80 + off);
}

static inline void preg_set(unsigned port, unsigned off, uint32_t val)
{
	hba_set(0x100 + port * 0x80 + off, val);
}

enum {
	IS = 0x10,
	IE = 0x14,
	CMD = 0x18,
	TFD = 0x20,
	SIG = 0x24,
	SSTS = 0x28,
	SCTL = 0x2c,
	SERR = 0x30,
	SACT = 0x34,
	CI = 0x38
};

static inline uint64_t clb(unsigned port)
{
	return (port + 1) * UINT64_C(0x10000);
}

static inline uint64_t fb(unsigned port)
{
	return clb(port) + 0x400;
}

static inline uint64_t table(unsigned port, unsigned slot)
{
	return clb(port) + 0x1000 + slot * UINT64_C(0x400);
}

/* What a driver does at its start: list, FIS area, interrupts, go. */
static inline void port_start(unsigned port)
{
	preg_set(port, 0x00, (uint32_t)clb(port));
	preg_set(port, 0x08, (uint32_t)fb(port));
	preg_set(port, SERR, 0xffffffff);
	preg_set(port, IS, 0xffffffff);
	preg_set(port, IE, 0xffffffff);
	preg_set(port, CMD, 0x10);
	preg_set(port, CMD, 0x11);
}

/* A disk at port 0, a CD-ROM drive at port 1, nothing else. */
static inline void ahci_up(void)
{
	struct err e = ERR_NONE;
	int bad = 0;

	devrig_init(&rig, RAM);
	disk = fake_blk(rig.core.io, 4 * MiB);
	cd = fake_blk(rig.core.io, MiB);
	cd->info.readonly = true;
	bad |= ahci_new(&rig.core, rig.pci, AHCI, &dev, &e);
	bad |= ahci_attach(dev, 0, disk, false, "SERIAL7", &e);
	bad |= ahci_attach(dev, 1, cd, true, NULL, &e);
	if (bad)
		abort();
	cfg_out(&rig, AHCI, 0x24, (uint32_t)ABAR, 4);
	cfg_out(&rig, AHCI, 0x04, 0x0006, 2);
	hba_set(0x04, 0x80000002);
	port_start(0);
	port_start(1);
}

static inline void ahci_down(void)
{
	dev->ops->free(dev);
	blk_close(disk);
	blk_close(cd);
	blk_close(extra);
	extra = NULL;
	devrig_fini(&rig);
}

struct cmd { /* what fills a slot */
	uint8_t command, device;
	uint16_t features, count;
	uint64_t lba;
	const uint8_t *cdb; /* 12 bytes, for PACKET */
	uint32_t len;       /* of the data area at DATA, in one PRD */
	unsigned prds;      /* entries that the caller has laid out instead */
	bool write;
};

static inline void put_prd(unsigned port, unsigned slot, unsigned i,
	uint64_t addr, uint32_t len)
{
	uint8_t prd[16] = { 0 };

	put_le64(prd, addr);
	put_le32(&prd[12], len - 1);
	gmem_write(rig.core.gmem, table(port, slot) + 0x80 + i * 16, prd, 16);
}

static inline void put_cmd(unsigned port, unsigned slot, const struct cmd *c)
{
	struct gmem *g = rig.core.gmem;
	uint8_t hdr[32] = { 0 }, fis[20] = { 0x27, 0x80 };
	unsigned prds = c->prds ? c->prds : c->len > 0;

	fis[2] = c->command;
	fis[3] = (uint8_t)c->features;
	fis[11] = (uint8_t)(c->features >> 8);
	for (unsigned i = 0; i < 3; i++) {
		fis[4 + i] = (uint8_t)(c->lba >> (8 * i));
		fis[8 + i] = (uint8_t)(c->lba >> (24 + 8 * i));
	}
	fis[7] = c->device;
	put_le16(&fis[12], c->count);
	put_le16(hdr,
		(uint16_t)(5 | (c->cdb ? 0x20 : 0) | (c->write ? 0x40 : 0)));
	put_le16(&hdr[2], (uint16_t)prds);
	put_le64(&hdr[8], table(port, slot));
	gmem_write(g, clb(port) + slot * 32, hdr, sizeof(hdr));
	gmem_write(g, table(port, slot), fis, sizeof(fis));
	if (c->cdb)
		gmem_write(g, table(port, slot) + 0x40, c->cdb, 12);
	if (c->len)
		put_prd(port, slot, 0, DATA, c->len);
}

/* Issue in a slot and let the I/O thread work. */
static inline void issue(unsigned port, unsigned slot, const struct cmd *c)
{
	put_cmd(port, slot, c);
	preg_set(port, CI, 1u << slot);
	devrig_io(&rig);
}

/* Issue in slot 0; the status and error registers after it. */
static inline uint32_t run(unsigned port, const struct cmd *c)
{
	issue(port, 0, c);
	return preg(port, TFD);
}

/* What a driver does after an error: stop, clear, start. */
static inline void recover(unsigned port)
{
	preg_set(port, CMD, 0x10);
	preg_set(port, SERR, 0xffffffff);
	preg_set(port, IS, 0xffffffff);
	preg_set(port, CMD, 0x11);
	hba_set(0x08, 0xffffffff);
}

static inline const uint8_t *ram(uint64_t at, uint32_t len)
{
	return gmem_host(rig.core.gmem, at, len);
}

/* Bytes of the data area against those of an image. */
static inline bool same(const struct blk *b, uint64_t off, uint32_t len)
{
	return !memcmp(ram(DATA, len), b->data + off, len);
}

/* A packet command; its answer is at DATA. Returns the TFD register. */
static inline uint32_t packet(const uint8_t *cdb, uint32_t len)
{
	struct cmd c = { .command = 0xa0,
		.features = 1,
		.cdb = cdb,
		.len = len };

	memset(gmem_host(rig.core.gmem, DATA, 65536), 0xee, 65536);
	return run(1, &c);
}

#define PACKET(len, ...) packet((const uint8_t[12]){ __VA_ARGS__ }, (len))

#endif
