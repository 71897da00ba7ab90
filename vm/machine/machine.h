/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Inside of vm/machine: the engine, its guests, and what they share.
 *
 * Threads: `engine` carries out every move of every guest, one after the
 * other. Everything in struct guest is written by that thread only, and under
 * en->lock where other threads read it; so the engine's thread reads without
 * the lock. A guest's own threads never take en->lock: what they ask for
 * goes through guest->requests and a loop call.
 */
#ifndef VM_MACHINE_MACHINE_H
#define VM_MACHINE_MACHINE_H

#include <stdatomic.h>

#include "vm/base/list.h"
#include "vm/base/lock.h"
#include "vm/base/loop.h"
#include "vm/base/thread.h"

#include "display/display.h"

#include "vm/machine/board.h"
#include "vm/vm.h"

/*
 * Something that outlives a guest's run while somebody looks at it: its
 * console or display. refs guarded by en->lock.
 */
struct shared {
	struct list node; /* in en->shared */
	void *ptr;
	void (*free)(void *ptr);
	unsigned refs;
};

struct command {
	struct list node;
	uint64_t deadline_ns; /* a stop that waits */
	struct engine_command c;
};

struct guest {
	struct list node; /* in en->guests, sorted by name */
	struct engine *en;
	struct conf conf;
	enum guest_state state;
	struct board *board;  /* NULL unless it is up */
	struct log *log;      /* open while the guest is up */
	int64_t rtc_offset_s; /* as the guest left its clock */
	uint64_t started_ns;
	unsigned reboots;
	char why[256];
	char vnc[160];
	struct shared *serial, *virtcon, *firmware, *display;

	/* engine thread only */
	struct list stops; /* ENGINE_STOP commands that wait for power-off */
	struct loop_timer stop_timer;
	uint64_t stop_shown_until_ns;
	/* a pause or a reset whose disks have requests in flight */
	struct {
		bool waits, told;
		enum guest_move move;
		struct command *cmd; /* NULL: the guest's own reset */
		uint64_t since_ns;
		struct loop_timer timer;
		struct list later; /* commands for after it */
	} settle;
	uint64_t rebooted_ns; /* when it last reset itself */
	unsigned quick_reboots;
	struct loop_timer reboot_timer; /* a reset that waits */
	struct loop_call request_call;

	/* from the guest's threads */
	_Atomic unsigned requests; /* 1 << enum core_request */
	struct lock crash_lock;    /* rank LOCK_LOG; guards crash_why */
	char crash_why[256];
};

struct engine {
	struct lock lock; /* rank LOCK_ENGINE; see the head of this file */
	char dir[CONF_PATH_MAX];
	struct log *log;
	bool ephemeral;
	struct display_service *display;
	struct loop *loop;
	struct thread thread;
	struct list guests;
	struct list shared;
	struct list commands; /* struct command, waiting */
	bool closing;         /* no command is carried out any more */
	struct loop_call command_call;
	char **broken;
	size_t nbroken;
	void (*watch)(void *arg, const struct engine_event *ev);
	void *watch_arg;
};

/* engine.c; the caller holds en->lock or is the engine's thread */
struct guest *engine_find(struct engine *en, const char *name);
/* Tell the watcher. No lock held. */
void engine_tell(struct engine *en, enum engine_event_kind kind,
	const char *guest, enum guest_state state, const char *why);

/* guest.c: one guest's life; engine thread unless said otherwise */
struct guest *guest_new(struct engine *en, const struct conf *c);
void guest_free(struct guest *g);
/* Carry out a verb; done() is called now, or later when it has to wait. */
void guest_command(struct guest *g, struct command *cmd);
/* Off at once, whatever the state; for the engine's end. */
void guest_force_off(struct guest *g);

/*
 * What the guest's devices and vCPUs ask for: noted, then carried out on the
 * engine's thread. Thread: any; locks of devices may be held.
 */
void guest_request(void *arg, enum core_request what, const char *why);

/* guest_up.c: what a start makes besides the board, and takes down */
int guest_bring_up(struct guest *g, struct err *e);
void guest_take_down(struct guest *g);

/* share.c */
struct shared *share_new(struct engine *en, void *ptr, void (*free)(void *ptr));
void *share_get(struct engine *en, struct shared *s); /* en->lock held */
void share_put(struct engine *en, struct shared *s);  /* no lock held */
void share_put_ptr(struct engine *en, const void *ptr);

/* doctor.c has engine_doctor() */

#endif
