/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The file's grammar: lines "[section name]", "key = value", comments from
 * ';' or '#' at the start of a line or after white space. A value in double
 * quotes is taken as it is, with \" and \\ in it. Our own and not libinih:
 * Debian builds that without line numbers, without a word on sections (so
 * one given twice is not seen) and with lines of at most 200 bytes.
 * Text from outside: everything is checked. No state; any thread.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vm/conf/conf_impl.h"

struct conf_parser {
	struct conf *c;
	const char *base;
	struct err *e;
	unsigned line;

	const char *section; /* of the table; NULL before the first */
	unsigned index;      /* of the disk or net */
	bool seen_guest, seen_linux, seen_display;
	struct conf_lines lines;
};

static int conf_fail(struct conf_parser *p, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static int conf_fail(struct conf_parser *p, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	err_vset(p->e, EINVAL, fmt, ap);
	va_end(ap);
	err_prefix(p->e, "%s:%u", p->lines.file, p->line);
	return -EINVAL;
}

static bool conf_space(char c)
{
	return c == ' ' || c == '\t';
}

static char *conf_skip(char *s)
{
	while (conf_space(*s))
		s++;
	return s;
}

/* End s before a comment that begins in it, and before trailing space. */
static void conf_trim(char *s)
{
	size_t n = 0;

	for (; s[n]; n++)
		if ((s[n] == ';' || s[n] == '#') &&
			(n == 0 || conf_space(s[n - 1])))
			break;
	while (n && conf_space(s[n - 1]))
		n--;
	s[n] = 0;
}

/* Take the quotes off s in place; only a comment may follow them. */
static int conf_unquote(struct conf_parser *p, char *s)
{
	char *out = s, *in = s + 1;

	for (; *in && *in != '"'; in++) {
		if (*in == '\\' && (in[1] == '"' || in[1] == '\\'))
			in++;
		*out++ = *in;
	}
	if (!*in)
		return conf_fail(p,
			"value without its closing quote: add '\"'");
	if (in[1] && !conf_space(in[1]))
		return conf_fail(p,
			"text behind the closing quote: write \\\" for a "
			"quote in a quoted value");
	in = conf_skip(in + 1);
	conf_trim(in);
	if (*in)
		return conf_fail(p,
			"text behind the closing quote: write \\\" for a "
			"quote in a quoted value");
	*out = 0;
	return 0;
}

/* What is to be checked when all keys of a section are known. */
static int conf_end_section(struct conf_parser *p)
{
	if (!p->section)
		return 0;
	if (!strcmp(p->section, "disk"))
		return conf_check_disk(p->c, p->index, &p->lines, p->e);
	if (!strcmp(p->section, "net"))
		return conf_check_net(p->c, p->index, &p->lines, p->e);
	if (!strcmp(p->section, "display"))
		return conf_check_display(p->c, &p->lines, p->e);
	return 0;
}

/* Names of the disks or nets that are there: count, size bytes apart. */
struct conf_names {
	char *first;
	size_t size;
	unsigned *count;
	unsigned max;
};

static struct conf_names conf_names_of(struct conf *c, const char *section)
{
	if (!strcmp(section, "disk"))
		return (struct conf_names){ c->disks[0].name,
			sizeof(c->disks[0]), &c->ndisks, CONF_MAX_DISKS };
	return (struct conf_names){ c->nets[0].name, sizeof(c->nets[0]),
		&c->nnets, CONF_MAX_NETS };
}

/* Begin [disk NAME] or [net NAME]: a new element with its defaults. */
static int conf_begin_named(struct conf_parser *p, const char *name)
{
	struct conf_names n = conf_names_of(p->c, p->section);

	if (!*name)
		return conf_fail(p,
			"section [%s] needs a name: write [%s NAME]",
			p->section, p->section);
	if (!conf_name_ok(name))
		return conf_fail(p,
			"section name %.80s is not possible: use letters, "
			"digits, '.', '_' and '-', at most 63",
			name);
	for (unsigned i = 0; i < *n.count; i++)
		if (!strcmp(n.first + i * n.size, name))
			return conf_fail(p,
				"section [%s %s] is there already: use "
				"another name",
				p->section, name);
	if (*n.count == n.max)
		return conf_fail(p,
			"section [%s %s] is one too many: at most %u",
			p->section, name, n.max);
	p->index = (*n.count)++;
	strcpy(n.first + p->index * n.size, name);
	conf_defaults(p->section, n.first + p->index * n.size);
	for (int i = 0; conf_key((size_t)i); i++)
		if (!strcmp(conf_key((size_t)i)->opt.section, p->section))
			p->lines.key[i] = 0;
	return 0;
}

/* Begin a section that is there once and has no name. */
static int conf_begin_single(struct conf_parser *p, const char *name)
{
	bool *seen = &p->seen_guest;

	if (!strcmp(p->section, "linux"))
		seen = &p->seen_linux;
	else if (!strcmp(p->section, "display"))
		seen = &p->seen_display;
	if (*name)
		return conf_fail(p, "section [%s] takes no name: write [%s]",
			p->section, p->section);
	if (*seen)
		return conf_fail(p,
			"section [%s] is there already: put its keys there",
			p->section);
	*seen = true;
	return 0;
}

/* The table's own copy of the section's name, NULL when it has none such. */
static const char *conf_known_section(const char *word)
{
	for (size_t i = 0; conf_key(i); i++)
		if (!strcmp(conf_key(i)->opt.section, word))
			return conf_key(i)->opt.section;
	return NULL;
}

/* "[word name]" with s behind the bracket. */
static int conf_parse_section(struct conf_parser *p, char *s)
{
	char *end = strchr(s, ']'), *word, *name;
	int r;

	if (!end || (end[1] && !conf_space(end[1])))
		return conf_fail(p, "section without its ']': write "
				    "[SECTION] or [SECTION NAME]");
	*end = 0;
	conf_trim(end + 1);
	if (*conf_skip(end + 1))
		return conf_fail(p, "text behind ']': put it in a line of its "
				    "own");
	word = conf_skip(s);
	conf_trim(word);
	name = word + strcspn(word, " \t");
	if (*name)
		*name++ = 0;
	r = conf_end_section(p);
	if (r)
		return r;
	p->section = conf_known_section(word);
	p->lines.section = p->line;
	if (!p->section)
		return conf_fail(p,
			"unknown section [%.80s]: did you mean "
			"[%s]?",
			word, conf_nearest(NULL, word));
	if (!strcmp(p->section, "disk") || !strcmp(p->section, "net"))
		return conf_begin_named(p, conf_skip(name));
	return conf_begin_single(p, conf_skip(name));
}

static int conf_set_key(struct conf_parser *p, const char *key,
	const char *value)
{
	int i = conf_key_find(p->section, key);
	const struct conf_key *k;

	if (i < 0)
		return conf_fail(p,
			"unknown key %.80s in [%s]: did you mean %s?", key,
			p->section, conf_nearest(p->section, key));
	k = conf_key((size_t)i);
	if (p->lines.key[i] && k->kind != CONF_FORWARD)
		return conf_fail(p,
			"key %s is given twice (first in line %u): remove one",
			key, p->lines.key[i]);
	p->lines.key[i] = p->line;
	if (conf_value_set(k, conf_section(p->c, p->section, p->index), value,
		    p->base, p->e)) {
		err_prefix(p->e, "%s:%u", p->lines.file, p->line);
		return -EINVAL;
	}
	return 0;
}

/* "key = value" */
static int conf_parse_key(struct conf_parser *p, char *s)
{
	char *equals = strchr(s, '='), *value;

	if (!equals)
		return conf_fail(p, "no '=' in \"%.80s\": write KEY = VALUE",
			s);
	if (!p->section)
		return conf_fail(p, "key outside of a section: begin with "
				    "[guest]");
	*equals = 0;
	conf_trim(s);
	/* the blank before a comment may be all that stands behind '=' */
	value = equals + 1;
	if (*conf_skip(value) == '"') {
		value = conf_skip(value);
		if (conf_unquote(p, value))
			return -EINVAL;
	} else {
		conf_trim(value);
		value = conf_skip(value);
	}
	return conf_set_key(p, s, value);
}

/* One line without its end, in a buffer that may be written. */
static int conf_parse_line(struct conf_parser *p, char *s)
{
	for (const char *c = s; *c; c++)
		if (((unsigned char)*c < 0x20 && *c != '\t') || *c == 0x7f)
			return conf_fail(p,
				"control character 0x%02x in the "
				"line: remove it",
				(unsigned)*c);
	s = conf_skip(s);
	if (!*s || *s == ';' || *s == '#')
		return 0;
	if (*s == '[')
		return conf_parse_section(p, s + 1);
	return conf_parse_key(p, s);
}

/* Cut text into lines. "\n" and "\r\n" end one. */
static int conf_parse_lines(struct conf_parser *p, const char *text, size_t len)
{
	char buf[CONF_LINE_MAX + 1];

	while (len) {
		const char *nl = memchr(text, '\n', len);
		size_t n = nl ? (size_t)(nl - text) : len;
		size_t used = nl ? n + 1 : n;
		int r;

		p->line++;
		if (memchr(text, 0, n))
			return conf_fail(p, "a zero byte: this is no text "
					    "file");
		if (n && text[n - 1] == '\r')
			n--;
		if (n > CONF_LINE_MAX)
			return conf_fail(p,
				"line is longer than %d bytes: "
				"shorten it",
				CONF_LINE_MAX);
		memcpy(buf, text, n);
		buf[n] = 0;
		r = conf_parse_line(p, buf);
		if (r)
			return r;
		text += used;
		len -= used;
	}
	return conf_end_section(p);
}

/* The file's name without folder and ".ini", when that is a name. */
static int conf_name_from_file(struct conf_parser *p)
{
	const char *file = p->lines.file, *slash = strrchr(file, '/');
	char name[CONF_NAME_MAX + 8];
	size_t n;

	snprintf(name, sizeof(name), "%s", slash ? slash + 1 : file);
	n = strlen(name);
	if (n > 4 && !strcmp(name + n - 4, ".ini"))
		name[n - 4] = 0;
	if (!conf_name_ok(name))
		return err_set(p->e, EINVAL,
			"%s: the file's name is no guest name: set name in "
			"[guest]",
			file);
	strcpy(p->c->name, name);
	return 0;
}

int conf_parse(const char *text, size_t len, const char *file, const char *base,
	struct conf *c, struct err *e)
{
	struct conf_parser p = { .c = c, .base = base, .e = e };
	int r;

	conf_init(c);
	p.lines.file = file;
	if (len > CONF_FILE_MAX)
		return err_set(e, EINVAL,
			"%s: more than 1 MiB: this is no guest file", file);
	if (len >= 3 && !memcmp(text, "\xef\xbb\xbf", 3)) {
		text += 3; /* byte order mark */
		len -= 3;
	}
	r = conf_parse_lines(&p, text, len);
	if (r)
		return r;
	if (!c->name[0]) {
		r = conf_name_from_file(&p);
		if (r)
			return r;
	}
	p.lines.section = 0;
	r = conf_check_guest(c, &p.lines, e);
	if (r)
		return r;
	conf_make_macs(c);
	return 0;
}
