/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * TCP segments that the guest sends ahead of their turn. libslirp keeps each
 * until what is missing has come, a whole packet's memory for the smallest,
 * and empty ones without any bound. What it has in order it says itself, in
 * its acknowledgements: that is what is gone by here, not the guest's word.
 *
 * A guest sends in order, so an honest one needs little. Thread: the caller's.
 */
#ifndef VM_NET_FLOW_H
#define VM_NET_FLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FLOW_SETS      256
#define FLOW_WAYS      8   /* of a set; the least recently heard one goes */
#define FLOW_AHEAD     128 /* segments that a connection may be ahead */
#define FLOW_STRANGERS 64  /* of unknown connections, one more each second */

struct flow {
	uint8_t id[36]; /* guest's address, other address, both ports */
	bool used;
	bool fresh;     /* begins: nothing was acknowledged yet */
	uint16_t ahead; /* segments that passed and may be kept */
	uint32_t acked; /* the guest's stream is in order up to this */
	uint32_t high;  /* from here on nothing can be kept any more */
	uint32_t heard; /* when, by flows.clock */
};

/* All zero to begin with. */
struct flows {
	uint32_t clock;
	unsigned strangers; /* that passed and count yet */
	uint64_t strange_ns;
	struct flow flow[FLOW_SETS][FLOW_WAYS];
};

/* A TCP segment: addresses of 4 or 16 bytes, the rest of the packet. */
struct flow_segment {
	const uint8_t *src, *dst;
	size_t alen;
	const uint8_t *tcp;
	size_t len;
};

/* May the guest's segment pass? */
bool flow_pass(struct flows *f, const struct flow_segment *s, uint64_t now_ns);
/* Learn from libslirp's segment to the guest. */
void flow_learn(struct flows *f, const struct flow_segment *s);

#endif
