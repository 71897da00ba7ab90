/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The table's columns. A figure that is not known is "-", never 0. */
#include "ui/guest_cols.h"

#include <stdio.h>
#include <string.h>

#include "vm/base/sizes.h"

#include "ui/text.h"

#define NAME_MIN 8
#define NAME_MAX 32

enum role guest_role(enum guest_state s)
{
	switch (s) {
	case GUEST_RUNNING:
		return ROLE_GOOD;
	case GUEST_PAUSED:
		return ROLE_WARN;
	case GUEST_CRASHED:
		return ROLE_BAD;
	case GUEST_STARTING:
	case GUEST_STOPPING:
		return ROLE_INFO;
	default:
		return ROLE_DIM;
	}
}

static void cell_name(struct canvas *cv, int y, int x, int w,
	const struct model_guest *g)
{
	draw_text(cv, y, x, w, ROLE_STRONG, g->info.name);
}

static void cell_state(struct canvas *cv, int y, int x, int w,
	const struct model_guest *g)
{
	draw_text(cv, y, x, w, guest_role(g->info.state),
		guest_state_name(g->info.state));
}

static enum role cpu_role(const struct model_guest *g)
{
	unsigned cpus = g->info.cpus ? g->info.cpus : 1;

	return g->rate[SERIES_CPU] > 85.0 * cpus ? ROLE_METER_HOT : ROLE_METER;
}

static void cell_cpu(struct canvas *cv, int y, int x, int w,
	const struct model_guest *g)
{
	char b[16];

	if (g->samples < 2)
		draw_right(cv, y, x, w, ROLE_DIM, "-");
	else
		draw_right(cv, y, x, w,
			cpu_role(g) == ROLE_METER_HOT ? ROLE_BAD : ROLE_NORMAL,
			text_percent(g->rate[SERIES_CPU], b, sizeof(b)));
}

static void cell_bar(struct canvas *cv, int y, int x, int w,
	const struct model_guest *g)
{
	unsigned cpus = g->info.cpus ? g->info.cpus : 1;

	if (g->samples > 1)
		draw_meter(cv, y, x, w, g->rate[SERIES_CPU] / 100 / cpus,
			cpu_role(g));
}

static void cell_history(struct canvas *cv, int y, int x, int w,
	const struct model_guest *g)
{
	draw_spark(cv, y, x, w, g->history[SERIES_CPU], g->nhistory,
		100.0 * (g->info.cpus ? g->info.cpus : 1), ROLE_SPARK);
}

static void cell_cpus(struct canvas *cv, int y, int x, int w,
	const struct model_guest *g)
{
	char b[16];

	snprintf(b, sizeof(b), "%u", g->info.cpus);
	draw_right(cv, y, x, w, ROLE_NORMAL, b);
}

static void cell_memory(struct canvas *cv, int y, int x, int w,
	const struct model_guest *g)
{
	char all[16], res[16], b[40];

	text_bytes((double)g->info.memory_bytes, all, sizeof(all));
	text_bytes((double)g->cur.memory_resident_bytes, res, sizeof(res));
	snprintf(b, sizeof(b), "%s/%s", g->samples ? res : "-", all);
	draw_right(cv, y, x, w, g->samples ? ROLE_NORMAL : ROLE_DIM, b);
}

static void cell_rate(struct canvas *cv, int y, int x, int w,
	const struct model_guest *g, enum model_series s)
{
	double v = g->rate[s];
	char b[16];

	if (g->samples < 2)
		draw_right(cv, y, x, w, ROLE_DIM, "-");
	else
		draw_right(cv, y, x, w, v > 0 ? ROLE_NORMAL : ROLE_DIM,
			text_bytes(v, b, sizeof(b)));
}

#define RATE_CELL(name, series)                                                \
	static void cell_##name(struct canvas *cv, int y, int x, int w,        \
		const struct model_guest *g)                                   \
	{                                                                      \
		cell_rate(cv, y, x, w, g, series);                             \
	}                                                                      \
	static int cmp_##name(const struct model_guest *a,                     \
		const struct model_guest *b)                                   \
	{                                                                      \
		return (a->rate[series] < b->rate[series]) -                   \
		       (a->rate[series] > b->rate[series]);                    \
	}

RATE_CELL(read, SERIES_READ)
RATE_CELL(write, SERIES_WRITE)
RATE_CELL(rx, SERIES_RX)
RATE_CELL(tx, SERIES_TX)

static void cell_viewers(struct canvas *cv, int y, int x, int w,
	const struct model_guest *g)
{
	char b[16];

	snprintf(b, sizeof(b), "%u", g->cur.viewers);
	draw_right(cv, y, x, w, g->cur.viewers ? ROLE_STRONG : ROLE_DIM,
		g->samples ? b : "-");
}

static void cell_uptime(struct canvas *cv, int y, int x, int w,
	const struct model_guest *g)
{
	char b[24];

	if (model_alive(g->info.state))
		draw_right(cv, y, x, w, ROLE_NORMAL,
			text_duration(g->info.uptime_ns, b, sizeof(b)));
	else
		draw_right(cv, y, x, w, ROLE_DIM, "-");
}

static void cell_vnc(struct canvas *cv, int y, int x, int w,
	const struct model_guest *g)
{
	draw_text(cv, y, x, w, ROLE_NORMAL, g->info.vnc);
}

static void cell_note(struct canvas *cv, int y, int x, int w,
	const struct model_guest *g)
{
	draw_text(cv, y, x, w,
		g->info.state == GUEST_CRASHED ? ROLE_BAD : ROLE_DIM,
		g->info.why);
}

/* Largest first, but names and states in their order. */
static int cmp_name(const struct model_guest *a, const struct model_guest *b)
{
	return strcmp(a->info.name, b->info.name);
}

static int cmp_state(const struct model_guest *a, const struct model_guest *b)
{
	static const int rank[GUEST_STATES] = {
		[GUEST_RUNNING] = 1,
		[GUEST_STARTING] = 2,
		[GUEST_STOPPING] = 3,
		[GUEST_PAUSED] = 4,
		[GUEST_CRASHED] = 0,
		[GUEST_OFF] = 5,
		[GUEST_DEFINED] = 6,
	};

	return rank[a->info.state] - rank[b->info.state];
}

static int cmp_cpu(const struct model_guest *a, const struct model_guest *b)
{
	double x = a->rate[SERIES_CPU], y = b->rate[SERIES_CPU];

	return (x < y) - (x > y);
}

static int cmp_u64(uint64_t x, uint64_t y)
{
	return (x < y) - (x > y);
}

static int cmp_cpus(const struct model_guest *a, const struct model_guest *b)
{
	return cmp_u64(a->info.cpus, b->info.cpus);
}

static int cmp_memory(const struct model_guest *a, const struct model_guest *b)
{
	return cmp_u64(a->cur.memory_resident_bytes,
		b->cur.memory_resident_bytes);
}

static int cmp_viewers(const struct model_guest *a, const struct model_guest *b)
{
	return cmp_u64(a->cur.viewers, b->cur.viewers);
}

static int cmp_uptime(const struct model_guest *a, const struct model_guest *b)
{
	return cmp_u64(a->info.uptime_ns, b->info.uptime_ns);
}

static const struct guest_col cols[] = {
	{ "NAME", NAME_MIN, 0, true, cell_name, cmp_name },
	{ "STATE", 8, 0, true, cell_state, cmp_state },
	{ "CPU%", 5, 1, false, cell_cpu, cmp_cpu },
	{ "", 10, 5, true, cell_bar, NULL },
	{ "LAST MINUTE", 30, 8, true, cell_history, NULL },
	{ "CPUS", 4, 6, false, cell_cpus, cmp_cpus },
	{ "MEMORY", 9, 2, false, cell_memory, cmp_memory },
	{ "READ/s", 6, 3, false, cell_read, cmp_read },
	{ "WRITE/s", 7, 3, false, cell_write, cmp_write },
	{ "RX/s", 5, 4, false, cell_rx, cmp_rx },
	{ "TX/s", 5, 4, false, cell_tx, cmp_tx },
	{ "VW", 2, 4, false, cell_viewers, cmp_viewers },
	{ "UPTIME", 6, 2, false, cell_uptime, cmp_uptime },
	{ "VNC", 22, 7, true, cell_vnc, NULL },
	{ "NOTE", 14, 9, true, cell_note, NULL },
};

const struct guest_col *guest_col(int i)
{
	return i >= 0 && i < (int)ARRAY_LEN(cols) ? &cols[i] : NULL;
}

/* Which columns fit, from the most important on; the first that does not
 * ends the choice, so that no column comes without those before it. */
static int layout_choose(bool *shown, int w)
{
	int used = 0;

	for (int weight = 0; weight <= 9; weight++)
		for (int i = 0; i < (int)ARRAY_LEN(cols); i++) {
			if (cols[i].weight != weight)
				continue;
			if (weight && used + cols[i].width + 1 > w)
				return used;
			shown[i] = true;
			used += cols[i].width + 1;
		}
	return used;
}

void guest_layout(struct guest_layout *l, int w, int name_w)
{
	bool shown[ARRAY_LEN(cols)] = { false };
	int spare = w - layout_choose(shown, w), x = 0;
	int more = (name_w > NAME_MAX ? NAME_MAX : name_w) - NAME_MIN;

	memset(l, 0, sizeof(*l));
	for (int i = 0; i < (int)ARRAY_LEN(cols); i++) {
		int cw = cols[i].width;

		if (!shown[i])
			continue;
		if (i == 0 && spare > 0 && more > 0) {
			cw += more < spare ? more : spare;
			spare -= cw - NAME_MIN;
		}
		l->col[l->n] = &cols[i];
		l->x[l->n] = x;
		l->w[l->n++] = cw;
		x += cw + 1;
	}
	if (spare > 0 && l->col[l->n - 1]->cell == cell_note)
		l->w[l->n - 1] += spare;
}
