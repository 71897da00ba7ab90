/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Keys by name, pressed and released at the pace of a fast typist: a guest's
 * i8042 holds only 16 bytes, so a line must not come at once.
 */
#include <errno.h>
#include <string.h>

#include "vm/base/clock.h"

#include "display/display_impl.h"
#include "display/keymap.h"

#define SENDKEY_STEP_NS (5 * NS_PER_MS) /* down and up: 10 ms a key */

/* Take the next event; false when the queue is empty. */
static bool sendkey_take(struct sendkey *k, struct input_event *ev, bool *last)
{
	LOCK_GUARD(&k->lock);
	if (!k->count)
		return false;
	memset(ev, 0, sizeof(*ev));
	ev->kind = INPUT_KEY;
	ev->scancode = k->queue[k->head].code;
	ev->down = k->queue[k->head].down;
	*last = k->queue[k->head].last;
	k->head = (k->head + 1) % DISPLAY_SENDKEY_MAX;
	k->count--;
	return true;
}

/* One half of a combination, then wait. */
static void sendkey_step(void *arg)
{
	struct sendkey *k = arg;
	struct input_event ev;
	bool last = false;

	while (!last) {
		if (!sendkey_take(k, &ev, &last))
			return;
		input_hub_event(k->hub, &ev);
	}
	loop_timer_arm(&k->timer, clock_now_ns() + SENDKEY_STEP_NS);
}

void sendkey_init(struct sendkey *k, struct loop *l, struct input_hub *hub)
{
	lock_init(&k->lock, "sendkey", LOCK_SURFACE);
	loop_timer_init(&k->timer, l, sendkey_step, k);
	k->hub = hub;
}

void sendkey_fini(struct sendkey *k)
{
	loop_timer_disarm(&k->timer);
	lock_fini(&k->lock);
}

static void sendkey_put_locked(struct sendkey *k, uint16_t code, bool down,
	bool last)
{
	unsigned at = (k->head + k->count++) % DISPLAY_SENDKEY_MAX;

	k->queue[at].code = code;
	k->queue[at].down = down;
	k->queue[at].last = last;
}

/* Queue one combination; 0 or -EAGAIN when there is no room. */
static int sendkey_queue(struct sendkey *k, const uint16_t *codes, int n)
{
	LOCK_GUARD(&k->lock);
	if (k->count + 2 * (unsigned)n > DISPLAY_SENDKEY_MAX)
		return -EAGAIN;
	for (int i = 0; i < n; i++)
		sendkey_put_locked(k, codes[i], true, i == n - 1);
	for (int i = n - 1; i >= 0; i--)
		sendkey_put_locked(k, codes[i], false, i == 0);
	return 0;
}

int display_sendkey(struct display *d, const char *const *keys, int n,
	struct err *e)
{
	uint16_t codes[KEYMAP_COMBO_MAX];
	int r = 0, len;

	/* all names are known before the first key goes down */
	for (int i = 0; i < n; i++) {
		len = keymap_combo(keys[i], codes, e);
		if (len < 0)
			return len;
	}
	for (int i = 0; i < n && !r; i++) {
		len = keymap_combo(keys[i], codes, e);
		r = sendkey_queue(&d->sendkey, codes, len);
		if (r)
			err_set(e, EAGAIN,
				"too many keys at once: %d of %d are sent", i,
				n);
	}
	loop_timer_arm(&d->sendkey.timer, clock_now_ns());
	return r;
}
