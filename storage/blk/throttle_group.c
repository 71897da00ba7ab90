/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Groups of disks with common limits; see throttle_group.h. */
#include "storage/blk/throttle_group.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/sizes.h"

static struct lock registry_lock = { PTHREAD_MUTEX_INITIALIZER,
	"throttle groups", LOCK_BLK };
/* struct throttle_group with a name; guarded by registry_lock */
static struct list registry = { &registry, &registry };

/* Coming and going. */

static struct throttle_group *group_find_locked(const char *name)
{
	list_each (n, &registry) {
		struct throttle_group *g =
			list_entry(n, struct throttle_group, node);

		if (!strcmp(g->name, name))
			return g;
	}
	return NULL;
}

static struct throttle_group *group_new(const char *name)
{
	struct throttle_group *g = calloc(1, sizeof(*g));

	if (!g)
		return NULL;
	if (name) {
		g->name = strdup(name);
		if (!g->name) {
			free(g);
			return NULL;
		}
	}
	list_init(&g->node);
	list_init(&g->members);
	lock_init(&g->lock, "throttle group", LOCK_BLK);
	return g;
}

static void group_free(struct throttle_group *g)
{
	lock_fini(&g->lock);
	free(g->name);
	free(g);
}

static struct throttle_group *group_get(const char *name)
{
	struct throttle_group *g;

	LOCK_GUARD(&registry_lock);
	g = name ? group_find_locked(name) : NULL;
	if (!g) {
		g = group_new(name);
		if (g && name)
			list_add_tail(&registry, &g->node);
	}
	if (g)
		g->users++;
	return g;
}

static void group_put(struct throttle_group *g)
{
	bool last;

	lock_take(&registry_lock);
	last = !--g->users;
	if (last)
		list_del(&g->node);
	lock_drop(&registry_lock);
	if (last)
		group_free(g);
}

int throttle_group_join(const char *name, struct throttle_member *m)
{
	struct throttle_group *g = group_get(name);

	if (!g)
		return -ENOMEM;
	m->group = g;
	memset(m->first, 0, sizeof(m->first));
	LOCK_GUARD(&g->lock);
	list_add_tail(&g->members, &m->node);
	return 0;
}

/* The buckets. A request of direction dir is in those of it and of both. */

static enum blk_limit_dir limit_dir(enum throttle_dir dir)
{
	return dir == THROTTLE_READ ? BLK_LIMIT_READ : BLK_LIMIT_WRITE;
}

typedef void (*bucket_fn)(struct throttle_bucket *b, uint64_t units);

static void group_pour(struct throttle_group *g, enum throttle_dir dir,
	uint64_t bytes, bucket_fn fn)
{
	enum blk_limit_dir d = limit_dir(dir);

	fn(&g->iops[BLK_LIMIT_TOTAL], 1);
	fn(&g->iops[d], 1);
	fn(&g->bytes[BLK_LIMIT_TOTAL], bytes);
	fn(&g->bytes[d], bytes);
}

static void group_drain(struct throttle_group *g, uint64_t now_ns)
{
	uint64_t ns;

	/* a member on another core may have looked at the clock before */
	if (now_ns <= g->drained_ns)
		return;
	ns = now_ns - g->drained_ns;
	g->drained_ns = now_ns;
	for (unsigned i = 0; i < ARRAY_LEN(g->iops); i++) {
		throttle_bucket_drain(&g->iops[i], ns);
		throttle_bucket_drain(&g->bytes[i], ns);
	}
}

static uint64_t group_wait_ns(const struct throttle_group *g,
	enum throttle_dir dir)
{
	enum blk_limit_dir d = limit_dir(dir);
	const struct throttle_bucket *const all[] = { &g->iops[BLK_LIMIT_TOTAL],
		&g->iops[d], &g->bytes[BLK_LIMIT_TOTAL], &g->bytes[d] };
	uint64_t most = 0;

	for (unsigned i = 0; i < ARRAY_LEN(all); i++) {
		uint64_t ns = throttle_bucket_wait_ns(all[i]);

		if (ns > most)
			most = ns;
	}
	return most;
}

static void member_lose_place(struct throttle_member *m, enum throttle_dir dir)
{
	if (!m->first[dir].placed)
		return;
	m->first[dir].placed = false;
	group_pour(m->group, dir, m->first[dir].bytes,
		throttle_bucket_take_back);
}

static void member_lose_places(struct throttle_member *m)
{
	for (unsigned i = 0; i < THROTTLE_DIRS; i++)
		member_lose_place(m, (enum throttle_dir)i);
}

void throttle_group_leave(struct throttle_member *m)
{
	struct throttle_group *g = m->group;

	lock_take(&g->lock);
	member_lose_places(m);
	list_del(&m->node);
	lock_drop(&g->lock);
	m->group = NULL;
	group_put(g);
}

uint64_t throttle_group_place(struct throttle_member *m, enum throttle_dir dir,
	uint64_t bytes, uint64_t now_ns)
{
	struct throttle_group *g = m->group;

	LOCK_GUARD(&g->lock);
	if (m->first[dir].placed)
		return m->first[dir].pass_ns;
	group_drain(g, now_ns);
	m->first[dir].pass_ns = now_ns + group_wait_ns(g, dir);
	m->first[dir].bytes = bytes;
	m->first[dir].placed = true;
	group_pour(g, dir, bytes, throttle_bucket_add);
	return m->first[dir].pass_ns;
}

bool throttle_group_passed(struct throttle_member *m, enum throttle_dir dir)
{
	bool placed;

	LOCK_GUARD(&m->group->lock);
	placed = m->first[dir].placed;
	m->first[dir].placed = false;
	return placed;
}

/* Limits. */

static int limits_check(const struct blk_throttle *t, struct err *e)
{
	static const char *const names[2][3] = {
		{ "iops, total", "iops, read", "iops, write" },
		{ "bytes/s, total", "bytes/s, read", "bytes/s, write" },
	};
	int r = 0;

	for (unsigned i = 0; i < 3 && !r; i++)
		r = throttle_limit_check(&t->iops[i], names[0][i], e);
	for (unsigned i = 0; i < 3 && !r; i++)
		r = throttle_limit_check(&t->bytes[i], names[1][i], e);
	return r;
}

static bool limits_are_none(const struct blk_throttle *t)
{
	for (unsigned i = 0; i < 3; i++)
		if (t->iops[i].rate || t->bytes[i].rate)
			return false;
	return true;
}

int throttle_group_set(struct throttle_group *g, const struct blk_throttle *t,
	uint64_t now_ns, struct err *e)
{
	static const struct blk_throttle none;
	int r;

	if (!t)
		t = &none;
	r = limits_check(t, e);
	if (r)
		return r;
	LOCK_GUARD(&g->lock);
	group_drain(g, now_ns);
	list_each (n, &g->members)
		member_lose_places(list_entry(n, struct throttle_member, node));
	for (unsigned i = 0; i < 3; i++) {
		throttle_bucket_set(&g->iops[i], &t->iops[i]);
		throttle_bucket_set(&g->bytes[i], &t->bytes[i]);
	}
	atomic_store_explicit(&g->active, !limits_are_none(t),
		memory_order_relaxed);
	list_each (n, &g->members) {
		struct throttle_member *m =
			list_entry(n, struct throttle_member, node);

		m->changed(m);
	}
	return 0;
}
