/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Guests as text for a terminal or a pipe. */
#include "ui/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ui/text.h"

const char *report_bus(enum conf_bus b)
{
	return b == CONF_BUS_SATA ? "sata" : "virtio";
}

const char *report_format(enum conf_format f)
{
	return f == CONF_FORMAT_QCOW2  ? "qcow2"
	       : f == CONF_FORMAT_AUTO ? "auto"
				       : "raw";
}

const char *report_cache(enum conf_cache c)
{
	return c == CONF_CACHE_NONE           ? "none"
	       : c == CONF_CACHE_WRITETHROUGH ? "writethrough"
	       : c == CONF_CACHE_DIRECTSYNC   ? "directsync"
	       : c == CONF_CACHE_UNSAFE       ? "unsafe"
					      : "writeback";
}

const char *report_aio(enum conf_aio a)
{
	return a == CONF_AIO_URING     ? "io_uring"
	       : a == CONF_AIO_THREADS ? "threads"
				       : "auto";
}

const char *report_net_mode(enum conf_net_mode m)
{
	return m == CONF_NET_TAP ? "tap" : "user";
}

const char *report_exit(enum exit_kind k)
{
	static const char *const names[EXIT_KINDS] = { "port_read",
		"port_write", "mmio_read", "mmio_write", "interrupted",
		"other" };

	return k < EXIT_KINDS ? names[k] : "?";
}

/* Control characters of a guest never reach a terminal. */
static void report_clean(char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			*s = '?';
}

void report_list_text(struct model_guest **v, int n,
	void (*write)(struct job *j, const char *text, size_t len),
	struct job *j)
{
	char line[512], mem[16], res[16], cpu[16], up[16];
	int w = 4, len;

	for (int i = 0; i < n; i++)
		if ((int)strlen(v[i]->info.name) > w)
			w = (int)strlen(v[i]->info.name);
	len = snprintf(line, sizeof(line),
		"%-*s  %-8s  %5s  %6s  %8s  %7s  %s\n", w, "NAME", "STATE",
		"CPU%", "MEMORY", "RESIDENT", "UPTIME", "VNC");
	write(j, line, (size_t)len);
	for (int i = 0; i < n; i++) {
		const struct model_guest *g = v[i];
		bool alive = model_alive(g->info.state);

		text_percent(g->rate[SERIES_CPU], cpu, sizeof(cpu));
		text_bytes((double)g->info.memory_bytes, mem, sizeof(mem));
		text_bytes((double)g->cur.memory_resident_bytes, res,
			sizeof(res));
		text_duration(g->info.uptime_ns, up, sizeof(up));
		snprintf(line, sizeof(line),
			"%-*s  %-8s  %5s  %6s  %8s  %7s  %s", w, g->info.name,
			guest_state_name(g->info.state),
			alive && g->samples > 1 ? cpu : "-", mem,
			alive ? res : "-", alive ? up : "-",
			*g->info.vnc   ? g->info.vnc
			: *g->info.why ? g->info.why
				       : "-");
		report_clean(line);
		write(j, line, strlen(line));
		write(j, "\n", 1);
	}
}

const struct disk_stats *report_disk_of(const struct guest_stats *s,
	const char *name)
{
	for (unsigned i = 0; i < s->ndisks && i < STATS_MAX_DISKS; i++)
		if (!strncmp(s->disk[i].name, name, STATS_NAME - 1))
			return &s->disk[i];
	return NULL;
}

/* s is NULL when the guest is off: then as it will be started. */
static void show_disk(FILE *f, const struct conf_disk *d,
	const struct disk_stats *s)
{
	fprintf(f, "disk %-8s %s%s, %s, cache %s, aio %s, %s\n", d->name,
		report_bus(d->bus), d->cdrom ? " cdrom" : "",
		s && s->format ? s->format : report_format(d->format),
		report_cache(d->cache),
		s && s->aio ? s->aio : report_aio(d->aio), d->path);
}

static void show_disks(FILE *f, const struct model_guest *g,
	const struct conf *c)
{
	char rd[16], wr[16], p50[16], p99[16];

	for (unsigned i = 0; i < c->ndisks; i++) {
		const struct conf_disk *d = &c->disks[i];

		show_disk(f, d, report_disk_of(&g->cur, d->name));
	}
	for (unsigned i = 0; i < g->cur.ndisks && i < STATS_MAX_DISKS; i++) {
		const struct disk_stats *s = &g->cur.disk[i];

		fprintf(f,
			"  %-11.31s read %s, write %s, read latency %s "
			"(99%%: %s)\n",
			s->name,
			text_bytes((double)s->read.bytes, rd, sizeof(rd)),
			text_bytes((double)s->write.bytes, wr, sizeof(wr)),
			text_us(hist_quantile_us(&s->read.latency, 0.5), p50,
				sizeof(p50)),
			text_us(hist_quantile_us(&s->read.latency, 0.99), p99,
				sizeof(p99)));
	}
}

static void show_nets(FILE *f, const struct model_guest *g,
	const struct conf *c)
{
	char rx[16], tx[16];

	for (unsigned i = 0; i < c->nnets; i++) {
		const struct conf_net *n = &c->nets[i];

		fprintf(f, "net  %-8s %s%s%s", n->name,
			report_net_mode(n->mode), *n->tap ? " " : "", n->tap);
		for (unsigned k = 0; k < n->nforwards; k++)
			fprintf(f, "%s%s:%s:%u-%u", k ? ", " : ", forward ",
				n->forwards[k].udp ? "udp" : "tcp",
				n->forwards[k].host_addr,
				n->forwards[k].host_port,
				n->forwards[k].guest_port);
		fputc('\n', f);
	}
	for (unsigned i = 0; i < g->cur.nnets && i < STATS_MAX_NETS; i++) {
		const struct net_stats *s = &g->cur.net[i];

		fprintf(f, "  %-11.31s received %s, sent %s\n", s->name,
			text_bytes((double)s->rx.bytes, rx, sizeof(rx)),
			text_bytes((double)s->tx.bytes, tx, sizeof(tx)));
	}
}

static void show_head(FILE *f, const struct model_guest *g,
	const struct conf *c)
{
	const struct guest_info *i = &g->info;
	char a[16], b[16];

	fprintf(f, "name          %s\nstate         %s%s%s\n", i->name,
		guest_state_name(i->state), *i->why ? ": " : "", i->why);
	fprintf(f, "cpus          %u\n", i->cpus);
	if (g->samples > 1)
		fprintf(f, "cpu           %s %%\n",
			text_percent(g->rate[SERIES_CPU], a, sizeof(a)));
	fprintf(f, "memory        %s, resident %s\n",
		text_bytes((double)i->memory_bytes, a, sizeof(a)),
		text_bytes((double)g->cur.memory_resident_bytes, b, sizeof(b)));
	fprintf(f, "firmware      %s\n", i->firmware);
	if (*c->kernel)
		fprintf(f, "kernel        %s\n", c->kernel);
	if (*c->initrd)
		fprintf(f, "initrd        %s\n", c->initrd);
	if (*c->cmdline)
		fprintf(f, "cmdline       %s\n", c->cmdline);
	if (model_alive(i->state))
		fprintf(f, "uptime        %s, %u reboots\n",
			text_duration(i->uptime_ns, a, sizeof(a)), i->reboots);
	fprintf(f, "vnc           %s\n", *i->vnc ? i->vnc : "-");
	if (g->cur.width)
		fprintf(f, "screen        %ux%u, %u viewers\n", g->cur.width,
			g->cur.height, g->cur.viewers);
}

char *report_show_text(const struct model_guest *g, const struct conf *c)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return NULL;
	show_head(f, g, c);
	show_disks(f, g, c);
	show_nets(f, g, c);
	if (fclose(f)) {
		free(text);
		return NULL;
	}
	return text;
}
