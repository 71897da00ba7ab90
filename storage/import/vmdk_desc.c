// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Lines of three kinds: comments, "key = value" (the value maybe in quotes),
 * and extents:
 *
 *	RW 4192256 SPARSE "disk-s001.vmdk"
 *	RW 4192256 FLAT "disk-f001.vmdk" 0
 *
 * Whatever is none of them is refused with its line number: what was guessed
 * wrong here would be a disk with a hole in it.
 */
#include "storage/import/vmdk_desc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "vm/base/sizes.h"

#define SECTOR         512
#define SIZE_MAX_BYTES (UINT64_C(1) << 62)
#define LINE_MAX_BYTES 4096

static const char first_line[] = "# Disk DescriptorFile";

struct parser {
	const char *path;
	unsigned line_no;
	struct vmdk_desc *out;
	unsigned room; /* places in out->extents */
	struct err *e;
};

/* A word of a line, not ended by a NUL. */
struct word {
	const char *s;
	size_t len;
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* Letters and digits only: fit for a message on a terminal. */
static bool is_plain(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!(s[i] >= '0' && s[i] <= '9') &&
			!((s[i] | 0x20) >= 'a' && (s[i] | 0x20) <= 'z'))
			return false;
	return len > 0;
}

static bool word_is(struct word w, const char *s)
{
	return w.len == strlen(s) && !strncasecmp(w.s, s, w.len);
}

static int bad_line(const struct parser *p, const char *what)
{
	return err_set(p->e, EINVAL,
		"%s: damaged VMDK descriptor, line %u: %s; get the image from "
		"its source again",
		p->path, p->line_no, what);
}

/* --- what a disk may be --- */

static const char *const types_known[] = { "monolithicSparse", "monolithicFlat",
	"twoGbMaxExtentSparse", "twoGbMaxExtentFlat", "streamOptimized", "vmfs",
	"vmfsThin", "vmfsPreallocated", "vmfsEagerZeroedThick", "custom" };

static int check_type(struct parser *p, const char *type)
{
	for (size_t i = 0; i < ARRAY_LEN(types_known); i++)
		if (!strcasecmp(type, types_known[i]))
			return 0;
	if (!strcasecmp(type, "vmfsSparse") || !strcasecmp(type, "seSparse"))
		return err_set(p->e, ENOTSUP,
			"%s: createType \"%s\" is a snapshot's delta, which "
			"holds only changes to another image; clone the disk "
			"with vmkfstools -i",
			p->path, type);
	return err_set(p->e, ENOTSUP,
		"%s: createType \"%s\" is not supported; convert it with "
		"vmware-vdiskmanager -r or vmkfstools -i",
		p->path, type);
}

static int parent_refused(const struct parser *p)
{
	return err_set(p->e, ENOTSUP,
		"%s: it has a parent (a snapshot's or linked clone's delta), "
		"which holds only changes to another image; make a full one "
		"with vmware-vdiskmanager -r or vmkfstools -i",
		p->path);
}

/* value is NUL-ended; key is not. */
static int take_key(struct parser *p, struct word key, const char *value)
{
	if (word_is(key, "createType")) {
		if (p->out->create_type[0])
			return bad_line(p, "a second createType");
		if (strlen(value) >= sizeof(p->out->create_type) ||
			!is_plain(value, strlen(value)))
			return bad_line(p, "createType is no name");
		memcpy(p->out->create_type, value, strlen(value) + 1);
		return check_type(p, value);
	}
	if (word_is(key, "parentCID") && strcasecmp(value, "ffffffff") != 0)
		return parent_refused(p);
	if (word_is(key, "parentFileNameHint"))
		return parent_refused(p);
	return 0; /* the rest tells nothing about where the bytes are */
}

static int parse_key(struct parser *p, char *line, char *eq)
{
	struct word key = { line, (size_t)(eq - line) };
	char *value = eq + 1;
	size_t len;

	while (key.len && is_blank(line[key.len - 1]))
		key.len--;
	if (!key.len)
		return bad_line(p, "a value without a name");
	while (is_blank(*value))
		value++;
	len = strlen(value);
	if (len >= 2 && value[0] == '"' && value[len - 1] == '"') {
		value[len - 1] = 0;
		value++;
	}
	return take_key(p, key, value);
}

/* --- extents --- */

static struct word next_word(char **at)
{
	struct word w;
	char *s = *at;

	while (is_blank(*s))
		s++;
	w.s = s;
	while (*s && !is_blank(*s))
		s++;
	w.len = (size_t)(s - w.s);
	*at = s;
	return w;
}

/* Decimal sectors into bytes. False when it is no number or too large. */
static bool word_bytes(struct word w, uint64_t *out)
{
	uint64_t v = 0;

	if (!w.len)
		return false;
	for (size_t i = 0; i < w.len; i++) {
		if (w.s[i] < '0' || w.s[i] > '9' || !size_mul(v, 10, &v) ||
			!size_add(v, (uint64_t)(w.s[i] - '0'), &v))
			return false;
	}
	return size_mul(v, SECTOR, out) && *out <= SIZE_MAX_BYTES;
}

/*
 * The name in quotes at *at into *name (malloc). Only a plain file beside the
 * descriptor: an image from outside names no other folder.
 */
static int parse_name(struct parser *p, char **at, char **name)
{
	char *s = *at, *end;
	size_t len;

	while (is_blank(*s))
		s++;
	end = *s == '"' ? strchr(s + 1, '"') : NULL;
	if (!end)
		return bad_line(p, "an extent without a name in quotes");
	len = (size_t)(end - (s + 1));
	*at = end + 1;
	*end = 0;
	if (!len || len > VMDK_NAME_MAX)
		return bad_line(p, "an extent's name is empty or too long");
	for (size_t i = 1; i <= len; i++)
		if ((unsigned char)s[i] < ' ' || s[i] == 0x7f)
			return bad_line(p, "an extent's name is no text");
	if (strchr(s + 1, '/') || !strcmp(s + 1, ".") || !strcmp(s + 1, ".."))
		return err_set(p->e, EINVAL,
			"%s: the descriptor names a file in another folder "
			"(\"%s\"); put it beside and name it plainly",
			p->path, s + 1);
	*name = strdup(s + 1);
	return *name ? 0 : err_set(p->e, ENOMEM, "out of memory");
}

static int extent_kind(struct parser *p, struct word type,
	struct vmdk_desc_extent *x, bool *offset_needed)
{
	*offset_needed = word_is(type, "FLAT");
	if (*offset_needed || word_is(type, "VMFS"))
		x->kind = VMDK_FLAT;
	else if (word_is(type, "SPARSE"))
		x->kind = VMDK_SPARSE;
	else if (word_is(type, "ZERO"))
		x->kind = VMDK_ZERO;
	else if (!is_plain(type.s, type.len))
		return bad_line(p, "an extent's type");
	else
		return err_set(p->e, ENOTSUP,
			"%s: extents of type \"%.*s\" are not supported (line "
			"%u); convert the disk with vmware-vdiskmanager -r or "
			"vmkfstools -i",
			p->path, (int)(type.len < 32 ? type.len : 32), type.s,
			p->line_no);
	return 0;
}

/* What follows the size. */
static int parse_extent_rest(struct parser *p, char *at,
	struct vmdk_desc_extent *x)
{
	bool offset_needed;
	struct word w;
	int rc = extent_kind(p, next_word(&at), x, &offset_needed);

	if (rc < 0)
		return rc;
	if (x->kind != VMDK_ZERO) {
		rc = parse_name(p, &at, &x->name);
		if (rc < 0)
			return rc;
		w = next_word(&at);
		if (w.len || offset_needed) {
			if (x->kind != VMDK_FLAT || !word_bytes(w, &x->offset))
				return bad_line(p, "an extent's offset");
		}
	}
	if (next_word(&at).len)
		return bad_line(p, "more behind an extent");
	return 0;
}

static int extents_grow(struct parser *p)
{
	struct vmdk_desc *d = p->out;
	unsigned room = p->room ? p->room * 2 : 4;
	void *more;

	if (d->nextents < p->room)
		return 0;
	if (d->nextents == VMDK_EXTENTS_MAX)
		return bad_line(p, "too many extents");
	more = realloc(d->extents, room * sizeof(d->extents[0]));
	if (!more)
		return err_set(p->e, ENOMEM, "out of memory");
	d->extents = more;
	p->room = room;
	return 0;
}

/* access is the first word, at what follows it. */
static int parse_extent(struct parser *p, struct word access, char *at)
{
	struct vmdk_desc_extent *x;
	int rc;

	if (word_is(access, "NOACCESS"))
		return err_set(p->e, ENOTSUP,
			"%s: an extent is marked NOACCESS (line %u)", p->path,
			p->line_no);
	rc = extents_grow(p);
	if (rc < 0)
		return rc;
	x = &p->out->extents[p->out->nextents];
	memset(x, 0, sizeof(*x));
	if (!word_bytes(next_word(&at), &x->len) || !x->len)
		return bad_line(p, "an extent's size");
	rc = parse_extent_rest(p, at, x);
	if (rc < 0) {
		free(x->name);
		return rc;
	}
	p->out->nextents++;
	return 0;
}

/* --- lines --- */

static int parse_line(struct parser *p, char *line)
{
	char *at = line, *eq;
	size_t len = strlen(line);
	struct word w;

	while (len && is_blank(line[len - 1]))
		line[--len] = 0;
	w = next_word(&at);
	if (!w.len || w.s[0] == '#')
		return 0;
	if (word_is(w, "RW") || word_is(w, "RDONLY") || word_is(w, "NOACCESS"))
		return parse_extent(p, w, at);
	eq = strchr(line, '=');
	if (!eq)
		return bad_line(p, "neither a value nor an extent");
	return parse_key(p, line + (w.s - line), eq);
}

static int parse_lines(struct parser *p, const char *text, size_t len)
{
	char line[LINE_MAX_BYTES];
	int rc = 0;

	while (len && !rc) {
		const char *nl = memchr(text, '\n', len);
		size_t n = nl ? (size_t)(nl - text) : len;

		p->line_no++;
		if (n >= sizeof(line))
			return bad_line(p, "it is too long");
		memcpy(line, text, n);
		line[n] = 0;
		rc = parse_line(p, line);
		n += nl != NULL;
		text += n;
		len -= n;
	}
	return rc;
}

static int check_whole(const struct parser *p)
{
	uint64_t sum = 0;

	if (!p->out->create_type[0])
		return err_set(p->e, EINVAL,
			"%s: damaged VMDK descriptor: no createType", p->path);
	if (!p->out->nextents)
		return err_set(p->e, EINVAL,
			"%s: damaged VMDK descriptor: no extents", p->path);
	for (unsigned i = 0; i < p->out->nextents; i++) {
		sum += p->out->extents[i].len; /* each is at most 2^62 */
		if (sum > SIZE_MAX_BYTES)
			return err_set(p->e, EINVAL,
				"%s: damaged VMDK descriptor: the extents' "
				"sizes are too large",
				p->path);
	}
	return 0;
}

bool vmdk_desc_probe(const char *text, size_t len)
{
	while (len && (is_blank(*text) || *text == '\n')) {
		text++;
		len--;
	}
	return len >= sizeof(first_line) - 1 &&
	       !strncasecmp(text, first_line, sizeof(first_line) - 1);
}

int vmdk_desc_parse(const char *text, size_t len, const char *path,
	struct vmdk_desc *out, struct err *e)
{
	struct parser p = { .path = path, .out = out, .e = e };
	int rc;

	memset(out, 0, sizeof(*out));
	len = strnlen(text, len);
	if (!vmdk_desc_probe(text, len))
		return err_set(e, EINVAL,
			"%s: damaged VMDK: no descriptor where it should be",
			path);
	rc = parse_lines(&p, text, len);
	if (!rc)
		rc = check_whole(&p);
	if (rc < 0)
		vmdk_desc_fini(out);
	return rc;
}

void vmdk_desc_fini(struct vmdk_desc *d)
{
	for (unsigned i = 0; i < d->nextents; i++)
		free(d->extents[i].name);
	free(d->extents);
	memset(d, 0, sizeof(*d));
}
