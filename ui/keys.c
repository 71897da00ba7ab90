/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Key decoder. Control sequences after ECMA-48 5.4 and xterm's ctlseqs
 * (PC-style function keys); a sequence too long to be one is thrown away.
 */
#include "ui/keys.h"

#include <curses.h>
#include <stdio.h>
#include <string.h>
#include <term.h>

#include "vm/base/sizes.h"

#include "ui/text.h"

static const struct {
	const char *cap;
	int code;
} keys_caps[] = {
	{ "kcuu1", K_UP },
	{ "kcud1", K_DOWN },
	{ "kcub1", K_LEFT },
	{ "kcuf1", K_RIGHT },
	{ "khome", K_HOME },
	{ "kend", K_END },
	{ "kpp", K_PGUP },
	{ "knp", K_PGDN },
	{ "kich1", K_INS },
	{ "kdch1", K_DEL },
	{ "kcbt", K_BACKTAB },
	{ "kf1", K_F1 },
	{ "kf2", K_F2 },
	{ "kf3", K_F3 },
	{ "kf4", K_F4 },
	{ "kf5", K_F5 },
	{ "kf6", K_F6 },
	{ "kf7", K_F7 },
	{ "kf8", K_F8 },
	{ "kf9", K_F9 },
	{ "kf10", K_F10 },
	{ "kf11", K_F11 },
	{ "kf12", K_F12 },
	{ "kent", K_ENTER },
};

void keys_init(struct keys *k)
{
	memset(k, 0, sizeof(*k));
	for (size_t i = 0; i < ARRAY_LEN(keys_caps); i++) {
		const char *s = tigetstr(keys_caps[i].cap);
		size_t len;

		if (!s || s == (char *)-1)
			continue;
		len = strlen(s);
		/* only real sequences: "\b" as kcub1 would eat backspace */
		if (len < 2 || len > KEYS_SEQ_MAX || *s != K_ESC)
			continue;
		memcpy(k->seq[k->nseq].text, s, len);
		k->seq[k->nseq].len = (uint8_t)len;
		k->seq[k->nseq++].code = keys_caps[i].code;
	}
}

size_t keys_put(struct keys *k, const void *data, size_t len)
{
	size_t room = sizeof(k->buf) - k->n;

	if (len > room)
		len = room;
	memcpy(k->buf + k->n, data, len);
	k->n += len;
	return len;
}

bool keys_waiting(const struct keys *k)
{
	return k->n > 0;
}

/* Take n bytes off the front as key code. */
static bool keys_take(struct keys *k, size_t n, int code, struct key *out)
{
	size_t raw = n > KEYS_SEQ_MAX ? KEYS_SEQ_MAX : n;

	out->code = code;
	memcpy(out->raw, k->buf, raw);
	out->raw[raw] = 0;
	out->nraw = (uint8_t)raw;
	k->n -= n;
	memmove(k->buf, k->buf + n, k->n);
	return true;
}

/* The number before "~" of PC-style keys. */
static int keys_tilde(unsigned n)
{
	static const int codes[] = { [1] = K_HOME,
		[2] = K_INS,
		[3] = K_DEL,
		[4] = K_END,
		[5] = K_PGUP,
		[6] = K_PGDN,
		[7] = K_HOME,
		[8] = K_END,
		[11] = K_F1,
		[12] = K_F2,
		[13] = K_F3,
		[14] = K_F4,
		[15] = K_F5,
		[17] = K_F6,
		[18] = K_F7,
		[19] = K_F8,
		[20] = K_F9,
		[21] = K_F10,
		[23] = K_F11,
		[24] = K_F12 };

	return n < ARRAY_LEN(codes) && codes[n] ? codes[n] : K_UNKNOWN;
}

static int keys_letter(char c)
{
	switch (c) {
	case 'A':
		return K_UP;
	case 'B':
		return K_DOWN;
	case 'C':
		return K_RIGHT;
	case 'D':
		return K_LEFT;
	case 'F':
		return K_END;
	case 'H':
		return K_HOME;
	case 'M':
		return K_ENTER;
	case 'P':
	case 'Q':
	case 'R':
	case 'S':
		return K_F1 + (c - 'P');
	case 'Z':
		return K_BACKTAB;
	default:
		return K_UNKNOWN;
	}
}

/* ESC [ ... : 1 = taken, 0 = more bytes are needed. */
static bool keys_csi(struct keys *k, struct key *out)
{
	unsigned param[2] = { 0, 0 }, np = 0;
	size_t i = 2;
	int code;

	if (k->n > 3 && k->buf[2] == '[') /* Linux console: ESC [ [ A = F1 */
		return keys_take(k, 4,
			k->buf[3] >= 'A' && k->buf[3] <= 'E'
				? K_F1 + (k->buf[3] - 'A')
				: K_UNKNOWN,
			out);
	for (; i < k->n && k->buf[i] >= 0x20 && k->buf[i] < 0x40; i++) {
		uint8_t c = k->buf[i];

		if (c == ';')
			np++;
		else if (c >= '0' && c <= '9' && np < 2 && param[np] < 1000)
			param[np] = param[np] * 10 + c - '0';
		if (i > 32)
			return keys_take(k, i, K_UNKNOWN, out);
	}
	if (i >= k->n || (k->buf[i] == '[' && i == 2))
		return false;
	code = k->buf[i] == '~' ? keys_tilde(param[0])
				: keys_letter((char)k->buf[i]);
	if (param[1] && code != K_UNKNOWN) {
		unsigned m = param[1] - 1;

		out->shift = m & 1;
		out->alt = m & 2;
		out->ctrl = m & 4;
	}
	return keys_take(k, i + 1, code, out);
}

/* A sequence of this terminal: longer than 0 = so many bytes, *code set. */
static size_t keys_known(const struct keys *k, int *code)
{
	for (size_t i = 0; i < k->nseq; i++) {
		if (k->n >= k->seq[i].len &&
			!memcmp(k->buf, k->seq[i].text, k->seq[i].len)) {
			*code = k->seq[i].code;
			return k->seq[i].len;
		}
	}
	return 0;
}

static bool keys_escape(struct keys *k, bool late, struct key *out)
{
	int code;
	size_t n = keys_known(k, &code);

	if (n)
		return keys_take(k, n, code, out);
	if (k->n == 1)
		return late && keys_take(k, 1, K_ESC, out);
	if (k->buf[1] == '[') {
		if (keys_csi(k, out))
			return true;
		if (!late)
			return false;
	} else if (k->buf[1] == 'O') {
		if (k->n > 2)
			return keys_take(k, 3, keys_letter((char)k->buf[2]),
				out);
		if (!late)
			return false;
	} else if (k->buf[1] == K_ESC) {
		return keys_take(k, 1, K_ESC, out);
	}
	out->alt = true;
	if (k->buf[1] < 0x80)
		return keys_take(k, 2, k->buf[1], out);
	return keys_take(k, 1, K_ESC, out);
}

bool keys_next(struct keys *k, bool late, struct key *out)
{
	uint8_t c = k->buf[0];
	size_t used;
	uint32_t u;

	memset(out, 0, sizeof(*out));
	if (!k->n)
		return false;
	if (c == K_ESC)
		return keys_escape(k, late, out);
	if (c == '\n') /* some send it for Enter; ^J is the same key */
		return keys_take(k, 1, K_ENTER, out);
	if (c == '\b')
		return keys_take(k, 1, K_BACKSPACE, out);
	if (c < 0x80)
		return keys_take(k, 1, c, out);
	u = text_utf8_get((const char *)k->buf, k->n, &used);
	if (u == 0xfffd && k->n < 4 && c >= 0xc2 && c <= 0xf4 && !late)
		return false; /* perhaps the rest is on its way */
	return keys_take(k, used, (int)u, out);
}

char *keys_name(int code, char *buf, size_t len)
{
	static const char *const names[] = { "Up", "Down", "Left", "Right",
		"Home", "End", "PgUp", "PgDn", "Ins", "Del", "S-Tab" };

	if (code >= K_F1 && code <= K_F12)
		snprintf(buf, len, "F%d", code - K_F1 + 1);
	else if (code > K_BASE && code <= K_BACKTAB)
		snprintf(buf, len, "%s", names[code - K_BASE - 1]);
	else if (code == K_TAB)
		snprintf(buf, len, "Tab");
	else if (code == K_ENTER)
		snprintf(buf, len, "Enter");
	else if (code == K_ESC)
		snprintf(buf, len, "Esc");
	else if (code == ' ')
		snprintf(buf, len, "Space");
	else if (code < 32)
		snprintf(buf, len, "^%c", code + 64);
	else
		snprintf(buf, len, "%c", code < 127 ? code : '?');
	return buf;
}
