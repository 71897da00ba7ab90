// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * A guest that does TCP as it likes, against a listener of ours: what it does
 * must not make libslirp abort, nor open sockets without end.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vm/base/bytes.h"
#include "vm/base/sizes.h"

#include "vm/net/net.h"

#include "tests/unit/suite.h"

#define ROUNDS 400 /* of at most 50 ms: only a hang reaches it */
#define MSS    1460
#define FIN    1
#define SYN    2
#define RST    4
#define ACK    16
#define GUEST  UINT32_C(0x0a00020f)
#define HOST   UINT32_C(0x0a000202)

static const uint8_t mac[6] = { 0x52, 0x54, 0, 1, 2, 3 };

struct conn { /* the guest's side of a connection */
	uint16_t sport, dport;
	uint32_t seq, ack; /* next to send, next expected */
	uint32_t acked;    /* the other side has so much */
	bool open, reset;
	bool deaf; /* acknowledges nothing */
	int fd;    /* our own end of it */
};

static struct loop *loop;
static struct netdev *nd;
static struct conn conn[6];
static unsigned nconns, resets;
static int listener;

static uint32_t sum(uint32_t s, const uint8_t *p, size_t n)
{
	for (size_t i = 0; i + 1 < n; i += 2)
		s += get_be16(p + i);
	return n & 1 ? s + (uint32_t)(p[n - 1] << 8) : s;
}

static uint16_t fold(uint32_t s)
{
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return (uint16_t)~s;
}

static int send_frame(const void *buf, size_t len)
{
	struct iovec iov = { (void *)(uintptr_t)buf, len };

	return netdev_send(nd, &iov, 1, len);
}

static void send_arp(void)
{
	uint8_t f[42] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x52, 0x54, 0, 1,
		2, 3, 8, 6, 0, 1, 8, 0, 6, 4, 0, 2, 0x52, 0x54, 0, 1, 2, 3, 10,
		0, 2, 15, 0, 0, 0, 0, 0, 0, 10, 0, 2, 2 };

	send_frame(f, sizeof(f));
}

static int send_tcp(const struct conn *c, uint8_t flags, size_t data)
{
	uint8_t f[14 + 20 + 20 + MSS] = { 0 }, *ip = f + 14, *tcp = ip + 20;
	size_t len = 20 + data;

	memcpy(f + 6, mac, 6);
	put_be16(f + 12, 0x0800);
	ip[0] = 0x45;
	put_be16(ip + 2, (uint16_t)(20 + len));
	ip[8] = 64;
	ip[9] = IPPROTO_TCP;
	put_be32(ip + 12, GUEST);
	put_be32(ip + 16, HOST);
	put_be16(ip + 10, fold(sum(0, ip, 20)));
	put_be16(tcp, c->sport);
	put_be16(tcp + 2, c->dport);
	put_be32(tcp + 4, c->seq);
	put_be32(tcp + 8, c->ack);
	tcp[12] = 0x50;
	tcp[13] = flags;
	put_be16(tcp + 14, 65535);
	put_be16(tcp + 16,
		fold(sum(sum((uint32_t)(IPPROTO_TCP + len), ip + 12, 8), tcp,
			len)));
	return send_frame(f, 34 + len);
}

static bool take(void *arg, const struct iovec *iov, int niov, size_t len)
{
	const uint8_t *f = iov->iov_base, *tcp = f + 34;

	(void)arg;
	ck_assert_int_eq(niov, 1);
	if (get_be16(f + 12) == 0x0806 && get_be16(f + 20) == 1)
		send_arp();
	if (len < 54 || get_be16(f + 12) != 0x0800 || f[23] != IPPROTO_TCP)
		return true;
	resets += !!(tcp[13] & RST);
	for (unsigned i = 0; i < nconns; i++) {
		struct conn *c = &conn[i];

		if (get_be16(tcp + 2) != c->sport)
			continue;
		c->reset |= !!(tcp[13] & RST);
		if (tcp[13] & ACK)
			c->acked = get_be32(tcp + 8);
		if (c->open && !c->deaf && get_be32(tcp + 4) == c->ack)
			c->ack += get_be16(f + 16) - 40;
		if ((tcp[13] & (SYN | ACK)) == (SYN | ACK) && !c->open) {
			c->open = true;
			c->ack = get_be32(tcp + 4) + 1;
		}
	}
	return true;
}

static void run(int rounds, int ms)
{
	for (int i = 0; i < rounds; i++)
		loop_run_once(loop, ms);
}

static uint16_t listen_here(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int small = 4096;

	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	ck_assert_int_eq(bind(listener, (struct sockaddr *)&a, sizeof(a)), 0);
	ck_assert_int_eq(listen(listener, 8), 0);
	ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&a, &len), 0);
	return ntohs(a.sin_port);
}

static void open_net(void)
{
	struct err e = ERR_NONE;

	signal(SIGPIPE, SIG_IGN); /* as the programs do */
	nconns = resets = 0;
	memset(conn, 0, sizeof(conn));
	ck_assert_int_eq(loop_new(&loop, &e), 0);
	ck_assert_int_eq(netdev_user_new(loop, NULL, "test", NULL, 0, &nd, &e),
		0);
	netdev_set_sink(nd, &(struct net_sink){ take, NULL });
	send_arp();
}

static void close_net(void)
{
	netdev_free(nd);
	loop_free(loop);
	close(listener);
}

/* A connection of the guest to our listener. */
static struct conn *connect_guest(uint16_t port)
{
	struct conn *c = &conn[nconns++];

	c->sport = (uint16_t)(40000 + nconns);
	c->dport = port;
	c->seq = 1000;
	send_tcp(c, SYN, 0);
	c->fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	ck_assert_int_ge(c->fd, 0);
	for (int i = 0; i < ROUNDS && !c->open; i++)
		loop_run_once(loop, 50);
	ck_assert(c->open);
	c->seq++;
	send_tcp(c, ACK, 0);
	run(4, 0);
	return c;
}

/* Send the guest as much as the kernel takes. */
static void pour(const struct conn *c)
{
	static const char data[65536];

	while (send(c->fd, data, sizeof(data), MSG_NOSIGNAL) > 0)
		;
}

/* The guest acknowledges what there is, until no more comes. */
static void take_all(struct conn *c)
{
	uint32_t before;

	do {
		before = c->ack;
		send_tcp(c, ACK, 0);
	} while (c->ack != before);
}

START_TEST (data_for_a_guest_that_takes_none_waits) {
	uint16_t port = listen_here();

	open_net();
	while (nconns < ARRAY_LEN(conn))
		connect_guest(port);
	/* all are ready at once, and have more than fits */
	for (int i = 0; i < 5; i++) {
		for (unsigned k = 0; k < nconns; k++)
			pour(&conn[k]);
		run(3, 20);
	}
	for (unsigned k = 0; k < nconns; k++)
		close(conn[k].fd);
	close_net();
}
END_TEST

START_TEST (an_error_is_no_reason_to_read_what_does_not_fit) {
	struct linger now = { .l_onoff = 1, .l_linger = 0 };
	static const char few[360]; /* of 131400, in segments of 1440 */
	uint16_t port = listen_here();
	struct conn *c;
	int idle = 0;

	open_net();
	c = connect_guest(port);
	/* while the guest takes all, the kernel learns to hold much for it */
	for (int i = 0; i < 100; i++) {
		pour(c);
		run(1, 2);
		take_all(c);
	}
	for (int i = 0; i < 100; i++) {
		run(1, 2);
		take_all(c);
	}
	c->deaf = true;
	/* libslirp reads whole segments: leave room for so many */
	ck_assert_int_eq(send(c->fd, few, sizeof(few), MSG_NOSIGNAL), 360);
	run(5, 10);
	pour(c);
	run(5, 20); /* fills the empty buffer to its last byte */
	/* and the guest sends what nobody reads, until none is taken */
	while (idle < 20) {
		uint32_t acked = c->acked;

		send_tcp(c, ACK, MSS);
		c->seq += MSS;
		run(2, 0);
		idle = c->acked == acked ? idle + 1 : 0;
		if (idle)
			c->seq = c->acked; /* once more */
	}
	setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(c->fd); /* a reset */
	for (int i = 0; i < ROUNDS && !c->reset; i++) {
		loop_run_once(loop, 20);
		send_tcp(c, ACK, 0);
	}
	close_net();
}
END_TEST

START_TEST (a_refused_connection_is_reset) {
	struct conn c = { .sport = 41000, .seq = 1 };

	c.dport = listen_here();
	close(listener);
	open_net();
	send_tcp(&c, SYN, 0);
	for (int i = 0; i < ROUNDS && !resets; i++)
		loop_run_once(loop, 50);
	ck_assert_uint_ge(resets, 1);
	close_net();
}
END_TEST

START_TEST (a_stream_with_gaps_is_held_so_far_and_no_further) {
	uint16_t port = listen_here();
	struct conn *c, gap;
	unsigned passed = 0;
	char got[8];

	open_net();
	c = connect_guest(port);
	gap = *c;
	gap.seq++;
	/* each would be kept, though there is nothing in it */
	for (unsigned i = 0; i < 10000; i++)
		passed += send_tcp(&gap, FIN | ACK, 0) == 0;
	ck_assert_uint_eq(passed, 128);
	/* what was missing comes */
	ck_assert_int_eq(send_tcp(c, ACK, 1), 0);
	for (int i = 0; i < ROUNDS && c->acked != c->seq + 2; i++)
		loop_run_once(loop, 20);
	ck_assert_uint_eq(c->acked, c->seq + 2);
	ck_assert_int_eq(recv(c->fd, got, sizeof(got), 0), 1);
	close(c->fd);
	close_net();
}
END_TEST

START_TEST (a_guest_opens_so_many_sockets_and_no_more) {
	struct conn c = { .seq = 1 };
	unsigned refused = 0;

	suite_limit_fds(-1);
	c.dport = listen_here();
	open_net();
	for (unsigned i = 0; i < 1500; i++) {
		c.sport = (uint16_t)(10000 + i);
		refused += send_tcp(&c, SYN, 0) < 0;
	}
	ck_assert_uint_eq(refused, 500);
	run(4, 0);
	close_net();
}
END_TEST

SUITE("net/user tcp", data_for_a_guest_that_takes_none_waits,
	an_error_is_no_reason_to_read_what_does_not_fit,
	a_refused_connection_is_reset,
	a_stream_with_gaps_is_held_so_far_and_no_further,
	a_guest_opens_so_many_sockets_and_no_more)
