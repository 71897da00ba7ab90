/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Write a config as a file: what differs from the defaults, in the order of
 * the option table. What was written is read back and compared before it is
 * handed out, so that no config is saved that cannot be loaded.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vm/conf/conf_impl.h"

/* Would text read back changed if it stood there as it is? */
static bool conf_needs_quotes(const char *text)
{
	size_t n = strlen(text);

	if (!n)
		return false;
	if (strchr(" \t\";#", text[0]) || strchr(" \t", text[n - 1]))
		return true;
	for (size_t i = 1; i < n; i++)
		if (strchr(";#", text[i]) && strchr(" \t", text[i - 1]))
			return true;
	return false;
}

static void conf_put_value(FILE *f, const char *text)
{
	if (!conf_needs_quotes(text)) {
		fputs(text, f);
		return;
	}
	putc('"', f);
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			putc('\\', f);
		putc(*text, f);
	}
	putc('"', f);
}

/* Options that a reader expects to see even when they are at the default. */
static bool conf_always(const struct conf_key *k)
{
	return !strcmp(k->opt.section, "guest") &&
	       (!strcmp(k->opt.key, "cpus") || !strcmp(k->opt.key, "memory"));
}

/* One section with its keys; head is NULL if it is left out when empty. */
static void conf_put_section(FILE *f, const char *section, const char *name,
	const void *part)
{
	char buf[CONF_VALUE_MAX];
	bool headed = false;

	if (name) {
		fprintf(f, "\n[%s %s]\n", section, name);
		headed = true;
	}
	for (size_t i = 0; conf_key(i); i++) {
		const struct conf_key *k = conf_key(i);

		if (strcmp(k->opt.section, section))
			continue;
		conf_value_text(k, part, buf);
		if (!strcmp(buf, k->opt.dflt) && !conf_always(k))
			continue;
		if (!headed)
			fprintf(f, "%s[%s]\n", ftell(f) ? "\n" : "", section);
		headed = true;
		fprintf(f, "%s = ", k->opt.key);
		conf_put_value(f, buf);
		putc('\n', f);
	}
}

static int conf_write(const struct conf *c, char **out, size_t *len)
{
	FILE *f = open_memstream(out, len);
	bool bad;

	if (!f)
		return -ENOMEM;
	conf_put_section(f, "guest", NULL, c);
	conf_put_section(f, "linux", NULL, c);
	for (unsigned i = 0; i < c->ndisks; i++)
		conf_put_section(f, "disk", c->disks[i].name, &c->disks[i]);
	for (unsigned i = 0; i < c->nnets; i++)
		conf_put_section(f, "net", c->nets[i].name, &c->nets[i]);
	conf_put_section(f, "display", NULL, &c->display);
	bad = ferror(f);
	if (fclose(f) || bad) {
		free(*out);
		*out = NULL;
		return -ENOMEM;
	}
	return 0;
}

/* Does text, read into the scratch config, give text again? */
static int conf_check_text(const struct conf *c, const char *text, size_t len,
	struct conf *scratch, struct err *e)
{
	char *again;
	size_t again_len;
	bool same;
	int r;

	r = conf_parse(text, len, c->name, "", scratch, e);
	if (r)
		return err_prefix(e, "cannot save guest");
	r = conf_write(scratch, &again, &again_len);
	if (r)
		return err_sys(e, -r, "cannot save guest %s", c->name);
	same = len == again_len && !memcmp(text, again, len);
	free(again);
	if (!same)
		return err_set(e, EINVAL,
			"cannot save guest %s: a value would read back "
			"changed",
			c->name);
	return 0;
}

int conf_format(const struct conf *c, char **out, struct err *e)
{
	struct conf *scratch = malloc(sizeof(*scratch));
	struct err none = ERR_NONE;
	size_t len = 0;
	int r;

	*out = NULL;
	if (!e)
		e = &none;
	r = scratch ? conf_write(c, out, &len) : -ENOMEM;
	if (r) {
		err_sys(e, -r, "cannot save guest %s", c->name);
		goto out;
	}
	r = conf_check_text(c, *out, len, scratch, e);
	if (r) {
		free(*out);
		*out = NULL;
	}
out:
	free(scratch);
	return r;
}
