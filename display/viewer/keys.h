/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Key events of one client to scancodes. A client that names scancodes is
 * believed; for others the keysym is looked up on a US keyboard, and when
 * shift does not stand as that key needs it (another layout, a program that
 * types), it is set so around the key. Thread: the front's.
 */
#ifndef DISPLAY_VIEWER_KEYS_H
#define DISPLAY_VIEWER_KEYS_H

#include <stdbool.h>
#include <stdint.h>

struct keys {
	void (*send)(void *arg, uint16_t scancode, bool down);
	void *arg;
	bool *caps;       /* caps lock of the guest, as far as we know */
	uint64_t down[4]; /* by scancode, extended ones from bit 128 */
};

/* code: as in RFB's QEMU key event, bit 7 = extended; 0 = not told. */
void keys_event(struct keys *k, bool down, uint32_t keysym, uint32_t code);
/* The client is gone: let go of what it holds. */
void keys_release(struct keys *k);

#endif
