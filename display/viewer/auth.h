/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * VNC authentication (RFC 6143 7.2.2) and who must wait after failures.
 * Thread: the front's.
 */
#ifndef DISPLAY_VIEWER_AUTH_H
#define DISPLAY_VIEWER_AUTH_H

#include <stdbool.h>
#include <stdint.h>

#include "display/proto.h"

#define AUTH_CHALLENGE 16
#define AUTH_FREE      3 /* failures before the first wait */
#define AUTH_ADDRESSES 64

enum auth_result { AUTH_FAILED, AUTH_VIEW_ONLY, AUTH_FULL };

/*
 * Does the cipher work? Under a policy that forbids DES it may fail without
 * saying so, and every response would do. Also loads what it needs, before
 * the jail closes.
 */
bool auth_works(void);

/* 0 or -errno. */
int auth_challenge(uint8_t challenge[AUTH_CHALLENGE]);

/* Same time for every outcome. */
enum auth_result auth_check(const struct viewer_config *c,
	const uint8_t challenge[AUTH_CHALLENGE],
	const uint8_t response[AUTH_CHALLENGE]);

/* Failures by address (IPv6: /64); the least recent entry makes room for a new
 * one. */
struct auth_table {
	struct auth_entry {
		char peer[VIEWER_PEER_MAX];
		unsigned failures; /* 0 = free */
		uint64_t until_ns; /* must wait so long */
	} entry[AUTH_ADDRESSES];
};

void auth_failed(struct auth_table *t, const char *peer, uint64_t now_ns);
void auth_passed(struct auth_table *t, const char *peer);
/* Seconds that peer has to wait, 0 = none. */
unsigned auth_wait_s(const struct auth_table *t, const char *peer,
	uint64_t now_ns);
/* Entries not forgotten yet; those a minute past their wait are. */
unsigned auth_remembered(struct auth_table *t, uint64_t now_ns);

#endif
