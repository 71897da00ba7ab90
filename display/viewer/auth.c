/* SPDX-License-Identifier: GPL-3.0-or-later */
/* VncAuth: see auth.h. The cipher is libvncserver's (DES by libgcrypt). */
#include "display/viewer/auth.h"

#include <arpa/inet.h>
#include <errno.h>
#include <rfb/rfb.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "vm/base/clock.h"

#define AUTH_FORGET_NS (60 * NS_PER_S)
#define AUTH_MAX_S     60

bool auth_works(void)
{
	/* openssl's DES-ECB of zeroes, key "password" with mirrored bytes */
	static const uint8_t want[8] = { 0xff, 0x97, 0x50, 0x2e, 0x94, 0x22,
		0xf0, 0x89 };
	uint8_t block[AUTH_CHALLENGE] = { 0 };
	char key[] = "password";

	rfbEncryptBytes(block, key);
	return !memcmp(block, want, 8) && !memcmp(block + 8, want, 8);
}

int auth_challenge(uint8_t challenge[AUTH_CHALLENGE])
{
	ssize_t n = getrandom(challenge, AUTH_CHALLENGE, 0);

	return n == AUTH_CHALLENGE ? 0 : n < 0 ? -errno : -EIO;
}

/* 1 when response is challenge under password; no early way out. */
static unsigned auth_match(const char *password,
	const uint8_t challenge[AUTH_CHALLENGE],
	const uint8_t response[AUTH_CHALLENGE])
{
	uint8_t want[AUTH_CHALLENGE];
	char key[VIEWER_PASS_MAX + 1];
	unsigned differs = 0;

	memcpy(want, challenge, sizeof(want));
	memcpy(key, password, sizeof(key));
	rfbEncryptBytes(want, key);
	explicit_bzero(key, sizeof(key));
	for (unsigned i = 0; i < AUTH_CHALLENGE; i++)
		differs |= want[i] ^ response[i];
	return !differs;
}

enum auth_result auth_check(const struct viewer_config *c,
	const uint8_t challenge[AUTH_CHALLENGE],
	const uint8_t response[AUTH_CHALLENGE])
{
	unsigned full = auth_match(c->password, challenge, response);
	unsigned view = auth_match(c->viewonly, challenge, response);

	full &= c->has_password;
	view &= c->has_viewonly;
	return full ? AUTH_FULL : view ? AUTH_VIEW_ONLY : AUTH_FAILED;
}

/*
 * Whose failures count together: an address, in IPv6 the network of it, of
 * which whoever has one address has 2^64.
 */
static void auth_key(const char *peer, char key[VIEWER_PEER_MAX])
{
	struct in6_addr a;

	snprintf(key, VIEWER_PEER_MAX, "%s", peer);
	if (inet_pton(AF_INET6, peer, &a) != 1 || IN6_IS_ADDR_V4MAPPED(&a))
		return;
	memset(a.s6_addr + 8, 0, 8);
	inet_ntop(AF_INET6, &a, key, VIEWER_PEER_MAX);
}

static struct auth_entry *auth_find(const struct auth_table *t,
	const char *peer)
{
	char key[VIEWER_PEER_MAX];

	auth_key(peer, key);
	for (unsigned i = 0; i < AUTH_ADDRESSES; i++) {
		const struct auth_entry *e = &t->entry[i];

		if (e->failures && !strcmp(e->peer, key))
			return (struct auth_entry *)e;
	}
	return NULL;
}

static struct auth_entry *auth_new(struct auth_table *t, const char *peer)
{
	struct auth_entry *best = &t->entry[0];

	for (unsigned i = 0; i < AUTH_ADDRESSES; i++) {
		struct auth_entry *e = &t->entry[i];

		if (!e->failures) {
			best = e;
			break;
		}
		if (e->until_ns < best->until_ns)
			best = e;
	}
	memset(best, 0, sizeof(*best));
	auth_key(peer, best->peer);
	return best;
}

void auth_failed(struct auth_table *t, const char *peer, uint64_t now_ns)
{
	struct auth_entry *e = auth_find(t, peer);
	unsigned wait_s = 0;

	if (!e)
		e = auth_new(t, peer);
	if (e->failures < 100)
		e->failures++;
	if (e->failures >= AUTH_FREE)
		wait_s = e->failures - AUTH_FREE < 5
				 ? 2u << (e->failures - AUTH_FREE)
				 : AUTH_MAX_S;
	e->until_ns = now_ns + wait_s * NS_PER_S;
}

void auth_passed(struct auth_table *t, const char *peer)
{
	struct auth_entry *e = auth_find(t, peer);

	if (e)
		e->failures = 0;
}

unsigned auth_wait_s(const struct auth_table *t, const char *peer,
	uint64_t now_ns)
{
	const struct auth_entry *e = auth_find(t, peer);

	if (!e || e->until_ns <= now_ns)
		return 0;
	return (unsigned)((e->until_ns - now_ns + NS_PER_S - 1) / NS_PER_S);
}

unsigned auth_remembered(struct auth_table *t, uint64_t now_ns)
{
	unsigned n = 0;

	for (unsigned i = 0; i < AUTH_ADDRESSES; i++) {
		struct auth_entry *e = &t->entry[i];

		if (e->failures && e->until_ns + AUTH_FORGET_NS <= now_ns)
			e->failures = 0;
		n += e->failures != 0;
	}
	return n;
}
