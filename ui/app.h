/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What every verb and every screen of one server shares: the engine, the
 * loop, the model, running jobs and attached views. Owned by the server (or
 * by a test). Thread: the loop's, all of it.
 */
#ifndef UI_APP_H
#define UI_APP_H

#include <stdbool.h>
#include <stdint.h>

#include "vm/base/err.h"
#include "vm/base/list.h"
#include "vm/base/log.h"
#include "vm/base/loop.h"
#include "vm/base/mailbox.h"
#include "vm/base/thread.h"

#include "vm/vm.h"

#define APP_EVENTS 256

struct model;
struct paths;

/* Something that happened to a guest, kept for people. */
struct app_event {
	uint64_t wall_ns;
	struct engine_event ev;
};

struct app {
	struct engine *engine;     /* borrowed */
	struct loop *loop;         /* borrowed */
	struct log *log;           /* borrowed, may be NULL */
	const struct paths *paths; /* borrowed, NULL in tests */
	struct model *model;
	struct list jobs;    /* struct job */
	struct list tasks;   /* struct task */
	struct list views;   /* struct view */
	struct list lookups; /* struct view_files: a thread each */

	struct loop *work_loop; /* of the thread that may block */
	struct thread work;

	struct mailbox *mail; /* struct engine_event, from any thread */
	struct app_event events[APP_EVENTS];
	uint64_t nevents; /* ever; event i is at i % APP_EVENTS */

	/* each second while somebody watches, else seldom; 0 = nothing moves */
	struct loop_timer tick;
	uint64_t next_tick_ns;
	bool seldom;
	uint64_t started_ns;

	/* The server's side of `server stop` and `server status`. */
	void (*stop)(void *arg);
	unsigned (*clients)(void *arg);
	void *server;
};

/* 0 or -errno. engine, loop and log are borrowed. */
int app_init(struct app *a, struct engine *en, struct loop *l, struct log *log,
	struct err *e);
/*
 * Take the watch off the engine and end the worker. Views are gone by now,
 * the engine still lives; jobs without an end stay.
 */
void app_quiesce(struct app *a);
/* Free what is left, after engine_free(). */
void app_fini(struct app *a);

/* Look at guests soon: someone came to look or a guest changed. */
void app_poke(struct app *a);

#endif
