/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fake_engine.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/clock.h"
#include "vm/base/sizes.h"

struct engine *fake_new(void)
{
	return calloc(1, sizeof(struct engine));
}

void fake_free(struct engine *en)
{
	for (size_t i = 0; i < en->n; i++)
		console_free(en->guest[i].console);
	for (size_t i = 0; i < en->nold; i++)
		console_free(en->old[i]);
	free(en);
}

struct fake_guest *fake_find(struct engine *en, const char *name)
{
	for (size_t i = 0; i < en->n; i++)
		if (!strcmp(en->guest[i].info.name, name))
			return &en->guest[i];
	return NULL;
}

struct fake_guest *fake_add(struct engine *en, const char *name, unsigned cpus,
	uint64_t memory)
{
	struct fake_guest *g;
	size_t at = 0;

	while (at < en->n && strcmp(en->guest[at].info.name, name) < 0)
		at++;
	memmove(&en->guest[at + 1], &en->guest[at], (en->n - at) * sizeof(*g));
	en->n++;
	g = &en->guest[at];
	memset(g, 0, sizeof(*g));
	conf_init(&g->conf);
	snprintf(g->conf.name, sizeof(g->conf.name), "%s", name);
	strcpy(g->info.name, g->conf.name);
	g->info.cpus = g->conf.cpus = cpus;
	g->info.memory_bytes = g->conf.memory_bytes = memory;
	strcpy(g->info.firmware, "seabios");
	strcpy(g->conf.disks[0].name, "root");
	snprintf(g->conf.disks[0].path, CONF_PATH_MAX, "/srv/%s.raw", name);
	g->conf.disks[0].discard = true; /* as conf_init() has it */
	g->conf.disks[0].burst_s = 1;
	g->conf.ndisks = 1;
	strcpy(g->conf.nets[0].name, "lan");
	g->conf.nnets = 1;
	g->conf.nets[0].nforwards = 1;
	g->conf.nets[0].forwards[0] =
		(struct conf_forward){ .host_addr = "127.0.0.1",
			.host_port = 2222,
			.guest_port = 22 };
	return g;
}

/* Readers may still hold the console of the life before. */
static void fake_retire(struct engine *en, struct fake_guest *g)
{
	if (g->console && en->nold < 64)
		en->old[en->nold++] = g->console;
	g->console = NULL;
}

static void fake_up(struct fake_guest *g, unsigned uptime_s)
{
	struct guest_stats *s = &g->stats;

	memset(s, 0, sizeof(*s));
	s->when_ns = 1000 * NS_PER_S;
	s->uptime_ns = g->info.uptime_ns = uptime_s * NS_PER_S;
	s->nvcpus = g->info.cpus;
	s->memory_bytes = g->info.memory_bytes;
	s->memory_resident_bytes = g->info.memory_bytes / 3;
	s->dirty_pages = -1;
	s->ndisks = s->nnets = 1;
	strcpy(s->disk[0].name, "root");
	strcpy(s->net[0].name, "lan");
	s->width = 720;
	s->height = 400;
	console_new(NULL, &g->console, NULL);
}

void fake_state(struct engine *en, const char *name, enum guest_state st,
	unsigned uptime_s)
{
	struct fake_guest *g = fake_find(en, name);

	g->info.state = st;
	if (st == GUEST_RUNNING || st == GUEST_PAUSED) {
		fake_retire(en, g);
		fake_up(g, uptime_s);
	} else
		g->info.uptime_ns = 0;
}

static void fake_guest_pass(struct fake_guest *g, double s)
{
	struct guest_stats *st = &g->stats;
	uint64_t ns = (uint64_t)(s * 1e9);

	st->when_ns += ns;
	st->uptime_ns += ns;
	g->info.uptime_ns = st->uptime_ns;
	if (g->info.state != GUEST_RUNNING)
		return;
	for (unsigned i = 0; i < st->nvcpus; i++) {
		struct vcpu_stats *v = &st->vcpu[i];
		double cpu = g->cpu_percent / 100 / st->nvcpus * (double)ns;

		v->cpu_ns += (uint64_t)cpu;
		v->guest_ns += (uint64_t)(cpu * 0.9);
		v->halt_ns += ns - (uint64_t)cpu;
		v->steal_ns += ns / 200;
		v->kvm_exits += (uint64_t)((double)g->exit_rate * s);
		v->exits[EXIT_IO_WRITE] +=
			(uint64_t)((double)g->exit_rate * s / 3);
		v->exits[EXIT_MMIO_READ] +=
			(uint64_t)((double)g->exit_rate * s / 7);
	}
	st->disk[0].read.bytes += (uint64_t)((double)g->read_rate * s);
	st->disk[0].read.ops += (uint64_t)((double)g->read_rate * s / 4096);
	st->disk[0].read.latency.n[7] +=
		(uint64_t)((double)g->read_rate * s / 4096);
	st->disk[0].write.bytes += (uint64_t)((double)g->write_rate * s);
	st->disk[0].write.ops += (uint64_t)((double)g->write_rate * s / 8192);
	st->disk[0].write.latency.n[10] +=
		(uint64_t)((double)g->write_rate * s / 8192);
	st->net[0].rx.bytes += (uint64_t)((double)g->rx_rate * s);
	st->net[0].rx.ops += (uint64_t)((double)g->rx_rate * s / 900);
	st->net[0].tx.bytes += (uint64_t)((double)g->tx_rate * s);
	st->net[0].tx.ops += (uint64_t)((double)g->tx_rate * s / 300);
}

void fake_pass(struct engine *en, unsigned ms)
{
	for (size_t i = 0; i < en->n; i++)
		if (en->guest[i].info.uptime_ns)
			fake_guest_pass(&en->guest[i], ms / 1e3);
}

void fake_event(struct engine *en, enum engine_event_kind kind,
	const char *name)
{
	struct engine_event ev = { .kind = kind };
	const struct fake_guest *g = fake_find(en, name);

	snprintf(ev.guest, sizeof(ev.guest), "%s", name);
	if (g) {
		ev.state = g->info.state;
		strcpy(ev.why, g->info.why);
	}
	if (en->watch)
		en->watch(en->watch_arg, &ev);
}

void fake_say(struct engine *en, const char *name, const char *text)
{
	console_output(fake_find(en, name)->console, text, strlen(text));
}

void fake_screen(struct engine *en, const char *content)
{
	struct display_text *t = &en->text;
	unsigned row = 0, col = 0;

	memset(t, 0, sizeof(*t));
	t->cols = 80;
	t->rows = 25;
	for (unsigned i = 0; i < 80 * 25; i++)
		t->cell[i] = (struct display_cell){ ' ', 0x07 };
	for (const char *p = content; *p; p++) {
		if (*p == '\n') {
			row++;
			col = 0;
			continue;
		}
		t->cell[row * 80 + col].ch = (uint8_t)*p;
		t->cell[row * 80 + col++].attr = row ? 0x07 : 0x1f;
	}
	t->cursor_row = (int)row;
	t->cursor_col = (int)col;
}

void fake_populate(struct engine *en)
{
	struct fake_guest *g = fake_add(en, "web", 2, 512 * MiB);

	strcpy(g->info.vnc, "127.0.0.1:5905");
	g->cpu_percent = 37;
	g->read_rate = 1200000;
	g->write_rate = 340000;
	g->rx_rate = 52000;
	g->tx_rate = 8100;
	g->exit_rate = 2400;
	fake_state(en, "web", GUEST_RUNNING, 7385);
	g->stats.viewers = 1;
	g = fake_add(en, "db", 4, 4 * GiB);
	g->cpu_percent = 231;
	g->read_rate = 48000000;
	g->write_rate = 21000000;
	g->rx_rate = 910000;
	g->tx_rate = 1300000;
	g->exit_rate = 31000;
	fake_state(en, "db", GUEST_RUNNING, 1036800);
	g = fake_add(en, "build", 8, 2 * GiB);
	fake_state(en, "build", GUEST_PAUSED, 3600);
	fake_add(en, "installer-netboot-amd64", 1, 1 * GiB);
	g = fake_add(en, "legacy", 1, 64 * MiB);
	fake_state(en, "legacy", GUEST_CRASHED, 0);
	strcpy(g->info.why, "triple fault at rip 0x7c00");
}

/* ---- vm.h ---- */

int engine_new(const struct engine_opts *o, struct engine **out, struct err *e)
{
	(void)o;
	(void)e;
	*out = fake_new();
	fake_populate(*out);
	(*out)->live = true;
	(*out)->live_ns = clock_now_ns();
	fake_screen(*out, "GNU GRUB  version 2.06\n\n*Debian GNU/Linux\n"
			  " Advanced options\n\xc9\xcd\xbb\n");
	fake_say(*out, "web",
		"Booting \033[1;32mDebian\033[0m ...\r\n"
		"\033[34mweb login:\033[0m ");
	return 0;
}

void engine_free(struct engine *en)
{
	fake_free(en);
}

int engine_define(struct engine *en, const struct conf *c, bool replace,
	struct err *e)
{
	struct fake_guest *g = fake_find(en, c->name);

	if (g && !replace)
		return err_set(e, EEXIST, "guest %s exists", c->name);
	if (!g)
		g = fake_add(en, c->name, c->cpus, c->memory_bytes);
	g->conf = *c;
	fake_event(en, ENGINE_EV_LIST, c->name);
	return 0;
}

static const enum guest_move fake_moves[] = {
	[ENGINE_START] = MOVE_START,
	[ENGINE_STOP] = MOVE_STOP,
	[ENGINE_KILL] = MOVE_KILL,
	[ENGINE_PAUSE] = MOVE_PAUSE,
	[ENGINE_RESUME] = MOVE_RESUME,
	[ENGINE_RESET] = MOVE_RESET,
	[ENGINE_UNDEFINE] = MOVE_UNDEFINE,
};

static void fake_settle(struct engine *en, struct fake_guest *g)
{
	if (g->info.state == GUEST_STARTING) {
		fake_state(en, g->info.name, GUEST_RUNNING, 1);
		fake_say(en, g->info.name, "hello from the guest\r\n");
	}
	if (g->info.state == GUEST_STOPPING) {
		g->info.state = GUEST_OFF;
		g->info.uptime_ns = 0;
	}
}

static void fake_remove(struct engine *en, struct fake_guest *g)
{
	size_t i = (size_t)(g - en->guest);

	fake_retire(en, g);
	memmove(g, g + 1, (en->n - i - 1) * sizeof(*g));
	en->n--;
}

void engine_command(struct engine *en, const struct engine_command *c)
{
	struct fake_guest *g = fake_find(en, c->guest);
	struct err e = ERR_NONE;
	int s;

	en->commands++;
	if (!g) {
		err_set(&e, ENOENT, "there is no guest %s", c->guest);
		c->done(c->arg, &e);
		return;
	}
	s = guest_state_next(g->info.state, fake_moves[c->verb], &e);
	if (s < 0) {
		c->done(c->arg, &e);
		return;
	}
	g->info.state = (enum guest_state)s;
	if (c->verb == ENGINE_STOP && en->hold) {
		en->held = *c;
		fake_event(en, ENGINE_EV_STATE, c->guest);
		return;
	}
	if (c->verb == ENGINE_UNDEFINE)
		fake_remove(en, g);
	else
		fake_settle(en, g);
	fake_event(en,
		c->verb == ENGINE_UNDEFINE ? ENGINE_EV_LIST : ENGINE_EV_STATE,
		c->guest);
	c->done(c->arg, &e);
}

void fake_finish(struct engine *en, int code)
{
	struct engine_command c = en->held;
	struct fake_guest *g = fake_find(en, c.guest);
	struct err e = ERR_NONE;

	memset(&en->held, 0, sizeof(en->held));
	if (code)
		err_set(&e, code, "guest did not power off in time");
	else
		fake_settle(en, g);
	fake_event(en, ENGINE_EV_STATE, c.guest);
	c.done(c.arg, &e);
}

size_t engine_list(struct engine *en, struct guest_info *out, size_t max)
{
	for (size_t i = 0; i < en->n && i < max; i++)
		out[i] = en->guest[i].info;
	return en->n;
}

int engine_info(struct engine *en, const char *guest, struct guest_info *out)
{
	const struct fake_guest *g = fake_find(en, guest);

	if (!g)
		return -ENOENT;
	*out = g->info;
	return 0;
}

int engine_conf(struct engine *en, const char *guest, struct conf *out)
{
	const struct fake_guest *g = fake_find(en, guest);

	if (!g)
		return -ENOENT;
	*out = g->conf;
	return 0;
}

int engine_dirty_rate(struct engine *en, const char *guest, bool on)
{
	struct fake_guest *g = fake_find(en, guest);

	if (!g)
		return -ENOENT;
	if (!g->stats.uptime_ns)
		return -EINVAL;
	g->stats.dirty_pages = on ? 256 : -1;
	return 0;
}

int engine_stats(struct engine *en, const char *guest, struct guest_stats *out)
{
	struct fake_guest *g = fake_find(en, guest);

	if (!g)
		return -ENOENT;
	if (en->live) {
		uint64_t now = clock_now_ns();

		if (now - en->live_ns > NS_PER_S / 10) {
			for (size_t i = 0; i < en->n; i++)
				en->guest[i].cpu_percent *=
					0.8 + 0.4 * drand48();
			fake_pass(en,
				(unsigned)((now - en->live_ns) / NS_PER_MS));
			en->live_ns = now;
		}
	}
	*out = g->stats;
	return 0;
}

struct console *engine_console_get(struct engine *en, const char *guest)
{
	const struct fake_guest *g = fake_find(en, guest);

	return g ? g->console : NULL;
}

void engine_console_put(struct engine *en, struct console *c)
{
	(void)en;
	(void)c;
}

struct display *engine_display_get(struct engine *en, const char *guest)
{
	const struct fake_guest *g = fake_find(en, guest);

	return g && g->console ? (struct display *)(void *)en : NULL;
}

void engine_display_put(struct engine *en, struct display *d)
{
	(void)en;
	(void)d;
}

void engine_watch(struct engine *en,
	void (*fn)(void *arg, const struct engine_event *ev), void *arg)
{
	en->watch = fn;
	en->watch_arg = arg;
}

const char *engine_broken(struct engine *en, size_t i)
{
	return i ? NULL : en->broken;
}

size_t engine_doctor(struct engine_finding *out, size_t max)
{
	if (max)
		out[0] = (struct engine_finding){ "kvm", true, "fake" };
	return 1;
}

/* ---- display.h ---- */

int display_sendkey(struct display *d, const char *const *keys, int n,
	struct err *e)
{
	struct engine *en = (struct engine *)(void *)d;

	for (int i = 0; i < n; i++) {
		size_t at = strlen(en->keys);

		if (!strcmp(keys[i], "bogus"))
			return err_set(e, EINVAL, "there is no key bogus");
		snprintf(en->keys + at, sizeof(en->keys) - at, "%s%s",
			at ? " " : "", keys[i]);
	}
	return 0;
}

int display_screenshot(struct display *d, const char *path, struct err *e)
{
	struct engine *en = (struct engine *)(void *)d;

	en->screenshots++;
	if (strstr(path, "/missing/"))
		return err_set(e, ENOENT, "cannot write %s", path);
	return 0;
}

uint64_t display_text(struct display *d, struct display_text *out)
{
	*out = ((struct engine *)(void *)d)->text;
	return 1;
}

void display_stats(struct display *d, struct display_stats *out)
{
	(void)d;
	*out = (struct display_stats){ .width = 720, .height = 400 };
}
