/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The disk verbs: storage's image tools for people and programs. One body a
 * verb, which blocks; the command line and the shell run it in the client's
 * process (disk_client.c), the console in a thread of the server
 * (cmd_disk.c). Thread: whichever; one call a struct disk_io at a time.
 */
#ifndef UI_DISK_H
#define UI_DISK_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "storage/storage.h"

#include "ui/cmd.h"

/* Where a verb's words go. All borrowed. */
struct disk_io {
	FILE *out, *err;
	const char *cwd; /* what relative names begin from; NULL = "." */
	struct img_job *job;
	/* filled by disk_ref() and its like; freed by disk_io_fini() */
	char *names[8];
	int nnames;
};

void disk_io_fini(struct disk_io *io);

/* An exit code besides enum's UI_*. */
#define DISK_LEAKS 3

int disk_create(const struct cmd_args *a, struct disk_io *io);
int disk_info(const struct cmd_args *a, struct disk_io *io);
int disk_check(const struct cmd_args *a, struct disk_io *io);
int disk_convert(const struct cmd_args *a, struct disk_io *io);
int disk_resize(const struct cmd_args *a, struct disk_io *io);
int disk_snapshot(const struct cmd_args *a, struct disk_io *io);
int disk_clone(const struct cmd_args *a, struct disk_io *io);
int disk_rebase(const struct cmd_args *a, struct disk_io *io);
int disk_commit(const struct cmd_args *a, struct disk_io *io);
int disk_compare(const struct cmd_args *a, struct disk_io *io);
int disk_map(const struct cmd_args *a, struct disk_io *io);
int disk_bench(const struct cmd_args *a, struct disk_io *io);

/* disk_look.c: by qemu-img's names, and the size of the disk then. */
json_t *disk_snapshots_json(const struct img_layer *l);

/* --- disk_args.c: words to values ----------------------------------------- */

/*
 * s with '?' for what an image could do to a terminal (controls, bytes that
 * are no UTF-8), in buf, cut to its size; returns buf. NULL stays NULL. As a
 * JSON string nothing is cut, and only what is no UTF-8 replaced.
 */
#define DISK_TEXT 1200
char *disk_clean(const char *s, char *buf, size_t size);
json_t *disk_string(const char *s);

/* "guestdeck: TEXT" on f, clean. */
void disk_say(FILE *f, const char *text);
/* The same on io->err; returns UI_FAIL, and UI_USAGE for wrong. */
int disk_fail(struct disk_io *io, const struct err *e);
int disk_wrong(struct disk_io *io, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* word as a path from io->cwd on; NULL when memory is short. io's. */
const char *disk_path(struct disk_io *io, const char *word);

/*
 * Operand n as an image, of the format that option fopt ("-f") says. Also
 * refuses -U and an --output that is not known. 0, or the exit code with the
 * error told.
 */
int disk_ref(const struct cmd_args *a, struct disk_io *io, int n,
	const char *fopt, struct img_ref *out);
/* Values of options that were given; else *out stays. The same results. */
int disk_opt_size(const struct cmd_args *a, struct disk_io *io, const char *opt,
	uint64_t *out);
int disk_opt_number(const struct cmd_args *a, struct disk_io *io,
	const char *opt, uint64_t max, uint64_t *out);
int disk_opt_format(const struct cmd_args *a, struct disk_io *io,
	const char *opt, enum blk_format *out);
int disk_opt_cache(const struct cmd_args *a, struct disk_io *io,
	const char *opt, enum blk_cache *out);
/* All of -o, into *out. */
int disk_opt_options(const struct cmd_args *a, struct disk_io *io,
	enum blk_format format, struct img_options *out);
/* --json, or --output=json */
bool disk_wants_json(const struct cmd_args *a);

/* Print *j, free it. Returns code, or UI_FAIL when memory is short. */
int disk_json(struct disk_io *io, json_t *j, int code);
/* The end of a verb that has nothing to say: {} as JSON. */
int disk_end(const struct cmd_args *a, struct disk_io *io, int r,
	const struct err *e);

#endif
