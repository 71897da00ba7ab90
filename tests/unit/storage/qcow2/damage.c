/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See damage.h. */
#include "tests/unit/storage/qcow2/damage.h"

#include <stdlib.h>
#include <string.h>

#include "vm/base/bytes.h"
#include "vm/base/sizes.h"

char damage_told[65536];

/* --- images --------------------------------------------------------------- */

void damage_scribble(uint64_t size, unsigned writes, unsigned seed)
{
	FILE *f = fopen(rig_path("cmds"), "w");

	ck_assert_ptr_nonnull(f);
	srandom(seed);
	for (unsigned i = 0; i < writes; i++) {
		uint64_t at = (uint64_t)random() % (size / 512) * 512;
		uint64_t len = ((uint64_t)random() % 200 + 1) * 512;
		unsigned what = (unsigned)random() % 8;

		if (len > size - at)
			len = size - at;
		if (what == 0)
			fprintf(f, "write -z %llu %llu\n",
				(unsigned long long)at,
				(unsigned long long)len);
		else if (what == 1)
			fprintf(f, "discard %llu %llu\n",
				(unsigned long long)at,
				(unsigned long long)len);
		else if (what == 2)
			fprintf(f, "write -c -P %u %llu 2M\n", i + 1,
				(unsigned long long)
					size_down(at > size - 2 * MiB
							  ? size - 2 * MiB
							  : at,
						2 * MiB));
		else
			fprintf(f, "write -P %u %llu %llu\n", i % 255 + 1,
				(unsigned long long)at,
				(unsigned long long)len);
	}
	fclose(f);
	qt_sh_ok("qemu-io -f qcow2 img.qcow2 <cmds >/dev/null 2>&1 || :");
}

void damage_make_file(const char *options, uint64_t size, unsigned writes,
	unsigned seed)
{
	qt_sh_ok("rm -f img.qcow2; qemu-img create -q -f qcow2 -o %s "
		 "img.qcow2 %llu",
		options, (unsigned long long)size);
	if (writes)
		damage_scribble(size, writes, seed);
}

struct node *damage_make(const char *options, uint64_t size, unsigned writes,
	unsigned seed)
{
	damage_make_file(options, size, writes, seed);
	return qt_load(rig_path("img.qcow2"));
}

/* --- our check ------------------------------------------------------------ */

struct check_call {
	struct node *n;
	enum qcow2_repair how;
	struct qcow2_check *out;
	struct err *e;
};

static void tell(void *arg, const char *line)
{
	size_t n = strlen(damage_told);

	(void)arg;
	ck_assert_ptr_null(strchr(line, '\n'));
	snprintf(damage_told + n, sizeof(damage_told) - n, "%s\n", line);
}

static int check_fn(void *arg)
{
	struct check_call *c = arg;
	struct qcow2_check_fns fns = { .tell = tell };

	return qcow2_check(c->n, c->how, &fns, c->out, c->e);
}

int damage_try_check(struct node *file, enum qcow2_repair how,
	struct qcow2_check *out, struct err *e)
{
	struct qcow2_opts o = { .readonly = how == QCOW2_REPAIR_NONE,
		.for_check = true };
	struct check_call c = { .how = how, .out = out, .e = e };
	int r = qt_open(file, &o, &c.n, e);

	damage_told[0] = '\0';
	if (r)
		return r;
	r = qt_run(check_fn, &c);
	ck_assert_int_eq(qt_close(c.n), 0);
	return r;
}

void damage_check(struct node *file, enum qcow2_repair how,
	struct qcow2_check *out)
{
	struct err e = ERR_NONE;
	int r = damage_try_check(file, how, out, &e);

	ck_assert_msg(r == 0, "%s", e.msg);
}

/* --- qemu-img's ----------------------------------------------------------- */

static uint64_t number(const json_t *root, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(root, key));
}

void damage_qemu_check(struct node *file, struct qcow2_check *out)
{
	json_error_t bad;
	json_t *root;
	int status, want;

	memnode_save(file, rig_path("check.qcow2"));
	status = qt_sh("qemu-img check -f qcow2 --output=json check.qcow2 "
		       ">check.json 2>check.err");
	root = json_load_file(rig_path("check.json"), 0, &bad);
	ck_assert_msg(root != NULL, "%s", bad.text);
	*out = (struct qcow2_check){
		.corruptions = number(root, "corruptions"),
		.leaks = number(root, "leaks"),
		.errors = number(root, "check-errors"),
		.allocated = number(root, "allocated-clusters"),
		.compressed = number(root, "compressed-clusters"),
		.fragmented = number(root, "fragmented-clusters"),
		.total = number(root, "total-clusters"),
		.image_end = number(root, "image-end-offset"),
	};
	want = out->errors ? 1 : out->corruptions ? 2 : out->leaks ? 3 : 0;
	ck_assert_int_eq(status, want);
	json_decref(root);
}

/* --- bytes ---------------------------------------------------------------- */

uint64_t damage_get(struct node *file, uint64_t at, unsigned bytes)
{
	uint64_t size, v = 0;
	const uint8_t *p = memnode_bytes(file, &size);

	ck_assert(size_in(at, bytes, size));
	for (unsigned i = 0; i < bytes; i++)
		v = v << 8 | p[at + i];
	return v;
}

void damage_put(struct node *file, uint64_t at, unsigned bytes, uint64_t v)
{
	uint64_t size;
	uint8_t *p = memnode_bytes(file, &size);

	ck_assert(size_in(at, bytes, size));
	for (unsigned i = bytes; i--; v >>= 8)
		p[at + i] = (uint8_t)v;
}

void damage_find(struct node *file, struct damage_map *m)
{
	uint64_t at = 0, entry = 0;
	unsigned bytes;

	memset(m, 0, sizeof(*m));
	m->cluster = 1u << damage_get(file, 20, 4);
	m->l1 = damage_get(file, 40, 8);
	m->rt = damage_get(file, 48, 8);
	m->refcount_bits = 16;
	if (damage_get(file, 4, 4) > 2)
		m->refcount_bits = 1u << damage_get(file, 96, 4);
	bytes = damage_get(file, 72, 8) & 16 ? 16 : 8;
	while (!damage_get(file, m->rt + at, 8))
		at += 8;
	m->block = damage_get(file, m->rt + at, 8);
	for (at = 0; at < damage_get(file, 36, 4) * 8 && !m->data; at += 8) {
		m->l2 = damage_get(file, m->l1 + at, 8) & ~(UINT64_C(1) << 63);
		for (uint64_t i = 0; m->l2 && i < m->cluster / bytes; i++) {
			entry = damage_get(file, m->l2 + i * bytes, 8);
			m->l2_index = i;
			m->data = entry & UINT64_C(0xfffffffffffe00);
			if (!(entry >> 62 & 1) && m->data)
				break;
			m->data = 0;
		}
	}
}

struct content_call {
	struct node *n;
	uint8_t *buf;
	uint64_t size;
};

static int content_fn(void *arg)
{
	struct content_call *c = arg;

	return node_read(c->n, 0, c->buf, c->size);
}

uint8_t *damage_content(struct node *file, uint64_t *size)
{
	struct qcow2_opts o = { .readonly = true };
	struct content_call c = { 0 };
	struct err e = ERR_NONE;
	int r = qt_open(file, &o, &c.n, &e);

	ck_assert_msg(r == 0, "%s", e.msg);
	c.size = *size = damage_get(file, 24, 8);
	c.buf = malloc(c.size);
	ck_assert_ptr_nonnull(c.buf);
	ck_assert_int_eq(qt_run(content_fn, &c), 0);
	ck_assert_int_eq(qt_close(c.n), 0);
	return c.buf;
}

unsigned damage_changed(struct node *file, uint8_t *before, uint32_t cluster)
{
	uint64_t size;
	uint8_t *now = damage_content(file, &size);
	unsigned n = 0;

	for (uint64_t at = 0; at < size; at += cluster)
		n += memcmp(now + at, before + at, cluster) != 0;
	free(now);
	free(before);
	return n;
}

/* --- damage, and what becomes of it --------------------------------------- */

uint64_t damage_l2_at(const struct damage_map *m)
{
	return m->l2 + m->l2_index * 8;
}

uint64_t damage_l1_at(struct node *file, const struct damage_map *m)
{
	uint64_t at = m->l1;

	while ((damage_get(file, at, 8) & ~(UINT64_C(1) << 63)) != m->l2)
		at += 8;
	return at;
}

void damage_put_count(struct node *file, const struct damage_map *m,
	uint64_t host, uint64_t count)
{
	ck_assert_uint_eq(m->refcount_bits, 16);
	damage_put(file, m->block + host / m->cluster * 2, 2, count);
}

uint64_t damage_grow(struct node *file, const struct damage_map *m)
{
	uint64_t size, at;
	uint8_t *zeros = calloc(1, m->cluster);

	ck_assert_ptr_nonnull(zeros);
	memnode_bytes(file, &size);
	at = size_up(size, m->cluster);
	ck_assert_int_eq(qt_io(file, BLK_WRITE, 0, at, zeros, m->cluster), 0);
	free(zeros);
	return at;
}

static enum damage_class class_of(const struct qcow2_check *c)
{
	/* qemu-img has places it cannot look at for errors too */
	return c->corruptions || c->errors ? CORRUPT : c->leaks ? LEAKS : CLEAN;
}

void damage_is(struct node *file, enum damage_class want)
{
	struct qcow2_check mine, theirs;

	damage_check(file, QCOW2_REPAIR_NONE, &mine);
	damage_qemu_check(file, &theirs);
	ck_assert_msg(class_of(&mine) == want, "ours: %s", damage_told);
	ck_assert_int_eq(class_of(&theirs), want);
}

void damage_mend(struct node *file)
{
	struct qcow2_check found;

	damage_check(file, QCOW2_REPAIR_ALL, &found);
	ck_assert_msg(!found.corruptions && !found.leaks && !found.errors, "%s",
		damage_told);
	ck_assert_uint_gt(found.corruptions_fixed + found.leaks_fixed, 0);
	damage_is(file, CLEAN);
}

struct node *damage_image(struct damage_map *m, const char *options)
{
	struct node *file = damage_make(options, DAMAGE_SIZE, 40, 7);

	damage_find(file, m);
	ck_assert_uint_gt(m->data, 0);
	return file;
}

void damaged_begin(struct damaged *t, const char *options)
{
	uint64_t size;

	t->file = damage_image(&t->m, options);
	t->before = damage_content(t->file, &size);
}

void damaged_end(struct damaged *t, unsigned most)
{
	damage_is(t->file, CORRUPT);
	damage_mend(t->file);
	ck_assert_uint_le(damage_changed(t->file, t->before, t->m.cluster),
		most);
}
