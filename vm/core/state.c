// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * The state table. A cell holds the state that a move leads to, or NO; a
 * move that is not in the table is refused with the reason in refusal().
 * The table is the whole truth: nothing else decides what is legal.
 */
#include "vm/core/state.h"

#include <errno.h>

#define NO (-1)

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

#define NONE                                                                   \
	[0 ... GUEST_MOVES - 1] = NO

static const signed char next_state[GUEST_STATES][GUEST_MOVES] = {
	[GUEST_DEFINED] = { NONE,
		[MOVE_START] = GUEST_STARTING,
		[MOVE_UNDEFINE] = GUEST_DEFINED },
	[GUEST_STARTING] = { NONE,
		[MOVE_STARTED] = GUEST_RUNNING,
		[MOVE_START_FAILED] = GUEST_OFF,
		[MOVE_GUEST_CRASH] = GUEST_CRASHED },
	[GUEST_RUNNING] = { NONE,
		[MOVE_PAUSE] = GUEST_PAUSED,
		[MOVE_STOP] = GUEST_STOPPING,
		[MOVE_KILL] = GUEST_OFF,
		[MOVE_RESET] = GUEST_RUNNING,
		[MOVE_GUEST_OFF] = GUEST_OFF,
		[MOVE_GUEST_RESET] = GUEST_RUNNING,
		[MOVE_GUEST_CRASH] = GUEST_CRASHED },
	[GUEST_PAUSED] = { NONE,
		[MOVE_RESUME] = GUEST_RUNNING,
		[MOVE_KILL] = GUEST_OFF,
		[MOVE_RESET] = GUEST_PAUSED,
		[MOVE_GUEST_OFF] = GUEST_OFF,
		[MOVE_GUEST_RESET] = GUEST_PAUSED,
		[MOVE_GUEST_CRASH] = GUEST_CRASHED },
	[GUEST_STOPPING] = { NONE,
		[MOVE_STOP] = GUEST_STOPPING,
		[MOVE_KILL] = GUEST_OFF,
		[MOVE_RESET] = GUEST_RUNNING,
		[MOVE_STOP_TIMEOUT] = GUEST_RUNNING,
		[MOVE_GUEST_OFF] = GUEST_OFF,
		[MOVE_GUEST_RESET] = GUEST_STOPPING,
		[MOVE_GUEST_CRASH] = GUEST_CRASHED },
	[GUEST_OFF] = { NONE,
		[MOVE_START] = GUEST_STARTING,
		[MOVE_UNDEFINE] = GUEST_OFF },
	[GUEST_CRASHED] = { NONE,
		[MOVE_START] = GUEST_STARTING,
		[MOVE_UNDEFINE] = GUEST_CRASHED },
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
		return m == MOVE_UNDEFINE ? "kill it first"
					  : "resume it first";
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
	int to = NO;

	if ((unsigned)s < GUEST_STATES && (unsigned)m < GUEST_MOVES)
		to = next_state[s][m];
	if (to != NO)
		return to;
	return err_set(e, EINVAL, "cannot %s: the guest is %s: %s",
		guest_move_name(m), guest_state_name(s), mend(s, m));
}
