/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The input hub: see input.h. */
#include "display/input.h"

#include <errno.h>
#include <string.h>

#include "display/keymap.h"

#define INPUT_ALL_BUTTONS                                                      \
	(INPUT_LEFT | INPUT_MIDDLE | INPUT_RIGHT | INPUT_WHEEL_UP |            \
		INPUT_WHEEL_DOWN)

void input_hub_init(struct input_hub *h)
{
	memset(h, 0, sizeof(*h));
	lock_init(&h->lock, "input", LOCK_SURFACE);
	lock_cond_init(&h->idle);
	h->last_x = h->last_y = -1;
}

void input_hub_fini(struct input_hub *h)
{
	pthread_cond_destroy(&h->idle);
	lock_fini(&h->lock);
}

int input_hub_add(struct input_hub *h, const struct input_sink *s, bool active)
{
	LOCK_GUARD(&h->lock);
	for (int i = 0; i < INPUT_MAX_SINKS; i++) {
		if (h->slot[i].used)
			continue;
		h->slot[i].sink = *s;
		h->slot[i].used = true;
		h->slot[i].active = active;
		h->slot[i].age = ++h->next_age;
		return 0;
	}
	return -ENOSPC;
}

void input_hub_active(struct input_hub *h, void *arg, bool active)
{
	LOCK_GUARD(&h->lock);
	for (int i = 0; i < INPUT_MAX_SINKS; i++)
		if (h->slot[i].used && h->slot[i].sink.arg == arg)
			h->slot[i].active = active;
}

void input_hub_del(struct input_hub *h, void *arg)
{
	LOCK_GUARD(&h->lock);
	for (int i = 0; i < INPUT_MAX_SINKS; i++)
		if (h->slot[i].used && h->slot[i].sink.arg == arg)
			h->slot[i].used = false;
	while (h->calls)
		lock_wait(&h->lock, &h->idle);
}

void input_hub_size(struct input_hub *h, unsigned width, unsigned height)
{
	LOCK_GUARD(&h->lock);
	if (width == h->width && height == h->height)
		return;
	h->width = width;
	h->height = height;
	h->last_x = h->last_y = -1;
}

/* Index of the newest enabled sink of a kind, or -1. */
static int input_find_locked(struct input_hub *h, enum input_kind kind)
{
	int best = -1;

	for (int i = 0; i < INPUT_MAX_SINKS; i++) {
		if (!h->slot[i].used || !h->slot[i].active)
			continue;
		if (!(h->slot[i].sink.kinds & (1u << kind)))
			continue;
		if (best < 0 || h->slot[i].age > h->slot[best].age)
			best = i;
	}
	return best;
}

/* The way from the last absolute place to this one, in pixels. */
static void input_to_relative_locked(struct input_hub *h,
	struct input_event *ev)
{
	int w = h->width ? (int)h->width : 640;
	int t = h->height ? (int)h->height : 480;
	int x = (int)((int64_t)ev->x * (w - 1) / INPUT_ABS_MAX);
	int y = (int)((int64_t)ev->y * (t - 1) / INPUT_ABS_MAX);

	ev->kind = INPUT_POINTER_REL;
	ev->x = h->last_x < 0 ? 0 : x - h->last_x;
	ev->y = h->last_y < 0 ? 0 : y - h->last_y;
	h->last_x = x;
	h->last_y = y;
}

static int input_clamp(int v, int min, int max)
{
	return v < min ? min : v > max ? max : v;
}

/* false = not worth sending */
static bool input_sane(struct input_event *ev)
{
	ev->buttons &= INPUT_ALL_BUTTONS;
	switch (ev->kind) {
	case INPUT_KEY:
		return keymap_valid(ev->scancode);
	case INPUT_POINTER_ABS:
		ev->x = input_clamp(ev->x, 0, INPUT_ABS_MAX);
		ev->y = input_clamp(ev->y, 0, INPUT_ABS_MAX);
		return true;
	case INPUT_POINTER_REL:
		ev->x = input_clamp(ev->x, -INPUT_ABS_MAX, INPUT_ABS_MAX);
		ev->y = input_clamp(ev->y, -INPUT_ABS_MAX, INPUT_ABS_MAX);
		return true;
	}
	return false;
}

/* Fill sink and mark it called; false when nobody listens. */
static bool input_begin(struct input_hub *h, struct input_event *ev,
	struct input_sink *sink)
{
	int i;

	LOCK_GUARD(&h->lock);
	i = input_find_locked(h, ev->kind);
	if (i < 0 && ev->kind == INPUT_POINTER_ABS) {
		input_to_relative_locked(h, ev);
		i = input_find_locked(h, ev->kind);
	}
	if (i < 0)
		return false;
	*sink = h->slot[i].sink;
	h->calls++;
	return true;
}

void input_hub_event(struct input_hub *h, const struct input_event *event)
{
	struct input_event ev = *event;
	struct input_sink sink;

	if (!input_sane(&ev) || !input_begin(h, &ev, &sink))
		return;
	sink.event(sink.arg, &ev);
	LOCK_GUARD(&h->lock);
	if (!--h->calls)
		pthread_cond_broadcast(&h->idle);
}
