/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Values with a grammar of their own: hardware addresses, port forwards, the
 * VNC address. IPv6 addresses stand in brackets before a port. No state.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "vm/conf/conf_impl.h"

static int conf_hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int conf_mac_set(struct conf_net *n, const char *text, struct err *e)
{
	uint8_t mac[6] = { 0 };
	bool ok = strlen(text) == 17, any = false;

	for (int i = 0; ok && i < 6; i++) {
		int hi = conf_hex(text[3 * i]), lo = conf_hex(text[3 * i + 1]);

		ok = hi >= 0 && lo >= 0 && text[3 * i + 2] == (i < 5 ? ':' : 0);
		if (ok)
			mac[i] = (uint8_t)(hi << 4 | lo);
		any = any || mac[i];
	}
	if (!ok)
		return err_set(e, EINVAL,
			"mac = %.80s is no hardware address: use six hex "
			"pairs, as 52:54:00:12:34:56",
			text);
	if (mac[0] & 1 || !any)
		return err_set(e, EINVAL,
			"mac = %s is no address of one card: use an even "
			"first pair, as 52:54:00:12:34:56",
			text);
	memcpy(n->mac, mac, sizeof(mac));
	n->mac_set = true;
	return 0;
}

void conf_mac_text(const struct conf_net *n, char *buf)
{
	const uint8_t *m = n->mac;

	*buf = 0;
	if (n->mac_set)
		snprintf(buf, CONF_VALUE_MAX, "%02x:%02x:%02x:%02x:%02x:%02x",
			m[0], m[1], m[2], m[3], m[4], m[5]);
}

/*
 * Read "ADDRESS:" from *p into addr; false when it is no numeric address.
 * *p then stands behind the colon.
 */
static bool conf_address(const char **p, char addr[64])
{
	const char *from = *p, *to;
	bool v6 = *from == '[';
	unsigned char raw[16];

	to = strchr(v6 ? ++from : from, v6 ? ']' : ':');
	if (!to || to - from >= 64)
		return false;
	memcpy(addr, from, (size_t)(to - from));
	addr[to - from] = 0;
	if (inet_pton(v6 ? AF_INET6 : AF_INET, addr, raw) != 1)
		return false;
	if (v6 && *++to != ':')
		return false;
	*p = to + 1;
	return true;
}

/* "ADDRESS:" as conf_address() reads it; returns its length. */
static int conf_address_text(const char *addr, char *buf, size_t len)
{
	bool v6 = strchr(addr, ':');

	return snprintf(buf, len, "%s%s%s:", v6 ? "[" : "", addr,
		v6 ? "]" : "");
}

/* Digits from *p, min..max; false when that is not what stands there. */
static bool conf_number(const char **p, unsigned min, unsigned max,
	unsigned *out)
{
	size_t n = strspn(*p, "0123456789");
	unsigned v = 0;

	if (!n || n > 5)
		return false;
	for (size_t i = 0; i < n; i++)
		v = v * 10 + (unsigned)((*p)[i] - '0');
	*p += n;
	*out = v;
	return v >= min && v <= max;
}

/* "tcp:127.0.0.1:2222-22" */
static bool conf_forward_parse(const char *p, struct conf_forward *f)
{
	unsigned host, guest;

	memset(f, 0, sizeof(*f));
	if (strncmp(p, "tcp:", 4) && strncmp(p, "udp:", 4))
		return false;
	f->udp = *p == 'u';
	p += 4;
	if (!conf_address(&p, f->host_addr) ||
		!conf_number(&p, 1, 65535, &host) || *p++ != '-' ||
		!conf_number(&p, 1, 65535, &guest) || *p)
		return false;
	f->host_port = (uint16_t)host;
	f->guest_port = (uint16_t)guest;
	return true;
}

static int conf_forward_add(struct conf_net *n, const char *text, struct err *e)
{
	struct conf_forward f;

	if (!conf_forward_parse(text, &f))
		return err_set(e, EINVAL,
			"forward = %.80s is no forward: use "
			"PROTO:ADDRESS:PORT-GUESTPORT, as "
			"tcp:127.0.0.1:2222-22",
			text);
	for (unsigned i = 0; i < n->nforwards; i++) {
		const struct conf_forward *o = &n->forwards[i];

		if (o->udp == f.udp && o->host_port == f.host_port &&
			!strcmp(o->host_addr, f.host_addr))
			return err_set(e, EINVAL,
				"forward = %s uses a host port a second time: "
				"use another port",
				text);
	}
	if (n->nforwards == CONF_MAX_FORWARDS)
		return err_set(e, EINVAL,
			"forward = %s is one too many: at most %d", text,
			CONF_MAX_FORWARDS);
	n->forwards[n->nforwards++] = f;
	return 0;
}

int conf_forward_set(struct conf_net *n, const char *text, struct err *e)
{
	char one[128];

	for (;;) {
		size_t len = strcspn(text, ","), end = len;
		int r;

		while (end && strchr(" \t", text[end - 1]))
			end--;
		snprintf(one, sizeof(one), "%.*s", (int)(end > 127 ? 127 : end),
			text);
		r = conf_forward_add(n, one, e);
		if (r || !text[len])
			return r;
		text += len + 1;
		text += strspn(text, " \t");
	}
}

void conf_forward_text(const struct conf_net *n, char *buf)
{
	size_t at = 0;

	*buf = 0;
	for (unsigned i = 0; i < n->nforwards; i++) {
		const struct conf_forward *f = &n->forwards[i];
		char addr[72];

		conf_address_text(f->host_addr, addr, sizeof(addr));
		at += (size_t)snprintf(buf + at, CONF_VALUE_MAX - at,
			"%s%s:%s%u-%u", i ? ", " : "", f->udp ? "udp" : "tcp",
			addr, f->host_port, f->guest_port);
	}
}

int conf_vnc_set(struct conf_display *d, const char *text, struct err *e)
{
	const char *p = text;
	char addr[64] = "";
	unsigned display = 0;

	if (!strcmp(text, "unix"))
		d->vnc = CONF_VNC_UNIX;
	else if (!strcmp(text, "off"))
		d->vnc = CONF_VNC_OFF;
	else if (!conf_address(&p, addr) ||
		 !conf_number(&p, 0, 65535 - 5900, &display) || *p)
		return err_set(e, EINVAL,
			"vnc = %.80s is no address: use ADDRESS:DISPLAY "
			"(numbers, display 0..59635), unix or off",
			text);
	else
		d->vnc = CONF_VNC_TCP;
	memcpy(d->vnc_addr, addr, sizeof(addr));
	d->vnc_display = display;
	return 0;
}

void conf_vnc_text(const struct conf_display *d, char *buf)
{
	char addr[72];

	if (d->vnc == CONF_VNC_TCP) {
		conf_address_text(d->vnc_addr, addr, sizeof(addr));
		snprintf(buf, CONF_VALUE_MAX, "%s%u", addr, d->vnc_display);
	} else {
		strcpy(buf, d->vnc == CONF_VNC_OFF ? "off" : "unix");
	}
}
