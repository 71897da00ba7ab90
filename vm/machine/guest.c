// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * One guest's life: verbs of people and requests of the guest, carried out
 * one after the other on the engine's thread. What is legal is the state
 * table's to say (vm/core/state.c); what it means is here.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/clock.h"

#include "vm/machine/machine.h"

/*
 * The engine's thread is everybody's and waits for no disk: it looks so often
 * whether one that is to stand still has something in flight, says so after
 * a while, and in the end lets the guest go on.
 */
#define SETTLE_LOOK_NS (2 * NS_PER_MS)
#define SETTLE_TOLD_NS (2 * NS_PER_S)
#define SETTLE_SLOW_NS (50 * NS_PER_MS) /* looks from then on */
#define SETTLE_MAX_NS  (60 * NS_PER_S)

/* How long "stopping" is shown when nobody waits for the power-off. */
#define STOP_SHOWN_NS (60 * NS_PER_S)

/* The n-th reboot within CALM of the one before it waits n steps. */
#define REBOOT_CALM_NS (10 * NS_PER_S)
#define REBOOT_STEP_NS (50 * NS_PER_MS)
#define REBOOT_STEPS   20

static void set_state(struct guest *g, enum guest_state s, const char *why)
{
	struct engine *en = g->en;
	bool changed = g->state != s;

	lock_take(&en->lock);
	g->state = s;
	if (why)
		snprintf(g->why, sizeof(g->why), "%s", why);
	lock_drop(&en->lock);
	if (changed)
		engine_tell(en, ENGINE_EV_STATE, g->conf.name, s, why);
}

static void finish(struct command *cmd, const struct err *e)
{
	if (cmd->c.done)
		cmd->c.done(cmd->c.arg, e);
	free(cmd);
}

/* End every waiting stop command. */
static void finish_stops(struct guest *g, const struct err *e)
{
	struct list *n;

	while ((n = list_pop(&g->stops)))
		finish(list_entry(n, struct command, node), e);
	loop_timer_disarm(&g->stop_timer);
}

/* What waits for disks to settle ends with e; what came after it is next. */
static void settle_over(struct guest *g, const struct err *e)
{
	struct command *cmd = g->settle.cmd;
	struct list later, *n;

	loop_timer_disarm(&g->settle.timer);
	if (g->settle.told && g->board)
		set_state(g, g->state, "");
	g->settle.waits = g->settle.told = false;
	g->settle.cmd = NULL;
	if (cmd)
		finish(cmd, e);
	list_init(&later);
	while ((n = list_pop(&g->settle.later)))
		list_add_tail(&later, n);
	while ((n = list_pop(&later)))
		guest_command(g, list_entry(n, struct command, node));
	loop_call_schedule(&g->request_call);
}

/* The board goes; the guest is in state s for reason why (may be NULL). */
static void end(struct guest *g, enum guest_state s, const char *why)
{
	struct err e = ERR_NONE;

	if (why)
		log_msg(g->log, LOG_ERROR, "guest %s: %s", guest_state_name(s),
			why);
	else
		log_msg(g->log, LOG_INFO, "guest %s", guest_state_name(s));
	guest_take_down(g);
	set_state(g, s, why ? why : "");
	if (s == GUEST_CRASHED)
		err_set(&e, EIO, "guest \"%s\" crashed: %s", g->conf.name,
			why ? why : "unknown reason");
	finish_stops(g, &e);
	if (!g->settle.waits)
		return;
	if (s != GUEST_CRASHED)
		err_set(&e, ECANCELED, "guest \"%s\" went off meanwhile",
			g->conf.name);
	settle_over(g, &e);
}

static int do_start(struct guest *g, struct err *e)
{
	int r;

	set_state(g, GUEST_STARTING, "");
	r = guest_bring_up(g, e);
	if (r >= 0) {
		r = board_start(g->board, e);
		if (r < 0)
			guest_take_down(g);
	}
	if (r < 0) {
		set_state(g, GUEST_OFF, e->msg);
		return r;
	}
	log_msg(g->log, LOG_INFO, "started: %u vCPUs, %llu MiB", g->conf.cpus,
		(unsigned long long)(g->conf.memory_bytes >> 20));
	set_state(g, GUEST_RUNNING, "");
	return 0;
}

/* The guest has not powered off in time: it goes on as it was. */
static void stop_timer_fired(void *arg)
{
	struct guest *g = arg;
	uint64_t now = clock_now_ns(), next = 0;
	struct err e = ERR_NONE;
	struct list late, *n;

	list_init(&late);
	if (g->state != GUEST_STOPPING)
		return;
	err_set(&e, ETIMEDOUT,
		"guest \"%s\" did not power off in time: it may have no ACPI "
		"support or be waiting for somebody; it goes on running (kill "
		"forces it off)",
		g->conf.name);
	list_each_safe (it, tmp, &g->stops) {
		struct command *cmd = list_entry(it, struct command, node);

		if (cmd->deadline_ns <= now) {
			list_del(it);
			list_add_tail(&late, it);
		} else if (!next || cmd->deadline_ns < next) {
			next = cmd->deadline_ns;
		}
	}
	if (!next && g->stop_shown_until_ns > now)
		next = g->stop_shown_until_ns;
	/* the state first: who is told looks at it */
	if (next)
		loop_timer_arm(&g->stop_timer, next);
	else
		set_state(g, GUEST_RUNNING, "did not obey the power button");
	while ((n = list_pop(&late)))
		finish(list_entry(n, struct command, node), &e);
}

/* Press the power button; cmd is finished now, or when the guest is off. */
static void do_stop(struct guest *g, struct command *cmd)
{
	struct err e = ERR_NONE;
	uint64_t now = clock_now_ns(), first;

	set_state(g, GUEST_STOPPING, "");
	board_power_button(g->board);
	if (cmd->c.timeout_ms) {
		cmd->deadline_ns = now + cmd->c.timeout_ms * NS_PER_MS;
		list_add_tail(&g->stops, &cmd->node);
	} else {
		g->stop_shown_until_ns = now + STOP_SHOWN_NS;
		finish(cmd, &e);
	}
	first = g->stop_shown_until_ns > now ? g->stop_shown_until_ns : 0;
	list_each (n, &g->stops) {
		struct command *it = list_entry(n, struct command, node);

		if (!first || it->deadline_ns < first)
			first = it->deadline_ns;
	}
	loop_timer_arm(&g->stop_timer, first);
}

/* Pausing and resetting: nothing is in flight any more. */

static int do_reset(struct guest *g, enum guest_state to, struct err *e)
{
	int r = board_reset(g->board, e);

	if (r < 0) {
		end(g, GUEST_CRASHED, e->msg);
		return r;
	}
	if (to != GUEST_PAUSED)
		board_resume(g->board);
	set_state(g, to, NULL);
	return 0;
}

static void do_pause(struct guest *g)
{
	board_pause(g->board);
	set_state(g, GUEST_PAUSED, NULL);
}

static void do_reboot(struct guest *g, enum guest_state to, struct err *e)
{
	log_msg(g->log, LOG_INFO, "guest rebooted");
	lock_take(&g->en->lock);
	g->reboots++;
	lock_drop(&g->en->lock);
	if (do_reset(g, to, e) >= 0)
		engine_tell(g->en, ENGINE_EV_REBOOT, g->conf.name, g->state,
			NULL);
}

static void settled(struct guest *g)
{
	struct err e = ERR_NONE;
	enum guest_move move = g->settle.move;
	int to = guest_state_next(g->state, move, &e);

	if (to < 0) {
		board_resume(g->board);
	} else if (move == MOVE_PAUSE) {
		do_pause(g);
	} else if (move == MOVE_GUEST_RESET) {
		do_reboot(g, (enum guest_state)to, &e);
	} else {
		if (g->state == GUEST_STOPPING) {
			err_set(&e, ECANCELED, "%s: reset meanwhile",
				g->conf.name);
			finish_stops(g, &e);
			e = (struct err)ERR_NONE;
		}
		/* the guest's own wish is granted with it */
		atomic_fetch_and(&g->requests, ~(1U << CORE_RESET));
		do_reset(g, (enum guest_state)to, &e);
	}
	/* a reset that failed has ended it all */
	if (g->settle.waits)
		settle_over(g, &e);
}

static void settle_late(struct guest *g, const char *disk)
{
	struct err e = ERR_NONE;

	err_set(&e, ETIMEDOUT,
		"%s: cannot %s it: disk \"%s\" has not answered for %u s (is "
		"its server there?): it goes on running; kill forces it off",
		g->conf.name, guest_move_name(g->settle.move), disk,
		(unsigned)(SETTLE_MAX_NS / NS_PER_S));
	board_resume(g->board);
	settle_over(g, &e);
}

static void settle_look(void *arg)
{
	struct guest *g = arg;
	const char *disk = board_busy_disk(g->board);
	uint64_t now = clock_now_ns(), waited = now - g->settle.since_ns;
	char why[128];

	if (!disk) {
		settled(g);
		return;
	}
	if (waited > SETTLE_MAX_NS && g->settle.cmd) {
		settle_late(g, disk);
		return;
	}
	if (waited > SETTLE_TOLD_NS && !g->settle.told) {
		g->settle.told = true;
		snprintf(why, sizeof(why),
			"to %s it: waiting for disk \"%s\" to answer",
			guest_move_name(g->settle.move), disk);
		log_msg(g->log, LOG_WARN, "%s", why);
		set_state(g, g->state, why);
	}
	loop_timer_arm(&g->settle.timer,
		now + (g->settle.told ? SETTLE_SLOW_NS : SETTLE_LOOK_NS));
}

/* Begin a pause or a reset; cmd is NULL where the guest asked. */
static void settle(struct guest *g, enum guest_move move, struct command *cmd)
{
	g->settle.waits = true;
	g->settle.move = move;
	g->settle.cmd = cmd;
	g->settle.since_ns = clock_now_ns();
	board_hold(g->board);
	settle_look(g);
}

/*
 * A guest that does nothing but reboot would keep the engine's thread busy
 * with laying out its memory: each reboot soon after another waits longer.
 * True when it may be done now, else a timer looks again.
 */
static bool reboot_due(struct guest *g, bool now_anyway)
{
	uint64_t now = clock_now_ns(), due;

	if (now - g->rebooted_ns > REBOOT_CALM_NS)
		g->quick_reboots = 0;
	due = g->rebooted_ns + g->quick_reboots * REBOOT_STEP_NS;
	if (now < due && !now_anyway) {
		atomic_fetch_or(&g->requests, 1U << CORE_RESET);
		loop_timer_arm(&g->reboot_timer, due);
		return false;
	}
	if (g->quick_reboots < REBOOT_STEPS)
		g->quick_reboots++;
	g->rebooted_ns = now;
	return true;
}

static void reboot(struct guest *g, bool now_anyway)
{
	struct err e = ERR_NONE;
	int to = guest_state_next(g->state, MOVE_GUEST_RESET, &e);

	if (to < 0)
		return;
	if (g->settle.waits) {
		/* a person's pause or reset is over first, and may fail */
		if (g->settle.cmd)
			atomic_fetch_or(&g->requests, 1U << CORE_RESET);
		return;
	}
	if (reboot_due(g, now_anyway))
		settle(g, MOVE_GUEST_RESET, NULL);
}

/* Carry out what the guest asked for; the gravest first. */
static void handle_requests(struct guest *g, bool now_anyway)
{
	unsigned req = atomic_exchange(&g->requests, 0);
	char why[sizeof(g->crash_why)];

	if (!g->board || !req)
		return;
	if (req & 1U << CORE_CRASH) {
		lock_take(&g->crash_lock);
		memcpy(why, g->crash_why, sizeof(why));
		lock_drop(&g->crash_lock);
		end(g, GUEST_CRASHED, why);
	} else if (req & 1U << CORE_POWEROFF) {
		end(g, GUEST_OFF, NULL);
	} else if (req & 1U << CORE_RESET) {
		reboot(g, now_anyway);
	}
}

static void requests_came(void *arg)
{
	handle_requests(arg, false);
}

static const enum guest_move verb_moves[] = {
	[ENGINE_START] = MOVE_START,
	[ENGINE_STOP] = MOVE_STOP,
	[ENGINE_KILL] = MOVE_KILL,
	[ENGINE_PAUSE] = MOVE_PAUSE,
	[ENGINE_RESUME] = MOVE_RESUME,
	[ENGINE_RESET] = MOVE_RESET,
	[ENGINE_UNDEFINE] = MOVE_UNDEFINE,
};

void guest_command(struct guest *g, struct command *cmd)
{
	struct err e = ERR_NONE;
	int to;

	/*
	 * What the guest asked for comes first: a guest that powered itself
	 * off as it was being paused is not to be resumed past that.
	 */
	handle_requests(g, true);
	to = guest_state_next(g->state, verb_moves[cmd->c.verb], &e);
	if (to < 0) {
		err_prefix(&e, "%s", g->conf.name);
		finish(cmd, &e);
		return;
	}
	if (g->settle.waits && cmd->c.verb != ENGINE_KILL) {
		list_add_tail(&g->settle.later, &cmd->node);
		return;
	}
	switch (cmd->c.verb) {
	case ENGINE_START:
		if (do_start(g, &e) < 0)
			err_prefix(&e, "%s", g->conf.name);
		break;
	case ENGINE_STOP:
		do_stop(g, cmd);
		return;
	case ENGINE_KILL:
		end(g, GUEST_OFF, NULL);
		break;
	case ENGINE_PAUSE:
	case ENGINE_RESET:
		settle(g, verb_moves[cmd->c.verb], cmd);
		return;
	case ENGINE_RESUME:
		board_resume(g->board);
		set_state(g, GUEST_RUNNING, NULL);
		break;
	case ENGINE_UNDEFINE:
		break; /* engine.c's */
	}
	finish(cmd, &e);
}

void guest_force_off(struct guest *g)
{
	if (g->board)
		end(g, GUEST_OFF, NULL);
}

void guest_request(void *arg, enum core_request what, const char *why)
{
	struct guest *g = arg;

	if (what == CORE_CRASH) {
		lock_take(&g->crash_lock);
		if (!g->crash_why[0])
			snprintf(g->crash_why, sizeof(g->crash_why), "%s",
				why ? why : "unknown reason");
		lock_drop(&g->crash_lock);
	}
	atomic_fetch_or(&g->requests, 1U << what);
	loop_call_schedule(&g->request_call);
}

struct guest *guest_new(struct engine *en, const struct conf *c)
{
	struct guest *g = calloc(1, sizeof(*g));

	if (!g)
		return NULL;
	g->en = en;
	g->conf = *c;
	list_init(&g->node);
	list_init(&g->stops);
	list_init(&g->settle.later);
	lock_init(&g->crash_lock, "crash", LOCK_LOG);
	loop_timer_init(&g->stop_timer, en->loop, stop_timer_fired, g);
	loop_timer_init(&g->settle.timer, en->loop, settle_look, g);
	loop_timer_init(&g->reboot_timer, en->loop, requests_came, g);
	loop_call_init(&g->request_call, en->loop, requests_came, g);
	return g;
}

void guest_free(struct guest *g)
{
	loop_timer_disarm(&g->stop_timer);
	loop_timer_disarm(&g->settle.timer);
	loop_timer_disarm(&g->reboot_timer);
	loop_call_cancel(&g->request_call);
	share_put(g->en, g->serial);
	share_put(g->en, g->virtcon);
	share_put(g->en, g->firmware);
	share_put(g->en, g->display);
	log_close(g->log);
	lock_fini(&g->crash_lock);
	free(g);
}
