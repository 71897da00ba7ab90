/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The engine: all guests of one server. The one vm header that ui/ includes.
 * A guest is named; ui/ never holds a pointer into one. Commands go in and
 * are carried out on the engine's thread, one at a time a guest; results,
 * events and snapshots of plain data come out.
 */
#ifndef VM_VM_H
#define VM_VM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vm/base/err.h"
#include "vm/base/log.h"

#include "vm/conf/conf.h"
#include "vm/core/console.h"
#include "vm/core/state.h"
#include "vm/core/stats.h"

struct engine;
struct display; /* display/display.h */

struct engine_opts {
	const char *dir; /* state folder: guests/, run/, log/ are made in it */
	const char *exe; /* this program, for viewer processes */
	struct log *log; /* the server's, borrowed */
	bool ephemeral;  /* define() writes no file (guestdeck run) */
};

/*
 * Start the engine's thread and load the definitions in DIR/guests/NAME.ini;
 * one that does not parse is logged and listed by engine_broken(). 0 or
 * -errno. /dev/kvm is not needed before a guest starts.
 */
int engine_new(const struct engine_opts *o, struct engine **out, struct err *e);
/* Forces every guest off and waits. */
void engine_free(struct engine *en);

/*
 * Define a guest from c (copied) and write DIR/guests/NAME.ini. -EEXIST when
 * the name is in use, unless that guest is not running and replace is set.
 * Thread: any but the engine's; blocks for a file write.
 */
int engine_define(struct engine *en, const struct conf *c, bool replace,
	struct err *e);

/* What a person may ask of a guest. */
enum engine_verb {
	ENGINE_START,
	ENGINE_STOP, /* timeout_ms: 0 = press the button and return */
	ENGINE_KILL,
	ENGINE_PAUSE,
	ENGINE_RESUME,
	ENGINE_RESET,
	ENGINE_UNDEFINE,
};

struct engine_command {
	char guest[CONF_NAME_MAX + 1];
	enum engine_verb verb;
	/*
	 * STOP: how long the guest may take to power off; past it done gets
	 * ETIMEDOUT and the guest goes on running.
	 */
	unsigned timeout_ms;
	/*
	 * Called once when the command has ended, with e->code 0 or an error.
	 * Thread: the engine's; it must return soon (post to your loop).
	 */
	void (*done)(void *arg, const struct err *e);
	void *arg;
};

/*
 * Queue a command (copied). Thread: any. Once engine_free() has begun it ends
 * with ECANCELED, then done() is called from in here.
 */
void engine_command(struct engine *en, const struct engine_command *c);

/* The same, waiting for the end. Not from the engine's or a loop's thread. */
int engine_command_wait(struct engine *en, const char *guest,
	enum engine_verb verb, unsigned timeout_ms, struct err *e);

struct guest_info {
	char name[CONF_NAME_MAX + 1];
	enum guest_state state;
	unsigned cpus;
	uint64_t memory_bytes;
	uint64_t uptime_ns; /* since start, 0 when off */
	unsigned reboots;   /* since start */
	char vnc[160];      /* address of the viewer port, "" = none */
	char firmware[16];  /* "seabios", "none" (direct boot) */
	char why[256];      /* last error or crash reason, "" = none */
};

/*
 * Copy up to max guests, sorted by name, into out (may be NULL with max 0);
 * returns how many there are. Takes only a short lock. Thread: any.
 */
size_t engine_list(struct engine *en, struct guest_info *out, size_t max);
/* One guest, or -ENOENT. */
int engine_info(struct engine *en, const char *guest, struct guest_info *out);
int engine_conf(struct engine *en, const char *guest, struct conf *out);

/*
 * Copy the guest's counters; zeroes when it is off. No lock that the guest
 * waits on. -ENOENT. Thread: any.
 */
int engine_stats(struct engine *en, const char *guest, struct guest_stats *out);

/* Measure the dirty rate of RAM while on (costs the guest page faults). */
int engine_dirty_rate(struct engine *en, const char *guest, bool on);

/*
 * Borrow the guest's serial console or display for reading and input. They
 * exist from start to the next start, also when the guest has ended. NULL
 * when it never ran or has no display. Give each back with _put, soon when
 * an event says the guest ended. Thread: any.
 */
struct console *engine_console_get(struct engine *en, const char *guest);
void engine_console_put(struct engine *en, struct console *c);
struct display *engine_display_get(struct engine *en, const char *guest);
void engine_display_put(struct engine *en, struct display *d);

enum engine_event_kind {
	ENGINE_EV_STATE,  /* state changed (new state in state) */
	ENGINE_EV_REBOOT, /* guest reset itself */
	ENGINE_EV_LIST,   /* a guest was defined or undefined */
};

struct engine_event {
	enum engine_event_kind kind;
	char guest[CONF_NAME_MAX + 1];
	enum guest_state state;
	char why[256];
};

/*
 * fn is called for each event on the thread that caused it, with no lock
 * held; it must return soon. One watcher; NULL takes it away.
 */
void engine_watch(struct engine *en,
	void (*fn)(void *arg, const struct engine_event *ev), void *arg);

/* Definitions that did not load: message i ("FILE: reason") or NULL. */
const char *engine_broken(struct engine *en, size_t i);

/*
 * What this host can do, for `guestdeck doctor`: one finding an entry.
 */
struct engine_finding {
	char what[32]; /* "kvm", "seabios", "io_uring" */
	bool ok;
	char text[256]; /* what was found, and when not ok the mend */
};
size_t engine_doctor(struct engine_finding *out, size_t max);

#endif
