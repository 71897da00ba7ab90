/* SPDX-License-Identifier: GPL-3.0-or-later */
/* disk info, by the names that qemu-img's JSON has, and disk bench. */
#include <string.h>

#include "vm/base/clock.h"
#include "vm/base/sizes.h"

#include "ui/disk.h"

/* info */

static json_t *info_qcow2_json(const struct img_layer *l)
{
	json_t *d = json_pack("{s:s, s:I, s:b, s:b, s:b, s:s}", "compat",
		l->compat == 2 ? "0.10" : "1.1", "refcount-bits",
		(json_int_t)l->refcount_bits, "lazy-refcounts",
		l->lazy_refcounts, "corrupt", l->corrupt, "extended-l2",
		l->extended_l2, "compression-type", l->zstd ? "zstd" : "zlib");

	if (l->data_file) {
		json_object_set_new(d, "data-file", disk_string(l->data_file));
		json_object_set_new(d, "data-file-raw",
			json_boolean(l->data_file_raw));
	}
	return json_pack("{s:s, s:o}", "type", "qcow2", "data", d);
}

static json_t *info_json(const struct img_layer *l)
{
	json_t *j = json_pack("{s:o, s:s, s:I, s:b}", "filename",
		disk_string(l->path), "format", l->format, "virtual-size",
		(json_int_t)l->size, "dirty-flag", l->dirty);

	if (l->actual_size != UINT64_MAX)
		json_object_set_new(j, "actual-size",
			json_integer((json_int_t)l->actual_size));
	if (l->cluster_size)
		json_object_set_new(j, "cluster-size",
			json_integer(l->cluster_size));
	if (l->backing_file) {
		json_object_set_new(j, "backing-filename",
			disk_string(l->backing_file));
		json_object_set_new(j, "full-backing-filename",
			disk_string(l->backing_path));
	}
	if (l->backing_format)
		json_object_set_new(j, "backing-filename-format",
			disk_string(l->backing_format));
	if (l->nsnapshots)
		json_object_set_new(j, "snapshots", disk_snapshots_json(l));
	if (l->qcow2)
		json_object_set_new(j, "format-specific", info_qcow2_json(l));
	return j;
}

static void info_size(FILE *f, const char *what, uint64_t bytes)
{
	char text[32];

	fprintf(f, "%-16s %s (%llu bytes)\n", what,
		size_format(bytes, text, sizeof(text)),
		(unsigned long long)bytes);
}

static void info_name(FILE *f, const char *what, const char *name,
	const char *more)
{
	char text[DISK_TEXT];

	fprintf(f, "%-16s %s%s\n", what, disk_clean(name, text, sizeof(text)),
		more);
}

static void info_backing(FILE *f, const struct img_layer *l)
{
	char format[DISK_TEXT], more[DISK_TEXT + 4];

	if (l->backing_format)
		snprintf(more, sizeof(more), " (%s)",
			disk_clean(l->backing_format, format, sizeof(format)));
	info_name(f, "backing file", l->backing_file,
		l->backing_format
			? more
			: " (format not recorded: disk rebase -u -b -F)");
}

static void info_snapshot(FILE *f, const struct img_snapshot *s)
{
	char id[sizeof(s->id) + 4], name[sizeof(s->name) + 4];

	fprintf(f, "%-16s %s %s\n", "snapshot",
		disk_clean(s->id, id, sizeof(id)),
		disk_clean(s->name, name, sizeof(name)));
}

static void info_qcow2_text(FILE *f, const struct img_layer *l)
{
	fprintf(f, "%-16s %s, %u-bit refcounts%s%s%s\n", "version",
		l->compat == 2 ? "2 (compat 0.10)" : "3 (compat 1.1)",
		l->refcount_bits, l->lazy_refcounts ? ", lazy" : "",
		l->extended_l2 ? ", extended L2" : "",
		l->zstd ? ", zstd" : ", zlib");
	if (l->data_file)
		info_name(f, "data file", l->data_file,
			l->data_file_raw ? " (raw)" : "");
	if (l->dirty)
		fprintf(f,
			"%-16s not closed rightly: mended at the next "
			"opening for writing\n",
			"state");
	if (l->corrupt)
		fprintf(f, "%-16s marked corrupt: disk check --repair all\n",
			"state");
	for (unsigned i = 0; i < l->nsnapshots; i++)
		info_snapshot(f, &l->snapshots[i]);
}

static void info_text(FILE *f, const struct img_layer *l)
{
	info_name(f, "image", l->path, "");
	fprintf(f, "%-16s %s\n", "format", l->format);
	info_size(f, "virtual size", l->size);
	if (l->actual_size != UINT64_MAX)
		info_size(f, "on disk", l->actual_size);
	if (l->cluster_size)
		info_size(f, "cluster size", l->cluster_size);
	if (l->backing_file)
		info_backing(f, l);
	if (l->qcow2)
		info_qcow2_text(f, l);
}

int disk_info(const struct cmd_args *a, struct disk_io *io)
{
	bool chain = cmd_opt(a, "--backing-chain"), json = disk_wants_json(a);
	struct err e = ERR_NONE;
	struct img_info i;
	struct img_ref ref;
	json_t *list = NULL;
	int r = disk_ref(a, io, 0, "-f", &ref);

	if (r)
		return r;
	r = img_info(&ref, chain, &i, &e);
	if (!r && json && !chain)
		r = disk_json(io, info_json(i.layers), UI_OK);
	else if (!r && json)
		list = json_array();
	else if (r)
		r = disk_fail(io, &e);
	for (unsigned k = 0; !r && k < i.nlayers; k++) {
		if (list)
			json_array_append_new(list, info_json(&i.layers[k]));
		else if (!json) {
			fputs(k ? "\n" : "", io->out);
			info_text(io->out, &i.layers[k]);
		}
	}
	img_info_free(&i);
	return list ? disk_json(io, list, UI_OK) : r;
}

/* bench */

static int bench_args(const struct cmd_args *a, struct disk_io *io,
	struct img_bench *b)
{
	uint64_t depth = 64, bytes = 4096, pattern = 0;
	const char *aio = cmd_opt(a, "-i");
	int r = disk_ref(a, io, 0, "-f", &b->ref);

	b->count = 75000;
	b->write = cmd_opt(a, "-w");
	b->random = cmd_opt(a, "--random");
	b->no_drain = cmd_opt(a, "--no-drain");
	if (aio && !strcmp(aio, "io_uring"))
		b->ref.aio = BLK_AIO_URING;
	else if (aio && !strcmp(aio, "threads"))
		b->ref.aio = BLK_AIO_THREADS;
	else if (aio)
		return disk_wrong(io, "%s: -i: io_uring or threads",
			a->verb->name);
	if (!r)
		r = disk_opt_number(a, io, "-c", UINT64_MAX, &b->count);
	if (!r)
		r = disk_opt_number(a, io, "-d", 1024, &depth);
	if (!r)
		r = disk_opt_size(a, io, "-s", &bytes);
	if (!r)
		r = disk_opt_size(a, io, "-o", &b->offset);
	if (!r)
		r = disk_opt_size(a, io, "-S", &b->step);
	if (!r)
		r = disk_opt_number(a, io, "--pattern", 255, &pattern);
	if (!r)
		r = disk_opt_number(a, io, "--flush-interval", UINT64_MAX,
			&b->flush_every);
	if (!r)
		r = disk_opt_cache(a, io, "-t", &b->ref.cache);
	if (!r && bytes > GiB)
		r = disk_wrong(io, "%s: -s: at most 1G", a->verb->name);
	b->depth = (unsigned)depth;
	b->bytes = (uint32_t)bytes;
	b->pattern = (uint8_t)pattern;
	return r;
}

static int bench_tell(const struct cmd_args *a, struct disk_io *io,
	const struct img_bench *b, const struct img_bench_result *r)
{
	const struct blk_dir_stats *d =
		&r->stats.op[b->write ? BLK_WRITE : BLK_READ];
	double s = (double)(r->ns ? r->ns : 1) / (double)NS_PER_S;
	uint64_t p50 = hist_quantile_us(&d->latency, 0.5);
	uint64_t p99 = hist_quantile_us(&d->latency, 0.99);
	double cpu = (double)r->cpu_ns / (double)d->ops / (double)NS_PER_US;

	if (disk_wants_json(a))
		return disk_json(io,
			json_pack("{s:I, s:I, s:f, s:f, s:f, s:I, s:I, s:f, "
				  "s:s}",
				"requests", (json_int_t)d->ops, "bytes",
				(json_int_t)d->bytes, "seconds", s, "iops",
				(double)d->ops / s, "bytes-per-second",
				(double)d->bytes / s, "latency-p50-us",
				(json_int_t)p50, "latency-p99-us",
				(json_int_t)p99, "cpu-us-per-request", cpu,
				"aio", r->aio),
			UI_OK);
	fprintf(io->out,
		"%llu requests in %.3f s: %.0f a second, %.1f MiB/s\n"
		"latency up to %llu us in half of them, %llu us in 99 %%; %.2f "
		"us "
		"of CPU time "
		"a request; %s\n",
		(unsigned long long)d->ops, s, (double)d->ops / s,
		(double)d->bytes / s / (double)MiB, (unsigned long long)p50,
		(unsigned long long)p99, cpu, r->aio);
	return UI_OK;
}

int disk_bench(const struct cmd_args *a, struct disk_io *io)
{
	struct img_bench b = { 0 };
	struct img_bench_result res;
	struct err e = ERR_NONE;
	int r = bench_args(a, io, &b);

	if (r)
		return r;
	r = img_bench(&b, io->job, &res, &e);
	return r ? disk_fail(io, &e) : bench_tell(a, io, &b, &res);
}
