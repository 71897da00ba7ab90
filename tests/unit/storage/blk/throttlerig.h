/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the tests of the throttle share. */
#ifndef TESTS_UNIT_STORAGE_BLK_THROTTLERIG_H
#define TESTS_UNIT_STORAGE_BLK_THROTTLERIG_H

#include "vm/base/clock.h"
#include "vm/base/sizes.h"

#include "storage/blk/throttle_group.h"

#include "tests/unit/storage/rig.h"
#include "tests/unit/suite.h"

#define SLACK_NS (NS_PER_S / 10) /* work that may come early */

static inline void throttle_no_change(struct throttle_member *m)
{
	(void)m;
}

/* So many requests a second. */
static inline struct blk_throttle iops_limit(enum blk_limit_dir dir,
	uint64_t rate)
{
	struct blk_throttle t;

	memset(&t, 0, sizeof(t));
	t.iops[dir].rate = rate;
	return t;
}

/* Join the group called name; deaf to changes. */
static inline void join(struct throttle_member *m, const char *name)
{
	memset(m, 0, sizeof(*m));
	list_init(&m->node);
	m->changed = throttle_no_change;
	ck_assert_int_eq(throttle_group_join(name, m), 0);
}

#endif
