// SPDX-License-Identifier: GPL-3.0-or-later
/* See flow.h. RFC 793; sequence numbers are compared by their difference. */
#include "vm/net/flow.h"

#include <string.h>

#include "vm/base/bytes.h"
#include "vm/base/clock.h"

#define TCP_LEN    20
#define TCP_SEQ    4
#define TCP_ACKED  8
#define TCP_OFFSET 12
#define TCP_FLAGS  13
#define FIN        0x01
#define SYN        0x02
#define RST        0x04
#define ACK        0x10

/* More than any window that libslirp offers. */
#define WINDOW_MAX (INT32_C(1) << 20)

static void flow_id(uint8_t id[36], const struct flow_segment *s, bool to_guest)
{
	const uint8_t *guest = to_guest ? s->dst : s->src;
	const uint8_t *other = to_guest ? s->src : s->dst;

	memset(id, 0, 36);
	memcpy(id, guest, s->alen);
	memcpy(id + 16, other, s->alen);
	memcpy(id + 32, s->tcp + (to_guest ? 2 : 0), 2);
	memcpy(id + 34, s->tcp + (to_guest ? 0 : 2), 2);
}

static struct flow *flow_set(struct flows *f, const uint8_t id[36])
{
	uint32_t h = 0;

	for (unsigned i = 0; i < 36; i += 4)
		h = (h ^ get_le32(id + i)) * UINT32_C(0x9e3779b1) ^ h >> 15;
	return f->flow[(h >> 16) % FLOW_SETS];
}

static struct flow *flow_find(struct flows *f, const uint8_t id[36])
{
	struct flow *set = flow_set(f, id);

	for (unsigned i = 0; i < FLOW_WAYS; i++)
		if (set[i].used && !memcmp(set[i].id, id, 36))
			return &set[i];
	return NULL;
}

static struct flow *flow_make(struct flows *f, const uint8_t id[36])
{
	struct flow *set = flow_set(f, id), *w = set;

	for (unsigned i = 0; i < FLOW_WAYS && w->used; i++)
		if (!set[i].used ||
			f->clock - set[i].heard > f->clock - w->heard)
			w = &set[i];
	memset(w, 0, sizeof(*w));
	memcpy(w->id, id, 36);
	w->used = true;
	return w;
}

/* Length of the header, 0 when there is none. */
static size_t flow_header(const struct flow_segment *s)
{
	size_t n;

	if (s->len < TCP_LEN)
		return 0;
	n = (size_t)(s->tcp[TCP_OFFSET] >> 4) * 4;
	return n >= TCP_LEN && n <= s->len ? n : 0;
}

/* Not known: its connection had to make room, or never was. */
static bool flow_stranger(struct flows *f, uint64_t now_ns)
{
	uint64_t s = (now_ns - f->strange_ns) / NS_PER_S;

	if (s) {
		f->strangers -= s < f->strangers ? (unsigned)s : f->strangers;
		f->strange_ns = now_ns;
	}
	if (f->strangers == FLOW_STRANGERS)
		return false;
	f->strangers++;
	return true;
}

bool flow_pass(struct flows *f, const struct flow_segment *s, uint64_t now_ns)
{
	size_t head = flow_header(s);
	uint8_t flags, id[36];
	uint32_t seq, end;
	struct flow *w;
	int32_t ahead;

	if (!head)
		return false;
	flags = s->tcp[TCP_FLAGS];
	end = (uint32_t)(s->len - head) + !!(flags & FIN);
	if (!end || (flags & (SYN | RST)))
		return true; /* nothing that is kept */
	flow_id(id, s, false);
	w = flow_find(f, id);
	if (!w)
		return flow_stranger(f, now_ns);
	if (w->fresh)
		return true; /* dropped: no handshake yet */
	seq = get_be32(s->tcp + TCP_SEQ);
	ahead = (int32_t)(seq - w->acked);
	if (ahead <= 0)
		return true;
	if (ahead > WINDOW_MAX || w->ahead >= FLOW_AHEAD)
		return false;
	w->ahead++;
	end += seq;
	if ((int32_t)(end - w->high) > 0)
		w->high = end;
	return true;
}

/* A connection that we hear of: new, or in the middle of its life. */
static void flow_begin(struct flow *w, uint32_t acked, bool is_new)
{
	w->fresh = false;
	w->acked = acked;
	w->high = is_new ? acked : acked + WINDOW_MAX;
	w->ahead = is_new ? 0 : FLOW_AHEAD;
}

static void flow_acked(struct flow *w, uint32_t acked)
{
	if ((int32_t)(acked - w->acked) <= 0)
		return;
	w->acked = acked;
	if ((int32_t)(acked - w->high) >= 0)
		w->ahead = 0;
}

void flow_learn(struct flows *f, const struct flow_segment *s)
{
	uint8_t flags, id[36];
	uint32_t acked;
	struct flow *w;
	bool made;

	if (!flow_header(s))
		return;
	flags = s->tcp[TCP_FLAGS];
	acked = get_be32(s->tcp + TCP_ACKED);
	flow_id(id, s, true);
	w = flow_find(f, id);
	if (flags & RST) {
		if (w)
			w->used = false;
		return;
	}
	if (!(flags & (SYN | ACK)))
		return;
	made = !w;
	if (made)
		w = flow_make(f, id);
	w->heard = f->clock++;
	if (!(flags & ACK))
		w->fresh = true;
	else if (made || w->fresh || (flags & SYN && acked != w->acked))
		flow_begin(w, acked, w->fresh || flags & SYN);
	else
		flow_acked(w, acked);
}
