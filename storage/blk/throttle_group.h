/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Limits that disks share. Of each disk ("member") and direction only the
 * first waiting request has a place in the buckets: it is told when it may
 * pass, and the next gets its place when it has passed. So members take
 * turns, whatever the length of their queues, and none has to wake another
 * but when the limits change.
 *
 * Groups with a name are found by it in the whole process. Locks: the
 * registry's and each group's, rank LOCK_BLK, never together. Thread: any.
 */
#ifndef STORAGE_BLK_THROTTLE_GROUP_H
#define STORAGE_BLK_THROTTLE_GROUP_H

#include <stdatomic.h>

#include "vm/base/lock.h"

#include "storage/blk/throttle_bucket.h"

enum throttle_dir { THROTTLE_READ, THROTTLE_WRITE, THROTTLE_DIRS };

struct throttle_group {
	char *name;       /* NULL = shared with none */
	struct list node; /* guarded by the registry's lock */
	unsigned users;   /* likewise */
	struct lock lock; /* guards what follows */
	struct throttle_bucket iops[3], bytes[3]; /* by enum blk_limit_dir */
	uint64_t drained_ns;                      /* up to when */
	struct list members;
	atomic_bool active; /* some limit is set; a hint outside the lock */
};

struct throttle_member {
	struct throttle_group *group;
	/* The limits changed: places are lost, ask anew. Called with the
	 * group's lock held, in the thread that changed them: only wake. */
	void (*changed)(struct throttle_member *m);
	struct list node; /* guarded by group->lock */
	struct {
		bool placed;
		uint64_t bytes, pass_ns;
	} first[THROTTLE_DIRS]; /* guarded by group->lock */
};

/*
 * Join the group called name, made if need be, or one of its own (NULL).
 * 0 or -ENOMEM. throttle_group_leave() gives a place back.
 */
int throttle_group_join(const char *name, struct throttle_member *m);
void throttle_group_leave(struct throttle_member *m);

/* New limits (NULL = none); 0, or -EINVAL with e filled and none changed.
 * What was poured in stays, and drains at the new rates. */
int throttle_group_set(struct throttle_group *g, const struct blk_throttle *t,
	uint64_t now_ns, struct err *e);

/* A request of bytes: at what time may it pass? now_ns or later. The same
 * answer until throttle_group_passed() or a change. */
uint64_t throttle_group_place(struct throttle_member *m, enum throttle_dir dir,
	uint64_t bytes, uint64_t now_ns);
/* It passes. False = the limits changed since it got its place: ask anew. */
bool throttle_group_passed(struct throttle_member *m, enum throttle_dir dir);

#endif
