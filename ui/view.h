/* SPDX-License-Identifier: GPL-3.0-or-later */
/* being written */
#ifndef UI_VIEW_H
#define UI_VIEW_H

#include "ui/app.h"
#include "ui/cmd.h"

struct view {
	struct list node;
};

static inline struct view *view_of(struct list *n)
{
	return list_entry(n, struct view, node);
}

void view_event(struct view *v, const struct engine_event *ev);
void view_tick(struct view *v);
void view_free_all(struct app *a);

#endif
