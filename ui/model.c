/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Sample, then compute; drawing is the screens'. A guest's counters begin at
 * 0 with every start, so a snapshot whose uptime went back is the first of a
 * new life and gives no rate. Figures that are not known yet are never made
 * up: who reads looks at samples first.
 */
#include "ui/model.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/clock.h"

#include "ui/guests.h"

int model_new(struct engine *en, struct model **out)
{
	struct model *m = calloc(1, sizeof(*m));

	if (!m)
		return -ENOMEM;
	m->engine = en;
	m->host.cpu_percent = -1;
	*out = m;
	return 0;
}

void model_free(struct model *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < m->n; i++)
		free(m->guest[i]);
	free(m->guest);
	free(m);
}

struct model_guest *model_find(struct model *m, const char *name)
{
	for (size_t i = 0; i < m->n; i++)
		if (!strcmp(m->guest[i]->info.name, name))
			return m->guest[i];
	return NULL;
}

bool model_alive(enum guest_state s)
{
	return s == GUEST_STARTING || s == GUEST_RUNNING || s == GUEST_PAUSED ||
	       s == GUEST_STOPPING;
}

size_t model_running(const struct model *m)
{
	size_t n = 0;

	for (size_t i = 0; i < m->n; i++)
		n += model_alive(m->guest[i]->info.state);
	return n;
}

bool model_wants_sample(const struct model *m)
{
	for (size_t i = 0; i < m->n; i++)
		if (model_alive(m->guest[i]->info.state) &&
			m->guest[i]->samples < 2)
			return true;
	return false;
}

static void model_forget(struct model_guest *g)
{
	g->samples = 0;
	g->nhistory = 0;
	memset(g->rate, 0, sizeof(g->rate));
	memset(&g->cur, 0, sizeof(g->cur));
}

/* Take over a guest's old entry, or make one. */
static struct model_guest *model_entry(struct model *m, const char *name)
{
	struct model_guest *g = model_find(m, name);

	return g ? g : calloc(1, sizeof(*g));
}

void model_refresh(struct model *m)
{
	struct guest_info *info = NULL;
	int n = guests_list(m->engine, &info);
	struct model_guest **v;

	if (n < 0)
		return;
	v = calloc((size_t)n + 1, sizeof(void *));
	if (!v) {
		free(info);
		return;
	}
	for (size_t i = 0; i < m->n; i++)
		m->guest[i]->seen = false;
	size_t have = 0;
	for (int i = 0; i < n; i++) {
		struct model_guest *g = model_entry(m, info[i].name);

		if (!g)
			continue;
		g->info = info[i];
		g->seen = true;
		if (!model_alive(g->info.state))
			model_forget(g);
		v[have++] = g;
	}
	for (size_t i = 0; i < m->n; i++)
		if (!m->guest[i]->seen)
			free(m->guest[i]);
	free(m->guest);
	free(info);
	m->guest = v;
	m->n = have;
	m->generation++;
}

void model_totals(const struct guest_stats *s, struct model_totals *out)
{
	memset(out, 0, sizeof(*out));
	for (unsigned i = 0; i < s->ndisks && i < STATS_MAX_DISKS; i++) {
		out->read_bytes += s->disk[i].read.bytes;
		out->write_bytes += s->disk[i].write.bytes;
	}
	for (unsigned i = 0; i < s->nnets && i < STATS_MAX_NETS; i++) {
		out->rx_bytes += s->net[i].rx.bytes;
		out->tx_bytes += s->net[i].tx.bytes;
	}
	for (unsigned i = 0; i < s->nvcpus && i < STATS_MAX_VCPUS; i++) {
		const struct vcpu_stats *v = &s->vcpu[i];
		uint64_t own = 0;

		for (int k = 0; k < EXIT_KINDS; k++)
			own += v->exits[k];
		out->exits += v->kvm_exits ? v->kvm_exits : own;
	}
}

/* Counters only rise; one that fell counts as unchanged. */
static double model_rate(uint64_t now, uint64_t then, double seconds)
{
	return now > then ? (double)(now - then) / seconds : 0;
}

static void model_rates(struct model_guest *g)
{
	const struct guest_stats *a = &g->prev, *b = &g->cur;
	double s = (double)(b->when_ns - a->when_ns) / NS_PER_S;
	double cpu = model_rate(b->io_cpu_ns, a->io_cpu_ns, s);
	struct model_totals ta, tb;

	for (unsigned i = 0; i < b->nvcpus && i < STATS_MAX_VCPUS; i++) {
		double r = model_rate(b->vcpu[i].cpu_ns, a->vcpu[i].cpu_ns, s);

		g->vcpu_percent[i] = r / 1e7; /* ns a second to percent */
		g->vcpu_steal[i] = model_rate(b->vcpu[i].steal_ns,
					   a->vcpu[i].steal_ns, s) /
				   1e7;
		cpu += r;
	}
	model_totals(a, &ta);
	model_totals(b, &tb);
	g->rate[SERIES_CPU] = cpu / 1e7;
	g->rate[SERIES_READ] = model_rate(tb.read_bytes, ta.read_bytes, s);
	g->rate[SERIES_WRITE] = model_rate(tb.write_bytes, ta.write_bytes, s);
	g->rate[SERIES_RX] = model_rate(tb.rx_bytes, ta.rx_bytes, s);
	g->rate[SERIES_TX] = model_rate(tb.tx_bytes, ta.tx_bytes, s);
	g->rate[SERIES_EXITS] = model_rate(tb.exits, ta.exits, s);
}

/* One second of history. */
static void model_remember(struct model_guest *g)
{
	bool full = g->nhistory == MODEL_HISTORY;

	for (int i = 0; i < MODEL_SERIES; i++) {
		float *h = g->history[i];

		if (full)
			memmove(h, h + 1, (MODEL_HISTORY - 1) * sizeof(*h));
		h[full ? MODEL_HISTORY - 1 : g->nhistory] = (float)g->rate[i];
	}
	if (!full)
		g->nhistory++;
}

void model_take(struct model_guest *g, const struct guest_stats *s)
{
	uint64_t seconds;

	if (g->samples && (s->uptime_ns < g->cur.uptime_ns ||
				  s->when_ns < g->cur.when_ns))
		model_forget(g);
	if (g->samples && s->when_ns - g->cur.when_ns < MODEL_MIN_NS)
		return;
	g->prev = g->cur;
	g->cur = *s;
	if (g->samples < 2)
		g->samples++;
	if (g->samples < 2)
		return;
	model_rates(g);
	/* nobody watched for a while: each second of it was like the rest */
	seconds = (g->cur.when_ns - g->prev.when_ns + NS_PER_S / 2) / NS_PER_S;
	for (uint64_t i = 0; i < (seconds ? seconds : 1) && i < MODEL_HISTORY;
		i++)
		model_remember(g);
}

double model_dirty_rate(const struct model_guest *g)
{
	if (g->samples < 2 || g->cur.dirty_pages < 0 || g->prev.dirty_pages < 0)
		return -1;
	return (double)g->cur.dirty_pages * 4096 /
	       ((double)(g->cur.when_ns - g->prev.when_ns) / 1e9);
}

void model_sample(struct model *m)
{
	struct guest_stats *s = malloc(sizeof(*s));

	model_refresh(m);
	for (size_t i = 0; s && i < m->n; i++) {
		struct model_guest *g = m->guest[i];

		if (!model_alive(g->info.state))
			continue;
		if (engine_stats(m->engine, g->info.name, s) || !s->uptime_ns)
			continue;
		model_take(g, s);
	}
	free(s);
	host_read(&m->host);
	m->sampled_ns = clock_now_ns();
}
