/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * PS/2 keyboard and mouse as state machines of bytes: commands in, replies
 * and reports out. No ports, no interrupts, no threads: i8042.c owns them
 * and its lock guards them. IBM PS/2 Technical Reference, Keyboard and
 * Mouse; Microsoft IntelliMouse protocol for the wheel.
 */
#ifndef VM_DEV_PS2_H
#define VM_DEV_PS2_H

#include <stdbool.h>
#include <stdint.h>

#define PS2_ACK    0xfa
#define PS2_RESEND 0xfe
#define PS2_BAT_OK 0xaa

#define PS2_FIFO 256

struct ps2_fifo {
	uint8_t buf[PS2_FIFO];
	uint8_t head;
	unsigned len;
};

static inline unsigned ps2_fifo_room(const struct ps2_fifo *f)
{
	return PS2_FIFO - f->len;
}

/* A full queue drops the byte; who needs whole sequences asks for room. */
static inline void ps2_fifo_put(struct ps2_fifo *f, uint8_t byte)
{
	if (f->len == PS2_FIFO)
		return;
	f->buf[(uint8_t)(f->head + f->len)] = byte;
	f->len++;
}

/* The caller knows that there is one. */
static inline uint8_t ps2_fifo_get(struct ps2_fifo *f)
{
	f->len--;
	return f->buf[f->head++];
}

static inline void ps2_fifo_clear(struct ps2_fifo *f)
{
	f->len = 0;
}

enum ps2_print { PS2_PRINT_BARE, PS2_PRINT_SHIFTED, PS2_PRINT_SYSRQ };

struct ps2kbd {
	struct ps2_fifo reply; /* goes out before keys */
	struct ps2_fifo keys;
	uint8_t command; /* waits for a parameter, 0 = none */
	uint8_t last;    /* last byte sent, for resend */
	uint8_t leds;    /* 1 scroll, 2 num, 4 caps */
	uint8_t set;     /* scan code set, 1 or 2 */
	bool scanning;
	enum ps2_print print; /* how the print key went down */
	uint8_t down[32];     /* keys that the guest knows to be down */
};

void ps2kbd_reset(struct ps2kbd *k);
void ps2kbd_write(struct ps2kbd *k, uint8_t byte);
bool ps2kbd_ready(const struct ps2kbd *k);
/* Next byte; only when ready. */
uint8_t ps2kbd_read(struct ps2kbd *k);
/* Key event: set-1 make code, 0xe0xx when extended. */
void ps2kbd_key(struct ps2kbd *k, uint16_t scancode, bool down);

/* The 8042's translation of a set-2 byte below 0x85; others as they are. */
uint8_t ps2_translate(uint8_t byte);

struct ps2mouse {
	struct ps2_fifo reply; /* goes out before reports */
	struct ps2_fifo reports;
	uint8_t command; /* waits for a parameter, 0 = none */
	uint8_t last;
	uint8_t type; /* id: 0 plain, 3 wheel, 4 five buttons */
	uint8_t rate, resolution;
	uint8_t magic[2]; /* the last two sample rates */
	bool double_scale, remote, wrap, reporting;
	uint8_t buttons, told; /* PS/2 order; told = in the last report */
	unsigned held;         /* as the last event had them */
	int dx, dy, dz;        /* not reported yet */
};

void ps2mouse_reset(struct ps2mouse *m);
void ps2mouse_write(struct ps2mouse *m, uint8_t byte);
bool ps2mouse_ready(const struct ps2mouse *m);
uint8_t ps2mouse_read(struct ps2mouse *m);
/* Movement in counts, y down; buttons as enum input_button. */
void ps2mouse_move(struct ps2mouse *m, int dx, int dy, unsigned buttons);

#endif
