/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The head of the console: host and totals. Thread: the loop's. */
#ifndef UI_W_HEAD_H
#define UI_W_HEAD_H

#include "ui/draw.h"
#include "ui/model.h"

/* Bar at the top with left and right words. */
void w_title(struct canvas *cv, int y, const char *left, const char *more,
	const char *right);
/* Host and totals in two lines from y on. */
void w_head(struct canvas *cv, int y, const struct model *m);
/* "21:04:11" of wall_ns; UTC when the test clock is set. */
char *w_clock(uint64_t wall_ns, char *buf, size_t len);
/* Tests set this so that frames do not change with the time of day. */
extern uint64_t w_test_clock_ns;
uint64_t w_wall_ns(void);

#endif
