/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Any bytes as a guest file: refused with a line of text, or read, and then
 * what conf_format() writes reads back to the same text.
 */
#include <stdlib.h>
#include <string.h>

#include "vm/conf/conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
	if (!ok)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct conf c, back;
	struct err e = ERR_NONE;
	char *text, *again;

	if (conf_parse((const char *)data, size, "f.ini", "/b", &c, &e)) {
		must(e.code > 0 && e.msg[0] && !strchr(e.msg, '\n'));
		return 0;
	}
	must(!conf_format(&c, &text, &e));
	must(!conf_parse(text, strlen(text), "f.ini", "/b", &back, &e));
	must(!memcmp(&c, &back, sizeof(c)));
	must(!conf_format(&back, &again, &e));
	must(!strcmp(text, again));
	free(text);
	free(again);
	return 0;
}
