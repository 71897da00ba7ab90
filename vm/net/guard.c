// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * See guard.h. libslirp's DHCP server has 16 addresses; a client can take
 * several of them by asking for each, and one that comes when none is left
 * costs a packet's memory that is never freed. Here eight clients get two
 * each at most: none may ask for an address in its first message, and
 * afterwards only for the one that it was told.
 */
#include "vm/net/guard.h"

#include <string.h>

#include "vm/base/bytes.h"
#include "vm/base/clock.h"
#include "vm/base/sizes.h"

#define ETH_LEN   14
#define ETH_TYPE  12
#define TYPE_ARP  0x0806
#define TYPE_IP4  0x0800
#define TYPE_IP6  0x86dd
#define IP4_LEN   20
#define IP6_LEN   40
#define ICMP      1
#define TCP       6
#define UDP       17
#define TCP_FLAGS 13 /* offset */
#define TCP_SYN   0x02
#define TCP_ACK   0x10

#define GATEWAY   UINT32_C(0x0a000202)
#define BROADCAST UINT32_C(0xffffffff)

/* BOOTP and DHCP, RFC 2131 and 2132: offsets behind the UDP header */
#define DHCP_SERVER  67
#define DHCP_CIADDR  12
#define DHCP_YIADDR  16
#define DHCP_CHADDR  28
#define DHCP_COOKIE  236
#define DHCP_OPTIONS 240
#define COOKIE       UINT32_C(0x63825363)
#define OPT_PAD      0
#define OPT_ADDR     50
#define OPT_TYPE     53
#define OPT_END      255
#define DISCOVER     1

void guard_init(struct guard *g, uint64_t now_ns)
{
	g->tokens = GUARD_FRAGMENT_BURST;
	g->filled_ns = now_ns;
}

/* --- fragments --- */

static bool fragment_pass(struct guard *g, size_t len, uint32_t to,
	uint64_t now_ns)
{
	uint64_t ms = (now_ns - g->filled_ns) / NS_PER_MS;

	/* DHCP is looked into, so it has to come in one piece */
	if (to == GATEWAY || to == BROADCAST)
		return false;
	if (ms) {
		if (ms > 60000)
			ms = 60000;
		g->tokens += ms * GUARD_FRAGMENT_RATE / 1000;
		if (g->tokens > GUARD_FRAGMENT_BURST)
			g->tokens = GUARD_FRAGMENT_BURST;
		g->filled_ns = now_ns;
	}
	/* a short one costs libslirp as much as a long one */
	len = len < GUARD_FRAME_MAX ? GUARD_FRAME_MAX : len;
	if (g->tokens < len)
		return false;
	g->tokens -= len;
	return true;
}

/* --- DHCP --- */

struct dhcp_options {
	unsigned type; /* 0 = none: plain BOOTP */
	uint8_t *addr; /* that is asked for, NULL = none */
	unsigned ntype, naddr;
};

static void dhcp_option(struct dhcp_options *o, uint8_t tag, uint8_t *p,
	unsigned len)
{
	if (tag == OPT_TYPE && len >= 1) {
		o->type = p[0];
		o->ntype++;
	}
	if (tag == OPT_ADDR && len >= 4) {
		o->addr = p;
		o->naddr++;
	}
}

static void dhcp_options(uint8_t *p, size_t len, struct dhcp_options *o)
{
	size_t at = 0;

	memset(o, 0, sizeof(*o));
	while (at < len && p[at] != OPT_END) {
		uint8_t tag = p[at++];
		unsigned n;

		if (tag == OPT_PAD)
			continue;
		if (at == len)
			return;
		n = p[at++];
		if (n > len - at)
			return;
		dhcp_option(o, tag, p + at, n);
		at += n;
	}
}

/* Index of the client with this address, -1 = not known. */
static int client_find(const struct guard *g, const uint8_t *mac)
{
	for (unsigned i = 0; i < g->nclients; i++)
		if (!memcmp(g->client[i].mac, mac, 6))
			return (int)i;
	return -1;
}

static int client_get(struct guard *g, const uint8_t *mac)
{
	int i = client_find(g, mac);

	if (i >= 0 || g->nclients == GUARD_CLIENTS)
		return i;
	memcpy(g->client[g->nclients].mac, mac, 6);
	return (int)g->nclients++;
}

/* udp: the datagram with its header; len bytes of the packet follow. */
static bool dhcp_pass(struct guard *g, uint8_t *udp, size_t len)
{
	struct dhcp_options o = { 0 };
	uint8_t *d = udp + 8;
	uint32_t want;
	int i;

	if (get_be16(udp + 4) > len)
		return false;
	len = get_be16(udp + 4); /* nobody looks behind that */
	if (len < 8 + DHCP_OPTIONS)
		return false;
	i = client_get(g, d + DHCP_CHADDR);
	if (i < 0)
		return false;
	if (get_be32(d + DHCP_COOKIE) == COOKIE)
		dhcp_options(d + DHCP_OPTIONS, len - 8 - DHCP_OPTIONS, &o);
	if (o.ntype > 1 || o.naddr > 1)
		return false;
	if (o.type == DISCOVER && o.addr) {
		put_be32(o.addr, 0);
		put_be16(udp + 6, 0); /* no checksum then */
		return true;
	}
	want = o.addr ? get_be32(o.addr) : 0;
	if (!want)
		want = get_be32(d + DHCP_CIADDR);
	/* one that remembers an address from before may ask for it, once */
	if (!want || want == g->client[i].addr)
		return true;
	if (g->client[i].addr)
		return false;
	g->client[i].addr = want;
	return true;
}

/* --- frames --- */

/* What stands behind an IP header; new sockets come of some of it. */
static bool opens_socket(unsigned proto, const uint8_t *p, size_t len)
{
	if (proto == TCP)
		return len > TCP_FLAGS &&
		       (p[TCP_FLAGS] & (TCP_SYN | TCP_ACK)) == TCP_SYN;
	return proto == UDP || proto == ICMP;
}

static bool ip4_pass(struct guard *g, uint8_t *ip, size_t len, bool full,
	uint64_t now_ns)
{
	size_t head, total;
	uint32_t to;

	if (len < IP4_LEN)
		return false;
	head = (size_t)(ip[0] & 15) * 4;
	total = get_be16(ip + 2);
	to = get_be32(ip + 16);
	if (head < IP4_LEN || total < head || total > len)
		return false;
	/* more follow, or not the first: no TCP comes that way */
	if (get_be16(ip + 6) & 0x3fff)
		return !full && ip[9] != TCP &&
		       fragment_pass(g, len, to, now_ns);
	if (ip[9] == UDP && total - head >= 8 &&
		get_be16(ip + head + 2) == DHCP_SERVER &&
		(to == GATEWAY || to == BROADCAST))
		return dhcp_pass(g, ip + head, total - head);
	if (full && opens_socket(ip[9], ip + head, total - head))
		return false;
	return ip[9] != TCP || flow_pass(&g->flows,
				       &(struct flow_segment){ ip + 12, ip + 16,
					       4, ip + head, total - head },
				       now_ns);
}

static bool ip6_pass(struct guard *g, const uint8_t *ip, size_t len, bool full,
	uint64_t now_ns)
{
	size_t total;

	if (len < IP6_LEN)
		return false;
	total = get_be16(ip + 4);
	if (total > len - IP6_LEN)
		return false;
	if (full && opens_socket(ip[6], ip + IP6_LEN, total))
		return false;
	return ip[6] != TCP || flow_pass(&g->flows,
				       &(struct flow_segment){ ip + 8, ip + 24,
					       16, ip + IP6_LEN, total },
				       now_ns);
}

bool guard_pass(struct guard *g, uint8_t *frame, size_t len, bool full,
	uint64_t now_ns)
{
	if (len < ETH_LEN || len > GUARD_FRAME_MAX)
		return false;
	switch (get_be16(frame + ETH_TYPE)) {
	case TYPE_ARP:
		return true;
	case TYPE_IP4:
		return ip4_pass(g, frame + ETH_LEN, len - ETH_LEN, full,
			now_ns);
	case TYPE_IP6:
		return ip6_pass(g, frame + ETH_LEN, len - ETH_LEN, full,
			now_ns);
	default:
		return false;
	}
}

static void dhcp_learn(struct guard *g, const uint8_t *ip, size_t len)
{
	const uint8_t *udp = ip + IP4_LEN, *d = udp + 8;
	int i;

	if (len < IP4_LEN + 8 + DHCP_OPTIONS || get_be16(udp) != DHCP_SERVER ||
		get_be32(ip + 12) != GATEWAY)
		return;
	i = client_find(g, d + DHCP_CHADDR);
	if (i >= 0)
		g->client[i].addr = get_be32(d + DHCP_YIADDR);
}

/* libslirp's own frames: without options, whole, of the right length. */
void guard_learn(struct guard *g, const uint8_t *frame, size_t len)
{
	const uint8_t *ip = frame + ETH_LEN;

	if (len < ETH_LEN + IP4_LEN)
		return;
	len -= ETH_LEN;
	if (get_be16(frame + ETH_TYPE) == TYPE_IP4 && ip[0] == 0x45) {
		if (ip[9] == UDP)
			dhcp_learn(g, ip, len);
		else if (ip[9] == TCP)
			flow_learn(&g->flows,
				&(struct flow_segment){ ip + 12, ip + 16, 4,
					ip + IP4_LEN, len - IP4_LEN });
	} else if (get_be16(frame + ETH_TYPE) == TYPE_IP6 && len >= IP6_LEN &&
		   ip[6] == TCP) {
		flow_learn(&g->flows,
			&(struct flow_segment){ ip + 8, ip + 24, 16,
				ip + IP6_LEN, len - IP6_LEN });
	}
}
