/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A fake engine, a loop, an app and views whose bytes are drawn by libvterm
 * into a grid, so that a test sees what a person would.
 */
#ifndef TESTS_UNIT_UI_RIG_H
#define TESTS_UNIT_UI_RIG_H

#include <vterm.h>

#include "ui/app.h"
#include "ui/job.h"
#include "ui/model.h"
#include "ui/view.h"

#include "fake_engine.h"
#include "tests/unit/suite.h"

struct rig {
	struct engine *en;
	struct loop *loop;
	struct app app;
};

/* Guests as fake_populate(), three seconds of statistics. */
void rig_init(struct rig *r);
void rig_fini(struct rig *r);
/* Run what is due on the loop until nothing is. */
void rig_pump(struct rig *r);
/* A second passes for the guests, and is sampled. */
void rig_second(struct rig *r);

/* What a job said. */
struct heard {
	char out[65536], err[8192];
	int code; /* -1 = it runs */
};
/* Run a command line and wait for its end. */
void rig_run(struct rig *r, struct heard *h, const char *line);
/* The same without the wait. */
struct job *rig_begin(struct rig *r, struct heard *h, const char *line);

/* One attached terminal. */
struct seat {
	struct rig *rig;
	struct view *view; /* NULL once it left */
	VTerm *vt;
	int rows, cols;
	size_t bytes;  /* ever written */
	size_t queued; /* what the view is told waits */
};
void seat_open(struct seat *s, struct rig *r, const char *term, int rows,
	int cols, bool utf8);
void seat_close(struct seat *s);
void seat_type(struct seat *s, const char *keys);
void seat_resize(struct seat *s, int rows, int cols);
/* Text of row y without blanks at the end; a static buffer. */
const char *seat_row(struct seat *s, int y);
bool seat_shows(struct seat *s, const char *text);
/*
 * Compare the screen with tests/unit/ui/golden/NAME.txt; written anew when
 * GUESTDECK_GOLDEN=write is set.
 */
void seat_golden(struct seat *s, const char *name);

#define ck_assert_shows(s, text)                                               \
	ck_assert_msg(seat_shows(s, text), "no \"%s\" on the screen:\n%s",     \
		text, seat_dump(s))
char *seat_dump(struct seat *s);

#endif
