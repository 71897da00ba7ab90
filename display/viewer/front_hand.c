/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The RFB handshake (RFC 6143 7.1, 7.2; versions 3.3, 3.7 and 3.8) up to
 * ClientInit. A client that is told why it is refused gets two seconds to
 * read it.
 */
#include <stdio.h>
#include <string.h>

#include "vm/base/bytes.h"
#include "vm/base/clock.h"
#include "vm/base/log.h"

#include "display/viewer/front_impl.h"

#define VERSION_LEN 12
#define SEC_NONE    1
#define SEC_VNC     2

void front_hand_begin(struct front_client *c)
{
	front_put(c, "RFB 003.008\n", VERSION_LEN);
}

static bool hand_needs_password(const struct front_client *c)
{
	return c->f->config.has_password || c->f->config.has_viewonly;
}

static void hand_put_u32(struct front_client *c, uint32_t v)
{
	uint8_t b[4];

	put_be32(b, v);
	front_put(c, b, sizeof(b));
}

static void hand_put_reason(struct front_client *c, const char *why)
{
	size_t len = strlen(why);

	hand_put_u32(c, (uint32_t)len);
	front_put(c, why, len);
	front_close_after(c);
}

/* No security type is offered; the reason follows. */
static void hand_refuse(struct front_client *c, const char *why)
{
	if (c->minor < 7)
		hand_put_u32(c, 0);
	else
		front_put(c, "", 1);
	hand_put_reason(c, why);
}

/* "RFB 003.nnn\n"; what is between the known versions is the lower one. */
static bool hand_version(struct front_client *c)
{
	unsigned minor = 0;

	if (memcmp(c->hand, "RFB 003.", 8) || c->hand[11] != '\n')
		return false;
	for (int i = 8; i < 11; i++) {
		if (c->hand[i] < '0' || c->hand[i] > '9')
			return false;
		minor = minor * 10 + (c->hand[i] - '0');
	}
	c->minor = minor >= 8 ? 8 : minor == 7 ? 7 : 3;
	return true;
}

static void hand_challenge(struct front_client *c)
{
	if (auth_challenge(c->challenge)) {
		front_drop(c, "no random numbers");
		return;
	}
	front_put(c, c->challenge, sizeof(c->challenge));
	c->state = FRONT_RESPONSE;
}

/* Version 3.3: we choose; since 3.7 the client does, of our one. */
static void hand_offer(struct front_client *c)
{
	uint8_t type = hand_needs_password(c) ? SEC_VNC : SEC_NONE;
	uint8_t list[2] = { 1, type };

	if (c->minor >= 7) {
		front_put(c, list, sizeof(list));
		c->state = FRONT_SECURITY;
		return;
	}
	hand_put_u32(c, type);
	if (type == SEC_VNC)
		hand_challenge(c);
	else
		c->state = FRONT_INIT;
}

static void hand_take_version(struct front_client *c)
{
	unsigned wait_s;
	char why[80];

	if (!hand_version(c)) {
		front_drop(c, "it does not speak RFB");
		return;
	}
	wait_s = auth_wait_s(&c->f->auth, c->peer, clock_now_ns());
	if (wait_s) {
		snprintf(why, sizeof(why),
			"Too many wrong passwords: wait %u s", wait_s);
		hand_refuse(c, why);
	} else if (front_running(c->f) >= FRONT_CLIENTS) {
		hand_refuse(c, "Too many viewers");
	} else if (hand_needs_password(c) && !auth_works()) {
		front_log(c->f, LOG_WARN,
			"this host's policy forbids DES, which VNC passwords "
			"need: nobody can log in");
		hand_refuse(c, "Passwords do not work here");
	} else {
		hand_offer(c);
	}
}

static void hand_take_security(struct front_client *c)
{
	if (c->hand[0] != (hand_needs_password(c) ? SEC_VNC : SEC_NONE)) {
		front_drop(c, "it wants a security type that is not offered");
		return;
	}
	if (c->hand[0] == SEC_VNC) {
		hand_challenge(c);
		return;
	}
	if (c->minor >= 8)
		hand_put_u32(c, 0);
	c->state = FRONT_INIT;
}

static void hand_take_response(struct front_client *c)
{
	struct front *f = c->f;
	enum auth_result r = auth_check(&f->config, c->challenge, c->hand);

	explicit_bzero(c->challenge, sizeof(c->challenge));
	if (r != AUTH_FAILED) {
		auth_passed(&f->auth, c->peer);
		c->view_only = r == AUTH_VIEW_ONLY;
		hand_put_u32(c, 0);
		c->state = FRONT_INIT;
		return;
	}
	auth_failed(&f->auth, c->peer, clock_now_ns());
	front_log(f, LOG_WARN, "wrong password from %s", c->peer);
	hand_put_u32(c, 1);
	if (c->minor >= 8)
		hand_put_reason(c, "Wrong password");
	else
		front_close_after(c);
}

/* ClientInit: all share; throwing others out is not a viewer's to decide. */
static void hand_take_init(struct front_client *c)
{
	if (front_running(c->f) >= FRONT_CLIENTS) {
		front_drop(c, "too many viewers");
		return;
	}
	front_run_begin(c);
}

static size_t hand_want(const struct front_client *c)
{
	switch (c->state) {
	case FRONT_VERSION:
		return VERSION_LEN;
	case FRONT_RESPONSE:
		return AUTH_CHALLENGE;
	default:
		return 1;
	}
}

size_t front_hand_feed(struct front_client *c, const uint8_t *p, size_t len)
{
	size_t want = hand_want(c), n = want - c->hand_len;

	if (n > len)
		n = len;
	memcpy(c->hand + c->hand_len, p, n);
	c->hand_len += n;
	if (c->hand_len < want)
		return n;
	c->hand_len = 0;
	if (c->state == FRONT_VERSION)
		hand_take_version(c);
	else if (c->state == FRONT_SECURITY)
		hand_take_security(c);
	else if (c->state == FRONT_RESPONSE)
		hand_take_response(c);
	else
		hand_take_init(c);
	return n;
}
