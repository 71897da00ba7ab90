/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A guest's states and the legal moves between them, as one pure table. What
 * carries a move out is vm/machine's. Thread: any, no state.
 */
#ifndef VM_CORE_STATE_H
#define VM_CORE_STATE_H

#include "vm/base/err.h"

enum guest_state {
	GUEST_DEFINED,  /* known, never started in this server's life */
	GUEST_STARTING, /* board is being built */
	GUEST_RUNNING,
	GUEST_PAUSED,
	GUEST_STOPPING, /* ACPI shutdown asked for, or being torn down */
	GUEST_OFF,      /* ended in order */
	GUEST_CRASHED,  /* ended by a fault; the reason is kept */
	GUEST_STATES,
};

/* What can happen to a guest: verbs of people, then events of the guest. */
enum guest_move {
	MOVE_START,
	MOVE_PAUSE,
	MOVE_RESUME,
	MOVE_STOP,  /* ACPI power button, off when the guest obeys */
	MOVE_KILL,  /* off now */
	MOVE_RESET, /* as by the reset button; keeps running or paused */
	MOVE_UNDEFINE,
	MOVE_STARTED,      /* board is up, vCPUs run */
	MOVE_START_FAILED, /* with an error */
	MOVE_STOP_TIMEOUT, /* guest did not obey: back to what it was */
	MOVE_GUEST_OFF,    /* S5 */
	MOVE_GUEST_RESET,  /* guest reboot: stays running */
	MOVE_GUEST_CRASH,
	GUEST_MOVES,
};

const char *guest_state_name(enum guest_state s); /* "running" */
const char *guest_move_name(enum guest_move m);   /* "start" */

/*
 * The state that move m leads to from s, or -EINVAL with e saying why not
 * and what would ("guest is paused: resume it first"). A move that changes
 * nothing (reset while running) gives s itself.
 */
int guest_state_next(enum guest_state s, enum guest_move m, struct err *e);

#endif
