/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Parts of a guest's page, each written into a document. Thread: the loop's. */
#ifndef UI_PAGE_H
#define UI_PAGE_H

#include "ui/app.h"
#include "ui/model.h"
#include "ui/w_doc.h"

/* w = columns there are. */
void page_overview(struct w_doc *d, const struct model_guest *g, int w);
void page_cpus(struct w_doc *d, const struct model_guest *g);
void page_disks(struct w_doc *d, const struct model_guest *g);
void page_nets(struct w_doc *d, const struct model_guest *g,
	const struct conf *c);
void page_config(struct w_doc *d, const struct conf *c);
void page_events(struct w_doc *d, const struct app *a, const char *guest);

#endif
