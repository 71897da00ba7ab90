/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Verbs that need no server: help, version, doctor. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/sizes.h"

#include "vm/vm.h"

#include "ui/client.h"
#include "ui/help.h"

#ifndef GUESTDECK_VERSION
#define GUESTDECK_VERSION "0.1"
#endif

#define DOCTOR_MAX 32

int client_version(struct client *c, const struct cmd_args *a)
{
	(void)c;
	(void)a;
	printf("guestdeck %s\n", GUESTDECK_VERSION);
	return UI_OK;
}

int client_help(struct client *c, const struct cmd_args *a)
{
	const struct cmd_verb *v = NULL;
	bool group = false;
	char *text;
	int nwords;

	(void)c;
	if (a->noperands) {
		v = cmd_find_words(a->noperands, a->operand, &nwords);
		group = !v && cmd_is_group(a->operand[0]);
		if (!v && !group) {
			client_fail("there is no verb '%s'", a->operand[0]);
			return UI_USAGE;
		}
	}
	text = v       ? help_verb(v)
	       : group ? help_group(a->operand[0])
		       : help_overview();
	if (!text)
		return client_fail("out of memory");
	fputs(text, stdout);
	free(text);
	return UI_OK;
}

static int doctor_json(const struct engine_finding *f, size_t n)
{
	json_t *a = json_array();
	char *text;

	for (size_t i = 0; i < n; i++) {
		json_t *j = json_object();

		json_object_set_new(j, "what", json_string(f[i].what));
		json_object_set_new(j, "ok", json_boolean(f[i].ok));
		json_object_set_new(j, "text", json_string(f[i].text));
		json_array_append_new(a, j);
	}
	text = json_dumps(a, JSON_INDENT(2));
	json_decref(a);
	if (!text)
		return client_fail("out of memory");
	puts(text);
	free(text);
	return UI_OK;
}

/* Exit code 1 when something is to be mended. */
int client_doctor(struct client *c, const struct cmd_args *a)
{
	struct engine_finding f[DOCTOR_MAX];
	size_t n = engine_doctor(f, DOCTOR_MAX);
	bool ok = true;

	(void)c;
	if (n > DOCTOR_MAX)
		n = DOCTOR_MAX;
	for (size_t i = 0; i < n; i++)
		ok &= f[i].ok;
	if (cmd_opt(a, "--json")) {
		int r = doctor_json(f, n);

		return r ? r : ok ? UI_OK : UI_FAIL;
	}
	for (size_t i = 0; i < n; i++)
		printf("%-4s %-12s %s\n", f[i].ok ? "ok" : "BAD", f[i].what,
			f[i].text);
	return ok ? UI_OK : UI_FAIL;
}
