/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Every verb there is. */
#include <string.h>

#include "vm/base/sizes.h"

#include "ui/cmd.h"

static const struct cmd_opt opts_define[] = {
	{ "--replace", NULL, "take the place of a guest that is off" },
	{ 0 },
};

static const struct cmd_opt opts_stop[] = {
	{ "--timeout", "S", "seconds to wait (60); 0 = press and return" },
	{ 0 },
};

static const struct cmd_opt opts_list[] = {
	{ "--json", NULL, "as a JSON array" },
	{ "--names", NULL, "names only, one a line" },
	{ 0 },
};

static const struct cmd_opt opts_json[] = {
	{ "--json", NULL, "as JSON" },
	{ 0 },
};

static const struct cmd_opt opts_console[] = {
	{ "--log", NULL, "print what was output so far and end" },
	{ 0 },
};

static const struct cmd_opt opts_dirty[] = {
	{ "--off", NULL, "stop measuring" },
	{ 0 },
};

static const struct cmd_opt opts_run[] = {
	{ "--timeout", "S", "seconds to power off after SIGTERM (60)" },
	{ 0 },
};

static const struct cmd_opt opts_server[] = {
	{ "--force", NULL, "stop even when guests run: they lose power" },
	{ 0 },
};

static const struct cmd_verb verbs[] = {
	{ .name = "list",
		.alias = "ls",
		.args = "[GUEST...] [--json]",
		.help = "show the guests and what they use",
		.flags = CMD_GUEST | CMD_MANY,
		.max = -1,
		.opts = opts_list,
		.exec = cmd_list },
	{ .name = "show",
		.args = "GUEST... [--json]",
		.help = "show all that is known of a guest",
		.flags = CMD_GUEST | CMD_MANY,
		.min = 1,
		.max = -1,
		.opts = opts_json,
		.exec = cmd_show,
		.view = view_cmd_page },
	{ .name = "define",
		.args = "FILE... [--replace]",
		.help = "make a guest known from its INI file",
		.flags = CMD_FILE,
		.min = 1,
		.max = -1,
		.opts = opts_define,
		.exec = cmd_define },
	{ .name = "undefine",
		.args = "GUEST...",
		.help = "forget a guest that is off; its disks stay",
		.flags = CMD_GUEST | CMD_MANY | CMD_ASK,
		.min = 1,
		.max = -1,
		.ask = "Forget %s? The definition is deleted, disks stay.",
		.exec = cmd_undefine },
	{ .name = "start",
		.args = "GUEST...",
		.help = "power a guest on",
		.flags = CMD_GUEST | CMD_MANY,
		.min = 1,
		.max = -1,
		.exec = cmd_start },
	{ .name = "stop",
		.alias = "shutdown",
		.args = "GUEST... [--timeout S]",
		.help = "press the power button and wait until it is off",
		.flags = CMD_GUEST | CMD_MANY | CMD_ASK,
		.min = 1,
		.max = -1,
		.opts = opts_stop,
		.ask = "Shut %s down?",
		.exec = cmd_stop },
	{ .name = "kill",
		.alias = "off",
		.args = "GUEST...",
		.help = "take the power away at once",
		.flags = CMD_GUEST | CMD_MANY | CMD_ASK,
		.min = 1,
		.max = -1,
		.ask = "Cut the power of %s? What is not on disk is lost.",
		.exec = cmd_kill },
	{ .name = "pause",
		.args = "GUEST...",
		.help = "hold a guest's CPUs",
		.flags = CMD_GUEST | CMD_MANY,
		.min = 1,
		.max = -1,
		.exec = cmd_pause },
	{ .name = "resume",
		.alias = "continue",
		.args = "GUEST...",
		.help = "let a paused guest go on",
		.flags = CMD_GUEST | CMD_MANY,
		.min = 1,
		.max = -1,
		.exec = cmd_resume },
	{ .name = "reset",
		.args = "GUEST...",
		.help = "press the reset button",
		.flags = CMD_GUEST | CMD_MANY | CMD_ASK,
		.min = 1,
		.max = -1,
		.ask = "Reset %s? What is not on disk is lost.",
		.exec = cmd_reset },
	{ .name = "dirty",
		.args = "GUEST... [--off]",
		.help = "measure how fast a guest writes to its memory",
		.flags = CMD_GUEST | CMD_MANY,
		.min = 1,
		.max = -1,
		.opts = opts_dirty,
		.more = "The rate is on the guest's page and in `show --json`. "
			"Measuring costs the guest a fault a page and second.",
		.exec = cmd_dirty },
	{ .name = "console",
		.alias = "serial",
		.args = "GUEST [--log]",
		.help = "open a guest's serial console; ^] leaves it",
		.flags = CMD_GUEST,
		.min = 1,
		.max = 1,
		.opts = opts_console,
		.exec = cmd_console,
		.client = client_console,
		.view = view_cmd_console },
	{ .name = "screen",
		.args = "GUEST",
		.help = "show a guest's text screen; ^] leaves it",
		.flags = CMD_GUEST | CMD_CONSOLE,
		.min = 1,
		.max = 1,
		.view = view_cmd_screen },
	{ .name = "screenshot",
		.args = "GUEST FILE.png",
		.help = "write a guest's screen as a PNG file",
		.flags = CMD_GUEST,
		.min = 2,
		.max = 2,
		.exec = cmd_screenshot },
	{ .name = "sendkey",
		.args = "GUEST KEY...",
		.help = "press keys, e.g. ctrl-alt-delete, ret, a, f1",
		.flags = CMD_GUEST,
		.min = 2,
		.max = -1,
		.exec = cmd_sendkey },
	{ .name = "run",
		.args = "FILE [--timeout S]",
		.help = "run one guest in the foreground, without a server",
		.flags = CMD_FILE | CMD_NOSTART,
		.min = 1,
		.max = 1,
		.opts = opts_run,
		.client = client_run,
		.more = "Its serial console is on the terminal: ^] q quits, "
			"^] s presses the power button, ^] ^] sends ^].\n"
			"SIGTERM presses the power button and cuts the power "
			"when time is up." },
	{ .name = "attach",
		.args = "",
		.help = "open the full-screen console (as without a verb)",
		.exec = cmd_attach,
		.client = client_attach },
	{ .name = "shell",
		.args = "",
		.help = "read verbs line by line, with completion",
		.client = client_shell },
	{ .name = "doctor",
		.args = "[--json]",
		.help = "say what this host can do and what to mend",
		.flags = CMD_NOSTART,
		.opts = opts_json,
		.client = client_doctor },
	{ .name = "server",
		.args = "status|stop [--force]",
		.help = "look at or end the server behind the console",
		.flags = CMD_NOSTART,
		.min = 1,
		.max = 1,
		.opts = opts_server,
		.exec = cmd_server,
		.client = client_server },
	{ .name = "detach",
		.alias = "quit",
		.args = "",
		.help = "leave the console; guests go on running",
		.flags = CMD_CONSOLE,
		.view = view_cmd_detach },
	{ .name = "help",
		.args = "[VERB]",
		.help = "explain verbs",
		.flags = CMD_NOSTART,
		.max = 1,
		.client = client_help,
		.view = view_cmd_help },
	{ .name = "version",
		.args = "",
		.help = "print the version",
		.flags = CMD_NOSTART,
		.client = client_version },
};

const struct cmd_verb *cmd_verb(size_t i)
{
	return i < ARRAY_LEN(verbs) ? &verbs[i] : NULL;
}

const struct cmd_verb *cmd_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
		const struct cmd_verb *v = &verbs[i];

		if (!strcmp(name, v->name) ||
			(v->alias && !strcmp(name, v->alias)))
			return v;
	}
	return NULL;
}
