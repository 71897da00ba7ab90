// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * The user-mode network as a guest meets it: ARP and DHCP answered, a TCP
 * connection through a forward, frames kept while the guest has no buffer.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vm/base/bytes.h"

#include "vm/net/net.h"

#include "tests/unit/suite.h"

#define ROUNDS 400 /* of at most 50 ms: only a hang reaches it */

static struct loop *loop;
static struct netdev *nd;

struct guest {
	bool full; /* has no buffer */
	unsigned frames;
	uint8_t last[2048];
	size_t len;
};

static struct guest guest;

static bool take(void *arg, const struct iovec *iov, int niov, size_t len)
{
	struct guest *g = arg;
	size_t at = 0;

	if (g->full)
		return false;
	ck_assert_uint_le(len, sizeof(g->last));
	for (int i = 0; i < niov; i++) {
		memcpy(g->last + at, iov[i].iov_base, iov[i].iov_len);
		at += iov[i].iov_len;
	}
	ck_assert_uint_eq(at, len);
	g->len = len;
	g->frames++;
	return true;
}

static void open_net(const struct net_forward *f, unsigned n)
{
	struct err e = ERR_NONE;

	memset(&guest, 0, sizeof(guest));
	ck_assert_int_eq(loop_new(&loop, &e), 0);
	ck_assert_msg(netdev_user_new(loop, NULL, "test", f, n, &nd, &e) == 0,
		"%s", e.msg);
	netdev_set_sink(nd, &(struct net_sink){ take, &guest });
}

static void close_net(void)
{
	netdev_free(nd);
	loop_free(loop);
}

static int try_frame(const void *buf, size_t len)
{
	struct iovec iov = { (void *)(uintptr_t)buf, len };

	return netdev_send(nd, &iov, 1, len);
}

static void send_frame(const void *buf, size_t len)
{
	ck_assert_int_eq(try_frame(buf, len), 0);
}

/* Who has 10.0.2.2, tell 10.0.2.15 */
static void send_arp(void)
{
	uint8_t f[42] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x52, 0x54, 0, 1,
		2, 3, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1, 0x52, 0x54, 0, 1, 2, 3, 10,
		0, 2, 15, 0, 0, 0, 0, 0, 0, 10, 0, 2, 2 };

	send_frame(f, sizeof(f));
}

static uint16_t ip_sum(const uint8_t *p, size_t n)
{
	uint32_t s = 0;

	for (size_t i = 0; i < n; i += 2)
		s += get_be16(p + i);
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return (uint16_t)~s;
}

static void send_dhcp_discover(void)
{
	uint8_t f[14 + 20 + 8 + 240 + 8] = { 0 };
	uint8_t *ip = f + 14, *udp = ip + 20, *d = udp + 8;

	memset(f, 0xff, 6);
	memcpy(f + 6, "\x52\x54\0\1\2\3", 6);
	put_be16(f + 12, 0x0800);
	ip[0] = 0x45;
	put_be16(ip + 2, sizeof(f) - 14);
	ip[8] = 64;
	ip[9] = IPPROTO_UDP;
	put_be32(ip + 16, 0xffffffff);
	put_be16(ip + 10, ip_sum(ip, 20));
	put_be16(udp, 68);
	put_be16(udp + 2, 67);
	put_be16(udp + 4, sizeof(f) - 34);
	d[0] = 1; /* BOOTREQUEST */
	d[1] = 1;
	d[2] = 6;
	put_be32(d + 4, 0x12345678);
	memcpy(d + 28, "\x52\x54\0\1\2\3", 6);
	put_be32(d + 236, 0x63825363);
	memcpy(d + 240, "\x35\x01\x01\xff", 4); /* discover */
	send_frame(f, sizeof(f));
}

START_TEST (the_gateway_answers_arp) {
	open_net(NULL, 0);
	send_arp();
	for (int i = 0; i < ROUNDS && !guest.frames; i++)
		loop_run_once(loop, 50);
	ck_assert_uint_eq(guest.frames, 1);
	ck_assert_uint_eq(get_be16(guest.last + 12), 0x0806);
	ck_assert_uint_eq(get_be16(guest.last + 20), 2);
	ck_assert_mem_eq(guest.last + 28, "\x0a\0\2\2", 4);
	close_net();
}
END_TEST

START_TEST (dhcp_offers_the_address_that_users_know) {
	open_net(NULL, 0);
	send_dhcp_discover();
	for (int i = 0; i < ROUNDS && !guest.frames; i++)
		loop_run_once(loop, 50);
	ck_assert_uint_ge(guest.frames, 1);
	ck_assert_mem_eq(guest.last + 14 + 20 + 8 + 16, "\x0a\0\2\x0f", 4);
	ck_assert_uint_eq(atomic_load(&netdev_counters(nd)->rx_frames),
		guest.frames);
	close_net();
}
END_TEST

START_TEST (a_frame_waits_for_a_guest_without_buffers) {
	open_net(NULL, 0);
	guest.full = true;
	send_arp();
	for (int i = 0; i < 5; i++)
		loop_run_once(loop, 0);
	ck_assert_uint_eq(guest.frames, 0);
	guest.full = false;
	netdev_resume(nd);
	ck_assert_uint_eq(guest.frames, 1);
	close_net();
}
END_TEST

static uint16_t free_port(int *fd)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);

	*fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(*fd, (struct sockaddr *)&a, sizeof(a)), 0);
	ck_assert_int_eq(listen(*fd, 1), 0);
	ck_assert_int_eq(getsockname(*fd, (struct sockaddr *)&a, &len), 0);
	return ntohs(a.sin_port);
}

START_TEST (a_busy_forward_names_the_port) {
	struct net_forward f = { .host_addr = "127.0.0.1", .guest_port = 22 };
	struct err e = ERR_NONE;
	char port[16];
	int fd, r;

	f.host_port = free_port(&fd);
	ck_assert_int_eq(loop_new(&loop, &e), 0);
	r = netdev_user_new(loop, NULL, "test", &f, 1, &nd, &e);
	ck_assert_int_eq(r, -EADDRINUSE);
	snprintf(port, sizeof(port), "%u", f.host_port);
	ck_assert_ptr_nonnull(strstr(e.msg, port));
	ck_assert_ptr_nonnull(strstr(e.msg, "choose another port"));
	close(fd);
	loop_free(loop);
}
END_TEST

START_TEST (a_forward_sends_the_guest_a_syn) {
	struct net_forward f = { .host_addr = "127.0.0.1", .guest_port = 22 };
	struct sockaddr_in a = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	bool syn = false;
	int fd;

	f.host_port = free_port(&fd);
	close(fd);
	open_net(&f, 1);
	send_arp(); /* slirp learns our MAC */
	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	a.sin_port = htons(f.host_port);
	connect(fd, (struct sockaddr *)&a, sizeof(a));
	for (int i = 0; i < ROUNDS && !syn; i++) {
		loop_run_once(loop, 50);
		syn = guest.len > 47 && guest.last[23] == IPPROTO_TCP &&
		      get_be16(guest.last + 36) == 22 && (guest.last[47] & 2);
		if (guest.len > 41 && get_be16(guest.last + 12) == 0x0806 &&
			get_be16(guest.last + 20) == 1)
			send_arp();
	}
	ck_assert(syn);
	close(fd);
	close_net();
}
END_TEST

START_TEST (rubbish_frames_do_no_harm) {
	uint8_t buf[1600];
	unsigned seed = 7;

	open_net(NULL, 0);
	for (int i = 0; i < 3000; i++) {
		size_t len = 1 + (size_t)rand_r(&seed) % sizeof(buf);

		for (size_t k = 0; k < len; k++)
			buf[k] = (uint8_t)rand_r(&seed);
		if (len > 24 && i % 2) {
			put_be16(buf + 12, i % 4 == 1 ? 0x0800 : 0x0806);
			buf[14] = 0x45;
		}
		try_frame(buf, len);
		loop_run_once(loop, 0);
	}
	close_net();
}
END_TEST

START_TEST (a_frame_too_long_is_refused_and_counted) {
	static uint8_t big[NET_FRAME_MAX + 1];
	struct iovec iov = { big, sizeof(big) };

	open_net(NULL, 0);
	ck_assert_int_eq(netdev_send(nd, &iov, 1, sizeof(big)), -EMSGSIZE);
	ck_assert_uint_eq(atomic_load(&netdev_counters(nd)->tx_dropped), 1);
	ck_assert_int_eq(netdev_set_offload(nd, true, 0), -ENOTSUP);
	close_net();
}
END_TEST

SUITE("net/user", the_gateway_answers_arp,
	dhcp_offers_the_address_that_users_know,
	a_frame_waits_for_a_guest_without_buffers,
	a_busy_forward_names_the_port, a_forward_sends_the_guest_a_syn,
	rubbish_frames_do_no_harm, a_frame_too_long_is_refused_and_counted)
