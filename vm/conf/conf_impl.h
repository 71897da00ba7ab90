/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Inside of conf: the option table and what its rows can do. A row says
 * where a value lies in its section's struct; value.c reads and writes it by
 * kind, so parser and writer know no option by name.
 */
#ifndef VM_CONF_CONF_IMPL_H
#define VM_CONF_CONF_IMPL_H

#include "vm/conf/conf.h"

#define CONF_FILE_MAX  (1u << 20)
#define CONF_LINE_MAX  8191
#define CONF_VALUE_MAX 4096 /* room for any value as text */

enum conf_kind {
	CONF_BOOL,    /* bool */
	CONF_ENUM,    /* enum, names in order in type, "a|b" */
	CONF_UINT,    /* unsigned or int, min..max */
	CONF_SIZE,    /* uint64_t, memory */
	CONF_RATE,    /* uint64_t, bytes a second */
	CONF_NAME,    /* char[CONF_NAME_MAX + 1] */
	CONF_PATH,    /* char[CONF_PATH_MAX] */
	CONF_TEXT,    /* char[CONF_CMDLINE_MAX + 1] */
	CONF_IFNAME,  /* char[16] */
	CONF_MAC,     /* struct conf_net */
	CONF_FORWARD, /* struct conf_net; may be given several times */
	CONF_VNC,     /* struct conf_display */
};

/* One row of the table. */
struct conf_key {
	struct conf_option opt;
	enum conf_kind kind;
	size_t off;   /* in the section's struct */
	unsigned min; /* CONF_UINT */
	unsigned max;
};

/* Row i, or NULL past the end. */
const struct conf_key *conf_key(size_t i);

/* Index of the row for section and key, -1 when there is none. */
int conf_key_find(const char *section, const char *key);

/* Rows of the table; no section has more. */
#define CONF_NKEYS_MAX 64

/*
 * The known section (section = NULL) or key of a section that is nearest to
 * word by edit distance.
 */
const char *conf_nearest(const char *section, const char *word);

/* The part of c that k's offsets count from; i is the disk or net. */
void *conf_section(struct conf *c, const char *section, unsigned i);

/* Set all rows of a section to their defaults. */
void conf_defaults(const char *section, void *part);

/*
 * Read text into the row's place in part. A relative path is put behind
 * base. 0, or -EINVAL with "KEY = TEXT is bad: mend" in e.
 */
int conf_value_set(const struct conf_key *k, void *part, const char *text,
	const char *base, struct err *e);

/* The value as conf_value_set() reads it, at most CONF_VALUE_MAX bytes. */
void conf_value_text(const struct conf_key *k, const void *part, char *buf);

/* The kinds with a grammar of their own (value_net.c). */
int conf_mac_set(struct conf_net *n, const char *text, struct err *e);
void conf_mac_text(const struct conf_net *n, char *buf);
int conf_forward_set(struct conf_net *n, const char *text, struct err *e);
void conf_forward_text(const struct conf_net *n, char *buf);
int conf_vnc_set(struct conf_display *d, const char *text, struct err *e);
void conf_vnc_text(const struct conf_display *d, char *buf);

/* Where things stand in the file, for complaints. */
struct conf_lines {
	const char *file;
	unsigned key[CONF_NKEYS_MAX]; /* by row of the table, 0 = not given */
	unsigned section; /* the section that is checked, 0 = whole file */
};

/*
 * Do the settings go together? The check of a disk also makes a CD
 * read-only. 0, or -EINVAL with "FILE:LINE: what: mend" in e.
 */

int conf_check_guest(struct conf *c, const struct conf_lines *l, struct err *e);
int conf_check_disk(struct conf *c, unsigned i, const struct conf_lines *l,
	struct err *e);
int conf_check_net(struct conf *c, unsigned i, const struct conf_lines *l,
	struct err *e);
int conf_check_display(struct conf *c, const struct conf_lines *l,
	struct err *e);

/* Fill in MACs that were not given; c's name is known. */
void conf_make_macs(struct conf *c);

#endif
