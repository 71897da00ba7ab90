// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * What a start makes around the board: the guest's log, its consoles, its
 * display with the viewers' port. Consoles stay readable after the guest
 * has ended; the display goes with it, so that its port is free.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "vm/base/clock.h"

#include "vm/machine/machine.h"

static void free_console(void *c)
{
	console_free(c);
}

static void free_display(void *d)
{
	display_free(d);
}

static void log_path(const struct guest *g, const char *suffix, char *buf,
	size_t len)
{
	snprintf(buf, len, "%s/log/%s%s.log", g->en->dir, g->conf.name, suffix);
}

/* Put a new shared thing in *slot; the one before it is let go. */
static int replace(struct guest *g, struct shared **slot, void *ptr,
	void (*free_fn)(void *), struct err *e)
{
	struct shared *s = share_new(g->en, ptr, free_fn), *old;

	if (!s) {
		free_fn(ptr);
		return err_set(e, ENOMEM, "no memory for a console");
	}
	lock_take(&g->en->lock);
	old = *slot;
	*slot = s;
	lock_drop(&g->en->lock);
	share_put(g->en, old);
	return 0;
}

static int make_console(struct guest *g, struct shared **slot,
	const char *suffix, struct err *e)
{
	char path[2 * CONF_PATH_MAX];
	struct console *c;
	int r;

	log_path(g, suffix, path, sizeof(path));
	r = console_new(path, &c, e);
	if (r < 0)
		return r;
	return replace(g, slot, c, free_console, e);
}

/* Where viewers reach this guest, as the config says. */
static int listen_for_viewers(struct guest *g, struct display *d, struct err *e)
{
	const struct conf_display *cd = &g->conf.display;
	struct display_listen l = { .off = cd->vnc == CONF_VNC_OFF };
	char path[2 * CONF_PATH_MAX];
	int r;

	if (l.off)
		return 0;
	if (cd->vnc == CONF_VNC_UNIX) {
		snprintf(path, sizeof(path), "%s/run/%s.vnc", g->en->dir,
			g->conf.name);
		l.unix_path = path;
	} else {
		l.addr = cd->vnc_addr;
		l.port = (uint16_t)(5900 + cd->vnc_display);
	}
	if (cd->password_file[0])
		l.password_file = cd->password_file;
	if (cd->viewonly_password_file[0])
		l.viewonly_password_file = cd->viewonly_password_file;
	r = display_listen(d, &l, e);
	if (r < 0)
		return r;
	lock_take(&g->en->lock);
	snprintf(g->vnc, sizeof(g->vnc), "%s", display_address(d));
	lock_drop(&g->en->lock);
	return 0;
}

static int make_display(struct guest *g, struct err *e)
{
	struct display *d;
	int r;

	if (!g->conf.display.vga)
		return 0;
	r = display_new(g->en->display, g->conf.name, g->log, &d, e);
	if (r < 0)
		return r;
	r = replace(g, &g->display, d, free_display, e);
	return r < 0 ? r : listen_for_viewers(g, d, e);
}

static int make_surroundings(struct guest *g, struct err *e)
{
	char path[2 * CONF_PATH_MAX];
	int r;

	log_path(g, "", path, sizeof(path));
	r = log_open(path, &g->log, e);
	if (r >= 0)
		r = make_console(g, &g->serial, ".serial", e);
	if (r >= 0)
		r = make_console(g, &g->firmware, ".firmware", e);
	if (r >= 0 && g->conf.virtio_console)
		r = make_console(g, &g->virtcon, ".hvc0", e);
	if (r >= 0)
		r = make_display(g, e);
	return r;
}

int guest_bring_up(struct guest *g, struct err *e)
{
	struct board_opts o = { .conf = &g->conf,
		.request = guest_request,
		.request_arg = g,
		.rtc_offset_s = g->rtc_offset_s };
	struct board *b = NULL;
	int r;

	g->crash_why[0] = 0;
	atomic_store(&g->requests, 0);
	g->stop_shown_until_ns = 0;
	g->quick_reboots = 0;
	r = make_surroundings(g, e);
	if (r >= 0) {
		o.log = g->log;
		o.serial = g->serial->ptr;
		o.firmware = g->firmware->ptr;
		o.virtcon = g->conf.virtio_console ? g->virtcon->ptr : NULL;
		o.display = g->display ? g->display->ptr : NULL;
		r = board_new(&o, &b, e);
	}
	if (r < 0) {
		log_msg(g->log, LOG_ERROR, "start failed: %s", e->msg);
		guest_take_down(g);
		return r;
	}
	lock_take(&g->en->lock);
	g->board = b;
	g->started_ns = clock_now_ns();
	g->reboots = 0;
	lock_drop(&g->en->lock);
	return 0;
}

void guest_take_down(struct guest *g)
{
	struct engine *en = g->en;
	struct shared *display;
	struct board *b;

	lock_take(&en->lock);
	b = g->board;
	g->board = NULL;
	display = g->display;
	g->display = NULL;
	g->vnc[0] = 0;
	lock_drop(&en->lock);
	if (b)
		g->rtc_offset_s = board_rtc_offset_s(b);
	board_free(b);
	loop_call_cancel(&g->request_call);
	loop_timer_disarm(&g->reboot_timer);
	atomic_store(&g->requests, 0);
	if (display)
		display_close(display->ptr);
	share_put(en, display);
	log_close(g->log);
	g->log = NULL;
}
