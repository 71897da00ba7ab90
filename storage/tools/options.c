/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Words to values: formats, sizes and what -o says, by one table. */
#include <ctype.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "vm/base/sizes.h"

#include "storage/blk/probe.h"
#include "storage/qcow2/qcow2.h"
#include "storage/tools/tools.h"

int img_format_parse(const char *word, enum blk_format *out, struct err *e)
{
	if (probe_format_of(word, out))
		return 0;
	return err_set(e, EINVAL,
		"'%s' is no image format: raw, qcow2, vmdk, vdi or vhdx", word);
}

const char *img_format_name(enum blk_format f)
{
	return probe_format_name(f);
}

int img_size_parse(const char *text, uint64_t *out, struct err *e)
{
	int r = size_parse(text, out);

	if (r == -ERANGE || (!r && *out > INT64_MAX))
		return err_set(e, ERANGE, "'%s' is too large a size", text);
	if (r)
		return err_set(e, EINVAL,
			"'%s' is no size: 10G, 512M, 1.5T or bytes", text);
	return 0;
}

int img_prealloc_parse(const char *word, enum img_prealloc *out, struct err *e)
{
	static const char *const names[] = {
		[IMG_PREALLOC_OFF] = "off",
		[IMG_PREALLOC_METADATA] = "metadata",
		[IMG_PREALLOC_FALLOC] = "falloc",
		[IMG_PREALLOC_FULL] = "full",
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (!strcmp(word, names[i])) {
			*out = (enum img_prealloc)i;
			return 0;
		}
	return err_set(e, EINVAL,
		"'%s' is no preallocation: off, metadata (qcow2), falloc or "
		"full",
		word);
}

/* One key of -o. */

struct option {
	const char *key;
	bool raw; /* raw images have it too */
	int (*set)(struct img_options *o, const char *value);
	const char *help;
};

static int set_bool(bool *to, const char *value)
{
	static const char *const yes[] = { "on", "yes", "true", "y" };
	static const char *const no[] = { "off", "no", "false", "n" };

	for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
		if (!strcmp(value, yes[i]) || !strcmp(value, no[i])) {
			*to = !strcmp(value, yes[i]);
			return 0;
		}
	}
	return -EINVAL;
}

static int set_text(char *to, size_t size, const char *value)
{
	if (strlen(value) >= size)
		return -ERANGE;
	memcpy(to, value, strlen(value) + 1);
	return 0;
}

static int opt_size(struct img_options *o, const char *v)
{
	o->has_size = true;
	return img_size_parse(v, &o->size, NULL);
}

static int opt_compat(struct img_options *o, const char *v)
{
	if (!strcmp(v, "0.10") || !strcmp(v, "v2"))
		o->compat = 2;
	else if (!strcmp(v, "1.1") || !strcmp(v, "v3"))
		o->compat = 3;
	else
		return -EINVAL;
	return 0;
}

static int opt_cluster_size(struct img_options *o, const char *v)
{
	uint64_t n;

	if (img_size_parse(v, &n, NULL) || n > UINT32_MAX || !n)
		return -EINVAL;
	o->cluster_size = (uint32_t)n;
	return 0;
}

static int opt_refcount_bits(struct img_options *o, const char *v)
{
	char *end;
	unsigned long n = strtoul(v, &end, 10);

	if (!isdigit((unsigned char)*v) || *end || !size_is_pow2(n) || n > 64)
		return -EINVAL;
	o->refcount_bits = (unsigned)n;
	return 0;
}

static int opt_lazy(struct img_options *o, const char *v)
{
	return set_bool(&o->lazy_refcounts, v);
}

static int opt_extended(struct img_options *o, const char *v)
{
	return set_bool(&o->extended_l2, v);
}

static int opt_compression(struct img_options *o, const char *v)
{
	o->zstd = !strcmp(v, "zstd");
	return o->zstd || !strcmp(v, "zlib") ? 0 : -EINVAL;
}

static int opt_prealloc(struct img_options *o, const char *v)
{
	return img_prealloc_parse(v, &o->prealloc, NULL);
}

static int opt_data_file(struct img_options *o, const char *v)
{
	return set_text(o->data_file, sizeof(o->data_file), v);
}

static int opt_data_file_raw(struct img_options *o, const char *v)
{
	return set_bool(&o->data_file_raw, v);
}

static int opt_backing_file(struct img_options *o, const char *v)
{
	return set_text(o->backing_file, sizeof(o->backing_file), v);
}

static int opt_backing_fmt(struct img_options *o, const char *v)
{
	int r = set_text(o->backing_format, sizeof(o->backing_format), v);

	return r || img_options_backing_known(o) ? r : -EINVAL;
}

static const struct option options[] = {
	{ "size", true, opt_size, "bytes, or 10G and the like" },
	{ "preallocation", true, opt_prealloc,
		"off, metadata (qcow2), falloc or full" },
	{ "compat", false, opt_compat, "1.1 (v3, the default) or 0.10 (v2)" },
	{ "cluster_size", false, opt_cluster_size,
		"512 to 2M, a power of two (64K)" },
	{ "refcount_bits", false, opt_refcount_bits,
		"1, 2, 4, 8, 16, 32 or 64 (16)" },
	{ "lazy_refcounts", false, opt_lazy,
		"on or off: counts are written at the end, repaired after a "
		"crash" },
	{ "extended_l2", false, opt_extended,
		"on or off: 32 subclusters in a cluster" },
	{ "compression_type", false, opt_compression, "zlib or zstd" },
	{ "data_file", false, opt_data_file, "file for the data alone" },
	{ "data_file_raw", false, opt_data_file_raw,
		"on or off: that file is a raw image at any time" },
	{ "backing_file", false, opt_backing_file,
		"image that shows where nothing was written" },
	{ "backing_fmt", false, opt_backing_fmt, "its format" },
};

static int option_unknown(enum blk_format format, const char *key,
	struct err *e)
{
	char list[256] = "";

	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		if (format == BLK_RAW && !options[i].raw)
			continue;
		if (*list)
			strncat(list, ", ", sizeof(list) - strlen(list) - 1);
		strncat(list, options[i].key, sizeof(list) - strlen(list) - 1);
	}
	return err_set(e, EINVAL, "-o %s: a %s image has no such option: %s",
		key, img_format_name(format), list);
}

static int option_set(struct img_options *o, enum blk_format format,
	const char *key, const char *value, struct err *e)
{
	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		const struct option *p = &options[i];

		if (strcmp(key, p->key) || (format == BLK_RAW && !p->raw))
			continue;
		if (p->set(o, value))
			return err_set(e, EINVAL, "-o %s=%s: it must be %s",
				key, value, p->help);
		if (format == BLK_RAW && o->prealloc == IMG_PREALLOC_METADATA)
			return err_set(e, EINVAL,
				"-o preallocation=metadata: a raw image has "
				"no metadata: off, falloc or full");
		return 0;
	}
	return option_unknown(format, key, e);
}

/* The next word of *text up to a comma; ",," stands for a comma. False = too
 * long. */
static bool option_word(const char **text, char *word, size_t size)
{
	const char *s = *text;
	size_t n = 0;

	while (*s && (*s != ',' || s[1] == ',')) {
		if (n + 1 >= size)
			return false;
		if (*s == ',')
			s++;
		word[n++] = *s++;
	}
	word[n] = '\0';
	*text = *s ? s + 1 : s;
	return true;
}

int img_options_parse(struct img_options *o, enum blk_format format,
	const char *text, struct err *e)
{
	char word[1200], *value;
	int r = 0;

	while (!r && *text) {
		if (!option_word(&text, word, sizeof(word)))
			return err_set(e, EINVAL, "-o: a value is too long");
		value = strchr(word, '=');
		if (value)
			*value++ = '\0';
		r = option_set(o, format, word, value ? value : "on", e);
	}
	return r;
}

const char *img_options_help(enum blk_format format)
{
	static _Thread_local char text[2048];
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		if (format == BLK_RAW && !options[i].raw)
			continue;
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%-18s %s\n",
			options[i].key, options[i].help);
	}
	return text;
}

bool img_options_backing_known(const struct img_options *o)
{
	enum blk_format f;

	return !img_format_parse(o->backing_format, &f, NULL) && f != BLK_AUTO;
}

void img_options_qcow2(const struct img_options *o, struct qcow2_create *q)
{
	static const enum qcow2_prealloc how[] = {
		[IMG_PREALLOC_OFF] = QCOW2_PREALLOC_OFF,
		[IMG_PREALLOC_METADATA] = QCOW2_PREALLOC_METADATA,
		[IMG_PREALLOC_FALLOC] = QCOW2_PREALLOC_FALLOC,
		[IMG_PREALLOC_FULL] = QCOW2_PREALLOC_FULL,
	};

	*q = (struct qcow2_create){
		.version = o->compat,
		.cluster_size = o->cluster_size,
		.refcount_bits = o->refcount_bits,
		.lazy_refcounts = o->lazy_refcounts,
		.extended_l2 = o->extended_l2,
		.zstd = o->zstd,
		.prealloc = how[o->prealloc],
		.backing_file = *o->backing_file ? o->backing_file : NULL,
		.backing_format = *o->backing_format ? o->backing_format : NULL,
		.data_file = *o->data_file ? o->data_file : NULL,
		.data_file_raw = o->data_file_raw,
	};
}
