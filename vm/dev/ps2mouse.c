// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * PS/2 mouse with the IntelliMouse extensions: setting the sample rates
 * 200, 100, 80 turns it into a wheel mouse, 200, 200, 80 into one with five
 * buttons. Movement that finds the queue full is summed up and reported when
 * the guest has read on, so a slow guest sees fewer but no false reports.
 */
#include <stddef.h>

#include "vm/dev/ps2.h"

#define QUEUE_MAX 32   /* bytes of reports that wait */
#define SUM_MAX   8192 /* counts that wait */
#define MOVE_MAX  255  /* counts in one report */
#define WHEEL_MAX 7

/* enum input_button's order */
#define HELD_LEFT   1
#define HELD_MIDDLE 2
#define HELD_RIGHT  4
#define HELD_UP     8
#define HELD_DOWN   16

enum {
	CMD_SCALE1 = 0xe6,
	CMD_SCALE2 = 0xe7,
	CMD_RESOLUTION = 0xe8,
	CMD_STATUS = 0xe9,
	CMD_STREAM = 0xea,
	CMD_POLL = 0xeb,
	CMD_UNWRAP = 0xec,
	CMD_WRAP = 0xee,
	CMD_REMOTE = 0xf0,
	CMD_ID = 0xf2,
	CMD_RATE = 0xf3,
	CMD_ENABLE = 0xf4,
	CMD_DISABLE = 0xf5,
	CMD_DEFAULTS = 0xf6,
	CMD_RESEND = 0xfe,
	CMD_RESET = 0xff,
};

static int clamp(int v, int max)
{
	if (v > max)
		return max;
	return v < -max ? -max : v;
}

static void set_defaults(struct ps2mouse *m)
{
	m->rate = 100;
	m->resolution = 2;
	m->double_scale = m->remote = m->reporting = false;
	m->dx = m->dy = m->dz = 0;
	ps2_fifo_clear(&m->reports);
}

void ps2mouse_reset(struct ps2mouse *m)
{
	set_defaults(m);
	ps2_fifo_clear(&m->reply);
	m->command = 0;
	m->last = 0;
	m->type = 0;
	m->magic[0] = m->magic[1] = 0;
	m->wrap = false;
	m->told = m->buttons;
}

/* Take at most max of *sum. */
static int take(int *sum, int max)
{
	int v = clamp(*sum, max);

	*sum -= v;
	return v;
}

static void put_report(struct ps2mouse *m, struct ps2_fifo *to)
{
	int dx = take(&m->dx, MOVE_MAX), dy = take(&m->dy, MOVE_MAX), dz;

	m->told = m->buttons;
	ps2_fifo_put(to, (uint8_t)(0x08 | m->buttons | (dx < 0 ? 0x10 : 0) |
				   (dy < 0 ? 0x20 : 0)));
	ps2_fifo_put(to, (uint8_t)dx);
	ps2_fifo_put(to, (uint8_t)dy);
	dz = take(&m->dz, WHEEL_MAX);
	if (m->type == 3)
		ps2_fifo_put(to, (uint8_t)dz);
	else if (m->type == 4)
		ps2_fifo_put(to, dz & 0x0f);
}

/* Queue what is due and fits. */
static void fill(struct ps2mouse *m)
{
	if (!m->reporting || m->remote || m->wrap)
		return;
	while (m->reports.len + 4 <= QUEUE_MAX &&
		(m->dx || m->dy || m->dz || m->buttons != m->told))
		put_report(m, &m->reports);
}

void ps2mouse_move(struct ps2mouse *m, int dx, int dy, unsigned buttons)
{
	unsigned pressed = buttons & ~m->held;

	m->held = buttons;
	m->buttons = (uint8_t)((buttons & HELD_LEFT ? 1 : 0) |
			       (buttons & HELD_RIGHT ? 2 : 0) |
			       (buttons & HELD_MIDDLE ? 4 : 0));
	if (!m->reporting && !m->remote)
		return;
	m->dx = clamp(m->dx + clamp(dx, SUM_MAX), SUM_MAX);
	m->dy = clamp(m->dy - clamp(dy, SUM_MAX), SUM_MAX);
	if (m->type && pressed & HELD_UP)
		m->dz = clamp(m->dz - 1, SUM_MAX);
	if (m->type && pressed & HELD_DOWN)
		m->dz = clamp(m->dz + 1, SUM_MAX);
	fill(m);
}

static void set_rate(struct ps2mouse *m, uint8_t rate)
{
	if (m->magic[0] == 200 && m->magic[1] == 100 && rate == 80)
		m->type = 3;
	else if (m->magic[0] == 200 && m->magic[1] == 200 && rate == 80)
		m->type = 4;
	m->magic[0] = m->magic[1];
	m->magic[1] = rate;
	m->rate = rate;
}

static void put_status(struct ps2mouse *m)
{
	ps2_fifo_put(&m->reply,
		(uint8_t)((m->remote ? 0x40 : 0) | (m->reporting ? 0x20 : 0) |
			  (m->double_scale ? 0x10 : 0) |
			  (m->buttons & 1 ? 4 : 0) | (m->buttons & 4 ? 2 : 0) |
			  (m->buttons & 2 ? 1 : 0)));
	ps2_fifo_put(&m->reply, m->resolution);
	ps2_fifo_put(&m->reply, m->rate);
}

/* Replies beyond the acknowledgement. */
static void command_reply(struct ps2mouse *m, uint8_t cmd)
{
	switch (cmd) {
	case CMD_STATUS:
		put_status(m);
		break;
	case CMD_ID:
		ps2_fifo_put(&m->reply, m->type);
		break;
	case CMD_POLL:
		put_report(m, &m->reply);
		break;
	case CMD_RESET:
		ps2_fifo_put(&m->reply, PS2_BAT_OK);
		ps2_fifo_put(&m->reply, 0);
		break;
	default:
		break;
	}
}

/* Change state as cmd says; false when there is no such command. */
static bool command_do(struct ps2mouse *m, uint8_t cmd)
{
	switch (cmd) {
	case CMD_SCALE1:
	case CMD_SCALE2:
		m->double_scale = cmd == CMD_SCALE2;
		break;
	case CMD_RESOLUTION:
	case CMD_RATE:
		m->command = cmd;
		break;
	case CMD_STREAM:
	case CMD_REMOTE:
		m->remote = cmd == CMD_REMOTE;
		ps2_fifo_clear(&m->reports);
		break;
	case CMD_WRAP:
	case CMD_UNWRAP:
		m->wrap = cmd == CMD_WRAP;
		break;
	case CMD_ENABLE:
		m->reporting = true;
		m->told = m->buttons;
		break;
	case CMD_DISABLE:
		m->reporting = false;
		ps2_fifo_clear(&m->reports);
		break;
	case CMD_DEFAULTS:
		set_defaults(m);
		break;
	case CMD_RESET:
		ps2mouse_reset(m);
		break;
	case CMD_STATUS:
	case CMD_POLL:
	case CMD_ID:
		break;
	default:
		return false;
	}
	return true;
}

void ps2mouse_write(struct ps2mouse *m, uint8_t byte)
{
	uint8_t pending = m->command;

	if (m->wrap && byte != CMD_UNWRAP && byte != CMD_RESET) {
		ps2_fifo_put(&m->reply, byte);
		return;
	}
	m->command = 0;
	if (pending && byte < CMD_SCALE1) {
		if (pending == CMD_RATE)
			set_rate(m, byte);
		else
			m->resolution = byte & 3;
		ps2_fifo_put(&m->reply, PS2_ACK);
		return;
	}
	if (byte == CMD_RESEND) {
		ps2_fifo_put(&m->reply, m->last);
		return;
	}
	if (!command_do(m, byte)) {
		ps2_fifo_put(&m->reply, PS2_RESEND);
		return;
	}
	ps2_fifo_put(&m->reply, PS2_ACK);
	command_reply(m, byte);
}

bool ps2mouse_ready(const struct ps2mouse *m)
{
	return m->reply.len || m->reports.len;
}

uint8_t ps2mouse_read(struct ps2mouse *m)
{
	m->last = ps2_fifo_get(m->reply.len ? &m->reply : &m->reports);
	if (!m->reports.len)
		fill(m);
	return m->last;
}
