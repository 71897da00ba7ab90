// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * A tap of the host: frames pass, wait while the guest has no buffer, and an
 * interface that is deleted under us costs neither frames nor time. Needs
 * the right to make interfaces.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vm/base/clock.h"

#include "vm/net/net.h"

#include "tests/unit/suite.h"

#define ROUNDS 400 /* of at most 50 ms: only a hang reaches it */

static struct loop *loop;
static struct netdev *nd;
static bool full;
static unsigned frames;
static uint8_t last[2048];

static bool take(void *arg, const struct iovec *iov, int niov, size_t len)
{
	(void)arg;
	ck_assert_int_eq(niov, 1);
	/* the host sends frames of its own: ours is marked */
	if (len <= NET_VNET_HDR + 14u || len > sizeof(last) ||
		memcmp((char *)iov[0].iov_base + NET_VNET_HDR + 12, "\x88\xb5",
			2))
		return true;
	if (full)
		return false;
	memcpy(last, iov[0].iov_base, len);
	frames++;
	return true;
}

/* Returns false where there is no right to make one. */
static bool open_tap(void)
{
	struct ifreq r = { .ifr_flags = IFF_UP };
	struct err e = ERR_NONE;
	int s = socket(AF_INET, SOCK_DGRAM, 0);

	full = false;
	frames = 0;
	ck_assert_int_eq(loop_new(&loop, &e), 0);
	if (netdev_tap_new(loop, NULL, "", &nd, &e)) {
		printf("skip tap %s\n", e.msg);
		loop_free(loop);
		close(s);
		return false;
	}
	netdev_set_sink(nd, &(struct net_sink){ take, NULL });
	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", netdev_name(nd));
	ck_assert_int_eq(ioctl(s, SIOCSIFFLAGS, &r), 0);
	close(s);
	return true;
}

static void close_tap(void)
{
	netdev_free(nd);
	loop_free(loop);
}

/* The host sends a frame that holds c. */
static void host_sends(char c)
{
	uint8_t f[60] = { 0x52, 0x54, 0, 1, 2, 3, 0x52, 0x54, 0, 9, 9, 9, 0x88,
		0xb5, (uint8_t)c };
	struct sockaddr_ll to = { .sll_family = AF_PACKET,
		.sll_ifindex = (int)if_nametoindex(netdev_name(nd)),
		.sll_halen = 6 };
	int s = socket(AF_PACKET, SOCK_RAW, 0);

	ck_assert_int_ge(s, 0);
	ck_assert_int_eq(sendto(s, f, sizeof(f), 0, (struct sockaddr *)&to,
				 sizeof(to)),
		sizeof(f));
	close(s);
}

static void delete_tap(void)
{
	char line[64];

	snprintf(line, sizeof(line), "ip link del %s", netdev_name(nd));
	ck_assert_int_eq(system(line), 0);
}

static void run(unsigned want)
{
	for (int i = 0; i < ROUNDS && frames < want; i++)
		loop_run_once(loop, 50);
	ck_assert_uint_eq(frames, want);
}

/* Rounds of the loop that come back at once, of many. */
static unsigned busy_rounds(void)
{
	unsigned busy = 0;

	for (int i = 0; i < 20; i++) {
		uint64_t from = clock_now_ns();

		loop_run_once(loop, 20);
		busy += clock_now_ns() - from < 10 * NS_PER_MS;
	}
	return busy;
}

START_TEST (frames_wait_for_buffers) {
	if (!open_tap())
		return;
	host_sends('a');
	run(1);
	full = true;
	host_sends('b');
	host_sends('c');
	for (int i = 0; i < 20; i++)
		loop_run_once(loop, 5);
	full = false;
	netdev_resume(nd);
	run(3);
	ck_assert_int_eq(last[NET_VNET_HDR + 14], 'c');
	close_tap();
}
END_TEST

START_TEST (a_deleted_tap_is_let_go) {
	uint8_t f[NET_VNET_HDR + 60] = { 0 };
	struct iovec iov = { f, sizeof(f) };

	if (!open_tap())
		return;
	delete_tap();
	ck_assert_uint_lt(busy_rounds(), 15);
	ck_assert_int_lt(netdev_send(nd, &iov, 1, sizeof(f)), 0);
	netdev_resume(nd);
	ck_assert_uint_lt(busy_rounds(), 15);
	close_tap();
}
END_TEST

START_TEST (a_frame_that_waits_outlives_the_tap) {
	if (!open_tap())
		return;
	full = true;
	host_sends('w');
	for (int i = 0; i < 20; i++)
		loop_run_once(loop, 5);
	delete_tap();
	ck_assert_uint_lt(busy_rounds(), 15);
	full = false;
	netdev_resume(nd);
	run(1);
	ck_assert_int_eq(last[NET_VNET_HDR + 14], 'w');
	close_tap();
}
END_TEST

SUITE("net/tap", frames_wait_for_buffers, a_deleted_tap_is_let_go,
	a_frame_that_waits_outlives_the_tap)
