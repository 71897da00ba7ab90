/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Both ways of one guest's serial console for one reader on the loop:
 * output is announced and pulled by the reader at its own pace; input that
 * the guest does not take yet waits, bounded. Thread: the loop's.
 */
#ifndef UI_FEED_H
#define UI_FEED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vm/base/loop.h"

#include "vm/vm.h"

#include "ui/protocol.h"

#define FEED_INPUT_MAX (2u * PROTO_MAX)

struct feed {
	struct engine *engine;
	struct console *console; /* NULL = not open */
	uint64_t pos;
	int fd; /* eventfd */
	struct loop_fd watch;
	struct loop_timer retry;
	struct sendq input;
	void (*output)(void *arg);  /* there is something to feed_read() */
	void (*drained)(void *arg); /* input waits no more; may be NULL */
	void *arg;
};

/*
 * Open guest's console; reading begins at the oldest byte kept. 0, -ENOENT
 * when it never ran, or another -errno; e is filled.
 */
int feed_open(struct feed *f, struct engine *en, struct loop *l,
	const char *guest, struct err *e);
void feed_close(struct feed *f); /* harmless when not open */

/* As console_read(). */
size_t feed_read(struct feed *f, void *buf, size_t len);
/* Skip what is old but the last `keep` bytes. */
void feed_skip(struct feed *f, uint64_t keep);
bool feed_at_end(const struct feed *f);
/* Begin (end) calling output() when the guest writes. */
void feed_listen(struct feed *f, bool on);

/* Take all of data, if need be for later; false when much is waiting now. */
bool feed_input(struct feed *f, const void *data, size_t len);

#endif
