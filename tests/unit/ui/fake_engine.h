/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * An engine without KVM for tests of ui/: guests are plain data that a test
 * sets, commands move states by the real table, time passes when the test
 * says so.
 */
#ifndef TESTS_UNIT_UI_FAKE_ENGINE_H
#define TESTS_UNIT_UI_FAKE_ENGINE_H

#include "display/display.h"

#include "vm/vm.h"

#define FAKE_GUESTS 40

struct fake_guest {
	struct guest_info info;
	struct conf conf;
	struct guest_stats stats;
	struct console *console; /* NULL until it starts */
	/* what fake_pass() adds a second */
	double cpu_percent;
	uint64_t read_rate, write_rate, rx_rate, tx_rate, exit_rate;
};

struct engine {
	struct fake_guest guest[FAKE_GUESTS]; /* sorted by name */
	size_t n;
	void (*watch)(void *arg, const struct engine_event *ev);
	void *watch_arg;
	/* when set, STOP waits for fake_finish() */
	bool hold;
	struct engine_command held;
	const char *broken;
	bool live; /* stats follow the clock (for looking at it by hand) */
	uint64_t live_ns;
	unsigned commands;       /* carried out */
	struct console *old[64]; /* consoles of earlier starts */
	size_t nold;
	/* what the last display calls got */
	char keys[256];
	unsigned screenshots;
	struct display_text text;
};

struct engine *fake_new(void);
void fake_free(struct engine *en);

/* Add a guest that is off (defined) with one disk and one NIC. */
struct fake_guest *fake_add(struct engine *en, const char *name, unsigned cpus,
	uint64_t memory);
struct fake_guest *fake_find(struct engine *en, const char *name);
/* Put it into a state as if it had run for uptime_s. */
void fake_state(struct engine *en, const char *name, enum guest_state s,
	unsigned uptime_s);
/* Let so many milliseconds pass for every guest that runs. */
void fake_pass(struct engine *en, unsigned ms);
/* End the held STOP: code 0 or an errno value. */
void fake_finish(struct engine *en, int code);
/* Tell the watcher. */
void fake_event(struct engine *en, enum engine_event_kind kind,
	const char *name);
/* The guest says this on its serial port. */
void fake_say(struct engine *en, const char *name, const char *text);
/* Put a text screen with this content (lines by \n) into text. */
void fake_screen(struct engine *en, const char *content);

/* The usual set for screens: web, db, build, old and a crashed one. */
void fake_populate(struct engine *en);

#endif
