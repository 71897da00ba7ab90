// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Consoles and displays that people look at may outlive the guest's run:
 * they are counted here and freed when the last one lets go.
 */
#include <stdlib.h>

#include "vm/machine/machine.h"

struct shared *share_new(struct engine *en, void *ptr, void (*free_fn)(void *))
{
	struct shared *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->ptr = ptr;
	s->free = free_fn;
	s->refs = 1;
	LOCK_GUARD(&en->lock);
	list_add_tail(&en->shared, &s->node);
	return s;
}

void *share_get(struct engine *en, struct shared *s)
{
	(void)en;
	if (!s)
		return NULL;
	s->refs++;
	return s->ptr;
}

void share_put(struct engine *en, struct shared *s)
{
	bool last;

	if (!s)
		return;
	lock_take(&en->lock);
	last = --s->refs == 0;
	if (last)
		list_del(&s->node);
	lock_drop(&en->lock);
	if (!last)
		return;
	s->free(s->ptr);
	free(s);
}

void share_put_ptr(struct engine *en, const void *ptr)
{
	struct shared *found = NULL;

	if (!ptr)
		return;
	lock_take(&en->lock);
	list_each (n, &en->shared) {
		struct shared *s = list_entry(n, struct shared, node);

		if (s->ptr == ptr)
			found = s;
	}
	lock_drop(&en->lock);
	share_put(en, found);
}
