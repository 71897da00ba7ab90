/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Guests as text and as JSON. The strings returned are freed by the caller,
 * NULL when memory is short. Thread: the loop's (they read the model).
 */
#ifndef UI_REPORT_H
#define UI_REPORT_H

#include "ui/model.h"

struct job;

char *report_list_json(struct model_guest **v, int n);
void report_list_text(struct model_guest **v, int n,
	void (*write)(struct job *j, const char *text, size_t len),
	struct job *j);
char *report_show_json(const struct model_guest *g, const struct conf *c);
char *report_show_text(const struct model_guest *g, const struct conf *c);

/* "virtio", "sata"; "raw", "qcow2", "auto"; "user", "tap". */
const char *report_bus(enum conf_bus b);
const char *report_format(enum conf_format f);
const char *report_net_mode(enum conf_net_mode m);
const char *report_exit(enum exit_kind k); /* "port read" */

#endif
