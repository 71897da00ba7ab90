/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is known of a guest, in parts. A figure not known is not shown. */
#include "ui/page.h"

#include <stdlib.h>
#include <string.h>

#include "vm/base/clock.h"

#include "ui/guest_cols.h"
#include "ui/report.h"
#include "ui/text.h"
#include "ui/w_head.h"

static double page_top(const struct model_guest *g, enum model_series s)
{
	double top = 1;

	for (unsigned i = 0; i < g->nhistory; i++)
		if ((double)g->history[s][i] > top)
			top = (double)g->history[s][i];
	return top;
}

/* "Disk read   1.2M/s  ▁▂▃" */
static void overview_rate(struct w_doc *d, const struct model_guest *g,
	const char *label, enum model_series s, bool bytes, int w)
{
	char b[16];

	w_doc_line(d);
	w_doc_text(d, 1, ROLE_DIM, "%s", label);
	if (g->samples < 2) {
		w_doc_right(d, 14, 6, ROLE_DIM, "-");
		return;
	}
	w_doc_right(d, 14, 6, ROLE_NORMAL,
		bytes ? text_bytes(g->rate[s], b, sizeof(b))
		      : text_count(g->rate[s], b, sizeof(b)));
	w_doc_text(d, 20, ROLE_DIM, "/s");
	w_doc_spark(d, 26, w - 27 < MODEL_HISTORY ? w - 27 : MODEL_HISTORY,
		g->history[s], g->nhistory, page_top(g, s));
}

static void overview_cpu(struct w_doc *d, const struct model_guest *g, int w)
{
	double all = 100.0 * (g->info.cpus ? g->info.cpus : 1);
	char b[16];

	w_doc_line(d);
	w_doc_text(d, 1, ROLE_DIM, "CPU");
	if (g->samples < 2) {
		w_doc_right(d, 14, 6, ROLE_DIM, "-");
		return;
	}
	w_doc_right(d, 14, 6, ROLE_STRONG,
		text_percent(g->rate[SERIES_CPU], b, sizeof(b)));
	w_doc_text(d, 20, ROLE_DIM, " %%");
	w_doc_spark(d, 26, w - 27 < MODEL_HISTORY ? w - 27 : MODEL_HISTORY,
		g->history[SERIES_CPU], g->nhistory, all);
}

static void overview_memory(struct w_doc *d, const struct model_guest *g, int w)
{
	double all = (double)g->info.memory_bytes;
	double res = (double)g->cur.memory_resident_bytes;
	char a[16], b[16];

	w_doc_line(d);
	w_doc_text(d, 1, ROLE_DIM, "Memory");
	if (!g->samples) {
		w_doc_right(d, 14, 6, ROLE_NORMAL, text_bytes(all, a, 16));
		return;
	}
	w_doc_right(d, 14, 6, ROLE_STRONG, text_bytes(res, b, sizeof(b)));
	w_doc_meter(d, 26, w - 40 < 40 ? w - 40 : 40, all > 0 ? res / all : 0,
		ROLE_METER);
	w_doc_text(d, w - 40 < 40 ? w - 13 : 67, ROLE_DIM, "of %s",
		text_bytes(all, a, sizeof(a)));
}

static void overview_facts(struct w_doc *d, const struct model_guest *g)
{
	const struct guest_info *i = &g->info;
	char up[24], dirty[16];

	w_doc_line(d);
	w_doc_line(d);
	w_doc_text(d, 1, ROLE_DIM, "State");
	w_doc_text(d, 14, guest_role(i->state), "%s",
		guest_state_name(i->state));
	if (*i->why)
		w_doc_field(d, "Reason", "%s", i->why);
	if (model_alive(i->state))
		w_doc_field(d, "Uptime", "%s, %u reboot%s",
			text_duration(i->uptime_ns, up, sizeof(up)), i->reboots,
			i->reboots == 1 ? "" : "s");
	w_doc_field(d, "Machine", "%u vCPU%s, %s", i->cpus,
		i->cpus == 1 ? "" : "s",
		strcmp(i->firmware, "none") ? i->firmware : "direct boot");
	w_doc_field(d, "VNC", "%s", *i->vnc ? i->vnc : "-");
	if (g->cur.width)
		w_doc_field(d, "Screen", "%ux%u, %u viewer%s, %llu frames",
			g->cur.width, g->cur.height, g->cur.viewers,
			g->cur.viewers == 1 ? "" : "s",
			(unsigned long long)g->cur.frames);
	if (model_dirty_rate(g) >= 0)
		w_doc_field(d, "Dirties", "%s/s of its memory",
			text_bytes(model_dirty_rate(g), dirty, sizeof(dirty)));
}

void page_overview(struct w_doc *d, const struct model_guest *g, int w)
{
	overview_cpu(d, g, w);
	overview_memory(d, g, w);
	overview_rate(d, g, "Disk read", SERIES_READ, true, w);
	overview_rate(d, g, "Disk write", SERIES_WRITE, true, w);
	overview_rate(d, g, "Net receive", SERIES_RX, true, w);
	overview_rate(d, g, "Net send", SERIES_TX, true, w);
	overview_rate(d, g, "Exits", SERIES_EXITS, false, w);
	overview_facts(d, g);
}

static void page_off(struct w_doc *d)
{
	w_doc_line(d);
	w_doc_text(d, 1, ROLE_DIM, "The guest is off.");
}

/* Time as a part of the guest's life, for totals since its start. */
static void cpu_share(struct w_doc *d, int col, uint64_t ns, uint64_t life_ns)
{
	char b[16];

	w_doc_right(d, col, 7, ns ? ROLE_NORMAL : ROLE_DIM,
		ns && life_ns
			? text_percent(100.0 * (double)ns / (double)life_ns, b,
				  sizeof(b))
			: "-");
}

static void cpu_row(struct w_doc *d, const struct model_guest *g, unsigned i)
{
	const struct vcpu_stats *v = &g->cur.vcpu[i];
	uint64_t life = g->cur.uptime_ns;
	char b[16];

	w_doc_line(d);
	w_doc_text(d, 1, ROLE_NORMAL, "%u", i);
	w_doc_right(d, 5, 6, g->samples > 1 ? ROLE_STRONG : ROLE_DIM,
		g->samples > 1 ? text_percent(g->vcpu_percent[i], b, sizeof(b))
			       : "-");
	if (g->samples > 1)
		w_doc_meter(d, 12, 10, g->vcpu_percent[i] / 100,
			g->vcpu_percent[i] > 90 ? ROLE_METER_HOT : ROLE_METER);
	cpu_share(d, 23, v->guest_ns, life);
	cpu_share(d, 31, v->halt_ns, life);
	cpu_share(d, 39, v->steal_ns, life);
	w_doc_right(d, 48, 7, ROLE_NORMAL,
		text_count((double)v->kvm_exits, b, sizeof(b)));
	w_doc_right(d, 57, 7, ROLE_NORMAL,
		text_count((double)v->kvm_halt_exits, b, sizeof(b)));
	w_doc_right(d, 66, 7, ROLE_NORMAL,
		text_count((double)v->kvm_irq_injections, b, sizeof(b)));
}

static void cpu_exits(struct w_doc *d, const struct model_guest *g)
{
	static const char *const names[EXIT_KINDS] = { "port read",
		"port write", "MMIO read", "MMIO write", "interrupted",
		"other" };
	char b[16];
	int col = 1;

	w_doc_head(d, "Exits to us, by reason, since the start");
	w_doc_line(d);
	for (int k = 0; k < EXIT_KINDS; k++) {
		uint64_t n = 0;

		for (unsigned i = 0; i < g->cur.nvcpus && i < STATS_MAX_VCPUS;
			i++)
			n += g->cur.vcpu[i].exits[k];
		if (k == 3) {
			w_doc_line(d);
			col = 1;
		}
		w_doc_text(d, col, ROLE_DIM, "%s", names[k]);
		w_doc_right(d, col + 12, 6, ROLE_NORMAL,
			text_count((double)n, b, sizeof(b)));
		col += 24;
	}
}

void page_cpus(struct w_doc *d, const struct model_guest *g)
{
	char b[24];

	w_doc_head(d, "vCPUs (busy now; in guest, halted, stolen: % of life)");
	if (!g->samples) {
		page_off(d);
		return;
	}
	w_doc_line(d);
	w_doc_text(d, 1, ROLE_DIM, "#");
	w_doc_right(d, 5, 6, ROLE_DIM, "BUSY%");
	w_doc_right(d, 23, 7, ROLE_DIM, "GUEST");
	w_doc_right(d, 31, 7, ROLE_DIM, "HALTED");
	w_doc_right(d, 39, 7, ROLE_DIM, "STOLEN");
	w_doc_right(d, 48, 7, ROLE_DIM, "EXITS");
	w_doc_right(d, 57, 7, ROLE_DIM, "HALTS");
	w_doc_right(d, 66, 7, ROLE_DIM, "IRQS");
	for (unsigned i = 0; i < g->cur.nvcpus && i < STATS_MAX_VCPUS; i++)
		cpu_row(d, g, i);
	w_doc_field(d, "I/O thread", "%s of CPU since the start",
		text_duration(g->cur.io_cpu_ns, b, sizeof(b)));
	cpu_exits(d, g);
}

static void disk_row(struct w_doc *d, const char *what,
	const struct dir_stats *s)
{
	char b[16];

	w_doc_line(d);
	w_doc_text(d, 3, ROLE_NORMAL, "%s", what);
	w_doc_right(d, 12, 8, ROLE_NORMAL,
		text_count((double)s->ops, b, sizeof(b)));
	w_doc_right(d, 21, 8, ROLE_NORMAL,
		text_bytes((double)s->bytes, b, sizeof(b)));
	w_doc_right(d, 30, 7, s->errors ? ROLE_BAD : ROLE_DIM,
		text_count((double)s->errors, b, sizeof(b)));
	w_doc_right(d, 38, 9, ROLE_NORMAL,
		text_us(s->ops ? s->time_ns / s->ops / 1000 : 0, b, sizeof(b)));
	w_doc_right(d, 48, 8, ROLE_NORMAL,
		text_us(hist_quantile_us(&s->latency, 0.5), b, sizeof(b)));
	w_doc_right(d, 57, 8, ROLE_NORMAL,
		text_us(hist_quantile_us(&s->latency, 0.99), b, sizeof(b)));
	w_doc_right(d, 66, 8, ROLE_NORMAL,
		text_us(hist_quantile_us(&s->latency, 1.0), b, sizeof(b)));
}

void page_disks(struct w_doc *d, const struct model_guest *g)
{
	w_doc_head(d, "Disks since the start (latency: quantiles, up to)");
	if (!g->samples) {
		page_off(d);
		return;
	}
	w_doc_line(d);
	w_doc_right(d, 12, 8, ROLE_DIM, "REQUESTS");
	w_doc_right(d, 21, 8, ROLE_DIM, "BYTES");
	w_doc_right(d, 30, 7, ROLE_DIM, "ERRORS");
	w_doc_right(d, 38, 9, ROLE_DIM, "MEAN");
	w_doc_right(d, 48, 8, ROLE_DIM, "50%");
	w_doc_right(d, 57, 8, ROLE_DIM, "99%");
	w_doc_right(d, 66, 8, ROLE_DIM, "WORST");
	for (unsigned i = 0; i < g->cur.ndisks && i < STATS_MAX_DISKS; i++) {
		const struct disk_stats *s = &g->cur.disk[i];

		w_doc_line(d);
		w_doc_text(d, 1, ROLE_STRONG, "%.*s", STATS_NAME - 1, s->name);
		w_doc_text(d, 21, ROLE_DIM, "%u in flight", s->in_flight);
		disk_row(d, "read", &s->read);
		disk_row(d, "write", &s->write);
		disk_row(d, "flush", &s->flush);
		disk_row(d, "discard", &s->discard);
	}
}

static void net_row(struct w_doc *d, const char *what,
	const struct dir_stats *s, uint64_t dropped)
{
	char b[16];

	w_doc_line(d);
	w_doc_text(d, 3, ROLE_NORMAL, "%s", what);
	w_doc_right(d, 12, 8, ROLE_NORMAL,
		text_count((double)s->ops, b, sizeof(b)));
	w_doc_right(d, 21, 8, ROLE_NORMAL,
		text_bytes((double)s->bytes, b, sizeof(b)));
	w_doc_right(d, 30, 7, s->errors ? ROLE_BAD : ROLE_DIM,
		text_count((double)s->errors, b, sizeof(b)));
	w_doc_right(d, 38, 9, dropped ? ROLE_WARN : ROLE_DIM,
		text_count((double)dropped, b, sizeof(b)));
}

static const struct net_stats *page_net_of(const struct guest_stats *s,
	const char *name)
{
	for (unsigned i = 0; i < s->nnets && i < STATS_MAX_NETS; i++)
		if (!strncmp(s->net[i].name, name, STATS_NAME - 1))
			return &s->net[i];
	return NULL;
}

void page_nets(struct w_doc *d, const struct model_guest *g,
	const struct conf *c)
{
	w_doc_head(d, "Network since the start");
	w_doc_line(d);
	w_doc_right(d, 12, 8, ROLE_DIM, "PACKETS");
	w_doc_right(d, 21, 8, ROLE_DIM, "BYTES");
	w_doc_right(d, 30, 7, ROLE_DIM, "ERRORS");
	w_doc_right(d, 38, 9, ROLE_DIM, "DROPPED");
	for (unsigned i = 0; i < c->nnets; i++) {
		const struct conf_net *n = &c->nets[i];
		const struct net_stats *s = page_net_of(&g->cur, n->name);

		w_doc_line(d);
		w_doc_text(d, 1, ROLE_STRONG, "%s", n->name);
		w_doc_text(d, 21, ROLE_DIM, "%s %s", report_net_mode(n->mode),
			n->tap);
		if (s) {
			net_row(d, "receive", &s->rx, s->rx_dropped);
			net_row(d, "send", &s->tx, s->tx_dropped);
		}
		for (unsigned k = 0; k < n->nforwards; k++) {
			const struct conf_forward *f = &n->forwards[k];

			w_doc_line(d);
			w_doc_text(d, 3, ROLE_DIM,
				"%s %s:%u goes to port %u of the guest",
				f->udp ? "UDP" : "TCP", f->host_addr,
				f->host_port, f->guest_port);
		}
	}
	if (!c->nnets) {
		w_doc_line(d);
		w_doc_text(d, 1, ROLE_DIM, "It has no network.");
	}
}

void page_config(struct w_doc *d, const struct conf *c)
{
	char *text, *line, *save = NULL;

	w_doc_head(d, "Configuration");
	if (conf_format(c, &text, NULL))
		return;
	for (line = strtok_r(text, "\n", &save); line;
		line = strtok_r(NULL, "\n", &save)) {
		w_doc_line(d);
		w_doc_text(d, 1, *line == '[' ? ROLE_STRONG : ROLE_NORMAL, "%s",
			line);
	}
	free(text);
}

void page_events(struct w_doc *d, const struct app *a, const char *guest)
{
	uint64_t n = a->nevents < APP_EVENTS ? a->nevents : APP_EVENTS;
	bool any = false;
	char when[16];

	w_doc_head(d, "Events, the newest first");
	for (uint64_t i = 0; i < n; i++) {
		const struct app_event *e =
			&a->events[(a->nevents - 1 - i) % APP_EVENTS];

		if (strcmp(e->ev.guest, guest) || e->ev.kind == ENGINE_EV_LIST)
			continue;
		any = true;
		w_doc_line(d);
		w_doc_text(d, 1, ROLE_DIM, "%s",
			w_clock(e->wall_ns, when, sizeof(when)));
		if (e->ev.kind == ENGINE_EV_REBOOT)
			w_doc_text(d, 11, ROLE_INFO, "reboot");
		else
			w_doc_text(d, 11, guest_role(e->ev.state), "%s",
				guest_state_name(e->ev.state));
		w_doc_text(d, 21, ROLE_NORMAL, "%s", e->ev.why);
	}
	if (!any) {
		w_doc_line(d);
		w_doc_text(d, 1, ROLE_DIM, "None since the server runs.");
	}
}
