/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The image tools; part of storage.h. Each call does one job and returns
 * when it is done, on a loop of its own: it may be called on any thread that
 * may block. 0 or -errno with e naming the file, the cause and the mend;
 * -ECANCELED when the job was stopped. A target that was made here is taken
 * away again when the job fails or is stopped; a source is never written to.
 */
#ifndef STORAGE_IMAGE_H
#define STORAGE_IMAGE_H

/*
 * How a job tells how far it is and hears that it shall stop; on the calling
 * thread, often. NULL = nobody asks, and so may the members be.
 */
struct img_job {
	/* in bytes; a total of 0 = nothing to show (any more) */
	void (*progress)(void *arg, uint64_t done, uint64_t total);
	bool (*cancelled)(void *arg);
	/* what is odd but no error, a line */
	void (*warn)(void *arg, const char *text);
	void *arg;
};

/* An image to open. Text is borrowed, for the call or as a result says. */
struct img_ref {
	const char *path;       /* or NBD URI */
	enum blk_format format; /* BLK_AUTO: by its content */
	enum blk_cache cache;
	enum blk_aio aio;
	const char *tls_dir;  /* as in struct blk_opts */
	const char *snapshot; /* likewise, for what only reads */
};

/* "raw", "qcow2", "vmdk", "vdi", "vhdx", "auto". -EINVAL: no such format. */
int img_format_parse(const char *word, enum blk_format *out, struct err *e);
const char *img_format_name(enum blk_format f);

/* --- create ----------------------------------------------------------------
 */

enum img_prealloc {
	IMG_PREALLOC_OFF,
	IMG_PREALLOC_METADATA, /* qcow2: tables made, data not yet there */
	IMG_PREALLOC_FALLOC,
	IMG_PREALLOC_FULL, /* written with zeros */
};

/* "off", "metadata", "falloc", "full". -EINVAL: none of them. */
int img_prealloc_parse(const char *word, enum img_prealloc *out, struct err *e);

/* What -o says, for create and convert. All zero = the defaults. */
struct img_options {
	unsigned compat;        /* qcow2: 2 or 3; 0 = 3 */
	uint32_t cluster_size;  /* bytes; 0 = 64 KiB */
	unsigned refcount_bits; /* 0 = 16 */
	bool lazy_refcounts, extended_l2, zstd, data_file_raw;
	enum img_prealloc prealloc;
	char data_file[1024]; /* "" = none */
	char backing_file[1024], backing_format[16];
	uint64_t size; /* with has_size */
	bool has_size;
};

/*
 * Take "key=value,key=value" in, by qemu-img's names: size, compat (0.10,
 * 1.1, v2, v3), cluster_size, refcount_bits, lazy_refcounts, extended_l2,
 * compression_type, preallocation, data_file, data_file_raw, backing_file,
 * backing_fmt. A key that format has not is -EINVAL, with the nearest one.
 * No fiber, no files. img_options_help() lists them, a line each.
 */
int img_options_parse(struct img_options *o, enum blk_format format,
	const char *text, struct err *e);
const char *img_options_help(enum blk_format format);

/* "10G", "512M", "1.5T", "4096": bytes, by powers of 1024. */
int img_size_parse(const char *text, uint64_t *out, struct err *e);

struct img_create {
	const char *path;
	enum blk_format format; /* raw or qcow2 */
	struct img_options options;
	const char *tls_dir; /* as in struct blk_opts */
	bool unsafe;         /* -u: do not open the backing file */
	bool force;          /* take the place of a file that is there */
};

/* Without a size: that of the backing file. A backing file needs its format
 * (-F). -EEXIST without force. */
int img_create(const struct img_create *o, struct img_job *j, struct err *e);

/* clone: create with a backing file, whose format is found out and recorded;
 * named as seen from dst's folder when it lies below that, else absolute. */
int img_clone(const struct img_ref *src, const char *dst, bool force,
	struct err *e);

/* --- info ------------------------------------------------------------------
 */

struct img_snapshot {
	char id[32], name[256];
	uint64_t vm_state_bytes, size_bytes, date_s, vm_clock_ns;
	uint32_t date_ns;
};

/* One layer of a chain. Owned by its struct img_info. */
struct img_layer {
	char *path, *format;
	uint64_t size;        /* bytes that a guest sees */
	uint64_t actual_size; /* bytes on the host's disk; UINT64_MAX = ? */
	uint32_t cluster_size;
	char *backing_file, *backing_format, *backing_path; /* or NULL */
	bool dirty, corrupt;
	/* qcow2 only */
	bool qcow2, lazy_refcounts, extended_l2, zstd, data_file_raw;
	unsigned compat, refcount_bits;
	char *data_file; /* or NULL */
	struct img_snapshot *snapshots;
	unsigned nsnapshots;
};

struct img_info {
	struct img_layer *layers; /* top first */
	unsigned nlayers;
};

/* chain = all that backs it too. img_info_free() even after an error. */
int img_info(const struct img_ref *r, bool chain, struct img_info *out,
	struct err *e);
void img_info_free(struct img_info *i);

/* --- check -----------------------------------------------------------------
 */

enum img_repair { IMG_REPAIR_NONE, IMG_REPAIR_LEAKS, IMG_REPAIR_ALL };

struct img_check {
	uint64_t corruptions, leaks, errors; /* still there */
	uint64_t corruptions_fixed, leaks_fixed;
	uint64_t allocated, compressed, fragmented, total; /* clusters */
	uint64_t image_end;                                /* bytes */
};

/* tell (may be NULL) hears of each finding, a line. Findings are no error of
 * the call. -ENOTSUP: a format without checks. */
int img_check(const struct img_ref *r, enum img_repair how,
	void (*tell)(void *arg, const char *line), void *tell_arg,
	struct img_job *j, struct img_check *out, struct err *e);

/* --- convert, resize, rebase, commit, compare ------------------------------
 */

struct img_convert {
	struct img_ref src;
	const char *dst;
	enum blk_format dst_format;
	enum blk_cache dst_cache;
	struct img_options options; /* with backing_file: -B, write only what
				       differs from it */
	bool compress;
	bool no_create;      /* -n: dst is there and large enough */
	bool target_is_zero; /* with -n: it reads as zeros */
	bool force;
	unsigned parallel;     /* -m: requests at a time, 0 = 8, most 64 */
	uint64_t sparse_bytes; /* -S: zeros of so many in a row become a
				  hole; 0 = 4096, UINT64_MAX = never */
};

int img_convert(const struct img_convert *o, struct img_job *j, struct err *e);

struct img_resize {
	struct img_ref ref;
	uint64_t size; /* bytes; with sign: to add or take away */
	int sign;      /* 0, +1, -1 */
	bool shrink;   /* losing data is meant */
	enum img_prealloc prealloc;
};

/* *size: what it is now. -EINVAL without shrink when it gets smaller. When it
 * is stopped it has the size that it had. */
int img_resize(const struct img_resize *o, struct img_job *j, uint64_t *size,
	struct err *e);

int img_snapshot_create(const struct img_ref *r, const char *name,
	struct err *e);
int img_snapshot_revert(const struct img_ref *r, const char *name,
	struct err *e);
int img_snapshot_delete(const struct img_ref *r, const char *name,
	struct err *e);

/* backing "" = none; format as word, "" or "auto" = found out, but for an image
 * that names other files. unsafe: the header only, what the image reads as may
 * change; there the format must be named. */
int img_rebase(const struct img_ref *r, const char *backing, const char *format,
	bool unsafe, struct img_job *j, struct err *e);

/*
 * base NULL = the backing file. keep: do not empty the image after, which is
 * so too when there are layers between: what they have would show. Stopped,
 * the image reads as before; the base may have some of it already.
 */
int img_commit(const struct img_ref *r, const char *base, bool keep,
	struct img_job *j, struct err *e);

struct img_compare {
	bool equal;
	bool sizes_differ; /* the longer one's rest is zeros if equal */
	uint64_t offset;   /* of the first difference, bytes */
	uint64_t total;    /* bytes looked at */
};

/* strict: sizes and what is allocated must be the same too. */
int img_compare(const struct img_ref *a, const struct img_ref *b, bool strict,
	struct img_job *j, struct img_compare *out, struct err *e);

/* --- map -------------------------------------------------------------------
 */

/* fn gets each run in order; false = enough. start and len: whole blocks. */
int img_map(const struct img_ref *r, uint64_t start, uint64_t len,
	bool (*fn)(void *arg, uint64_t offset, const struct blk_extent *x),
	void *arg, struct img_job *j, struct err *e);

/* --- bench -----------------------------------------------------------------
 */

struct img_bench {
	struct img_ref ref;
	bool write, random;
	uint64_t count;       /* requests */
	unsigned depth;       /* in flight at once */
	uint32_t bytes;       /* of each */
	uint64_t offset;      /* of the first */
	uint64_t step;        /* from one to the next, 0 = bytes */
	uint64_t seed;        /* of random */
	uint8_t pattern;      /* written bytes */
	uint64_t flush_every; /* writes between flushes, 0 = none */
	bool no_drain;        /* a flush waits for nothing */
};

struct img_bench_result {
	uint64_t ns, cpu_ns;    /* by the clock; of this process */
	struct blk_stats stats; /* latencies */
	char aio[16];
};

int img_bench(const struct img_bench *o, struct img_job *j,
	struct img_bench_result *out, struct err *e);

#endif
