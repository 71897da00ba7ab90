/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * 00:00.0, the q35 host bridge (Intel 3 Series Express Chipset datasheet, ch.
 * 5) as far as firmware touches it: PCIEXBAR places the config window; PAM,
 * SMRAM and the like are storage, since 0xC0000-0xFFFFF is plain RAM here
 * (MACHINE.md 1). Lock: the bus's.
 */
#include <string.h>

#include "vm/base/bytes.h"
#include "vm/base/sizes.h"

#include "vm/pci/pci.h"
#include "vm/pci/pci_impl.h"

#define MCH_PCIEXBAR 0x60
#define MCH_PAM0     0x90
#define MCH_SMRAM    0x9d
#define MCH_ESMRAMC  0x9e

void pci_host_ecam_update(struct pci_bus *b)
{
	uint64_t reg = get_le64(b->host.cfg + MCH_PCIEXBAR);
	unsigned kind = reg >> 1 & 3;
	uint64_t len = 256 * MiB >> kind, base = size_down(reg, len);

	if (!(reg & 1) || kind == 3) {
		bus_unmap(b->core->mmio, &b->ecam);
		return;
	}
	if (b->ecam.len != len)
		bus_unmap(b->core->mmio, &b->ecam);
	b->ecam.len = len;
	if (bus_map(b->core->mmio, &b->ecam, base) < 0) {
		bus_unmap(b->core->mmio, &b->ecam);
		log_limited(b->core->log, &b->log_limit, LOG_WARN,
			"pci: config window at %#llx does not fit",
			(unsigned long long)base);
	}
}

static void host_written(struct pci_dev *d, unsigned off, unsigned len)
{
	if (pci_overlaps(off, len, MCH_PCIEXBAR, 8))
		pci_host_ecam_update(d->bus);
}

int pci_host_init(struct pci_bus *b, struct err *e)
{
	static const struct pci_ids ids = { 0x8086, 0x29c0, 0x1af4, 0x1100,
		0x06000000 };
	struct pci_dev *d = &b->host;
	int r = pci_dev_add(b, d, "host bridge", 0, &ids, e);

	if (r < 0)
		return r;
	d->cfg_written = host_written;
	if (b->ecam_at_reset)
		put_le64(d->cfg + MCH_PCIEXBAR, GMEM_ECAM_BASE | 1);
	put_le64(d->wmask + MCH_PCIEXBAR, UINT64_C(0xffc000007));
	memset(d->wmask + MCH_PAM0, 0xff, 8);
	d->cfg[MCH_SMRAM] = 0x02;
	d->wmask[MCH_SMRAM] = 0xff;
	d->wmask[MCH_ESMRAMC] = 0xff;
	pci_host_ecam_update(b);
	return 0;
}
