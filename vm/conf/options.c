/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The option table: every key of a guest file, once. Parser, writer,
 * completion and manual come from it. Const data; any thread.
 */
#include <stdlib.h>
#include <string.h>

#include "vm/base/sizes.h"

#include "vm/conf/conf_impl.h"

#define GUEST(key, kind, field, type, dflt, help)                              \
	{                                                                      \
		{ "guest", key, type, dflt, help }, kind,                      \
			offsetof(struct conf, field), 0, 0                     \
	}
#define LINUX(key, kind, field, type, help)                                    \
	{                                                                      \
		{ "linux", key, type, "", help }, kind,                        \
			offsetof(struct conf, field), 0, 0                     \
	}
#define DISK(key, kind, field, type, dflt, max, help)                          \
	{                                                                      \
		{ "disk", key, type, dflt, help }, kind,                       \
			offsetof(struct conf_disk, field), 0, max              \
	}
#define NET(key, kind, field, type, dflt, help)                                \
	{                                                                      \
		{ "net", key, type, dflt, help }, kind,                        \
			offsetof(struct conf_net, field), 0, 0                 \
	}
#define DISPLAY(key, kind, field, type, dflt, help)                            \
	{                                                                      \
		{ "display", key, type, dflt, help }, kind,                    \
			offsetof(struct conf_display, field), 0, 0             \
	}

static const struct conf_key conf_keys[] = {
	GUEST("name", CONF_NAME, name, "name", "",
		"what the guest is called (default: the file's name)"),
	{ { "guest", "cpus", "1..64", "1", "virtual CPUs" }, CONF_UINT,
		offsetof(struct conf, cpus), 1, CONF_MAX_CPUS },
	GUEST("memory", CONF_SIZE, memory_bytes, "size", "1G",
		"memory, 1M to 1T"),
	GUEST("firmware", CONF_ENUM, firmware, "seabios|uefi|none", "seabios",
		"what starts the guest; none = the kernel of [linux]"),
	GUEST("hugepages", CONF_BOOL, hugepages, "yes|no", "no",
		"take the memory from the host's huge pages"),
	GUEST("tablet", CONF_BOOL, tablet, "yes|no", "yes",
		"a virtio tablet and keyboard"),
	GUEST("rng", CONF_BOOL, rng, "yes|no", "yes",
		"a virtio source of randomness"),
	GUEST("console", CONF_BOOL, virtio_console, "yes|no", "no",
		"a virtio console (hvc0) beside the serial port"),
	LINUX("kernel", CONF_PATH, kernel, "path",
		"Linux image to start directly, with firmware = none"),
	LINUX("initrd", CONF_PATH, initrd, "path", "its initial ramdisk"),
	LINUX("cmdline", CONF_TEXT, cmdline, "text", "its command line"),
	DISK("path", CONF_PATH, path, "path", "", 0,
		"image file, block device or nbd:// address"),
	DISK("bus", CONF_ENUM, bus, "virtio|sata", "virtio", 0,
		"what the guest sees the disk on"),
	DISK("format", CONF_ENUM, format, "raw|qcow2|auto", "raw", 0,
		"format of the image"),
	DISK("readonly", CONF_BOOL, readonly, "yes|no", "no", 0,
		"refuse writes"),
	DISK("cdrom", CONF_BOOL, cdrom, "yes|no", "no", 0,
		"a CD drive, read-only, with bus = sata"),
	DISK("boot", CONF_UINT, boot, "0..16", "0", CONF_MAX_DISKS,
		"place in the boot order, 1 first; 0 = by place in the file"),
	DISK("queues", CONF_UINT, queues, "0..8", "0", 8,
		"virtio request queues; 0 = one a CPU"),
	DISK("cache", CONF_ENUM, cache,
		"writeback|none|writethrough|directsync|unsafe", "writeback", 0,
		"how the host caches; none = O_DIRECT"),
	DISK("aio", CONF_ENUM, aio, "auto|io_uring|threads", "auto", 0,
		"how requests reach the host"),
	DISK("discard", CONF_BOOL, discard, "yes|no", "yes", 0,
		"give space back that the guest gives up"),
	DISK("detect-zeroes", CONF_ENUM, detect_zeroes, "off|on|unmap", "off",
		0, "writes of zeros take no space"),
	DISK("iops", CONF_UINT, iops[0], "0..100000000", "0", 100000000,
		"at most so many requests a second, reads and writes; 0 = no "
		"limit"),
	DISK("iops-burst", CONF_UINT, iops_burst[0], "0..100000000", "0",
		100000000, "the same for burst-length seconds"),
	DISK("iops-read", CONF_UINT, iops[1], "0..100000000", "0", 100000000,
		"at most so many requests a second, reads; 0 = no limit"),
	DISK("iops-read-burst", CONF_UINT, iops_burst[1], "0..100000000", "0",
		100000000, "the same for burst-length seconds"),
	DISK("iops-write", CONF_UINT, iops[2], "0..100000000", "0", 100000000,
		"at most so many requests a second, writes; 0 = no limit"),
	DISK("iops-write-burst", CONF_UINT, iops_burst[2], "0..100000000", "0",
		100000000, "the same for burst-length seconds"),
	DISK("bps", CONF_RATE, bps[0], "size", "0", 0,
		"at most so many bytes a second, reads and writes; 0 = no "
		"limit"),
	DISK("bps-burst", CONF_RATE, bps_burst[0], "size", "0", 0,
		"the same for burst-length seconds"),
	DISK("bps-read", CONF_RATE, bps[1], "size", "0", 0,
		"at most so many bytes a second, reads; 0 = no limit"),
	DISK("bps-read-burst", CONF_RATE, bps_burst[1], "size", "0", 0,
		"the same for burst-length seconds"),
	DISK("bps-write", CONF_RATE, bps[2], "size", "0", 0,
		"at most so many bytes a second, writes; 0 = no limit"),
	DISK("bps-write-burst", CONF_RATE, bps_burst[2], "size", "0", 0,
		"the same for burst-length seconds"),
	{ { "disk", "burst-length", "1..3600", "1",
		  "seconds that a burst may last" },
		CONF_UINT, offsetof(struct conf_disk, burst_s), 1, 3600 },
	DISK("throttle-group", CONF_NAME, throttle_group, "name", "", 0,
		"disks of one group share the limits"),
	DISK("tls", CONF_PATH, tls, "path", "", 0,
		"folder of ca-cert.pem and client keys for nbds://"),
	NET("mode", CONF_ENUM, mode, "user|tap", "user",
		"user = NAT without rights; tap = a host interface"),
	NET("tap", CONF_IFNAME, tap, "interface", "",
		"name of the tap interface; empty = the kernel chooses"),
	NET("mac", CONF_MAC, mac, "mac", "",
		"hardware address (default: made from the names)"),
	NET("forward", CONF_FORWARD, forwards, "forward", "",
		"PROTO:ADDRESS:PORT-GUESTPORT, as tcp:127.0.0.1:2222-22"),
	DISPLAY("vnc", CONF_VNC, vnc, "ADDRESS:DISPLAY|unix|off", "unix",
		"where VNC viewers connect; port 5900 + DISPLAY"),
	DISPLAY("password-file", CONF_PATH, password_file, "path", "",
		"its first line is the viewers' password"),
	DISPLAY("viewonly-password-file", CONF_PATH, viewonly_password_file,
		"path", "", "the same for viewers who may only look"),
	DISPLAY("insecure", CONF_BOOL, insecure, "yes|no", "no",
		"allow an address that is not loopback"),
	DISPLAY("vga", CONF_BOOL, vga, "yes|no", "yes", "a VGA adapter"),
};

_Static_assert(ARRAY_LEN(conf_keys) <= CONF_NKEYS_MAX, "CONF_NKEYS_MAX");

const struct conf_key *conf_key(size_t i)
{
	return i < ARRAY_LEN(conf_keys) ? &conf_keys[i] : NULL;
}

const struct conf_option *conf_option(size_t i)
{
	return i < ARRAY_LEN(conf_keys) ? &conf_keys[i].opt : NULL;
}

int conf_key_find(const char *section, const char *key)
{
	for (size_t i = 0; i < ARRAY_LEN(conf_keys); i++)
		if (!strcmp(conf_keys[i].opt.section, section) &&
			!strcmp(conf_keys[i].opt.key, key))
			return (int)i;
	return -1;
}

void *conf_section(struct conf *c, const char *section, unsigned i)
{
	if (!strcmp(section, "disk"))
		return &c->disks[i];
	if (!strcmp(section, "net"))
		return &c->nets[i];
	if (!strcmp(section, "display"))
		return &c->display;
	return c;
}

void conf_defaults(const char *section, void *part)
{
	for (size_t i = 0; i < ARRAY_LEN(conf_keys); i++) {
		const struct conf_key *k = &conf_keys[i];

		/* what is empty by default is zero already */
		if (!strcmp(k->opt.section, section) && *k->opt.dflt)
			conf_value_set(k, part, k->opt.dflt, "/", NULL);
	}
}

void conf_init(struct conf *c)
{
	memset(c, 0, sizeof(*c));
	conf_defaults("guest", c);
	conf_defaults("linux", c);
	conf_defaults("display", &c->display);
}

#define NEAR_MAX 32 /* longer words differ enough anyway */

static unsigned conf_min(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* Edit distance (insert, delete, replace), of the first NEAR_MAX bytes. */
static unsigned conf_distance(const char *a, const char *b)
{
	unsigned row[NEAR_MAX + 1], na, nb;

	na = (unsigned)strnlen(a, NEAR_MAX);
	nb = (unsigned)strnlen(b, NEAR_MAX);
	for (unsigned j = 0; j <= nb; j++)
		row[j] = j;
	for (unsigned i = 1; i <= na; i++) {
		unsigned diagonal = row[0];

		row[0] = i;
		for (unsigned j = 1; j <= nb; j++) {
			unsigned replace = diagonal + (a[i - 1] != b[j - 1]);

			diagonal = row[j];
			row[j] = conf_min(replace,
				conf_min(row[j], row[j - 1]) + 1);
		}
	}
	return row[nb];
}

const char *conf_nearest(const char *section, const char *word)
{
	unsigned best = ~0u;
	const char *found = "";

	for (size_t i = 0; i < ARRAY_LEN(conf_keys); i++) {
		const struct conf_option *o = &conf_keys[i].opt;
		const char *known = section ? o->key : o->section;
		unsigned d;

		if (section && strcmp(o->section, section))
			continue;
		d = conf_distance(word, known);
		if (d < best) {
			best = d;
			found = known;
		}
	}
	return found;
}
