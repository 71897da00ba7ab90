/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Guests as people name them: exact names and shell patterns. Thread: any.
 */
#ifndef UI_GUESTS_H
#define UI_GUESTS_H

#include <stddef.h>

#include "vm/vm.h"

/*
 * All guests, sorted by name; caller frees *out (NULL when there are none).
 * Returns how many, or -ENOMEM.
 */
int guests_list(struct engine *en, struct guest_info **out);

/*
 * The guests that the n words name (n 0 = all), each once, in the order of
 * the words; caller frees *out. Returns how many, or -ENOENT with e naming
 * the word that fits none and the nearest name, or -ENOMEM.
 */
int guests_match(struct engine *en, char *const *words, int n,
	struct guest_info **out, struct err *e);

struct job;

/*
 * The one guest that the first operand of j names. 0, or -errno when it
 * names none or several; the job is told.
 */
int guests_one(struct job *j, struct guest_info *out);

#endif
