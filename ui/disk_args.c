/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The disk verbs' words: images, sizes, formats, -o; and their ends. */
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/sizes.h"

#include "ui/disk.h"
#include "ui/text.h"

char *disk_clean(const char *s, char *buf, size_t size)
{
	size_t left = s ? strlen(s) : 0, n = 0, used;

	if (!s)
		return NULL;
	for (; left && n + 5 <= size; s += used, left -= used) {
		uint32_t c = text_utf8_get(s, left, &used);

		if (c < ' ' || (c >= 0x7f && c < 0xa0) || c == 0xfffd)
			c = '?';
		n += text_utf8_put(c, buf + n);
	}
	buf[n] = '\0';
	return buf;
}

json_t *disk_string(const char *s)
{
	json_t *j = json_string(s);
	size_t left = strlen(s), n = 0, used;
	char *copy;

	if (j)
		return j;
	copy = malloc(3 * left + 1); /* U+FFFD takes three */
	if (!copy)
		return NULL;
	for (; left; s += used, left -= used)
		n += text_utf8_put(text_utf8_get(s, left, &used), copy + n);
	copy[n] = '\0';
	j = json_string(copy);
	free(copy);
	return j;
}

void disk_say(FILE *f, const char *text)
{
	char clean[DISK_TEXT];

	fprintf(f, "guestdeck: %s\n", disk_clean(text, clean, sizeof(clean)));
}

int disk_fail(struct disk_io *io, const struct err *e)
{
	disk_say(io->err, e->msg);
	return UI_FAIL;
}

int disk_wrong(struct disk_io *io, const char *fmt, ...)
{
	va_list ap;

	fputs("guestdeck: ", io->err);
	va_start(ap, fmt);
	vfprintf(io->err, fmt, ap);
	va_end(ap);
	fputc('\n', io->err);
	return UI_USAGE;
}

void disk_io_fini(struct disk_io *io)
{
	while (io->nnames)
		free(io->names[--io->nnames]);
}

/* Has it a scheme, as a URI has? */
static bool disk_is_uri(const char *word)
{
	const char *p = strstr(word, "://");

	return p && p > word && !memchr(word, '/', (size_t)(p - word));
}

const char *disk_path(struct disk_io *io, const char *word)
{
	char *name = NULL;

	if (!io->cwd || *word == '/' || disk_is_uri(word))
		return word;
	if (io->nnames == (int)ARRAY_LEN(io->names) ||
		asprintf(&name, "%s/%s", io->cwd, word) < 0)
		return NULL;
	io->names[io->nnames++] = name;
	return name;
}

int disk_ref(const struct cmd_args *a, struct disk_io *io, int n,
	const char *fopt, struct img_ref *out)
{
	const char *form = cmd_opt(a, "--output");

	memset(out, 0, sizeof(*out));
	out->format = BLK_AUTO;
	if (form && strcmp(form, "json") && strcmp(form, "human"))
		return disk_wrong(io, "%s: --output %s: human or json",
			a->verb->name, form);
	if (cmd_opt(a, "-U"))
		return disk_wrong(io,
			"%s: -U is refused: what somebody writes to cannot be "
			"read rightly: stop the guest, or take a snapshot",
			a->verb->name);
	out->path = disk_path(io, a->operand[n]);
	if (cmd_opt(a, "--tls"))
		out->tls_dir = disk_path(io, cmd_opt(a, "--tls"));
	if (!out->path || (cmd_opt(a, "--tls") && !out->tls_dir))
		return disk_wrong(io, "out of memory");
	return disk_opt_format(a, io, fopt, &out->format);
}

int disk_opt_size(const struct cmd_args *a, struct disk_io *io, const char *opt,
	uint64_t *out)
{
	const char *v = cmd_opt(a, opt);
	struct err e = ERR_NONE;

	if (v && img_size_parse(v, out, &e))
		return disk_wrong(io, "%s: %s: %s", a->verb->name, opt, e.msg);
	return 0;
}

int disk_opt_number(const struct cmd_args *a, struct disk_io *io,
	const char *opt, uint64_t max, uint64_t *out)
{
	const char *v = cmd_opt(a, opt);
	char *end;

	if (!v)
		return 0;
	errno = 0;
	*out = strtoull(v, &end, 0);
	if (*v < '0' || *v > '9' || *end || errno || *out > max)
		return disk_wrong(io, "%s: %s: '%s' is no number up to %llu",
			a->verb->name, opt, v, (unsigned long long)max);
	return 0;
}

int disk_opt_format(const struct cmd_args *a, struct disk_io *io,
	const char *opt, enum blk_format *out)
{
	const char *v = opt ? cmd_opt(a, opt) : NULL;
	struct err e = ERR_NONE;

	if (v && img_format_parse(v, out, &e))
		return disk_wrong(io, "%s: %s: %s", a->verb->name, opt, e.msg);
	return 0;
}

int disk_opt_cache(const struct cmd_args *a, struct disk_io *io,
	const char *opt, enum blk_cache *out)
{
	static const char *const names[] = {
		[BLK_WRITEBACK] = "writeback",
		[BLK_NONE] = "none",
		[BLK_WRITETHROUGH] = "writethrough",
		[BLK_DIRECTSYNC] = "directsync",
		[BLK_UNSAFE] = "unsafe",
	};
	const char *v = cmd_opt(a, opt);

	for (size_t i = 0; v && i < ARRAY_LEN(names); i++)
		if (!strcmp(v, names[i])) {
			*out = (enum blk_cache)i;
			return 0;
		}
	if (v)
		return disk_wrong(io,
			"%s: %s: '%s' is no cache mode: writeback, none, "
			"writethrough, directsync or unsafe",
			a->verb->name, opt, v);
	return 0;
}

int disk_opt_options(const struct cmd_args *a, struct disk_io *io,
	enum blk_format format, struct img_options *out)
{
	struct err e = ERR_NONE;

	for (int i = 0; i < a->nmany; i++) {
		if (!strcmp(a->many[i], "help") || !strcmp(a->many[i], "?")) {
			fputs(img_options_help(format), io->out);
			return -1;
		}
		if (img_options_parse(out, format, a->many[i], &e))
			return disk_wrong(io, "%s: %s", a->verb->name, e.msg);
	}
	return 0;
}

bool disk_wants_json(const struct cmd_args *a)
{
	const char *form = cmd_opt(a, "--output");

	return cmd_opt(a, "--json") || (form && !strcmp(form, "json"));
}

int disk_json(struct disk_io *io, json_t *j, int code)
{
	char *text = json_dumps(j, JSON_INDENT(2));

	json_decref(j);
	if (!text) {
		fputs("guestdeck: out of memory\n", io->err);
		return UI_FAIL;
	}
	fprintf(io->out, "%s\n", text);
	free(text);
	return code;
}

int disk_end(const struct cmd_args *a, struct disk_io *io, int r,
	const struct err *e)
{
	if (r)
		return disk_fail(io, e);
	if (disk_wants_json(a))
		return disk_json(io, json_object(), UI_OK);
	return UI_OK;
}
