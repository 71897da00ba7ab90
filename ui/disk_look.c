/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Disk verbs that look: check, compare, map; and snapshots. */
#include <string.h>
#include <time.h>

#include "vm/base/clock.h"
#include "vm/base/sizes.h"

#include "ui/disk.h"

/* check */

struct check_out {
	FILE *f;
	json_t *found;
};

static void check_tell(void *arg, const char *line)
{
	struct check_out *o = arg;
	char clean[DISK_TEXT];

	if (o->found)
		json_array_append_new(o->found, disk_string(line));
	else
		fprintf(o->f, "%s\n", disk_clean(line, clean, sizeof(clean)));
}

static int check_repair(const struct cmd_args *a, struct disk_io *io,
	enum img_repair *how)
{
	const char *v = cmd_opt(a, "--repair");

	*how = IMG_REPAIR_NONE;
	if (v && !strcmp(v, "leaks"))
		*how = IMG_REPAIR_LEAKS;
	else if (v && !strcmp(v, "all"))
		*how = IMG_REPAIR_ALL;
	else if (v)
		return disk_wrong(io,
			"%s: --repair %s: leaks (safe) or all (also what is "
			"damaged)",
			a->verb->name, v);
	return 0;
}

static int check_code(const struct img_check *c)
{
	if (c->corruptions || c->errors)
		return UI_FAIL;
	return c->leaks ? DISK_LEAKS : UI_OK;
}

static json_t *check_json(const struct img_ref *ref, const struct img_check *c,
	json_t *found)
{
	return json_pack("{s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, "
			 "s:I, s:o}",
		"filename", disk_string(ref->path), "corruptions",
		(json_int_t)c->corruptions, "leaks", (json_int_t)c->leaks,
		"check-errors", (json_int_t)c->errors, "corruptions-fixed",
		(json_int_t)c->corruptions_fixed, "leaks-fixed",
		(json_int_t)c->leaks_fixed, "total-clusters",
		(json_int_t)c->total, "allocated-clusters",
		(json_int_t)c->allocated, "compressed-clusters",
		(json_int_t)c->compressed, "fragmented-clusters",
		(json_int_t)c->fragmented, "image-end-offset",
		(json_int_t)c->image_end, "found", found);
}

static void count(FILE *f, uint64_t n, const char *one, const char *many)
{
	if (n)
		fprintf(f, "%llu %s\n", (unsigned long long)n,
			n == 1 ? one : many);
}

static void check_text(FILE *f, const struct img_check *c)
{
	double all = c->total ? (double)c->total : 1;
	double used = c->allocated ? (double)c->allocated : 1;

	count(f, c->corruptions_fixed, "corruption mended",
		"corruptions mended");
	count(f, c->leaks_fixed, "leaked cluster given back",
		"leaked clusters given back");
	count(f, c->errors, "error while checking", "errors while checking");
	count(f, c->corruptions,
		"corruption: data may be damaged: make a copy, then --repair "
		"all",
		"corruptions: data may be damaged: make a copy, then --repair "
		"all");
	count(f, c->leaks,
		"leaked cluster: space lost, data not touched: --repair leaks",
		"leaked clusters: space lost, data not touched: --repair "
		"leaks");
	if (!c->errors && !c->corruptions && !c->leaks)
		fprintf(f, "No errors were found.\n");
	fprintf(f,
		"%llu of %llu clusters allocated (%.2f %%), %.2f %% of them "
		"fragmented, %.2f %% compressed\n",
		(unsigned long long)c->allocated, (unsigned long long)c->total,
		100 * (double)c->allocated / all,
		100 * (double)c->fragmented / used,
		100 * (double)c->compressed / used);
}

int disk_check(const struct cmd_args *a, struct disk_io *io)
{
	struct check_out o = { .f = io->out };
	struct err e = ERR_NONE;
	struct img_check c;
	struct img_ref ref;
	enum img_repair how;
	int r = disk_ref(a, io, 0, "-f", &ref);

	if (!r)
		r = check_repair(a, io, &how);
	if (r)
		return r;
	if (disk_wants_json(a))
		o.found = json_array();
	r = img_check(&ref, how, check_tell, &o, io->job, &c, &e);
	if (r) {
		json_decref(o.found);
		return disk_fail(io, &e);
	}
	if (o.found)
		return disk_json(io, check_json(&ref, &c, o.found),
			check_code(&c));
	check_text(io->out, &c);
	return check_code(&c);
}

/* compare */

static int compare_tell(const struct cmd_args *a, struct disk_io *io,
	const struct img_compare *c)
{
	int code = c->equal ? UI_OK : UI_FAIL;
	json_t *j;

	if (disk_wants_json(a)) {
		j = json_pack("{s:b, s:b}", "identical", c->equal,
			"sizes-differ", c->sizes_differ);
		if (!c->equal)
			json_object_set_new(j, "offset",
				json_integer((json_int_t)c->offset));
		return disk_json(io, j, code);
	}
	if (c->equal)
		fprintf(io->out, "The images are the same%s.\n",
			c->sizes_differ ? "; one is longer, by zeros" : "");
	else
		fprintf(io->out, "They differ at byte %llu%s.\n",
			(unsigned long long)c->offset,
			c->sizes_differ ? ", and in size" : "");
	return code;
}

int disk_compare(const struct cmd_args *a, struct disk_io *io)
{
	struct err e = ERR_NONE;
	struct img_compare c;
	struct img_ref one, two;
	int r = disk_ref(a, io, 0, "-f", &one);

	if (!r)
		r = disk_ref(a, io, 1, "-F", &two);
	if (r)
		return r;
	r = img_compare(&one, &two, cmd_opt(a, "-s"), io->job, &c, &e);
	return r ? disk_fail(io, &e) : compare_tell(a, io, &c);
}

/* map */

/* Written as it comes: an image can have millions of runs. */
struct map_out {
	FILE *f;
	bool begun;
};

static bool map_line(void *arg, uint64_t offset, const struct blk_extent *x)
{
	struct map_out *o = arg;
	char file[DISK_TEXT], host[24] = "?";

	if (!x->data || x->zero)
		return true;
	if (x->compressed)
		strcpy(host, "compressed");
	else if (x->has_host)
		snprintf(host, sizeof(host), "%#llx",
			(unsigned long long)x->host);
	fprintf(o->f, "%#-15llx %#-15llx %-15s %s\n",
		(unsigned long long)offset, (unsigned long long)x->len, host,
		x->file ? disk_clean(x->file, file, sizeof(file)) : "");
	return !ferror(o->f);
}

static bool map_json(void *arg, uint64_t offset, const struct blk_extent *x)
{
	struct map_out *o = arg;
	char host[40] = "";

	if (x->has_host && !x->compressed)
		snprintf(host, sizeof(host), ", \"offset\": %llu",
			(unsigned long long)x->host);
	fprintf(o->f,
		"%s{ \"start\": %llu, \"length\": %llu, \"depth\": %u, "
		"\"present\": %s, \"zero\": %s, \"data\": %s, "
		"\"compressed\": %s%s }",
		o->begun ? ",\n" : "", (unsigned long long)offset,
		(unsigned long long)x->len, x->depth,
		x->present ? "true" : "false", x->zero ? "true" : "false",
		x->data ? "true" : "false", x->compressed ? "true" : "false",
		host);
	o->begun = true;
	return !ferror(o->f);
}

int disk_map(const struct cmd_args *a, struct disk_io *io)
{
	uint64_t start = 0, len = UINT64_MAX;
	bool json = disk_wants_json(a);
	struct map_out o = { .f = io->out };
	struct err e = ERR_NONE;
	struct img_ref ref;
	int r = disk_ref(a, io, 0, "-f", &ref);

	if (!r)
		r = disk_opt_size(a, io, "-s", &start);
	if (!r)
		r = disk_opt_size(a, io, "-l", &len);
	if (r)
		return r;
	if (json)
		fputc('[', io->out);
	else
		fprintf(io->out, "%-15s %-15s %-15s %s\n", "Offset", "Length",
			"Mapped to", "File");
	r = img_map(&ref, start, len, json ? map_json : map_line, &o, io->job,
		&e);
	if (json)
		fputs("]\n", io->out);
	return r ? disk_fail(io, &e) : UI_OK;
}

/* snapshot */

static json_t *snapshot_json(const struct img_snapshot *s)
{
	return json_pack("{s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:I}", "id",
		disk_string(s->id), "name", disk_string(s->name),
		"vm-state-size", (json_int_t)s->vm_state_bytes, "date-sec",
		(json_int_t)s->date_s, "date-nsec", (json_int_t)s->date_ns,
		"vm-clock-sec", (json_int_t)(s->vm_clock_ns / NS_PER_S),
		"vm-clock-nsec", (json_int_t)(s->vm_clock_ns % NS_PER_S),
		"disk-size", (json_int_t)s->size_bytes);
}

json_t *disk_snapshots_json(const struct img_layer *l)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < l->nsnapshots; i++)
		json_array_append_new(list, snapshot_json(&l->snapshots[i]));
	return list;
}

static void snapshot_line(FILE *f, const struct img_snapshot *s)
{
	char when[32], size[32], id[sizeof(s->id) + 4];
	char name[sizeof(s->name) + 4];
	time_t t = (time_t)s->date_s;
	struct tm tm;

	if (!localtime_r(&t, &tm))
		memset(&tm, 0, sizeof(tm));
	strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", &tm);
	fprintf(f, "%-8s %-24s %10s  %s\n", disk_clean(s->id, id, sizeof(id)),
		disk_clean(s->name, name, sizeof(name)),
		size_format(s->vm_state_bytes, size, sizeof(size)), when);
}

static void snapshot_table(FILE *f, const struct img_layer *l)
{
	if (l->nsnapshots)
		fprintf(f, "%-8s %-24s %10s  %s\n", "ID", "NAME", "VM STATE",
			"DATE");
	for (unsigned i = 0; i < l->nsnapshots; i++)
		snapshot_line(f, &l->snapshots[i]);
}

static int snapshot_list(const struct cmd_args *a, struct disk_io *io,
	const struct img_ref *ref)
{
	struct err e = ERR_NONE;
	struct img_info i;
	int r = img_info(ref, false, &i, &e);

	if (r)
		r = disk_fail(io, &e);
	else if (disk_wants_json(a))
		r = disk_json(io, disk_snapshots_json(i.layers), UI_OK);
	else
		snapshot_table(io->out, i.layers);
	img_info_free(&i);
	return r;
}

int disk_snapshot(const struct cmd_args *a, struct disk_io *io)
{
	static const struct {
		const char *word;
		int (*fn)(const struct img_ref *r, const char *name,
			struct err *e);
	} subs[] = {
		{ "create", img_snapshot_create },
		{ "revert", img_snapshot_revert },
		{ "delete", img_snapshot_delete },
	};
	const char *word = a->operand[0];
	struct err e = ERR_NONE;
	struct img_ref ref;
	int r = disk_ref(a, io, 1, "-f", &ref);

	if (r)
		return r;
	if (!strcmp(word, "list") && a->noperands == 2)
		return snapshot_list(a, io, &ref);
	for (size_t i = 0; i < ARRAY_LEN(subs); i++) {
		if (strcmp(word, subs[i].word))
			continue;
		if (a->noperands < 3)
			return disk_wrong(io, "%s %s: name the snapshot",
				a->verb->name, word);
		r = subs[i].fn(&ref, a->operand[2], &e);
		return disk_end(a, io, r, &e);
	}
	return disk_wrong(io,
		"%s: list FILE, or create, revert or delete FILE "
		"NAME",
		a->verb->name);
}
