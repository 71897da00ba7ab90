/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A bounded queue of pointers from any thread to one loop's thread. put
 * never blocks; a full box answers -EAGAIN and the sender keeps its message.
 */
#ifndef VM_BASE_MAILBOX_H
#define VM_BASE_MAILBOX_H

#include <stddef.h>

#include "vm/base/err.h"
#include "vm/base/loop.h"

struct mailbox;

/* fn(arg, msg) is called on l's thread for each message, in order. */
int mailbox_new(struct loop *l, size_t capacity,
	void (*fn)(void *arg, void *msg), void *arg, struct mailbox **out,
	struct err *e);
/* Messages that were not delivered go to drop (may be NULL). */
void mailbox_free(struct mailbox *m, void (*drop)(void *msg));
int mailbox_put(struct mailbox *m, void *msg); /* 0 or -EAGAIN; any thread */

#endif
