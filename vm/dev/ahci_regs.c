// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * AHCI registers (Serial ATA AHCI 1.3.1, chapter 3) and what follows from
 * writing them: starting and stopping ports, COMRESET, controller reset,
 * interrupts. Thread: vCPUs, and the I/O thread where named so in
 * ahci_impl.h. Lock: the device's.
 */
#include "vm/dev/ahci_impl.h"

enum {
	R_CAP = 0x00,
	R_GHC = 0x04,
	R_IS = 0x08,
	R_PI = 0x0c,
	R_VS = 0x10,
	R_PORTS = 0x100,
	PORT_LEN = 0x80,
};

enum {
	P_CLB = 0x00,
	P_CLBU = 0x04,
	P_FB = 0x08,
	P_FBU = 0x0c,
	P_IS = 0x10,
	P_IE = 0x14,
	P_CMD = 0x18,
	P_TFD = 0x20,
	P_SIG = 0x24,
	P_SSTS = 0x28,
	P_SCTL = 0x2c,
	P_SERR = 0x30,
	P_SACT = 0x34,
	P_CI = 0x38,
};

#define CAP        0xc0141f05u /* 64 bit, NCQ, gen 1, AHCI only, 32 slots */
#define PI         ((1u << AHCI_PORTS) - 1)
#define VERSION    0x00010301u
#define PCMD_GUEST 0xf3000011u /* ICC, ALPE, DLAE, FRE, ST */
#define SSTS_UP    0x113u      /* active, gen 1, device present */
#define SCTL_DET   0x0fu
#define TFD_NONE   0x7fu
#define SIG_NONE   0xffffffffu

_Static_assert(R_PORTS + AHCI_PORTS * PORT_LEN <= 4096, "fits its BAR");

static void intx_locked(struct ahci *a, bool level)
{
	if (a->intx != level)
		pci_intx_set(&a->pci, level);
	a->intx = level;
}

/* Recompute IS and the interrupt from what the ports report. */
void ahci_irq_locked(struct ahci *a)
{
	uint32_t pending = 0, fresh;
	bool level;

	for (unsigned i = 0; i < AHCI_PORTS; i++)
		if (a->port[i].is & a->port[i].ie)
			pending |= 1u << i;
	fresh = pending & ~a->is;
	a->is |= pending;
	level = a->ghc & GHC_IE && a->is;
	if (msi_enabled(&a->msi)) {
		if (level && (fresh || !a->level))
			msi_fire(&a->msi);
		intx_locked(a, false);
	} else {
		intx_locked(a, level);
	}
	a->level = level;
}

/* The link is up and the drive tells what it is. */
static void port_ready_locked(struct ahci_port *p)
{
	struct ata_task t = { 0 };

	if (!p->drive.present)
		return;
	ata_drive_reset(&p->drive);
	ata_signature(&p->drive, &t);
	p->ssts = SSTS_UP;
	p->serr |= SERR_X;
	p->is |= PIS_PC;
	p->tfd = t.status | (uint32_t)t.error << 8;
	p->sig = (uint32_t)t.lba << 8 | t.count;
	p->fis_due = !(p->pcmd & PCMD_FRE);
	if (!p->fis_due)
		ahci_post_d2h_locked(p, &t, false);
}

/* End the port's epoch: nothing that runs now changes anything more. */
static void port_stop_locked(struct ahci_port *p)
{
	p->epoch++;
	p->ci = p->sact = 0;
	p->alone = p->halted = false;
}

static void port_offline_locked(struct ahci_port *p)
{
	port_stop_locked(p);
	p->ssts = 0;
	p->tfd = p->drive.present ? ATA_BSY | TFD_NONE : TFD_NONE;
	p->sig = SIG_NONE;
	p->srst = false;
}

/* Registers of a port after a reset of the controller. */
static void port_reset_locked(struct ahci_port *p)
{
	port_offline_locked(p);
	p->pcmd = PCMD_SUD | PCMD_POD | (p->busy ? PCMD_CR : 0);
	p->is = p->ie = p->sctl = p->serr = 0;
	p->fis_due = false;
	p->last_slot = AHCI_SLOTS - 1;
	p->reset_due = true;
}

static void hba_reset_locked(struct ahci *a)
{
	a->ghc = GHC_AE | GHC_HR;
	a->is = 0;
	for (unsigned i = 0; i < AHCI_PORTS; i++)
		port_reset_locked(&a->port[i]);
	for (unsigned i = 0; i < AHCI_PORTS; i++)
		ahci_idle_locked(&a->port[i]);
}

void ahci_reset_locked(struct ahci *a)
{
	for (unsigned i = 0; i < AHCI_PORTS; i++)
		a->port[i].clb = a->port[i].fb = 0;
	hba_reset_locked(a);
	a->level = a->intx = false;
	pci_intx_set(&a->pci, false); /* whatever the bus's reset did */
}

/* HR ends when no port has work any more. */
static void hba_idle_locked(struct ahci *a)
{
	for (unsigned i = 0; i < AHCI_PORTS; i++)
		if (a->port[i].busy)
			return;
	a->ghc &= ~GHC_HR;
}

void ahci_idle_locked(struct ahci_port *p)
{
	if (p->busy)
		return;
	if (!(p->pcmd & PCMD_ST))
		p->pcmd &= ~PCMD_CR;
	if (p->reset_due && !(p->sctl & SCTL_DET)) {
		p->reset_due = false;
		port_ready_locked(p);
	} else if (p->drive.present && p->ssts && p->tfd & ATA_BSY &&
		   !(p->pcmd & PCMD_ST)) {
		p->tfd = ATA_RDY; /* the drive ended what was forgotten */
	}
	if (p->ahci->ghc & GHC_HR)
		hba_idle_locked(p->ahci);
}

static void pcmd_write_locked(struct ahci_port *p, uint32_t val)
{
	uint32_t old = p->pcmd;
	struct ata_task t = { 0 };

	p->pcmd = (old & ~PCMD_GUEST) | (val & PCMD_GUEST);
	p->pcmd &= 0x0fffffff; /* interface states are entered at once */
	if (p->pcmd & PCMD_FRE)
		p->pcmd |= PCMD_FR;
	else
		p->pcmd &= ~PCMD_FR;
	if (p->pcmd & PCMD_FRE && p->fis_due) {
		p->fis_due = false;
		ata_signature(&p->drive, &t);
		ahci_post_d2h_locked(p, &t, false);
	}
	if (p->pcmd & ~old & PCMD_ST) {
		p->pcmd |= PCMD_CR;
	} else if (~p->pcmd & old & PCMD_ST) {
		port_stop_locked(p);
		ahci_idle_locked(p);
	}
}

/* DET 1 holds the link in reset, 4 turns it off; 0 lets it come up. */
static void sctl_write_locked(struct ahci_port *p, uint32_t val)
{
	uint32_t was = p->sctl & SCTL_DET, det = val & SCTL_DET;

	p->sctl = val & 0xfff;
	if (det == 1 || det == 4) {
		port_offline_locked(p);
		p->reset_due = true;
	}
	if (was && !det)
		ahci_idle_locked(p);
}

static void serr_write_locked(struct ahci_port *p, uint32_t val)
{
	p->serr &= ~val;
	if (!(p->serr & SERR_X))
		p->is &= ~PIS_PC;
}

static void put_low(uint64_t *reg, uint32_t val)
{
	*reg = (*reg & ~UINT64_C(0xffffffff)) | val;
}

static void put_high(uint64_t *reg, uint32_t val)
{
	*reg = (*reg & 0xffffffff) | (uint64_t)val << 32;
}

/* True when there are new commands for the I/O thread. */
static bool port_write_locked(struct ahci_port *p, unsigned off, uint32_t val)
{
	switch (off) {
	case P_CLB:
		put_low(&p->clb, val & ~0x3ffu);
		break;
	case P_CLBU:
		put_high(&p->clb, val);
		break;
	case P_FB:
		put_low(&p->fb, val & ~0xffu);
		break;
	case P_FBU:
		put_high(&p->fb, val);
		break;
	case P_IS: /* PC follows SERR */
		p->is &= ~(val & ~PIS_PC);
		break;
	case P_IE:
		p->ie = val & PIS_MASK;
		break;
	case P_CMD:
		pcmd_write_locked(p, val);
		break;
	case P_SCTL:
		sctl_write_locked(p, val);
		break;
	case P_SERR:
		serr_write_locked(p, val);
		break;
	case P_SACT:
		if (p->pcmd & PCMD_ST)
			p->sact |= val;
		break;
	case P_CI:
		if (!(p->pcmd & PCMD_ST))
			break;
		p->ci |= val;
		return p->drive.present;
	default:
		break;
	}
	return false;
}

static uint32_t port_read_locked(const struct ahci_port *p, unsigned off)
{
	switch (off) {
	case P_CLB:
		return (uint32_t)p->clb;
	case P_CLBU:
		return (uint32_t)(p->clb >> 32);
	case P_FB:
		return (uint32_t)p->fb;
	case P_FBU:
		return (uint32_t)(p->fb >> 32);
	case P_IS:
		return p->is;
	case P_IE:
		return p->ie;
	case P_CMD:
		return p->pcmd | (p->pcmd & PCMD_ST ? p->last_slot << 8 : 0);
	case P_TFD:
		return p->tfd;
	case P_SIG:
		return p->sig;
	case P_SSTS:
		return p->ssts;
	case P_SCTL:
		return p->sctl;
	case P_SERR:
		return p->serr;
	case P_SACT:
		return p->sact;
	case P_CI:
		return p->ci;
	default:
		return 0;
	}
}

static uint32_t reg_read_locked(struct ahci *a, unsigned off)
{
	unsigned port = off / PORT_LEN - R_PORTS / PORT_LEN;

	switch (off) {
	case R_CAP:
		return CAP;
	case R_GHC:
		return a->ghc;
	case R_IS:
		return a->is;
	case R_PI:
		return PI;
	case R_VS:
		return VERSION;
	default:
		break;
	}
	if (off < R_PORTS || port >= AHCI_PORTS)
		return 0;
	return port_read_locked(&a->port[port], off % PORT_LEN);
}

static uint64_t ahci_read(void *opaque, uint64_t off, unsigned size)
{
	struct ahci *a = opaque;
	unsigned at = (unsigned)off & ~3u, shift = ((unsigned)off & 3) * 8;
	uint64_t val;

	LOCK_GUARD(&a->lock);
	val = reg_read_locked(a, at);
	if (shift + size * 8 > 32)
		val |= (uint64_t)reg_read_locked(a, at + 4) << 32;
	return val >> shift;
}

static void ghc_write_locked(struct ahci *a, uint32_t val)
{
	if (a->ghc & GHC_HR)
		return;
	a->ghc = GHC_AE | (val & GHC_IE);
	if (val & GHC_HR)
		hba_reset_locked(a);
}

static bool reg_write_locked(struct ahci *a, unsigned off, uint32_t val)
{
	unsigned port = off / PORT_LEN - R_PORTS / PORT_LEN;
	bool work = false;

	if (off == R_GHC) {
		ghc_write_locked(a, val);
	} else if (off == R_IS) {
		a->is &= ~val;
		a->level = false; /* what stays is told again */
	} else if (off >= R_PORTS && port < AHCI_PORTS) {
		if (a->ghc & GHC_HR)
			return false;
		work = port_write_locked(&a->port[port], off % PORT_LEN, val);
	}
	ahci_irq_locked(a);
	return work;
}

/* Registers are written whole; drivers do nothing else. */
static void ahci_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
	struct ahci *a = opaque;
	bool work;

	if (off & 3 || size < 4)
		return;
	lock_take(&a->lock);
	work = reg_write_locked(a, (unsigned)off, (uint32_t)val);
	if (size == 8)
		work |= reg_write_locked(a, (unsigned)off + 4,
			(uint32_t)(val >> 32));
	lock_drop(&a->lock);
	if (work)
		loop_call_schedule(&a->kick);
}

const struct bus_ops ahci_bus_ops = {
	.read = ahci_read,
	.write = ahci_write,
};
