/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Columns of the table of guests: what fits is chosen by importance, shown
 * in a fixed order. Thread: the loop's.
 */
#ifndef UI_GUEST_COLS_H
#define UI_GUEST_COLS_H

#include "ui/draw.h"
#include "ui/model.h"

#define GUEST_COLS_MAX 20

struct guest_col {
	const char *title;
	int width;  /* columns it needs at least */
	int weight; /* 0 = always; the lower, the sooner it is shown */
	bool left;  /* title at the left */
	void (*cell)(struct canvas *cv, int y, int x, int w,
		const struct model_guest *g);
	int (*cmp)(const struct model_guest *a, const struct model_guest *b);
};

struct guest_layout {
	const struct guest_col *col[GUEST_COLS_MAX];
	int x[GUEST_COLS_MAX], w[GUEST_COLS_MAX];
	int n;
};

/* Column i, or NULL past the end; 0 is the name. */
const struct guest_col *guest_col(int i);
/* Lay columns out in w columns of the screen; the longest name has name_w. */
void guest_layout(struct guest_layout *l, int w, int name_w);

/* How a state looks. */
enum role guest_role(enum guest_state s);

#endif
