// SPDX-License-Identifier: GPL-3.0-or-later
/* What a guest may send ahead of its turn in a TCP stream. */
#include <string.h>

#include "vm/base/bytes.h"
#include "vm/base/clock.h"

#include "vm/net/flow.h"

#include "tests/unit/suite.h"

#define FIN 1
#define SYN 2
#define RST 4
#define ACK 16

static struct flows f;
static uint16_t port;
static size_t alen;
static uint64_t now_ns;

static void begin(void)
{
	memset(&f, 0, sizeof(f));
	port = 40000;
	alen = 4;
	now_ns = 1000 * NS_PER_S;
}

static const uint8_t guest[16] = { 10, 0, 2, 15 }, host[16] = { 10, 0, 2, 2 };

static void header(uint8_t tcp[20], uint16_t from, uint16_t to, unsigned flags)
{
	memset(tcp, 0, 20);
	put_be16(tcp, from);
	put_be16(tcp + 2, to);
	tcp[12] = 0x50;
	tcp[13] = (uint8_t)flags;
}

static bool sends(uint32_t seq, unsigned flags, size_t len)
{
	uint8_t tcp[20];

	header(tcp, port, 80, flags);
	put_be32(tcp + 4, seq);
	return flow_pass(&f,
		&(struct flow_segment){ guest, host, alen, tcp, 20 + len },
		now_ns);
}

/* A segment of the other side. */
static void hears(uint32_t ack, unsigned flags)
{
	uint8_t tcp[20];

	header(tcp, 80, port, flags);
	put_be32(tcp + 8, ack);
	flow_learn(&f, &(struct flow_segment){ host, guest, alen, tcp, 20 });
}

static void opens(uint32_t seq)
{
	ck_assert(sends(seq, SYN, 0));
	hears(seq + 1, SYN | ACK);
	ck_assert(sends(seq + 1, ACK, 0));
}

/* How many of n segments of one byte pass, each two further. */
static unsigned gaps(uint32_t seq, unsigned n)
{
	unsigned passed = 0;

	for (unsigned i = 0; i < n; i++)
		passed += sends(seq + 2 * i, ACK, 1);
	return passed;
}

START_TEST (what_comes_in_order_passes) {
	uint32_t seq = UINT32_MAX - 50000; /* wraps */

	begin();
	opens(seq++);
	for (unsigned i = 0; i < 1000; i++, seq += 1460) {
		ck_assert(sends(seq, ACK, 1460));
		/* the other side tells of each tenth */
		if (i % 10 == 0)
			hears(seq + 1460, ACK);
	}
	ck_assert(sends(seq - 1460, ACK, 1460)); /* once more */
	ck_assert(sends(seq, FIN | ACK, 0));
}
END_TEST

START_TEST (so_much_may_be_ahead) {
	begin();
	opens(0);
	ck_assert_uint_eq(gaps(2, 1000), FLOW_AHEAD);
	ck_assert(!sends(5000, FIN | ACK, 0));
	ck_assert(sends(5000, ACK, 0)); /* nothing in it */
	ck_assert(sends(1, ACK, 1));    /* what is missing */
	hears(3, ACK);
	ck_assert(!sends(5000, ACK, 1)); /* most is still kept */
	hears(2 + 2 * (FLOW_AHEAD - 1) + 1, ACK);
	ck_assert_uint_eq(gaps(10000, 1000), FLOW_AHEAD);
}
END_TEST

START_TEST (an_end_of_the_stream_may_be_ahead_as_often) {
	unsigned passed = 0;

	begin();
	opens(0);
	for (unsigned i = 0; i < 1000; i++)
		passed += sends(2, FIN | ACK, 0);
	ck_assert_uint_eq(passed, FLOW_AHEAD);
}
END_TEST

START_TEST (what_no_window_offers_is_dropped) {
	begin();
	opens(0);
	ck_assert(!sends(1 + (1 << 20) + 1, ACK, 1));
	ck_assert(!sends(INT32_MAX, ACK, 1460));
	ck_assert_uint_eq(gaps(2, 1000), FLOW_AHEAD);
}
END_TEST

START_TEST (only_the_other_side_says_what_is_new) {
	begin();
	opens(0);
	ck_assert_uint_eq(gaps(2, 1000), FLOW_AHEAD);
	/* these pass, and are worth nothing */
	ck_assert(sends(7000, SYN, 0));
	ck_assert(sends(7000, RST, 0));
	ck_assert_uint_eq(gaps(8000, 1000), 0);
	hears(1, SYN | ACK); /* the same once more */
	ck_assert_uint_eq(gaps(8000, 1000), 0);
	hears(0, RST | ACK);
	opens(7000);
	ck_assert_uint_eq(gaps(7002, 1000), FLOW_AHEAD);
}
END_TEST

START_TEST (a_connection_from_outside_is_known_from_its_start) {
	begin();
	hears(0, SYN);
	ck_assert(sends(0, SYN | ACK, 0));
	hears(1, ACK);
	ck_assert_uint_eq(gaps(2, 1000), FLOW_AHEAD);
}
END_TEST

START_TEST (strangers_pass_seldom) {
	unsigned passed = 0;

	begin();
	for (port = 1; port < 1000; port++)
		passed += sends(5, ACK, 1);
	ck_assert_uint_eq(passed, FLOW_STRANGERS);
	now_ns += 3 * NS_PER_S;
	for (port = 1; port < 1000; port++)
		passed += sends(5, ACK, 1);
	ck_assert_uint_eq(passed, FLOW_STRANGERS + 3);
}
END_TEST

START_TEST (one_that_was_forgotten_goes_on_in_order) {
	uint32_t seq = 1001;

	begin();
	opens(0);
	for (port = 1; port < 30000; port++)
		hears(1, SYN | ACK);
	port = 40000;
	ck_assert(sends(1000, ACK, 1)); /* as a stranger */
	hears(seq, ACK);
	ck_assert_uint_eq(gaps(seq + 1, 100), 0);
	/* a whole window later it is like any other */
	for (unsigned i = 0; i < 800; i++, seq += 1460) {
		ck_assert(sends(seq, ACK, 1460));
		hears(seq + 1460, ACK);
	}
	ck_assert_uint_eq(gaps(seq + 1, 1000), FLOW_AHEAD);
}
END_TEST

START_TEST (addresses_of_ipv6_count_whole) {
	uint8_t tcp[20], other[16] = { 0 };

	begin();
	alen = 16;
	opens(0);
	ck_assert_uint_eq(gaps(2, 1000), FLOW_AHEAD);
	other[15] = 1;
	header(tcp, port, 80, ACK);
	ck_assert(flow_pass(&f,
		&(struct flow_segment){ guest, other, 16, tcp, 21 }, now_ns));
	ck_assert_uint_eq(f.strangers, 1);
}
END_TEST

START_TEST (a_header_that_lies_is_dropped) {
	uint8_t tcp[20];

	begin();
	header(tcp, port, 80, ACK);
	ck_assert(!flow_pass(&f,
		&(struct flow_segment){ guest, host, 4, tcp, 19 }, now_ns));
	tcp[12] = 0x40;
	ck_assert(!flow_pass(&f,
		&(struct flow_segment){ guest, host, 4, tcp, 20 }, now_ns));
	tcp[12] = 0x60;
	ck_assert(!flow_pass(&f,
		&(struct flow_segment){ guest, host, 4, tcp, 20 }, now_ns));
	flow_learn(&f, &(struct flow_segment){ host, guest, 4, tcp, 20 });
	ck_assert_uint_eq(f.clock, 0);
}
END_TEST

SUITE("net/flow", what_comes_in_order_passes, so_much_may_be_ahead,
	an_end_of_the_stream_may_be_ahead_as_often,
	what_no_window_offers_is_dropped, only_the_other_side_says_what_is_new,
	a_connection_from_outside_is_known_from_its_start,
	strangers_pass_seldom, one_that_was_forgotten_goes_on_in_order,
	addresses_of_ipv6_count_whole, a_header_that_lies_is_dropped)
