/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How a request ends; see node.h. */
#include "storage/core/node.h"

#include <assert.h>

void node_done(struct blk_req *r, int err)
{
	assert(err <= 0);
	if (r->complete)
		r->complete(r, err); /* the wrapper's: it counts, then done() */
	else
		r->done(r, err);
}
