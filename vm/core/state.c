// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * The state table. A cell holds the state that a move leads to; a
 * move that is not in the table is refused, with the mend from mend().
 * The table is the whole truth: nothing else decides what is legal.
 */
#include "vm/core/state.h"

#include <errno.h>

/* A cell is the state plus one, so that what is not written is "no". */
#define TO(state) ((state) + 1)

static const char *const state_names[GUEST_STATES] = {
	[GUEST_DEFINED] = "defined",
	[GUEST_STARTING] = "starting",
	[GUEST_RUNNING] = "running",
	[GUEST_PAUSED] = "paused",
	[GUEST_STOPPING] = "stopping",
	[GUEST_OFF] = "off",
	[GUEST_CRASHED] = "crashed",
};

static const char *const move_names[GUEST_MOVES] = {
	[MOVE_START] = "start",
	[MOVE_PAUSE] = "pause",
	[MOVE_RESUME] = "resume",
	[MOVE_STOP] = "stop",
	[MOVE_KILL] = "kill",
	[MOVE_RESET] = "reset",
	[MOVE_UNDEFINE] = "undefine",
	[MOVE_STARTED] = "started",
	[MOVE_START_FAILED] = "start failed",
	[MOVE_STOP_TIMEOUT] = "stop timed out",
	[MOVE_GUEST_OFF] = "guest powered off",
	[MOVE_GUEST_RESET] = "guest rebooted",
	[MOVE_GUEST_CRASH] = "guest crashed",
};

static const unsigned char next_state[GUEST_STATES][GUEST_MOVES] = {
	[GUEST_DEFINED] = {
		[MOVE_START] = TO(GUEST_STARTING),
		[MOVE_UNDEFINE] = TO(GUEST_DEFINED),
	},
	[GUEST_STARTING] = {
		[MOVE_STARTED] = TO(GUEST_RUNNING),
		[MOVE_START_FAILED] = TO(GUEST_OFF),
		[MOVE_GUEST_CRASH] = TO(GUEST_CRASHED),
	},
	[GUEST_RUNNING] = {
		[MOVE_PAUSE] = TO(GUEST_PAUSED),
		[MOVE_STOP] = TO(GUEST_STOPPING),
		[MOVE_KILL] = TO(GUEST_OFF),
		[MOVE_RESET] = TO(GUEST_RUNNING),
		[MOVE_GUEST_OFF] = TO(GUEST_OFF),
		[MOVE_GUEST_RESET] = TO(GUEST_RUNNING),
		[MOVE_GUEST_CRASH] = TO(GUEST_CRASHED),
	},
	[GUEST_PAUSED] = {
		[MOVE_RESUME] = TO(GUEST_RUNNING),
		[MOVE_KILL] = TO(GUEST_OFF),
		[MOVE_RESET] = TO(GUEST_PAUSED),
		[MOVE_GUEST_OFF] = TO(GUEST_OFF),
		[MOVE_GUEST_RESET] = TO(GUEST_PAUSED),
		[MOVE_GUEST_CRASH] = TO(GUEST_CRASHED),
	},
	[GUEST_STOPPING] = {
		[MOVE_STOP] = TO(GUEST_STOPPING),
		[MOVE_KILL] = TO(GUEST_OFF),
		[MOVE_RESET] = TO(GUEST_RUNNING),
		[MOVE_STOP_TIMEOUT] = TO(GUEST_RUNNING),
		[MOVE_GUEST_OFF] = TO(GUEST_OFF),
		[MOVE_GUEST_RESET] = TO(GUEST_STOPPING),
		[MOVE_GUEST_CRASH] = TO(GUEST_CRASHED),
	},
	[GUEST_OFF] = {
		[MOVE_START] = TO(GUEST_STARTING),
		[MOVE_UNDEFINE] = TO(GUEST_OFF),
	},
	[GUEST_CRASHED] = {
		[MOVE_START] = TO(GUEST_STARTING),
		[MOVE_UNDEFINE] = TO(GUEST_CRASHED),
	},
};

const char *guest_state_name(enum guest_state s)
{
	return (unsigned)s < GUEST_STATES ? state_names[s] : "?";
}

const char *guest_move_name(enum guest_move m)
{
	return (unsigned)m < GUEST_MOVES ? move_names[m] : "?";
}

/* What would make move m possible from s. */
static const char *mend(enum guest_state s, enum guest_move m)
{
	switch (s) {
	case GUEST_DEFINED:
	case GUEST_OFF:
	case GUEST_CRASHED:
		return "start it first";
	case GUEST_STARTING:
		return "wait until it runs";
	case GUEST_PAUSED:
		return m == MOVE_UNDEFINE ? "kill it first" : "resume it first";
	case GUEST_RUNNING:
		return m == MOVE_UNDEFINE ? "stop or kill it first"
					  : "nothing to do";
	case GUEST_STOPPING:
		return "wait until it is off, or kill it";
	default:
		return "no such state";
	}
}

int guest_state_next(enum guest_state s, enum guest_move m, struct err *e)
{
	if ((unsigned)s < GUEST_STATES && (unsigned)m < GUEST_MOVES &&
		next_state[s][m])
		return next_state[s][m] - 1;
	return err_set(e, EINVAL, "cannot %s: the guest is %s: %s",
		guest_move_name(m), guest_state_name(s), mend(s, m));
}
