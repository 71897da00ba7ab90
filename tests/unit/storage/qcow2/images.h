/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Images that QEMU's tools made, and what these say of them, to compare with.
 * All in rig_dir; names are plain file names there.
 */
#ifndef TESTS_UNIT_STORAGE_QCOW2_IMAGES_H
#define TESTS_UNIT_STORAGE_QCOW2_IMAGES_H

#include "storage/qcow2/impl.h"

extern struct ctx *images_ctx;

/* Around each test; images_end() after all nodes are closed. */
void images_begin(void);
void images_end(void);

/* Run fn(arg) in a fiber, which must return 0. */
void images_run(int (*fn)(void *arg), void *arg);

/* A shell command in rig_dir, which must work. */
void images_sh(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* n bytes that are the same for the same seed. */
void images_random(uint64_t *seed, void *buf, uint64_t n);
uint64_t images_dice(uint64_t *seed, uint64_t below);

/* qemu-img create -f qcow2 -o options name size. */
void images_create(const char *name, const char *options, uint64_t size);

/*
 * Compressed writes (cluster = 0: none), then n random changes: writes, zero
 * writes, discards; of at most max bytes each. By qemu-io.
 */
void images_scribble(const char *name, uint64_t size, uint32_t cluster,
	uint64_t max, unsigned n, uint64_t *seed);

/*
 * A test of one image, from begin to end: made with options and size, changed
 * (images_scribble()) by seed and size, and given by its name to fn.
 */
void images_try(int (*fn)(void *arg), const char *options, uint64_t size,
	uint32_t cluster, uint64_t max, uint64_t seed);

/* The content by qemu-img convert; freed by the caller. */
uint8_t *images_content(const char *name, uint64_t size);

/* Open with all that it names. In a fiber. */
struct node *images_open(const char *name, bool readonly);

/* Open alone, from a copy in memory (its file's node, which n closes). */
struct node *images_in_memory(const char *name, bool readonly,
	struct node **file);

/* What was logged by images in memory has this text. */
void images_logged(const char *text);

/* Must be the same by all sizes of requests, alone and many at once. */
void images_compare(struct node *n, const char *name);

#endif
