/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The input hub: from people to the newest enabled sink of a kind. Absolute
 * pointer events are turned into relative ones when only a relative pointer
 * (a PS/2 mouse) listens.
 *
 * Lock: rank LOCK_SURFACE, never held over a sink's call. Thread: any.
 */
#ifndef DISPLAY_INPUT_H
#define DISPLAY_INPUT_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "vm/base/lock.h"

#include "display/display.h"

#define INPUT_MAX_SINKS 8
#define INPUT_ABS_MAX   32767

struct input_hub {
	struct lock lock;
	pthread_cond_t idle;
	struct {
		struct input_sink sink;
		bool used, active;
		unsigned age;    /* the greatest is the newest */
	} slot[INPUT_MAX_SINKS]; /* guarded by lock */
	unsigned next_age;       /* guarded by lock */
	unsigned calls;          /* guarded by lock; sinks being called now */
	/* guarded by lock: for absolute to relative */
	unsigned width, height;
	int last_x, last_y; /* pixels, -1 = not known */
};

void input_hub_init(struct input_hub *h);
void input_hub_fini(struct input_hub *h);

int input_hub_add(struct input_hub *h, const struct input_sink *s, bool active);
void input_hub_active(struct input_hub *h, void *arg, bool active);
void input_hub_del(struct input_hub *h, void *arg);
/* How large the screen is, so that relative counts are pixels. */
void input_hub_size(struct input_hub *h, unsigned width, unsigned height);

/* Deliver ev; what is out of range is clamped or dropped. */
void input_hub_event(struct input_hub *h, const struct input_event *ev);

#endif
