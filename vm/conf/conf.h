/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a guest is, as plain data, and the INI file that says it. One option
 * table (conf_options) gives section, key, type, range, default, unit and
 * help; parser, writer, completion and manual come from it. Knows nothing of
 * KVM, storage or the console. Thread: any, no shared state.
 */
#ifndef VM_CONF_CONF_H
#define VM_CONF_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vm/base/err.h"

#define CONF_NAME_MAX     63
#define CONF_PATH_MAX     1024
#define CONF_CMDLINE_MAX  2047
#define CONF_MAX_DISKS    16
#define CONF_MAX_NETS     8
#define CONF_MAX_FORWARDS 16
#define CONF_MAX_CPUS     64

enum conf_firmware { CONF_FW_SEABIOS, CONF_FW_UEFI, CONF_FW_NONE };
enum conf_bus { CONF_BUS_VIRTIO, CONF_BUS_SATA };
enum conf_format { CONF_FORMAT_RAW, CONF_FORMAT_QCOW2, CONF_FORMAT_AUTO };
enum conf_cache {
	CONF_CACHE_WRITEBACK,
	CONF_CACHE_NONE,
	CONF_CACHE_WRITETHROUGH,
	CONF_CACHE_DIRECTSYNC,
	CONF_CACHE_UNSAFE,
};
enum conf_aio { CONF_AIO_AUTO, CONF_AIO_URING, CONF_AIO_THREADS };
enum conf_zeroes { CONF_ZEROES_OFF, CONF_ZEROES_ON, CONF_ZEROES_UNMAP };
enum conf_net_mode { CONF_NET_USER, CONF_NET_TAP };
enum conf_vnc_mode { CONF_VNC_UNIX, CONF_VNC_TCP, CONF_VNC_OFF };

struct conf_forward {
	bool udp;
	char host_addr[64]; /* "127.0.0.1" */
	uint16_t host_port;
	uint16_t guest_port;
};

struct conf_disk {
	char name[CONF_NAME_MAX + 1]; /* of the section: [disk NAME] */
	char path[CONF_PATH_MAX];     /* absolute once parsed */
	enum conf_bus bus;
	enum conf_format format;
	bool readonly;
	bool cdrom;      /* implies readonly; needs bus = sata */
	int boot;        /* boot order, 1 first; 0 = by place in the file */
	unsigned queues; /* virtio: 0 = one a vCPU, at most 8 */
	enum conf_cache cache;
	enum conf_aio aio;
	bool discard; /* what the guest gives up is given back, default yes */
	enum conf_zeroes detect_zeroes;
	/* limits: all, reads, writes; 0 = none. burst: for burst_s seconds */
	unsigned iops[3], iops_burst[3];
	uint64_t bps[3], bps_burst[3]; /* bytes/s */
	unsigned burst_s;
	char throttle_group[CONF_NAME_MAX + 1]; /* "" = none */
	char tls[CONF_PATH_MAX];                /* folder, for nbds:// */
};

struct conf_net {
	char name[CONF_NAME_MAX + 1];
	enum conf_net_mode mode;
	char tap[16]; /* mode tap: interface name, empty = kernel chooses */
	uint8_t mac[6];
	bool mac_set; /* else made from guest and section name (conf.c) */
	struct conf_forward forwards[CONF_MAX_FORWARDS];
	unsigned nforwards;
};

struct conf_display {
	enum conf_vnc_mode vnc;
	char vnc_addr[64];                          /* TCP: numeric address */
	unsigned vnc_display;                       /* TCP port = 5900 + this */
	char password_file[CONF_PATH_MAX];          /* "" = none */
	char viewonly_password_file[CONF_PATH_MAX]; /* "" = none */
	bool insecure; /* allow an address that is not loopback */
	bool vga;      /* a VGA adapter at all (default yes) */
};

struct conf {
	char name[CONF_NAME_MAX + 1];
	unsigned cpus;
	uint64_t memory_bytes;
	bool hugepages;
	enum conf_firmware firmware;
	bool tablet;         /* virtio-input tablet and keyboard, default yes */
	bool rng;            /* virtio-rng, default yes */
	bool virtio_console; /* hvc0 beside the serial port, default no */
	char kernel[CONF_PATH_MAX];
	char initrd[CONF_PATH_MAX];
	char cmdline[CONF_CMDLINE_MAX + 1];
	struct conf_disk disks[CONF_MAX_DISKS];
	unsigned ndisks;
	struct conf_net nets[CONF_MAX_NETS];
	unsigned nnets;
	struct conf_display display;
};

/* The defaults of every option, no name, no disk, no net. */
void conf_init(struct conf *c);

/*
 * Read the INI file at path into c. Relative paths in it are taken from the
 * file's folder and made absolute (existence is not checked: starting is).
 * A missing [guest] name defaults to the file's name without ".ini". An
 * unknown section or key is an error that names file, line and the nearest
 * known key; so are a value out of range, a key given twice, a section name
 * used twice, and settings that contradict (kernel with firmware = seabios,
 * firmware = none without kernel, cdrom on virtio, vnc on a non-loopback
 * address without insecure = yes or without password-file).
 * 0 or -EINVAL, -ENOENT, ... with e filled "FILE:LINE: what: mend".
 */
int conf_read(const char *path, struct conf *c, struct err *e);

/* The same from text; base is the folder of relative paths, file for errors. */
int conf_parse(const char *text, size_t len, const char *file, const char *base,
	struct conf *c, struct err *e);

/* Write c as INI that conf_parse reads back to the same. Caller frees *out. */
int conf_format(const struct conf *c, char **out, struct err *e);

/* Is name usable: [A-Za-z0-9][A-Za-z0-9._-]*, at most CONF_NAME_MAX? */
bool conf_name_ok(const char *name);

/* One line a known option, for `:set`, completion and the manual. */
struct conf_option {
	const char *section; /* "guest", "linux", "disk", "net", "display" */
	const char *key;
	const char *type; /* "size", "yes|no", "virtio|sata", ... */
	const char *dflt;
	const char *help;
};

/* Walk the option table: entry i, or NULL past its end. */
const struct conf_option *conf_option(size_t i);

#endif
