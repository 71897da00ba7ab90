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

/* As a guest file has them: "virtio", "qcow2", "none", "io_uring", "tap". */
const char *report_bus(enum conf_bus b);
const char *report_format(enum conf_format f);
const char *report_cache(enum conf_cache c);
const char *report_aio(enum conf_aio a);
const char *report_net_mode(enum conf_net_mode m);
/* Statistics of the disk of this name; NULL when the guest is off. */
const struct disk_stats *report_disk_of(const struct guest_stats *s,
	const char *name);
const char *report_exit(enum exit_kind k); /* "port read" */

#endif
