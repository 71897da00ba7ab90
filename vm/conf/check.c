/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which settings go together, and what follows from others. Each complaint
 * names the line of the key that is to be mended. No state; any thread.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "vm/base/sizes.h"

#include "vm/conf/conf_impl.h"

/* -EINVAL "FILE:LINE: text"; the line is that of key if it was given. */
static int conf_wrong(const struct conf_lines *l, const char *section,
	const char *key, struct err *e, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));

static int conf_wrong(const struct conf_lines *l, const char *section,
	const char *key, struct err *e, const char *fmt, ...)
{
	int i = conf_key_find(section, key);
	unsigned line = i >= 0 && l->key[i] ? l->key[i] : l->section;
	va_list ap;

	va_start(ap, fmt);
	err_vset(e, EINVAL, fmt, ap);
	va_end(ap);
	if (line)
		err_prefix(e, "%s:%u", l->file, line);
	else
		err_prefix(e, "%s", l->file);
	return -EINVAL;
}

int conf_check_guest(struct conf *c, const struct conf_lines *l, struct err *e)
{
	if (c->firmware != CONF_FW_NONE && c->kernel[0])
		return conf_wrong(l, "linux", "kernel", e,
			"a kernel is not started by firmware: set firmware = "
			"none in [guest]");
	if (c->firmware == CONF_FW_NONE && !c->kernel[0])
		return conf_wrong(l, "guest", "firmware", e,
			"firmware = none starts nothing: set kernel in "
			"[linux]");
	if (c->initrd[0] && !c->kernel[0])
		return conf_wrong(l, "linux", "initrd", e,
			"initrd without kernel: set kernel in [linux]");
	if (c->cmdline[0] && !c->kernel[0])
		return conf_wrong(l, "linux", "cmdline", e,
			"cmdline without kernel: set kernel in [linux]");
	if (c->hugepages && c->memory_bytes % (2 * MiB))
		return conf_wrong(l, "guest", "memory", e,
			"hugepages = yes needs a multiple of 2M of memory");
	return 0;
}

/* A burst goes beyond a rate; key is that of the rate. */
static int conf_check_burst(const char *key, uint64_t rate, uint64_t burst,
	const struct conf_lines *l, struct err *e)
{
	char burst_key[32];

	if (!burst || (rate && burst > rate))
		return 0;
	snprintf(burst_key, sizeof(burst_key), "%s-burst", key);
	if (!rate)
		return conf_wrong(l, "disk", burst_key, e,
			"%s needs a rate to go beyond: set %s or remove it",
			burst_key, key);
	return conf_wrong(l, "disk", burst_key, e,
		"%s is not above %s: raise it or remove it", burst_key, key);
}

static int conf_check_bursts(const struct conf_disk *d,
	const struct conf_lines *l, struct err *e)
{
	static const char *const keys[2][3] = {
		{ "iops", "iops-read", "iops-write" },
		{ "bps", "bps-read", "bps-write" },
	};
	int r = 0;

	for (unsigned i = 0; i < 3 && !r; i++) {
		r = conf_check_burst(keys[0][i], d->iops[i], d->iops_burst[i],
			l, e);
		if (!r)
			r = conf_check_burst(keys[1][i], d->bps[i],
				d->bps_burst[i], l, e);
	}
	return r;
}

/* A link that is meant to be encrypted is not made in the clear. */
static int conf_check_tls(const struct conf_disk *d, const struct conf_lines *l,
	struct err *e)
{
	const char *plain = !strncmp(d->path, "nbd://", 6) ? "nbd://"
			    : !strncmp(d->path, "nbd+unix://", 11)
				    ? "nbd+unix://"
				    : NULL;

	if (!d->tls[0] || !plain)
		return 0;
	return conf_wrong(l, "disk", "tls", e,
		"tls does nothing for %s, which is not encrypted: write "
		"nbds%s or remove tls",
		plain, plain + 3);
}

int conf_check_disk(struct conf *c, unsigned i, const struct conf_lines *l,
	struct err *e)
{
	struct conf_disk *d = &c->disks[i];

	if (!d->path[0])
		return conf_wrong(l, "disk", "path", e,
			"[disk %s] has no path: set path to its image",
			d->name);
	if (d->cdrom && d->bus != CONF_BUS_SATA)
		return conf_wrong(l, "disk", "cdrom", e,
			"cdrom = yes is not possible on virtio: set bus = "
			"sata");
	if (d->queues && d->bus != CONF_BUS_VIRTIO)
		return conf_wrong(l, "disk", "queues", e,
			"queues are of bus = virtio: remove queues");
	for (unsigned j = 0; d->boot && j < i; j++)
		if (c->disks[j].boot == d->boot)
			return conf_wrong(l, "disk", "boot", e,
				"boot = %d is that of [disk %s] already: use "
				"another number",
				d->boot, c->disks[j].name);
	if (d->cdrom)
		d->readonly = true;
	if (conf_check_tls(d, l, e))
		return -EINVAL;
	return conf_check_bursts(d, l, e);
}

int conf_check_net(struct conf *c, unsigned i, const struct conf_lines *l,
	struct err *e)
{
	struct conf_net *n = &c->nets[i];

	if (n->tap[0] && n->mode != CONF_NET_TAP)
		return conf_wrong(l, "net", "tap", e,
			"tap is of mode = tap: set that or remove tap");
	if (n->nforwards && n->mode != CONF_NET_USER)
		return conf_wrong(l, "net", "forward", e,
			"forward is of mode = user: set that or remove "
			"forward");
	for (unsigned j = 0; n->mac_set && j < i; j++)
		if (c->nets[j].mac_set && !memcmp(c->nets[j].mac, n->mac, 6))
			return conf_wrong(l, "net", "mac", e,
				"mac is that of [net %s] already: use "
				"another or none",
				c->nets[j].name);
	return 0;
}

static bool conf_loopback(const char *addr)
{
	struct in6_addr v6;

	if (!strchr(addr, ':'))
		return !strncmp(addr, "127.", 4);
	return inet_pton(AF_INET6, addr, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

int conf_check_display(struct conf *c, const struct conf_lines *l,
	struct err *e)
{
	const struct conf_display *d = &c->display;

	if (d->vnc != CONF_VNC_TCP || conf_loopback(d->vnc_addr))
		return 0;
	if (!d->password_file[0])
		return conf_wrong(l, "display", "vnc", e,
			"vnc on %s is open to others: set password-file, or "
			"use 127.0.0.1",
			d->vnc_addr);
	if (!d->insecure)
		return conf_wrong(l, "display", "vnc", e,
			"vnc on %s goes unencrypted over the network: set "
			"insecure = yes to allow that, or use 127.0.0.1",
			d->vnc_addr);
	return 0;
}

/*
 * 24 bits of the FNV-1a hash of both names, behind the prefix that virtual
 * cards use. Stable, since guests keep it in their network set-up.
 */
static void conf_make_mac(const char *guest, struct conf_net *n, unsigned salt)
{
	char text[2 * CONF_NAME_MAX + 16];
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	snprintf(text, sizeof(text), "%s/%s", guest, n->name);
	for (const char *p = text; *p; p++)
		h = (h ^ (uint8_t)*p) * UINT64_C(0x100000001b3);
	h = (h ^ h >> 24 ^ h >> 48) + salt;
	n->mac[0] = 0x52;
	n->mac[1] = 0x54;
	n->mac[2] = 0x00;
	n->mac[3] = (uint8_t)(h >> 16);
	n->mac[4] = (uint8_t)(h >> 8);
	n->mac[5] = (uint8_t)h;
}

static bool conf_mac_taken(const struct conf *c, unsigned i)
{
	for (unsigned j = 0; j < c->nnets; j++)
		if (j != i && (c->nets[j].mac_set || j < i) &&
			!memcmp(c->nets[j].mac, c->nets[i].mac, 6))
			return true;
	return false;
}

void conf_make_macs(struct conf *c)
{
	for (unsigned i = 0; i < c->nnets; i++) {
		unsigned salt = 0;

		if (c->nets[i].mac_set)
			continue;
		do
			conf_make_mac(c->name, &c->nets[i], salt++);
		while (conf_mac_taken(c, i));
	}
}
