// SPDX-License-Identifier: GPL-3.0-or-later
/* Which frames of a guest reach libslirp, and which do not. */
#include <netinet/in.h>
#include <string.h>

#include "vm/base/bytes.h"
#include "vm/base/clock.h"

#include "vm/net/guard.h"

#include "tests/unit/suite.h"

#define GATEWAY UINT32_C(0x0a000202)
#define OTHER   UINT32_C(0x08080808)
#define DHCP    42 /* offset of the message in the frame */
#define OPTIONS (DHCP + 240)

static struct guard g;
static uint8_t f[GUARD_FRAME_MAX + 1];

static void begin(void)
{
	memset(&g, 0, sizeof(g));
	guard_init(&g, NS_PER_S);
}

/* An IPv4 frame of len bytes with this protocol and destination. */
static void ip4(unsigned proto, uint32_t to, size_t len)
{
	memset(f, 0, sizeof(f));
	put_be16(f + 12, 0x0800);
	f[14] = 0x45;
	put_be16(f + 16, (uint16_t)(len - 14));
	f[23] = (uint8_t)proto;
	put_be32(f + 30, to);
	if (proto == IPPROTO_TCP)
		f[46] = 0x50;
}

static bool pass_at(size_t len, bool full, uint64_t ms)
{
	return guard_pass(&g, f, len, full, NS_PER_S + ms * NS_PER_MS);
}

static bool pass(size_t len)
{
	return pass_at(len, false, 0);
}

START_TEST (only_ip_and_arp_of_ordinary_length_pass) {
	begin();
	ip4(IPPROTO_TCP, OTHER, 60);
	ck_assert(pass(60));
	ck_assert(!pass(13));
	ck_assert(!pass(30));
	put_be16(f + 12, 0x88f8); /* NC-SI, which libslirp answers */
	ck_assert(!pass(60));
	put_be16(f + 12, 0x0806);
	ck_assert(pass(42));
	put_be16(f + 12, 0x86dd);
	ck_assert(pass(60));
	ck_assert(!pass(40));
	ip4(IPPROTO_TCP, OTHER, GUARD_FRAME_MAX);
	ck_assert(pass(GUARD_FRAME_MAX));
	ck_assert(!pass(GUARD_FRAME_MAX + 1));
}
END_TEST

START_TEST (a_packet_that_lies_about_its_length_is_dropped) {
	begin();
	ip4(IPPROTO_TCP, OTHER, 61);
	ck_assert(!pass(60));
	ip4(IPPROTO_TCP, OTHER, 60);
	f[14] = 0x44;
	ck_assert(!pass(60));
	f[14] = 0x4f; /* 60 bytes of header in 46 */
	ck_assert(!pass(60));
}
END_TEST

START_TEST (fragments_pass_by_a_budget) {
	unsigned n = 0;

	begin();
	ip4(IPPROTO_UDP, OTHER, 60);
	put_be16(f + 20, 0x2000);
	while (pass(60))
		n++;
	ck_assert_uint_eq(n, GUARD_FRAGMENT_BURST / GUARD_FRAME_MAX);
	ck_assert(!pass_at(60, false, 1));
	ck_assert(pass_at(60, false, 100));
	put_be16(f + 20, 0x0001);
	n = 0;
	while (pass_at(60, false, 3600 * 1000))
		n++;
	ck_assert_uint_eq(n, GUARD_FRAGMENT_BURST / GUARD_FRAME_MAX);
	put_be16(f + 20, 0x4000); /* is none: "do not fragment" */
	ck_assert(pass_at(60, false, 3600 * 1000));
}
END_TEST

START_TEST (no_fragment_reaches_the_dhcp_server) {
	begin();
	ip4(IPPROTO_UDP, GATEWAY, 60);
	put_be16(f + 20, 0x2000);
	ck_assert(!pass(60));
	ip4(IPPROTO_UDP, 0xffffffff, 60);
	put_be16(f + 20, 0x0001);
	ck_assert(!pass(60));
}
END_TEST

START_TEST (what_opens_sockets_waits_when_there_are_too_many) {
	begin();
	ip4(IPPROTO_TCP, OTHER, 60);
	f[34 + 13] = 0x02;
	ck_assert(pass(60));
	ck_assert(!pass_at(60, true, 0));
	f[34 + 13] = 0x10;
	ck_assert(pass_at(60, true, 0));
	ip4(IPPROTO_UDP, OTHER, 60);
	ck_assert(!pass_at(60, true, 0));
	ip4(IPPROTO_ICMP, OTHER, 60);
	ck_assert(!pass_at(60, true, 0));
	memset(f, 0, sizeof(f));
	put_be16(f + 12, 0x86dd);
	f[20] = IPPROTO_UDP;
	ck_assert(pass(80));
	ck_assert(!pass_at(80, true, 0));
}
END_TEST

/* A message of client n; asks for addr unless that is 0. */
static size_t dhcp(unsigned n, unsigned type, uint32_t addr)
{
	size_t len = OPTIONS + 16;

	ip4(IPPROTO_UDP, 0xffffffff, len);
	put_be16(f + 34, 68);
	put_be16(f + 36, 67);
	put_be16(f + 38, (uint16_t)(len - 34));
	put_be16(f + 40, 0x1234);
	put_be32(f + DHCP + 28, 0x52540000 + n);
	put_be32(f + DHCP + 236, 0x63825363);
	f[OPTIONS] = 53;
	f[OPTIONS + 1] = 1;
	f[OPTIONS + 2] = (uint8_t)type;
	f[OPTIONS + 3] = 255;
	if (addr) {
		f[OPTIONS + 3] = 50;
		f[OPTIONS + 4] = 4;
		put_be32(f + OPTIONS + 5, addr);
		f[OPTIONS + 9] = 255;
	}
	return len;
}

/* The server told client n this address. */
static void told(unsigned n, uint32_t addr)
{
	size_t len = dhcp(n, 2, 0);

	put_be32(f + 26, GATEWAY);
	put_be16(f + 34, 67);
	put_be16(f + 36, 68);
	put_be32(f + DHCP + 16, addr);
	guard_learn(&g, f, len);
}

START_TEST (a_client_gets_an_address_and_keeps_it) {
	begin();
	ck_assert(pass(dhcp(1, 1, 0)));
	told(1, 0x0a00020f);
	ck_assert(pass(dhcp(1, 3, 0x0a00020f)));
	told(1, 0x0a00020f);
	ck_assert(pass(dhcp(1, 3, 0x0a00020f)));
	ck_assert(!pass(dhcp(1, 3, 0x0a000210)));
	dhcp(1, 3, 0);
	put_be32(f + DHCP + 12, 0x0a000211); /* the same by ciaddr */
	ck_assert(!pass(OPTIONS + 16));
	ck_assert(pass(dhcp(1, 3, 0)));
}
END_TEST

START_TEST (a_first_message_asks_for_no_address) {
	begin();
	ck_assert(pass(dhcp(1, 1, 0x0a000214)));
	ck_assert_uint_eq(get_be32(f + OPTIONS + 5), 0);
	ck_assert_uint_eq(get_be16(f + 40), 0);
}
END_TEST

START_TEST (one_that_remembers_an_address_may_ask_once) {
	begin();
	ck_assert(pass(dhcp(1, 3, 0x0a000214)));
	ck_assert(!pass(dhcp(1, 3, 0x0a000215)));
	ck_assert(pass(dhcp(1, 3, 0x0a000214)));
}
END_TEST

START_TEST (so_many_clients_and_no_more) {
	begin();
	for (unsigned i = 0; i < GUARD_CLIENTS; i++)
		ck_assert(pass(dhcp(i, 1, 0)));
	ck_assert(!pass(dhcp(GUARD_CLIENTS, 1, 0)));
	ck_assert(pass(dhcp(0, 1, 0)));
	told(77, 0x0a00020f); /* not one of them: no harm */
}
END_TEST

START_TEST (what_could_be_read_in_two_ways_is_dropped) {
	size_t len;

	begin();
	len = dhcp(1, 3, 0x0a00020f);
	f[OPTIONS + 9] = 50;
	f[OPTIONS + 10] = 4;
	ck_assert(!pass(len));
	len = dhcp(1, 1, 0);
	f[OPTIONS + 3] = 53;
	f[OPTIONS + 4] = 1;
	ck_assert(!pass(len));
	/* behind the datagram's end nothing counts */
	told(1, 0x0a00020f);
	dhcp(1, 3, 0x0a00020f);
	put_be32(f + DHCP + 12, 0x0a000213);
	put_be16(f + 38, OPTIONS + 3 - 34);
	ck_assert(!pass(OPTIONS + 16));
	put_be16(f + 38, 2000);
	ck_assert(!pass(OPTIONS + 16));
	put_be16(f + 38, 100);
	ck_assert(!pass(OPTIONS + 16));
}
END_TEST

SUITE("net/guard", only_ip_and_arp_of_ordinary_length_pass,
	a_packet_that_lies_about_its_length_is_dropped,
	fragments_pass_by_a_budget, no_fragment_reaches_the_dhcp_server,
	what_opens_sockets_waits_when_there_are_too_many,
	a_client_gets_an_address_and_keeps_it,
	a_first_message_asks_for_no_address,
	one_that_remembers_an_address_may_ask_once, so_many_clients_and_no_more,
	what_could_be_read_in_two_ways_is_dropped)
