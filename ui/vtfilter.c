/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * State machine after ECMA-48 section 5 and the VT500 parser. 8-bit controls
 * do not exist: the stream is UTF-8.
 */
#include "ui/vtfilter.h"

#include <stdio.h>
#include <string.h>

#include "ui/text.h"

enum vtfilter_state { GROUND, ESCAPE, CSI, STRING };

/* Finals that libvterm knows what to do with. */
static const char finals_plain[] = "@ABCDEFGHIJKLMPSTXZ`abcdefglhmnrsu";
static const char finals_private[] = "JKhln"; /* after CSI ? */
static const char finals_escape[] = "78=>DEHMZc";

static size_t vt_put(char *out, const char *s)
{
	size_t n = 0;

	for (; s[n]; n++)
		out[n] = s[n];
	return n;
}

static void vt_begin(struct vtfilter *f, int state)
{
	f->state = state;
	f->leader = f->inter = 0;
	f->nparam = 0;
	f->given = f->bad = false;
	f->nutf8 = 0;
}

/* Is this function one that goes on? */
static bool vt_csi_known(const struct vtfilter *f, char final)
{
	if (f->bad)
		return false;
	if (f->inter == ' ')
		return final == 'q' && !f->leader; /* cursor's shape */
	if (f->inter == '!')
		return final == 'p' && !f->leader; /* soft reset */
	if (f->inter)
		return false;
	if (f->leader == '?')
		return strchr(finals_private, final) != NULL;
	if (f->leader == '>')
		return final == 'c'; /* what terminal are you? */
	return !f->leader && strchr(finals_plain, final);
}

/*
 * Repeat the last character. Done here: libvterm loops for ever when there
 * was none, and takes a missing count for 2^31.
 */
static size_t vt_repeat(const struct vtfilter *f, char *out)
{
	unsigned n = f->given && f->param[0] ? f->param[0] : 1;
	size_t len = 0;

	if (f->nparam || !f->nlast)
		return 0;
	for (unsigned i = 0; i < n && i < VTFILTER_REPEAT; i++) {
		memcpy(out + len, f->last, f->nlast);
		len += f->nlast;
	}
	return len;
}

/* A character goes on; one that stands alone can be repeated. */
static size_t vt_character(struct vtfilter *f, uint32_t u, char *out)
{
	size_t n = text_utf8_put(u, out);

	if (text_width_of(u) > 0) {
		memcpy(f->last, out, n);
		f->nlast = (uint8_t)n;
	}
	return n;
}

static size_t vt_csi_end(struct vtfilter *f, char final, char *out)
{
	unsigned n = f->nparam + (f->given || f->nparam ? 1 : 0);
	size_t len = 0;

	f->state = GROUND;
	if (!vt_csi_known(f, final))
		return 0;
	if (final == 'b')
		return vt_repeat(f, out);
	len += vt_put(out, "\033[");
	if (f->leader)
		out[len++] = f->leader;
	for (unsigned i = 0; i < n && i < VTFILTER_PARAMS; i++)
		len += (size_t)sprintf(out + len, "%s%u", i ? ";" : "",
			f->param[i]);
	if (f->inter)
		out[len++] = f->inter;
	out[len++] = final;
	return len;
}

static size_t vt_csi(struct vtfilter *f, uint8_t c, char *out)
{
	if (c >= '0' && c <= '9') {
		unsigned *p;

		if (f->nparam >= VTFILTER_PARAMS || f->inter)
			f->bad = true;
		if (f->bad)
			return 0;
		p = &f->param[f->nparam];
		*p = (f->given ? *p : 0) * 10 + c - '0';
		*p = *p > VTFILTER_VALUE ? VTFILTER_VALUE : *p;
		f->given = true;
	} else if (c == ';' || c == ':') {
		if (!f->given && f->nparam < VTFILTER_PARAMS)
			f->param[f->nparam] = 0;
		f->given = false;
		if (f->nparam < VTFILTER_PARAMS)
			f->nparam++;
		if (f->nparam < VTFILTER_PARAMS)
			f->param[f->nparam] = 0;
	} else if (c >= 0x3c && c <= 0x3f) {
		f->bad |= f->leader || f->given || f->nparam;
		f->leader = (char)c;
	} else if (c >= 0x20 && c <= 0x2f) {
		f->bad |= f->inter != 0;
		f->inter = (char)c;
	} else if (c >= 0x40 && c <= 0x7e) {
		return vt_csi_end(f, (char)c, out);
	}
	return 0;
}

static size_t vt_escape(struct vtfilter *f, uint8_t c, char *out)
{
	if (c >= 0x20 && c <= 0x2f) {
		f->bad |= f->inter != 0;
		f->inter = (char)c;
		return 0;
	}
	f->state = GROUND;
	if (f->inter) {
		/* character sets (ASCII, UK, line drawing); the test screen */
		bool set = strchr("()*+", f->inter) && strchr("AB0", c);
		bool align = f->inter == '#' && c == '8';

		if (f->bad || !c || (!set && !align))
			return 0;
		out[0] = '\033';
		out[1] = f->inter;
		out[2] = (char)c;
		return 3;
	}
	if (c == '[') {
		vt_begin(f, CSI);
	} else if (c && strchr("]PX^_", c)) {
		vt_begin(f, STRING);
	} else if (c && strchr(finals_escape, c)) {
		out[0] = '\033';
		out[1] = (char)c;
		return 2;
	}
	return 0;
}

/* Text: whole valid characters go on, others become the replacement. */
static size_t vt_text(struct vtfilter *f, uint8_t c, char *out)
{
	size_t used, len = 0;
	uint32_t u;

	if (f->nutf8 && (c & 0xc0) != 0x80) {
		f->nutf8 = 0;
		len = text_utf8_put(0xfffd, out);
	}
	if (!f->nutf8) {
		if (c < 0x80)
			return len + vt_character(f, c, out + len);
		f->want = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
		if (c < 0xc2 || c > 0xf4)
			return len + text_utf8_put(0xfffd, out + len);
	}
	f->utf8[f->nutf8++] = c;
	if (f->nutf8 < f->want)
		return len;
	u = text_utf8_get((const char *)f->utf8, f->nutf8, &used);
	f->nutf8 = 0;
	if (u < 0xa0) /* C1 controls in disguise */
		return len;
	return len + vt_character(f, u, out + len);
}

static size_t vt_control(struct vtfilter *f, uint8_t c, char *out)
{
	bool text = f->state == GROUND;
	size_t len = 0;

	if (text && f->nutf8)
		len = text_utf8_put(0xfffd, out);
	f->nutf8 = 0;
	if (c == 0x1b) {
		vt_begin(f, ESCAPE);
	} else if (c == 0x18 || c == 0x1a) { /* CAN, SUB: drop the sequence */
		f->state = GROUND;
	} else if (f->state == STRING) {
		if (c == 7)
			f->state = GROUND;
	} else if (c >= 8 && c <= 15) {
		/* also inside a sequence, as terminals do */
		out[len++] = (char)c;
	}
	return len;
}

size_t vtfilter_byte(struct vtfilter *f, uint8_t c, char *out)
{
	if (c < 0x20)
		return vt_control(f, c, out);
	if (c == 0x7f)
		return 0;
	switch (f->state) {
	case ESCAPE:
		return vt_escape(f, c, out);
	case CSI:
		return vt_csi(f, c, out);
	case STRING:
		return 0;
	default:
		return vt_text(f, c, out);
	}
}
