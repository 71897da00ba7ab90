/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Bytes of a terminal into keys: the terminal's own sequences from terminfo,
 * the common CSI and SS3 forms with modifiers, UTF-8. Never waits: a lone
 * ESC is told apart by the caller's timer. Thread: the loop's.
 */
#ifndef UI_KEYS_H
#define UI_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KEYS_BUF     256
#define KEYS_SEQS    40
#define KEYS_SEQ_MAX 16
#define KEYS_ESC_MS  50

/* Keys that are no character; below are code points and controls. */
enum {
	K_BASE = 0x110000,
	K_UP,
	K_DOWN,
	K_LEFT,
	K_RIGHT,
	K_HOME,
	K_END,
	K_PGUP,
	K_PGDN,
	K_INS,
	K_DEL,
	K_BACKTAB,
	K_F1,
	K_F2,
	K_F3,
	K_F4,
	K_F5,
	K_F6,
	K_F7,
	K_F8,
	K_F9,
	K_F10,
	K_F11,
	K_F12,
	K_UNKNOWN, /* a sequence that nobody knows; its bytes are raw */
};
enum { K_TAB = 9, K_ENTER = 13, K_ESC = 27, K_BACKSPACE = 127 };
#define K_CTRL(c) ((c)&0x1f)

struct key {
	int code;
	bool shift, alt, ctrl; /* with special keys; alt with characters too */
	char raw[KEYS_SEQ_MAX + 1]; /* the bytes it came as */
	uint8_t nraw;
};

struct keys {
	uint8_t buf[KEYS_BUF];
	size_t n;
	struct {
		char text[KEYS_SEQ_MAX];
		uint8_t len;
		int code;
	} seq[KEYS_SEQS];
	size_t nseq;
};

/* Learn the sequences of the present curses terminal (cur_term). */
void keys_init(struct keys *k);
/* Take up to len bytes; returns how many (the buffer is small). */
size_t keys_put(struct keys *k, const void *data, size_t len);
/*
 * The next key: true and *out. false = nothing whole is there; with bytes
 * left (keys_waiting()) call again with late set when KEYS_ESC_MS passed.
 */
bool keys_next(struct keys *k, bool late, struct key *out);
bool keys_waiting(const struct keys *k);

/* "Up", "F1", "^L", "Space", "a": for help. Returns buf. */
char *keys_name(int code, char *buf, size_t len);

#endif
