// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * AHCI command lists (AHCI 1.3.1, chapters 4 and 5): fetch a command, move
 * its data between the guest's PRD table and storage or a buffer, post the
 * FISes that tell the result (Serial ATA 3.x, 10.5). All addresses are the
 * guest's and go through gmem with a length; the PRD table is copied in
 * pieces, each entry used once. Thread: the I/O thread; lock: the device's,
 * taken where registers change.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/bytes.h"
#include "vm/base/list.h"

#include "vm/dev/ahci_impl.h"

/* Received FIS area, offsets */
#define RFIS_PIO 0x20
#define RFIS_D2H 0x40
#define RFIS_SDB 0x58

#define FIS_H2D 0x27
#define FIS_D2H 0x34
#define FIS_PIO 0x5f
#define FIS_SDB 0xa1
#define FIS_IRQ 0x40
#define FIS_IN  0x20

#define H2D_LEN     20
#define H2D_COMMAND 0x80 /* byte 1: a command, else device control */
#define CTRL_SRST   0x04

#define HDR_LEN   32
#define HDR_CFL   0x001fu
#define HDR_ATAPI 0x0020u
#define CTBA_MASK (~UINT64_C(0x7f))
#define TABLE_CDB 0x40
#define TABLE_PRD 0x80
#define PRD_LEN   16
#define PRD_DBC   0x003fffffu
#define PRD_IRQ   0x80000000u

enum {
	ATA_READ_FPDMA = 0x60,
	ATA_WRITE_FPDMA = 0x61,
	ATA_PACKET = 0xa0,
};

/* ---- FISes ---- */

static void post_locked(struct ahci_port *p, unsigned off, const void *fis,
	unsigned len)
{
	if (p->pcmd & PCMD_FRE && pci_is_master(&p->ahci->pci))
		gmem_write(p->ahci->core->gmem, p->fb + off, fis, len);
}

/* What register FISes have in common. */
static void fis_fill(uint8_t *fis, uint8_t type, const struct ata_task *t)
{
	fis[0] = type;
	fis[2] = t->status;
	fis[3] = t->error;
	for (unsigned i = 0; i < 3; i++) {
		fis[4 + i] = (uint8_t)(t->lba >> (8 * i));
		fis[8 + i] = (uint8_t)(t->lba >> (24 + 8 * i));
	}
	fis[7] = t->device;
	put_le16(&fis[12], t->count);
}

void ahci_post_d2h_locked(struct ahci_port *p, const struct ata_task *t,
	bool irq)
{
	uint8_t fis[20] = { 0 };

	fis_fill(fis, FIS_D2H, t);
	fis[1] = irq ? FIS_IRQ : 0;
	post_locked(p, RFIS_D2H, fis, sizeof(fis));
}

static void post_pio_locked(struct ahci_port *p, const struct ahci_cmd *c)
{
	uint8_t fis[20] = { 0 };

	fis_fill(fis, FIS_PIO, &c->out);
	fis[1] = FIS_IRQ | FIS_IN;
	fis[2] = ATA_RDY | ATA_DRQ;
	fis[15] = c->out.status;
	put_le16(&fis[16], 512);
	post_locked(p, RFIS_PIO, fis, sizeof(fis));
}

static void post_sdb_locked(struct ahci_port *p, const struct ahci_cmd *c,
	uint32_t done)
{
	uint8_t fis[8] = { FIS_SDB, FIS_IRQ, c->out.status & 0x77,
		c->out.error };

	put_le32(&fis[4], done);
	post_locked(p, RFIS_SDB, fis, sizeof(fis));
}

/* ---- results ---- */

static void ok_locked(struct ahci_port *p, struct ahci_cmd *c)
{
	uint32_t bit = 1u << c->tag;
	uint8_t moved[4];

	if (c->ncq) {
		p->sact &= ~bit;
		post_sdb_locked(p, c, bit);
		p->is |= PIS_SDB;
		return;
	}
	put_le32(moved, c->moved);
	gmem_write(p->ahci->core->gmem, c->header + 4, moved, sizeof(moved));
	p->ci &= ~bit;
	if (c->pio_in) {
		post_pio_locked(p, c);
		p->is |= PIS_PS;
	} else {
		ahci_post_d2h_locked(p, &c->out, true);
		p->is |= PIS_DHR;
	}
}

/* The port stops at the failed command until the guest restarts it. */
static void error_locked(struct ahci_port *p, struct ahci_cmd *c)
{
	p->halted = true;
	if (c->ncq) {
		p->drive.ncq_error.valid = true;
		p->drive.ncq_error.tag = c->tag;
		p->drive.ncq_error.task = c->out;
		post_sdb_locked(p, c, 0);
		p->is |= PIS_SDB | PIS_TFE;
	} else {
		ahci_post_d2h_locked(p, &c->out, true);
		p->is |= PIS_DHR | PIS_TFE;
	}
}

/* The command has left our hands. valid: its result still counts. */
static void leave_locked(struct ahci_port *p, struct ahci_cmd *c, bool valid)
{
	p->started &= ~(1u << c->tag);
	p->busy--;
	if (valid && !c->ncq)
		p->alone = false;
	ahci_idle_locked(p);
	ahci_irq_locked(p->ahci);
}

void ahci_done(struct ahci_cmd *c)
{
	struct ahci_port *p = c->port;
	bool valid;

	LOCK_GUARD(&p->ahci->lock);
	valid = c->epoch == p->epoch;
	if (valid && !p->halted) {
		p->tfd = c->out.status | (uint32_t)c->out.error << 8;
		p->is |= c->pis;
		if (c->out.status & ATA_ERR)
			error_locked(p, c);
		else
			ok_locked(p, c);
	}
	leave_locked(p, c, valid);
}

void ahci_fail(struct ahci_cmd *c, uint8_t error)
{
	c->out.status = ATA_RDY | ATA_ERR;
	c->out.error = error;
	ahci_done(c);
}

/* Not even a command: the controller itself stops. */
static void fatal(struct ahci_cmd *c, uint32_t pis, const char *why)
{
	struct ahci_port *p = c->port;
	bool valid;

	log_limited(p->ahci->core->log, &p->ahci->log_limit, LOG_WARN,
		"ahci: port %u slot %u: %s", p->n, c->tag, why);
	LOCK_GUARD(&p->ahci->lock);
	valid = c->epoch == p->epoch;
	if (valid) {
		p->halted = true;
		p->is |= pis;
		p->tfd &= ~(uint32_t)ATA_BSY;
	}
	leave_locked(p, c, valid);
}

/* Device control: software reset, in two FISes. */
static void control(struct ahci_cmd *c, uint8_t ctrl)
{
	struct ahci_port *p = c->port;
	bool valid;

	LOCK_GUARD(&p->ahci->lock);
	valid = c->epoch == p->epoch;
	if (valid) {
		p->ci &= ~(1u << c->tag);
		if (ctrl & CTRL_SRST) {
			p->srst = true;
			p->tfd = ATA_BSY;
		} else if (p->srst) {
			p->srst = false;
			ata_drive_reset(&p->drive);
			ata_signature(&p->drive, &c->out);
			p->sig = (uint32_t)c->out.lba << 8 | c->out.count;
			p->tfd = c->out.status | (uint32_t)c->out.error << 8;
			ahci_post_d2h_locked(p, &c->out, false);
		}
	}
	leave_locked(p, c, valid);
}

/* ---- data ---- */

struct prds {
	uint8_t raw[AHCI_IOV * PRD_LEN];
	unsigned n;
};

/* Copy the next entries of the table. False: they are not in memory. */
static bool prds_fetch(struct ahci_cmd *c, struct prds *t)
{
	t->n = c->prds - c->prd;
	if (t->n > AHCI_IOV)
		t->n = AHCI_IOV;
	return !gmem_read(c->port->ahci->core->gmem,
		c->prdt + (uint64_t)c->prd * PRD_LEN, t->raw, t->n * PRD_LEN);
}

static gpa_t prd_addr(const struct prds *t, unsigned i)
{
	return get_le64(&t->raw[i * PRD_LEN]);
}

static uint32_t prd_len(const struct prds *t, unsigned i)
{
	return (get_le32(&t->raw[i * PRD_LEN + 12]) & PRD_DBC) + 1;
}

/* Move the cursor on by len bytes, which t covers. */
static void prds_skip(struct ahci_cmd *c, const struct prds *t, uint32_t len)
{
	unsigned i = 0;

	c->moved += len;
	for (; len && i < t->n; i++) {
		uint32_t left = prd_len(t, i) - c->prd_off;

		if (len < left) {
			c->prd_off += len;
			return;
		}
		len -= left;
		c->prd_off = 0;
		c->prd++;
		if (get_le32(&t->raw[i * PRD_LEN + 12]) & PRD_IRQ)
			c->pis |= PIS_DP;
	}
}

/*
 * Turn the next at most max bytes of the data area into c->iov, a multiple
 * of align. Returns their number and *niov; 0 when the area has not so much;
 * -EFAULT when it is no memory.
 */
static int64_t prds_map(struct ahci_cmd *c, uint32_t max, uint32_t align,
	int *niov)
{
	struct prds t;
	uint32_t total = 0, excess, off = c->prd_off;
	int n = 0, r;

	if (!prds_fetch(c, &t))
		return -EFAULT;
	for (unsigned i = 0; i < t.n && total < max && n < AHCI_IOV; i++) {
		uint32_t len = prd_len(&t, i) - off;

		if (len > max - total)
			len = max - total;
		r = gmem_iov(c->port->ahci->core->gmem, prd_addr(&t, i) + off,
			len, &c->iov[n], AHCI_IOV - n);
		if (r == -E2BIG)
			break;
		if (r < 0)
			return -EFAULT;
		n += r;
		total += len;
		off = 0;
	}
	for (excess = total % align; excess;) {
		uint32_t cut = c->iov[n - 1].iov_len < excess
				       ? (uint32_t)c->iov[n - 1].iov_len
				       : excess;

		c->iov[n - 1].iov_len -= cut;
		excess -= cut;
		total -= cut;
		if (!c->iov[n - 1].iov_len)
			n--;
	}
	prds_skip(c, &t, total);
	*niov = n;
	return total;
}

/* Copy between a buffer and the data area through c->iov. */
static uint32_t data_copy(struct ahci_cmd *c, uint8_t *buf, uint32_t len,
	bool in)
{
	uint32_t done = 0;

	while (done < len) {
		int n = 0;
		int64_t got = prds_map(c, len - done, 1, &n);

		if (got < 0)
			c->pis |= PIS_HBD;
		if (got <= 0)
			break;
		for (int i = 0; i < n; i++) {
			struct iovec *v = &c->iov[i];

			if (in)
				memcpy(v->iov_base, buf + done, v->iov_len);
			else
				memcpy(buf + done, v->iov_base, v->iov_len);
			done += (uint32_t)v->iov_len;
		}
	}
	return done;
}

uint32_t ahci_data_in(struct ahci_cmd *c, const void *buf, uint32_t len)
{
	return data_copy(c, (uint8_t *)(uintptr_t)buf, len, true);
}

uint32_t ahci_data_out(struct ahci_cmd *c, void *buf, uint32_t len)
{
	return data_copy(c, buf, len, false);
}

/* ---- storage ---- */

static void submit(struct ahci_cmd *c)
{
	blk_submit(c->port->drive.blk, &c->req);
}

static void storage_done(struct blk_req *req, int err)
{
	struct ahci_cmd *c = req->arg;
	struct ahci_port *p = c->port;

	c->next(c, err);
	ahci_port_run(p);
}

void ahci_storage(struct ahci_cmd *c, enum blk_op op, uint64_t off,
	uint64_t len, ahci_next_fn next)
{
	c->next = next;
	c->req = (struct blk_req){
		.op = op,
		.offset = off,
		.len = len,
		.done = storage_done,
		.arg = c,
	};
	submit(c);
}

static void rw_done(struct blk_req *req, int err);

/* Submit the next part of a transfer; an error if there is no room for it. */
static int rw_part(struct ahci_cmd *c)
{
	uint32_t max = c->left < AHCI_CHUNK ? (uint32_t)c->left : AHCI_CHUNK;
	int64_t len;
	int n = 0;

	len = prds_map(c, max, c->port->drive.sector, &n);
	if (len <= 0) {
		c->pis |= len ? PIS_HBD : PIS_OF;
		return len ? -EFAULT : -ENODATA;
	}
	c->req.offset = c->off;
	c->req.len = (uint64_t)len;
	c->req.iov = c->iov;
	c->req.niov = n;
	c->off += (uint64_t)len;
	c->left -= (uint64_t)len;
	submit(c);
	return 0;
}

/* The next part, or an error when nobody waits for the rest. */
static int rw_continue(struct ahci_cmd *c)
{
	struct ahci_port *p = c->port;
	bool stale;

	lock_take(&p->ahci->lock);
	stale = c->epoch != p->epoch;
	lock_drop(&p->ahci->lock);
	return stale ? -ECANCELED : rw_part(c);
}

/*
 * A guest may ask for gigabytes in one command: who pauses or ends it waits
 * for the part that is under way only.
 */
static void rw_done(struct blk_req *req, int err)
{
	struct ahci_cmd *c = req->arg;
	struct ahci_port *p = c->port;

	if (!err && c->left) {
		if (p->ahci->parking) {
			c->parked = true;
			return;
		}
		err = rw_continue(c);
		if (!err)
			return;
	}
	c->next(c, err);
	ahci_port_run(p);
}

void ahci_unpark(struct ahci_port *p, int err)
{
	for (unsigned i = 0; p->cmd && i < AHCI_SLOTS; i++) {
		struct ahci_cmd *c = &p->cmd[i];
		int r;

		if (!c->parked)
			continue;
		c->parked = false;
		r = err ? err : rw_continue(c);
		if (r)
			c->next(c, r);
	}
}

void ahci_rw(struct ahci_cmd *c, enum blk_op op, uint64_t off, uint64_t len,
	unsigned flags, ahci_next_fn next)
{
	int err;

	c->next = next;
	c->off = off;
	c->left = len;
	c->req = (struct blk_req){
		.op = op,
		.flags = flags,
		.done = rw_done,
		.arg = c,
	};
	err = len ? rw_part(c) : 0;
	if (err || !len)
		next(c, err);
}

/* ---- fetching ---- */

static void parse_fis(struct ata_task *t, const uint8_t *fis)
{
	t->command = fis[2];
	t->features = (uint16_t)(fis[3] | fis[11] << 8);
	t->lba = 0;
	for (unsigned i = 0; i < 3; i++) {
		t->lba |= (uint64_t)fis[4 + i] << (8 * i);
		t->lba |= (uint64_t)fis[8 + i] << (24 + 8 * i);
	}
	t->device = fis[7];
	t->count = get_le16(&fis[12]);
}

/* Copy header, FIS and CDB; *fis gets H2D_LEN bytes. */
static bool fetch(struct ahci_cmd *c, uint8_t *fis, uint16_t *flags)
{
	struct gmem *g = c->port->ahci->core->gmem;
	uint8_t hdr[HDR_LEN];
	gpa_t table;

	if (gmem_read(g, c->header, hdr, sizeof(hdr)))
		return false;
	*flags = get_le16(hdr);
	table = get_le64(&hdr[8]) & CTBA_MASK;
	c->prds = get_le16(&hdr[2]);
	c->prdt = table + TABLE_PRD;
	return !gmem_read(g, table, fis, H2D_LEN) &&
	       !gmem_read(g, table + TABLE_CDB, c->cdb, sizeof(c->cdb));
}

static bool is_ncq(const struct ahci_port *p, const uint8_t *fis)
{
	return !p->drive.cdrom && fis[1] & H2D_COMMAND &&
	       (fis[2] == ATA_READ_FPDMA || fis[2] == ATA_WRITE_FPDMA);
}

/* A queued command is accepted at once: its slot is told to be free. */
static void accept_ncq(struct ahci_cmd *c)
{
	struct ahci_port *p = c->port;

	LOCK_GUARD(&p->ahci->lock);
	if (c->epoch != p->epoch)
		return;
	p->ci &= ~(1u << c->tag);
	p->tfd = ATA_RDY;
}

static void start(struct ahci_cmd *c, const uint8_t *fis)
{
	struct ahci_port *p = c->port;

	if (!(fis[1] & H2D_COMMAND)) {
		control(c, fis[15]);
		return;
	}
	parse_fis(&c->in, fis);
	c->out = c->in;
	c->out.status = ATA_RDY;
	c->out.error = 0;
	if (c->ncq)
		accept_ncq(c);
	if (c->in.command == ATA_PACKET && p->drive.cdrom)
		atapi_command(c);
	else
		ata_command(c);
}

/* Next slot to look at, by turns; -1 = none. */
static int pick_locked(const struct ahci_port *p)
{
	uint32_t todo = p->ci & ~p->started;

	if (!todo || !(p->pcmd & PCMD_ST) || p->halted || p->alone ||
		p->reset_due || !p->drive.present || !p->ssts ||
		!pci_is_master(&p->ahci->pci))
		return -1;
	for (unsigned i = 1; i <= AHCI_SLOTS; i++) {
		unsigned slot = (p->last_slot + i) % AHCI_SLOTS;

		if (todo >> slot & 1)
			return (int)slot;
	}
	return -1;
}

/* Take the next command into our hands, or NULL. */
static struct ahci_cmd *take(struct ahci_port *p)
{
	struct ahci_cmd *c;
	int slot;

	LOCK_GUARD(&p->ahci->lock);
	slot = pick_locked(p);
	if (slot < 0)
		return NULL;
	c = &p->cmd[slot];
	p->started |= 1u << slot;
	p->busy++;
	c->epoch = p->epoch;
	c->header = p->clb + (unsigned)slot * HDR_LEN;
	c->pis = c->moved = c->prd_off = c->prd = 0;
	c->ncq = c->pio_in = false;
	return c;
}

/*
 * What is not queued runs alone. False: it has to wait for queued ones, and
 * is put back.
 */
static bool admit(struct ahci_cmd *c)
{
	struct ahci_port *p = c->port;

	LOCK_GUARD(&p->ahci->lock);
	if (!c->ncq && p->busy > 1) {
		leave_locked(p, c, false);
		return false;
	}
	p->last_slot = c->tag;
	if (c->epoch != p->epoch)
		return true;
	p->alone = !c->ncq;
	p->tfd |= c->ncq ? 0 : ATA_BSY;
	return true;
}

/* Start what can be started. */
void ahci_port_run(struct ahci_port *p)
{
	uint8_t fis[H2D_LEN];
	uint16_t flags;
	struct ahci_cmd *c;

	while (!p->ahci->paused && (c = take(p))) {
		if (!fetch(c, fis, &flags)) {
			fatal(c, PIS_HBF, "command is not in memory");
			continue;
		}
		if (fis[0] != FIS_H2D || (flags & HDR_CFL) < H2D_LEN / 4) {
			fatal(c, PIS_IF, "command FIS is not one");
			continue;
		}
		c->ncq = is_ncq(p, fis);
		if (!admit(c))
			break;
		start(c, fis);
	}
}

void ahci_kick(void *arg)
{
	struct ahci *a = arg;

	for (unsigned i = 0; i < AHCI_PORTS; i++) {
		struct ahci_port *p = &a->port[i];

		if (!p->drive.present)
			continue;
		if (p->drive.blk)
			blk_plug(p->drive.blk);
		if (!a->parking)
			ahci_unpark(p, 0);
		ahci_port_run(p);
		if (p->drive.blk)
			blk_unplug(p->drive.blk);
	}
}
