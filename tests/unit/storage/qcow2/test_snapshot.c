/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Internal snapshots, made by us and by qemu-img, each used by the other; and
 * that at no point of a change there is more than a leak on disk.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/sizes.h"

#include "tests/unit/storage/qcow2/crash.h"
#include "tests/unit/storage/qcow2/damage.h"

/* --- verbs ---------------------------------------------------------------- */

typedef int (*verb)(struct node *n, const char *name, struct err *e);

struct verb_call {
	verb fn;
	struct node *n;
	const char *name;
	struct err e;
};

static int verb_fn(void *arg)
{
	struct verb_call *c = arg;

	return c->fn(c->n, c->name, &c->e);
}

static void ok(struct node *n, verb fn, const char *name)
{
	struct verb_call c = { .fn = fn, .n = n, .name = name };
	int r = qt_run(verb_fn, &c);

	ck_assert_msg(r == 0, "%s: %s", name, c.e.msg);
}

static void fails(struct node *n, verb fn, const char *name, int code,
	const char *text)
{
	struct verb_call c = { .fn = fn, .n = n, .name = name };

	ck_assert_int_eq(qt_run(verb_fn, &c), -code);
	ck_assert_err(c.e, code, text);
	ck_assert_ptr_nonnull(strstr(c.e.msg, n->path));
}

/* --- content -------------------------------------------------------------- */

static uint64_t size_of(struct node *n)
{
	struct blk_info info;

	n->ops->info(n, &info);
	return info.size;
}

static uint8_t *read_all(struct node *n)
{
	uint64_t size = size_of(n);
	uint8_t *buf = malloc(size + 1);

	ck_assert_ptr_nonnull(buf);
	ck_assert_int_eq(qt_io(n, BLK_READ, 0, 0, buf, size), 0);
	return buf;
}

static void scribble(struct node *n, unsigned seed, unsigned count)
{
	uint64_t size = size_of(n);
	uint8_t *buf = malloc(256 * 512);

	ck_assert_ptr_nonnull(buf);
	srandom(seed);
	for (unsigned i = 0; i < count; i++) {
		uint64_t at = (uint64_t)random() % (size / 512) * 512;
		uint64_t len = ((uint64_t)random() % 255 + 1) * 512;
		unsigned what = (unsigned)random() % 8;

		if (len > size - at)
			len = size - at;
		qt_fill(buf, len, seed * 1000 + i);
		if (what == 0)
			ck_assert_int_eq(qt_io(n, BLK_DISCARD, 0, at, NULL,
						 len),
				0);
		else if (what == 1)
			ck_assert_int_eq(qt_io(n, BLK_WRITE_ZEROES, 0, at, NULL,
						 len),
				0);
		else
			ck_assert_int_eq(qt_io(n, BLK_WRITE, 0, at, buf, len),
				0);
	}
	free(buf);
}

static void same(struct node *n, const uint8_t *want)
{
	uint8_t *now = read_all(n);

	ck_assert(!memcmp(now, want, size_of(n)));
	free(now);
}

/* What is on disk now has leaks at most. With lazy refcounts it says so. */
static void sound(struct node *n, struct node *file)
{
	struct qcow2_check found;

	ck_assert_int_eq(qt_io(n, BLK_FLUSH, 0, 0, NULL, 0), 0);
	damage_qemu_check(file, &found);
	ck_assert_uint_eq(found.errors, 0);
	if (!(damage_get(file, 4, 4) == 3 && damage_get(file, 72, 8) & 1))
		ck_assert_uint_eq(found.corruptions, 0);
}

static const char *const options[] = {
	"cluster_size=512",
	"cluster_size=512,refcount_bits=64",
	"cluster_size=4096,refcount_bits=8",
	"compat=0.10",
	"cluster_size=16384,extended_l2=on",
	"lazy_refcounts=on,cluster_size=4096",
	"cluster_size=2M",
	"preallocation=metadata,cluster_size=4096",
	"cluster_size=1024,refcount_bits=2",
};

/* --- tests ---------------------------------------------------------------- */

/* The verb works, what the guest sees is want, and all is sound. */
static void gives(struct node *n, struct node *file, verb fn, const char *name,
	const uint8_t *want)
{
	ok(n, fn, name);
	sound(n, file);
	same(n, want);
}

START_TEST (revert_brings_back_what_was) {
	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		struct node *file = damage_make(options[i], 4 * MiB, 0, 1), *n;
		uint8_t *one, *two, *three;

		n = qt_opened(file);
		scribble(n, 1, 20);
		one = read_all(n);
		gives(n, file, qcow2_snapshot_create, "one", one);
		scribble(n, 2, 10);
		sound(n, file);
		two = read_all(n);
		gives(n, file, qcow2_snapshot_create, "two", two);
		scribble(n, 3, 10);
		three = read_all(n);
		sound(n, file);
		same(n, three);

		gives(n, file, qcow2_snapshot_revert, "one", one);
		scribble(n, 4, 5);
		sound(n, file);
		gives(n, file, qcow2_snapshot_revert, "two", two);
		gives(n, file, qcow2_snapshot_delete, "two", two);
		scribble(n, 5, 5);
		sound(n, file);
		gives(n, file, qcow2_snapshot_revert, "one", one);
		gives(n, file, qcow2_snapshot_delete, "one", one);
		scribble(n, 6, 5);
		sound(n, file);
		ck_assert_int_eq(qt_close(n), 0);
		qt_check(file);
		free(one);
		free(two);
		free(three);
	}
}
END_TEST

/* Both read the table alike. */
static void same_list(struct node *n, struct node *file)
{
	struct qcow2_snapshot s;
	json_t *info, *list;
	size_t i;

	memnode_save(file, rig_path("list.qcow2"));
	info = qt_info(rig_path("list.qcow2"));
	list = json_object_get(info, "snapshots");
	for (i = 0; i < json_array_size(list); i++) {
		json_t *k = json_array_get(list, i);

		ck_assert_int_eq(qcow2_snapshot_get(n, (unsigned)i, &s), 0);
		ck_assert_str_eq(s.id,
			json_string_value(json_object_get(k, "id")));
		ck_assert_str_eq(s.name,
			json_string_value(json_object_get(k, "name")));
		ck_assert_uint_eq(s.date_s,
			(uint64_t)json_integer_value(
				json_object_get(k, "date-sec")));
		ck_assert_uint_eq(s.date_ns,
			(uint64_t)json_integer_value(
				json_object_get(k, "date-nsec")));
		ck_assert_uint_eq(s.vm_state_size,
			(uint64_t)json_integer_value(
				json_object_get(k, "vm-state-size")));
	}
	ck_assert_int_eq(qcow2_snapshot_get(n, (unsigned)i, &s), -ENOENT);
	json_decref(info);
}

START_TEST (qemu_uses_our_snapshots) {
	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		struct node *file = damage_make(options[i], 4 * MiB, 0, 1), *n;
		uint8_t *one, *now;
		uint64_t size;

		n = qt_opened(file);
		scribble(n, 1, 20);
		one = read_all(n);
		ok(n, qcow2_snapshot_create, "first one");
		scribble(n, 2, 10);
		ok(n, qcow2_snapshot_create, "second");
		scribble(n, 3, 5);
		same_list(n, file);
		ck_assert_int_eq(qt_close(n), 0);

		memnode_save(file, rig_path("q.qcow2"));
		qt_check_file(rig_path("q.qcow2"));
		if (strstr(options[i], "refcount_bits=2")) {
			free(one);
			continue; /* qemu-img counts up first */
		}
		qt_sh_ok("qemu-img snapshot -a 'first one' q.qcow2");
		qt_check_file(rig_path("q.qcow2"));
		file = qt_load(rig_path("q.qcow2"));
		now = damage_content(file, &size);
		ck_assert(!memcmp(now, one, size));
		free(now);
		qt_sh_ok("qemu-img snapshot -d second q.qcow2");
		qt_check_file(rig_path("q.qcow2"));
		qt_sh_ok("qemu-img snapshot -d 'first one' q.qcow2");
		qt_check_file(rig_path("q.qcow2"));
		free(one);
	}
}
END_TEST

START_TEST (snapshots_of_qemu_are_used) {
	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		struct node *file, *n;
		uint8_t *one;
		uint64_t size;

		damage_make_file(options[i], 4 * MiB, 0, 1);
		damage_scribble(4 * MiB, 20, 1);
		file = qt_load(rig_path("img.qcow2"));
		one = damage_content(file, &size);
		if (qt_sh("qemu-img snapshot -c one img.qcow2 2>/dev/null")) {
			free(one);
			continue; /* refcounts are too narrow */
		}
		damage_scribble(4 * MiB, 10, 2);
		qt_sh("qemu-img snapshot -c two img.qcow2 2>/dev/null");
		damage_scribble(4 * MiB, 10, 3);
		file = qt_load(rig_path("img.qcow2"));
		n = qt_opened(file);
		same_list(n, file);
		scribble(n, 4, 10);
		ok(n, qcow2_snapshot_revert, "one");
		sound(n, file);
		same(n, one);
		scribble(n, 5, 10);
		ok(n, qcow2_snapshot_delete, "one");
		sound(n, file);
		if (!strstr(options[i], "refcount_bits=2"))
			ok(n, qcow2_snapshot_delete, "2");
		ck_assert_int_eq(qt_close(n), 0);
		qt_check(file);
		free(one);
	}
}
END_TEST

START_TEST (what_cannot_be_is_refused) {
	struct node *file = damage_make("cluster_size=512", 4 * MiB, 0, 1);
	struct node *n = qt_opened(file);
	char longest[256], longer[257];

	memset(longest, 'x', 255);
	longest[255] = '\0';
	memset(longer, 'x', 256);
	longer[256] = '\0';
	fails(n, qcow2_snapshot_revert, "a", ENOENT, "has no snapshot 'a'");
	fails(n, qcow2_snapshot_delete, "a", ENOENT, "has no snapshot 'a'");
	fails(n, qcow2_snapshot_create, "", EINVAL, "1 to 255 bytes");
	fails(n, qcow2_snapshot_create, longer, EINVAL, "1 to 255 bytes");
	ok(n, qcow2_snapshot_create, longest);
	fails(n, qcow2_snapshot_create, longest, EEXIST, "has a snapshot");
	ok(n, qcow2_snapshot_revert, "1");
	ok(n, qcow2_snapshot_delete, longest);
	ck_assert_int_eq(qt_close(n), 0);
	qt_check(file);
}
END_TEST

START_TEST (narrow_refcounts_refuse_and_stay) {
	struct node *file =
		damage_make("cluster_size=512,refcount_bits=1", 4 * MiB, 0, 1);
	struct node *n = qt_opened(file);
	uint8_t *was;

	scribble(n, 1, 10);
	was = read_all(n);
	fails(n, qcow2_snapshot_create, "a", ERANGE, "refcounts of 1 bits");
	sound(n, file);
	same(n, was);
	ck_assert_int_eq(qt_close(n), 0);
	qt_check(file);
	free(was);
}
END_TEST

START_TEST (a_snapshot_can_be_looked_at) {
	struct node *file = damage_make("cluster_size=512", 1 * MiB, 0, 1);
	struct node *n = qt_opened(file);
	const struct qcow2_opts o = { .readonly = true };
	struct err e = ERR_NONE;
	uint8_t *was;
	uint64_t table;

	scribble(n, 1, 10);
	was = read_all(n);
	ok(n, qcow2_snapshot_create, "one");
	ok(n, qcow2_snapshot_create, "two");
	scribble(n, 2, 10);
	fails(n, qcow2_snapshot_load, "one", EINVAL, "for reading only");
	ck_assert_int_eq(qt_close(n), 0);
	/* its size is cut to sectors, as the disk's is */
	table = damage_get(file, 64, 8);
	damage_put(file, table + 48, 8, 1 * MiB - 100);

	ck_assert_int_eq(qt_open(file, &o, &n, &e), 0);
	fails(n, qcow2_snapshot_load, "three", ENOENT, "has no snapshot");
	ok(n, qcow2_snapshot_load, "2");
	same(n, was);
	ok(n, qcow2_snapshot_load, "one");
	ck_assert_uint_eq(size_of(n), 1 * MiB - 512);
	same(n, was);
	ck_assert_int_eq(qt_close(n), 0);

	/* one that cannot be used is not read */
	damage_put(file, table, 8, 1 * MiB + 1);
	ck_assert_int_eq(qt_open(file, &o, &n, &e), 0);
	fails(n, qcow2_snapshot_load, "one", EINVAL, "L1 table");
	ck_assert_int_eq(qt_io(n, BLK_READ, 0, 0, was, 512), -EIO);
	ck_assert_int_eq(qt_close(n), 0);
	free(was);
}
END_TEST

/* --- power loss ----------------------------------------------------------- */

/* What may be read after a crash: as before, or as after. */
struct outcome {
	const uint8_t *before, *after;
	unsigned seen_before, seen_after, n;
	bool lazy;
};

static void after_crash(void *arg, struct node *image)
{
	struct outcome *o = arg;
	struct qcow2_check found;
	struct node *n;
	uint64_t size;
	uint8_t *now;

	damage_check(image, QCOW2_REPAIR_NONE, &found);
	ck_assert_uint_eq(found.errors, 0);
	ck_assert_msg(o->lazy || !found.corruptions, "%s", damage_told);
	if (o->n++ % 16 == 0) { /* ours agrees with qemu-img's */
		struct qcow2_check theirs;

		damage_qemu_check(image, &theirs);
		ck_assert_uint_eq(found.corruptions, theirs.corruptions);
		ck_assert_uint_eq(found.leaks, theirs.leaks);
	}
	now = damage_content(image, &size);
	if (!memcmp(now, o->before, size))
		o->seen_before++;
	else if (!memcmp(now, o->after, size))
		o->seen_after++;
	else
		ck_abort_msg("neither what was nor what was to be");
	free(now);
	n = qt_opened(image);
	ck_assert_int_eq(qt_close(n), 0);
}

static void crash_in(struct node *n, struct node *file, verb fn,
	const char *name, const uint8_t *after, bool lazy)
{
	uint8_t *before = read_all(n);
	struct outcome o = { before, after ? after : before, .lazy = lazy };
	struct crash *c;

	ck_assert_int_eq(qt_io(n, BLK_FLUSH, 0, 0, NULL, 0), 0);
	c = crash_begin(file);
	ok(n, fn, name);
	ck_assert_uint_gt(crash_each(c, 60, after_crash, &o), 5);
	ck_assert_uint_gt(o.seen_before, 0);
	if (after)
		ck_assert_uint_gt(o.seen_after, 0);
	crash_end(c);
	free(before);
}

START_TEST (no_crash_leaves_more_than_leaks) {
	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		bool lazy = strstr(options[i], "lazy") != NULL;
		struct node *file, *n;
		uint8_t *one;

		if (strstr(options[i], "=2M"))
			continue; /* nothing new, and slow */
		file = damage_make(options[i], 1 * MiB, 0, 1);
		n = qt_opened(file);
		scribble(n, 1, 10);
		one = read_all(n);
		crash_in(n, file, qcow2_snapshot_create, "one", NULL, lazy);
		scribble(n, 2, 5);
		crash_in(n, file, qcow2_snapshot_create, "two", NULL, lazy);
		scribble(n, 3, 5);
		crash_in(n, file, qcow2_snapshot_revert, "one", one, lazy);
		crash_in(n, file, qcow2_snapshot_delete, "two", NULL, lazy);
		scribble(n, 4, 5);
		crash_in(n, file, qcow2_snapshot_delete, "one", NULL, lazy);
		ck_assert_int_eq(qt_close(n), 0);
		qt_check(file);
		free(one);
	}
}
END_TEST

/* --- errors --------------------------------------------------------------- */

/* The verb fails at the k-th request of a kind, for each k; then the image is
 * as it was and it works. */
static void errors_in(struct node *n, struct node *file, verb fn,
	const char *name, enum blk_op op)
{
	uint8_t *before = read_all(n);
	unsigned k;

	ck_assert_int_eq(qt_io(n, BLK_FLUSH, 0, 0, NULL, 0), 0);
	for (k = 0; k < 10000; k += k < 20 ? 1 : k / 4) {
		struct verb_call c = { .fn = fn, .n = n, .name = name };
		int r;

		memnode_fail_once(file, op, k, EIO);
		r = qt_run(verb_fn, &c);
		memnode_fail_once(file, op, 0, 0);
		if (!r)
			break;
		ck_assert_int_eq(r, -EIO);
		ck_assert_ptr_nonnull(strstr(c.e.msg, n->path));
		sound(n, file);
		same(n, before);
	}
	ck_assert_uint_lt(k, 10000);
	sound(n, file);
	free(before);
}

START_TEST (an_error_changes_nothing) {
	static const enum blk_op ops[] = { BLK_WRITE, BLK_READ, BLK_FLUSH };

	for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
		struct node *file =
			damage_make("cluster_size=512", 512 * KiB, 0, 1);
		struct node *n = qt_opened(file);

		scribble(n, 1, 5);
		errors_in(n, file, qcow2_snapshot_create, "one", ops[i]);
		scribble(n, 2, 5);
		ok(n, qcow2_snapshot_revert, "one");
		scribble(n, 3, 5);
		errors_in(n, file, qcow2_snapshot_delete, "one", ops[i]);
		ck_assert_int_eq(qt_close(n), 0);
		qt_check(file);
	}
}
END_TEST

QT_SUITE("qcow2 snapshots", no_crash_leaves_more_than_leaks,
	an_error_changes_nothing, revert_brings_back_what_was,
	qemu_uses_our_snapshots, snapshots_of_qemu_are_used,
	what_cannot_be_is_refused, narrow_refcounts_refuse_and_stay,
	a_snapshot_can_be_looked_at)
