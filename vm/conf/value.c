/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One value: from text into its place and back, by the kind of its row.
 * No state; any thread.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "vm/base/sizes.h"

#include "vm/conf/conf_impl.h"

#define CONF_MEMORY_MIN MiB
#define CONF_MEMORY_MAX TiB

static bool conf_is_alnum(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
	       (c >= 'A' && c <= 'Z');
}

bool conf_name_ok(const char *name)
{
	size_t len = strnlen(name, CONF_NAME_MAX + 1);

	if (!len || len > CONF_NAME_MAX || !conf_is_alnum(name[0]))
		return false;
	for (size_t i = 1; i < len; i++)
		if (!conf_is_alnum(name[i]) && !strchr("._-", name[i]))
			return false;
	return true;
}

static int conf_bad(const struct conf_key *k, const char *text,
	const char *mend, struct err *e)
{
	return err_set(e, EINVAL, "%s = %.80s is not possible: use %s",
		k->opt.key, text, mend);
}

/* Place of word in "a|b|c", -1 when it is not one of them. */
static int conf_choice(const char *choices, const char *word)
{
	size_t len = strlen(word);

	for (int i = 0;; i++) {
		size_t n = strcspn(choices, "|");

		if (n == len && !memcmp(choices, word, n))
			return i;
		if (!choices[n])
			return -1;
		choices += n + 1;
	}
}

static void conf_choice_text(const char *choices, unsigned i, char *buf)
{
	size_t n = strcspn(choices, "|");

	while (i-- && choices[n]) {
		choices += n + 1;
		n = strcspn(choices, "|");
	}
	snprintf(buf, CONF_VALUE_MAX, "%.*s", (int)n, choices);
}

static int conf_set_choice(const struct conf_key *k, void *at, const char *text,
	struct err *e)
{
	int i = conf_choice(k->opt.type, text);
	unsigned v = (unsigned)i;

	if (i < 0)
		return conf_bad(k, text, k->opt.type, e);
	if (k->kind == CONF_BOOL)
		*(bool *)at = i == 0; /* yes|no */
	else
		memcpy(at, &v, sizeof(v));
	return 0;
}

static int conf_set_uint(const struct conf_key *k, void *at, const char *text,
	struct err *e)
{
	unsigned v = 0;
	size_t n = strspn(text, "0123456789");

	if (!n || text[n] || n > 9)
		return conf_bad(k, text, k->opt.type, e);
	for (size_t i = 0; i < n; i++)
		v = v * 10 + (unsigned)(text[i] - '0');
	if (v < k->min || v > k->max)
		return conf_bad(k, text, k->opt.type, e);
	memcpy(at, &v, sizeof(v));
	return 0;
}

static int conf_set_size(const struct conf_key *k, void *at, const char *text,
	struct err *e)
{
	uint64_t v;

	if (size_parse(text, &v))
		return conf_bad(k, text, "a size, as 512M or 2G", e);
	if (v < CONF_MEMORY_MIN || v > CONF_MEMORY_MAX)
		return conf_bad(k, text, "1M to 1T", e);
	if (v % MiB)
		return conf_bad(k, text, "a whole number of MiB", e);
	*(uint64_t *)at = v;
	return 0;
}

static int conf_set_rate(const struct conf_key *k, void *at, const char *text,
	struct err *e)
{
	uint64_t v;

	if (size_parse(text, &v) || v > CONF_MEMORY_MAX)
		return conf_bad(k, text, "bytes a second, as 10M, up to 1T", e);
	*(uint64_t *)at = v;
	return 0;
}

/* nbd://, nbds+unix:// and the like are taken as they stand. */
static bool conf_is_uri(const char *text)
{
	return !strncmp(text, "nbd", 3) && strstr(text, "://");
}

static int conf_set_path(const struct conf_key *k, char *at, const char *text,
	const char *base, struct err *e)
{
	const char *slash = "";
	size_t n = strlen(base);

	if (!*text || *text == '/' || conf_is_uri(text))
		base = "";
	else if (n && base[n - 1] != '/')
		slash = "/";
	if (snprintf(at, CONF_PATH_MAX, "%s%s%s", base, slash, text) >=
		CONF_PATH_MAX)
		return conf_bad(k, text, "a path of less than 1024 bytes", e);
	return 0;
}

/* What the kernel takes: dev_valid_name() in its net/core/dev.c. */
static int conf_set_ifname(const struct conf_key *k, char *at, const char *text,
	struct err *e)
{
	if (strlen(text) > 15 || strpbrk(text, "/: \t%") ||
		!strcmp(text, ".") || !strcmp(text, ".."))
		return conf_bad(k, text,
			"an interface name of at most 15 letters and digits",
			e);
	snprintf(at, 16, "%s", text);
	return 0;
}

static int conf_set_name(const struct conf_key *k, char *at, const char *text,
	struct err *e)
{
	if (!conf_name_ok(text))
		return conf_bad(k, text,
			"letters, digits, '.', '_' and '-', at most 63, a "
			"letter or digit first",
			e);
	snprintf(at, CONF_NAME_MAX + 1, "%s", text);
	return 0;
}

static int conf_set_text(const struct conf_key *k, char *at, const char *text,
	struct err *e)
{
	if (strlen(text) > CONF_CMDLINE_MAX)
		return conf_bad(k, text, "at most 2047 bytes", e);
	snprintf(at, CONF_CMDLINE_MAX + 1, "%s", text);
	return 0;
}

int conf_value_set(const struct conf_key *k, void *part, const char *text,
	const char *base, struct err *e)
{
	char *at = (char *)part + k->off;

	switch (k->kind) {
	case CONF_BOOL:
	case CONF_ENUM:
		return conf_set_choice(k, at, text, e);
	case CONF_UINT:
		return conf_set_uint(k, at, text, e);
	case CONF_SIZE:
		return conf_set_size(k, at, text, e);
	case CONF_RATE:
		return conf_set_rate(k, at, text, e);
	case CONF_NAME:
		return conf_set_name(k, at, text, e);
	case CONF_PATH:
		return conf_set_path(k, at, text, base, e);
	case CONF_TEXT:
		return conf_set_text(k, at, text, e);
	case CONF_IFNAME:
		return conf_set_ifname(k, at, text, e);
	case CONF_MAC:
		return conf_mac_set(part, text, e);
	case CONF_FORWARD:
		return conf_forward_set(part, text, e);
	case CONF_VNC:
		return conf_vnc_set(part, text, e);
	}
	return -EINVAL;
}

/* The short form when it says exactly v, else bytes. */
static void conf_size_text(uint64_t v, char *buf)
{
	uint64_t back;

	size_format(v, buf, CONF_VALUE_MAX);
	if (size_parse(buf, &back) || back != v)
		snprintf(buf, CONF_VALUE_MAX, "%llu", (unsigned long long)v);
}

void conf_value_text(const struct conf_key *k, const void *part, char *buf)
{
	const char *at = (const char *)part + k->off;
	unsigned v;

	switch (k->kind) {
	case CONF_BOOL:
		conf_choice_text(k->opt.type, !*(const bool *)at, buf);
		break;
	case CONF_ENUM:
		memcpy(&v, at, sizeof(v));
		conf_choice_text(k->opt.type, v, buf);
		break;
	case CONF_UINT:
		memcpy(&v, at, sizeof(v));
		snprintf(buf, CONF_VALUE_MAX, "%u", v);
		break;
	case CONF_SIZE:
	case CONF_RATE:
		conf_size_text(*(const uint64_t *)at, buf);
		break;
	case CONF_NAME:
	case CONF_PATH:
	case CONF_TEXT:
	case CONF_IFNAME:
		snprintf(buf, CONF_VALUE_MAX, "%s", at);
		break;
	case CONF_MAC:
		conf_mac_text(part, buf);
		break;
	case CONF_FORWARD:
		conf_forward_text(part, buf);
		break;
	case CONF_VNC:
		conf_vnc_text(part, buf);
		break;
	}
}
