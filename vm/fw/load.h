/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the two kernel loaders share: the open file, reads straight into
 * guest RAM, the initrd, page tables, GDT and command line. Thread: the
 * engine's, before vCPUs run.
 */
#ifndef VM_FW_LOAD_H
#define VM_FW_LOAD_H

#include "vm/fw/fw.h"

/* First bytes of a kernel file: a bzImage's setup header lies in them. */
#define LOAD_HEAD 4096

struct load_file {
	const char *path;
	int fd;
	uint64_t size;
};

struct load {
	const struct fw_machine *m;
	struct gmem *g;
	struct load_file kernel;
	const char *initrd; /* "" = none */
	const char *cmdline;
	uint64_t rsdp;    /* 0 = no ACPI */
	uint64_t ram_end; /* end of low RAM that may be filled */
	uint8_t head[LOAD_HEAD];
	size_t head_len;
	struct err *e;
};

/* Regular files only. 0 or -errno, e names path and cause. */
int load_open(struct load_file *f, const char *path, struct err *e);
void load_close(struct load_file *f);

/* Read [off, off+len) into buf. -ENOEXEC when the file ends before. */
int load_read(const struct load_file *f, uint64_t off, void *buf, size_t len,
	struct err *e);

/*
 * Read [off, off+len) of the file to gpa, without a copy between. The caller
 * has checked that the range is RAM and inside the file; a file that shrinks
 * meanwhile is -ENOEXEC.
 */
int load_to_guest(struct load *l, const struct load_file *f, uint64_t off,
	uint64_t len, uint64_t gpa);

/* Zero guest RAM; pages that nobody holds stay unheld. 0 or -errno. */
int load_zero(struct load *l, uint64_t gpa, uint64_t len);

/* -ENOEXEC with "KERNEL: reason". */
int load_bad(struct load *l, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* -ENOMEM: the guest must have RAM up to end to hold the kernel. */
int load_no_room(struct load *l, uint64_t end);

/*
 * Load the initrd, if any, as high as it goes below ram_end and last (the
 * highest address its last byte may have), not below above. *gpa and *len
 * are 0 without one.
 */
int load_initrd(struct load *l, uint64_t above, uint64_t last, uint64_t *gpa,
	uint64_t *len);

/* Put the command line at FW_CMDLINE; the kernel takes max characters. */
int load_cmdline(struct load *l, uint64_t max);

/*
 * GDT with a flat code segment 0x10 (64-bit or 32-bit) and data 0x18, its
 * place noted in out; for 64-bit also an identity map of the first 4 GiB.
 */
int load_cpu_tables(struct load *l, bool long_mode, struct fw_entry *out);

/* The loaders: head has been read, l->kernel is open. */
int bzimage_load(struct load *l, struct fw_entry *out);
int pvh_load(struct load *l, struct fw_entry *out);

#endif
