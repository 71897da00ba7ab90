/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Title bar, host meters and sums over all guests. */
#include "ui/w_head.h"

#include <stdio.h>
#include <time.h>

#include "vm/base/clock.h"

#include "ui/text.h"

uint64_t w_test_clock_ns;

uint64_t w_wall_ns(void)
{
	return w_test_clock_ns ? w_test_clock_ns : clock_wall_ns();
}

char *w_clock(uint64_t wall_ns, char *buf, size_t len)
{
	time_t t = (time_t)(wall_ns / NS_PER_S);
	struct tm tm;

	if (w_test_clock_ns)
		gmtime_r(&t, &tm);
	else
		localtime_r(&t, &tm);
	strftime(buf, len, "%H:%M:%S", &tm);
	return buf;
}

void w_title(struct canvas *cv, int y, const char *left, const char *more,
	const char *right)
{
	int x, rw = text_width(right);

	draw_fill(cv, y, 0, cv->cols, ROLE_TITLE);
	x = 1 + draw_text(cv, y, 1, cv->cols - 1, ROLE_TITLE, left) + 2;
	if (x + rw + 2 < cv->cols) {
		draw_text(cv, y, cv->cols - rw - 1, rw, ROLE_TITLE2, right);
		draw_text(cv, y, x, cv->cols - rw - 2 - x, ROLE_TITLE2, more);
	} else if (x < cv->cols) {
		draw_text(cv, y, x, cv->cols - x, ROLE_TITLE2, more);
	}
}

static enum role head_role(double part)
{
	return part > 0.9 ? ROLE_METER_HOT : ROLE_METER;
}

static void head_host(struct canvas *cv, int y, const struct host *h)
{
	int w = cv->cols >= 120 ? 30 : cv->cols >= 76 ? 14 : 6, x = 1;
	double mem = h->memory_bytes ? (double)h->memory_used_bytes /
					       (double)h->memory_bytes
				     : 0;
	char used[16], all[16], pc[16];

	x += draw_text(cv, y, x, 4, ROLE_DIM, "CPU ");
	draw_meter(cv, y, x, w, h->cpu_percent / 100,
		head_role(h->cpu_percent / 100));
	x += w + 1;
	text_percent(h->cpu_percent, pc, sizeof(pc));
	x += draw_textf(cv, y, x, 14, ROLE_NORMAL, "%s%% of %u",
		h->cpu_percent < 0 ? "-" : pc, h->cpus);
	x += 2;
	x += draw_text(cv, y, x, 4, ROLE_DIM, "Mem ");
	draw_meter(cv, y, x, w, mem, head_role(mem));
	x += w + 1;
	x += draw_textf(cv, y, x, 14, ROLE_NORMAL, "%s/%s",
		text_bytes((double)h->memory_used_bytes, used, sizeof(used)),
		text_bytes((double)h->memory_bytes, all, sizeof(all)));
	x += 2;
	x += draw_text(cv, y, x, 5, ROLE_DIM, "Load ");
	draw_textf(cv, y, x, 24, ROLE_NORMAL, "%.2f %.2f %.2f", h->load[0],
		h->load[1], h->load[2]);
}

static int head_count(struct canvas *cv, int y, int x, size_t n,
	enum guest_state s, enum role role)
{
	if (!n)
		return x;
	return x + 2 +
	       draw_textf(cv, y, x, 20, role, "%zu %s", n, guest_state_name(s));
}

static void head_guests(struct canvas *cv, int y, const struct model *m)
{
	size_t n[GUEST_STATES] = { 0 };
	double rd = 0, wr = 0, rx = 0, tx = 0, res = 0;
	char a[16], b[16], c[16], d[16], e[16];
	int x = 1;

	for (size_t i = 0; i < m->n; i++) {
		const struct model_guest *g = m->guest[i];

		n[g->info.state]++;
		rd += g->rate[SERIES_READ];
		wr += g->rate[SERIES_WRITE];
		rx += g->rate[SERIES_RX];
		tx += g->rate[SERIES_TX];
		res += (double)g->cur.memory_resident_bytes;
	}
	x += draw_textf(cv, y, x, 20, ROLE_STRONG, "%zu guest%s", m->n,
		     m->n == 1 ? "" : "s") +
	     2;
	x = head_count(cv, y, x, n[GUEST_RUNNING], GUEST_RUNNING, ROLE_GOOD);
	x = head_count(cv, y, x, n[GUEST_PAUSED], GUEST_PAUSED, ROLE_WARN);
	x = head_count(cv, y, x, n[GUEST_CRASHED], GUEST_CRASHED, ROLE_BAD);
	draw_textf(cv, y, x, cv->cols - x, ROLE_DIM,
		"mem %s  disk r %s w %s  net r %s t %s",
		text_bytes(res, a, sizeof(a)), text_bytes(rd, b, sizeof(b)),
		text_bytes(wr, c, sizeof(c)), text_bytes(rx, d, sizeof(d)),
		text_bytes(tx, e, sizeof(e)));
}

void w_head(struct canvas *cv, int y, const struct model *m)
{
	head_host(cv, y, &m->host);
	head_guests(cv, y + 1, m);
}
