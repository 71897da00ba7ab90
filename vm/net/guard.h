/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What of a guest's frames may reach libslirp. It has no bound of its own on
 * some of what a guest can make it hold: sockets, fragments that wait for the
 * rest, TCP segments out of order (flow.h), answers to DHCP for which there is
 * no address (those leak). No state beyond struct guard; thread: the caller's.
 */
#ifndef VM_NET_GUARD_H
#define VM_NET_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vm/net/flow.h"

#define GUARD_FRAME_MAX 1522 /* an MTU of 1500, and a VLAN tag */
#define GUARD_CLIENTS   8    /* that may ask for an address */
/* Fragments live 30 s at most: so 1 MiB and 30 times this may wait. */
#define GUARD_FRAGMENT_BURST (UINT64_C(1) << 20)
#define GUARD_FRAGMENT_RATE  (UINT64_C(64) << 10) /* bytes a second */

struct guard {
	uint64_t tokens, filled_ns; /* bytes of fragments that may pass */
	struct {
		uint8_t mac[6];
		uint32_t addr; /* last one it was told, 0 = none */
	} client[GUARD_CLIENTS];
	unsigned nclients;
	struct flows flows;
};

/* g is all zero; most of it is not touched, so that it takes no memory. */
void guard_init(struct guard *g, uint64_t now_ns);

/*
 * May the guest's frame pass? It may be changed. full: no new socket shall be
 * opened, so nothing passes that could do that.
 */
bool guard_pass(struct guard *g, uint8_t *frame, size_t len, bool full,
	uint64_t now_ns);

/* A frame to the guest, to learn from. */
void guard_learn(struct guard *g, const uint8_t *frame, size_t len);

#endif
