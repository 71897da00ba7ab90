/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Guests as JSON, for scripts. Names here are a contract: add, never change.
 * Byte counts of disks and NICs are totals since the guest started.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/clock.h"

#include "ui/report.h"

static json_t *json_u64(uint64_t v)
{
	return json_integer(v > INT64_MAX ? INT64_MAX : (json_int_t)v);
}

/* Strings here may hold what a guest made (a crash reason): never invalid. */
static json_t *json_text(const char *s)
{
	json_t *j = json_string(s);

	return j ? j : json_string("?");
}

static json_t *report_guest_json(const struct model_guest *g)
{
	const struct guest_info *i = &g->info;
	const struct guest_stats *s = &g->cur;
	json_t *j = json_object();
	struct model_totals t;

	model_totals(s, &t);
	json_object_set_new(j, "name", json_text(i->name));
	json_object_set_new(j, "state",
		json_string(guest_state_name(i->state)));
	json_object_set_new(j, "cpus", json_integer(i->cpus));
	json_object_set_new(j, "cpu_percent",
		json_real(g->samples > 1 ? g->rate[SERIES_CPU] : 0));
	json_object_set_new(j, "memory_bytes", json_u64(i->memory_bytes));
	json_object_set_new(j, "memory_resident_bytes",
		json_u64(s->memory_resident_bytes));
	json_object_set_new(j, "disk_read_bytes", json_u64(t.read_bytes));
	json_object_set_new(j, "disk_write_bytes", json_u64(t.write_bytes));
	json_object_set_new(j, "net_rx_bytes", json_u64(t.rx_bytes));
	json_object_set_new(j, "net_tx_bytes", json_u64(t.tx_bytes));
	json_object_set_new(j, "vnc", json_text(i->vnc));
	json_object_set_new(j, "viewers", json_integer(s->viewers));
	json_object_set_new(j, "uptime_s",
		json_real((double)i->uptime_ns / NS_PER_S));
	json_object_set_new(j, "reboots", json_integer(i->reboots));
	json_object_set_new(j, "firmware", json_text(i->firmware));
	json_object_set_new(j, "why", json_text(i->why));
	return j;
}

static char *report_dump(json_t *j)
{
	char *text = json_dumps(j, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
	char *line = NULL;

	json_decref(j);
	if (text && asprintf(&line, "%s\n", text) < 0)
		line = NULL;
	free(text);
	return line;
}

char *report_list_json(struct model_guest **v, int n)
{
	json_t *a = json_array();

	for (int i = 0; i < n; i++)
		json_array_append_new(a, report_guest_json(v[i]));
	return report_dump(a);
}

static json_t *report_dir_json(const struct dir_stats *d, bool latency)
{
	json_t *j = json_object();

	json_object_set_new(j, "ops", json_u64(d->ops));
	json_object_set_new(j, "bytes", json_u64(d->bytes));
	json_object_set_new(j, "errors", json_u64(d->errors));
	if (!latency)
		return j;
	json_object_set_new(j, "latency_p50_us",
		json_u64(hist_quantile_us(&d->latency, 0.5)));
	json_object_set_new(j, "latency_p99_us",
		json_u64(hist_quantile_us(&d->latency, 0.99)));
	return j;
}

static json_t *report_disk_json(const struct conf_disk *c,
	const struct disk_stats *s)
{
	json_t *j = json_object();

	json_object_set_new(j, "name", json_text(c->name));
	json_object_set_new(j, "path", json_text(c->path));
	json_object_set_new(j, "bus", json_string(report_bus(c->bus)));
	json_object_set_new(j, "format", json_string(report_format(c->format)));
	json_object_set_new(j, "cache", json_string(report_cache(c->cache)));
	json_object_set_new(j, "aio", json_string(report_aio(c->aio)));
	json_object_set_new(j, "readonly",
		json_boolean(c->readonly || c->cdrom));
	json_object_set_new(j, "cdrom", json_boolean(c->cdrom));
	if (!s)
		return j;
	json_object_set_new(j, "format_in_use", json_text(s->format));
	json_object_set_new(j, "aio_in_use", json_text(s->aio));
	json_object_set_new(j, "read", report_dir_json(&s->read, true));
	json_object_set_new(j, "write", report_dir_json(&s->write, true));
	json_object_set_new(j, "flush", report_dir_json(&s->flush, true));
	json_object_set_new(j, "discard", report_dir_json(&s->discard, true));
	json_object_set_new(j, "in_flight", json_integer(s->in_flight));
	return j;
}

static json_t *report_net_json(const struct conf_net *c,
	const struct net_stats *s)
{
	json_t *j = json_object(), *fw = json_array();

	for (unsigned i = 0; i < c->nforwards; i++) {
		const struct conf_forward *f = &c->forwards[i];

		json_array_append_new(fw,
			json_sprintf("%s:%s:%u-%u", f->udp ? "udp" : "tcp",
				f->host_addr, f->host_port, f->guest_port));
	}
	json_object_set_new(j, "name", json_text(c->name));
	json_object_set_new(j, "mode", json_string(report_net_mode(c->mode)));
	json_object_set_new(j, "forward", fw);
	if (!s)
		return j;
	json_object_set_new(j, "rx", report_dir_json(&s->rx, false));
	json_object_set_new(j, "tx", report_dir_json(&s->tx, false));
	json_object_set_new(j, "rx_dropped", json_u64(s->rx_dropped));
	json_object_set_new(j, "tx_dropped", json_u64(s->tx_dropped));
	return j;
}

static json_t *report_vcpus_json(const struct model_guest *g)
{
	json_t *a = json_array();

	for (unsigned i = 0; i < g->cur.nvcpus && i < STATS_MAX_VCPUS; i++) {
		const struct vcpu_stats *v = &g->cur.vcpu[i];
		json_t *j = json_object(), *x = json_object();

		json_object_set_new(j, "cpu_ns", json_u64(v->cpu_ns));
		json_object_set_new(j, "guest_ns", json_u64(v->guest_ns));
		json_object_set_new(j, "halt_ns", json_u64(v->halt_ns));
		json_object_set_new(j, "steal_ns", json_u64(v->steal_ns));
		json_object_set_new(j, "kvm_exits", json_u64(v->kvm_exits));
		json_object_set_new(j, "kvm_halt_exits",
			json_u64(v->kvm_halt_exits));
		json_object_set_new(j, "kvm_irq_injections",
			json_u64(v->kvm_irq_injections));
		for (int k = 0; k < EXIT_KINDS; k++)
			json_object_set_new(x, report_exit((enum exit_kind)k),
				json_u64(v->exits[k]));
		json_object_set_new(j, "exits", x);
		json_array_append_new(a, j);
	}
	return a;
}

static const struct net_stats *report_net_of(const struct guest_stats *s,
	const char *name)
{
	for (unsigned i = 0; i < s->nnets && i < STATS_MAX_NETS; i++)
		if (!strncmp(s->net[i].name, name, STATS_NAME - 1))
			return &s->net[i];
	return NULL;
}

char *report_show_json(const struct model_guest *g, const struct conf *c)
{
	json_t *j = report_guest_json(g);
	json_t *disks = json_array(), *nets = json_array();

	for (unsigned i = 0; i < c->ndisks; i++)
		json_array_append_new(disks,
			report_disk_json(&c->disks[i],
				report_disk_of(&g->cur, c->disks[i].name)));
	for (unsigned i = 0; i < c->nnets; i++)
		json_array_append_new(nets,
			report_net_json(&c->nets[i],
				report_net_of(&g->cur, c->nets[i].name)));
	json_object_set_new(j, "kernel", json_text(c->kernel));
	json_object_set_new(j, "initrd", json_text(c->initrd));
	json_object_set_new(j, "cmdline", json_text(c->cmdline));
	json_object_set_new(j, "disks", disks);
	json_object_set_new(j, "nets", nets);
	json_object_set_new(j, "vcpus", report_vcpus_json(g));
	json_object_set_new(j, "io_cpu_ns", json_u64(g->cur.io_cpu_ns));
	json_object_set_new(j, "dirty_bytes_per_s",
		model_dirty_rate(g) < 0 ? json_null()
					: json_real(model_dirty_rate(g)));
	json_object_set_new(j, "frames", json_u64(g->cur.frames));
	json_object_set_new(j, "screen_width", json_integer(g->cur.width));
	json_object_set_new(j, "screen_height", json_integer(g->cur.height));
	return report_dump(j);
}
