/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Every verb there is. */
#include <stdio.h>
#include <string.h>

#include "vm/base/sizes.h"

#include "ui/cmd.h"
#include "ui/disk.h"

static const struct cmd_opt opts_define[] = {
	{ "--replace", NULL, "take the place of a guest that is off",
		.brief = NULL },
	{ 0 },
};

static const struct cmd_opt opts_stop[] = {
	{ "--timeout", "S", "seconds to wait (60); 0 = press and return",
		.brief = NULL },
	{ 0 },
};

static const struct cmd_opt opts_list[] = {
	{ "--json", NULL, "as a JSON array", .brief = NULL },
	{ "--names", NULL, "names only, one a line", .brief = NULL },
	{ 0 },
};

static const struct cmd_opt opts_json[] = {
	{ "--json", NULL, "as JSON", .brief = NULL },
	{ 0 },
};

static const struct cmd_opt opts_console[] = {
	{ "--log", NULL, "print what was output so far and end",
		.brief = NULL },
	{ 0 },
};

static const struct cmd_opt opts_dirty[] = {
	{ "--off", NULL, "stop measuring", .brief = NULL },
	{ 0 },
};

static const struct cmd_opt opts_run[] = {
	{ "--timeout", "S", "seconds to power off after SIGTERM (60)",
		.brief = NULL },
	{ 0 },
};

static const struct cmd_opt opts_server[] = {
	{ "--force", NULL, "stop even when guests run: they lose power",
		.brief = NULL },
	{ 0 },
};

#define OPT_U                                                                  \
	{                                                                      \
		"--force-share", NULL,                                         \
			"refused: what somebody writes to cannot be read "     \
			"rightly",                                             \
			.brief = "-U"                                          \
	}
#define OPT_F                                                                  \
	{                                                                      \
		"--format", "FORMAT",                                          \
			"of the image (found out); raw, qcow2 ...",            \
			.brief = "-f"                                          \
	}
#define OPT_TLS                                                                \
	{                                                                      \
		"--tls", "FOLDER",                                             \
			"for nbds://: ca-cert.pem, client-cert.pem ...",       \
			.brief = NULL                                          \
	}
#define OPT_PROGRESS                                                           \
	{                                                                      \
		"--progress", NULL, "no need: a terminal gets it anyway",      \
			.brief = "-p"                                          \
	}
#define OPT_QUIET                                                              \
	{                                                                      \
		"--quiet", NULL, "no progress", .brief = "-q"                  \
	}
#define OPT_JSON                                                               \
	{                                                                      \
		"--json", NULL, "as JSON", .brief = NULL                       \
	}
#define OPT_O                                                                  \
	{                                                                      \
		"--options", "KEY=VALUE,...",                                  \
			"of the new image; \"help\" lists them",               \
			.brief = "-o", .many = true                            \
	}
#define OPT_FORCE                                                              \
	{                                                                      \
		"--force", NULL, "replace a file that is there", .brief = NULL \
	}

static const struct cmd_opt opts_disk_create[] = {
	OPT_F,
	OPT_O,
	{ "--backing", "FILE", "what shows where nothing was written",
		.brief = "-b" },
	{ "--backing-format", "FORMAT", "its format", .brief = "-F" },
	{ "--unsafe", NULL, "do not look at the backing file", .brief = "-u" },
	OPT_FORCE,
	OPT_QUIET,
	OPT_TLS,
	OPT_JSON,
	OPT_U,
	{ 0 },
};

static const struct cmd_opt opts_disk_info[] = {
	OPT_F,
	{ "--backing-chain", NULL, "all that backs it too", .brief = NULL },
	OPT_TLS,
	OPT_JSON,
	{ "--output", "FORM", "human or json", .brief = NULL },
	OPT_U,
	{ 0 },
};

static const struct cmd_opt opts_disk_check[] = {
	OPT_F,
	{ "--repair", "WHAT", "leaks, or all", .brief = "-r" },
	OPT_PROGRESS,
	OPT_QUIET,
	OPT_TLS,
	OPT_JSON,
	{ "--output", "FORM", "human or json", .brief = NULL },
	OPT_U,
	{ 0 },
};

static const struct cmd_opt opts_disk_convert[] = {
	OPT_F,
	{ "--target-format", "FORMAT", "of the new image (raw)",
		.brief = "-O" },
	{ "--compress", NULL, "compress what is written (qcow2)",
		.brief = "-c" },
	OPT_O,
	{ "--backing", "FILE", "write only what differs from it",
		.brief = "-B" },
	{ "--backing-format", "FORMAT", "its format", .brief = "-F" },
	{ "--snapshot", "NAME", "that internal snapshot of the source",
		.brief = "-l" },
	{ "--no-create", NULL, "the target is there, large enough",
		.brief = "-n" },
	{ "--target-is-zero", NULL, "with -n: it reads as zeros",
		.brief = NULL },
	{ "--sparse", "SIZE", "zeros of so many bytes become a hole (4K)",
		.brief = "-S" },
	{ "--parallel", "N", "requests at a time (8)", .brief = "-m" },
	{ "--target-cache", "CACHE", "of the target (writeback)",
		.brief = "-t" },
	{ "--source-cache", "CACHE", "of the source (writeback)",
		.brief = "-T" },
	OPT_FORCE,
	OPT_PROGRESS,
	OPT_QUIET,
	OPT_TLS,
	OPT_JSON,
	OPT_U,
	{ 0 },
};

static const struct cmd_opt opts_disk_resize[] = {
	OPT_F,
	{ "--shrink", NULL, "lose what is behind the new end", .brief = NULL },
	{ "--preallocation", "HOW",
		"of what is added: off, metadata, falloc, full",
		.brief = NULL },
	OPT_PROGRESS,
	OPT_QUIET,
	OPT_TLS,
	OPT_JSON,
	OPT_U,
	{ 0 },
};

static const struct cmd_opt opts_disk_one[] = {
	OPT_F,
	OPT_QUIET,
	OPT_TLS,
	OPT_JSON,
	OPT_U,
	{ 0 },
};

static const struct cmd_opt opts_disk_clone[] = {
	OPT_F,
	OPT_FORCE,
	OPT_QUIET,
	OPT_TLS,
	OPT_JSON,
	OPT_U,
	{ 0 },
};

static const struct cmd_opt opts_disk_rebase[] = {
	OPT_F,
	{ "--backing", "FILE", "the new one (none: no backing file)",
		.brief = "-b" },
	{ "--backing-format", "FORMAT", "its format", .brief = "-F" },
	{ "--unsafe", NULL, "the name only: what it reads as may change",
		.brief = "-u" },
	OPT_PROGRESS,
	OPT_QUIET,
	OPT_TLS,
	OPT_JSON,
	OPT_U,
	{ 0 },
};

static const struct cmd_opt opts_disk_commit[] = {
	OPT_F,
	{ "--base", "FILE", "the layer to write to (the backing file)",
		.brief = "-b" },
	{ "--keep", NULL,
		"do not empty the image after (-b below the backing file: "
		"never)",
		.brief = "-d" },
	OPT_PROGRESS,
	OPT_QUIET,
	OPT_TLS,
	OPT_JSON,
	OPT_U,
	{ 0 },
};

static const struct cmd_opt opts_disk_compare[] = {
	OPT_F,
	{ "--second-format", "FORMAT", "of the second image", .brief = "-F" },
	{ "--strict", NULL, "sizes and what is allocated count too",
		.brief = "-s" },
	OPT_PROGRESS,
	OPT_QUIET,
	OPT_TLS,
	OPT_JSON,
	OPT_U,
	{ 0 },
};

static const struct cmd_opt opts_disk_map[] = {
	OPT_F,
	{ "--start-offset", "BYTES", "begin there", .brief = "-s" },
	{ "--max-length", "BYTES", "of so many", .brief = "-l" },
	OPT_TLS,
	OPT_JSON,
	{ "--output", "FORM", "human or json", .brief = NULL },
	OPT_U,
	{ 0 },
};

static const struct cmd_opt opts_disk_bench[] = {
	OPT_F,
	{ "--count", "N", "requests (75000)", .brief = "-c" },
	{ "--depth", "N", "in flight at once (64)", .brief = "-d" },
	{ "--size", "BYTES", "of each (4K)", .brief = "-s" },
	{ "--offset", "BYTES", "of the first", .brief = "-o" },
	{ "--step", "BYTES", "from one to the next (the size)", .brief = "-S" },
	{ "--write", NULL, "write (what is in the image is lost)",
		.brief = "-w" },
	{ "--random", NULL, "anywhere, not in order", .brief = NULL },
	{ "--pattern", "BYTE", "to write (0)", .brief = NULL },
	{ "--flush-interval", "N", "a flush after so many writes",
		.brief = NULL },
	{ "--no-drain", NULL, "the flush does not wait for the others",
		.brief = NULL },
	{ "--cache", "CACHE", "none, writeback, writethrough ...",
		.brief = "-t" },
	{ "--aio", "AIO", "io_uring or threads", .brief = "-i" },
	OPT_PROGRESS,
	OPT_QUIET,
	OPT_TLS,
	OPT_JSON,
	OPT_U,
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
	{ .name = "disk create",
		.args = "[OPTION...] FILE [SIZE]",
		.help = "make a new disk image",
		.flags = CMD_FILE | CMD_NOSTART,
		.min = 0,
		.max = 2,
		.opts = opts_disk_create,
		.more = "Formats: qcow2, raw (the default, as qemu-img has "
			"it). With -b FILE -F FORMAT the new\n"
			"image shows FILE until it is written to; the size is "
			"FILE's then.",
		.exec = cmd_disk,
		.client = client_disk,
		.disk = disk_create },
	{ .name = "disk info",
		.args = "[-f FORMAT] [--backing-chain] FILE",
		.help = "tell what a disk image is",
		.flags = CMD_FILE | CMD_NOSTART,
		.min = 1,
		.max = 1,
		.opts = opts_disk_info,
		.exec = cmd_disk,
		.client = client_disk,
		.disk = disk_info },
	{ .name = "disk check",
		.args = "[-f FORMAT] [--repair leaks|all] FILE",
		.help = "look for damage in a disk image, and mend it",
		.flags = CMD_FILE | CMD_NOSTART,
		.min = 1,
		.max = 1,
		.opts = opts_disk_check,
		.more = "Exit codes: 0 all is well, 1 damaged or not checked, "
			"3 only leaks: space\n"
			"that nothing uses.",
		.exec = cmd_disk,
		.client = client_disk,
		.disk = disk_check },
	{ .name = "disk convert",
		.args = "[OPTION...] FILE TARGET",
		.help = "copy a disk image into another format",
		.flags = CMD_FILE | CMD_NOSTART,
		.min = 2,
		.max = 2,
		.opts = opts_disk_convert,
		.exec = cmd_disk,
		.client = client_disk,
		.disk = disk_convert },
	{ .name = "disk resize",
		.args = "[OPTION...] FILE [+|-]SIZE",
		.help = "make a disk larger or smaller",
		.flags = CMD_FILE | CMD_NOSTART,
		.min = 2,
		.max = 2,
		.opts = opts_disk_resize,
		.exec = cmd_disk,
		.client = client_disk,
		.disk = disk_resize },
	{ .name = "disk snapshot",
		.args = "list|create|revert|delete FILE [NAME]",
		.help = "snapshots inside a qcow2 image",
		.flags = CMD_FILE | CMD_NOSTART,
		.min = 2,
		.max = 3,
		.opts = opts_disk_one,
		.exec = cmd_disk,
		.client = client_disk,
		.disk = disk_snapshot },
	{ .name = "disk clone",
		.args = "[-f FORMAT] FILE TARGET",
		.help = "make an image that shows FILE until it is written to",
		.flags = CMD_FILE | CMD_NOSTART,
		.min = 2,
		.max = 2,
		.opts = opts_disk_clone,
		.exec = cmd_disk,
		.client = client_disk,
		.disk = disk_clone },
	{ .name = "disk rebase",
		.args = "[OPTION...] FILE",
		.help = "give an image another backing file",
		.flags = CMD_FILE | CMD_NOSTART,
		.min = 1,
		.max = 1,
		.opts = opts_disk_rebase,
		.exec = cmd_disk,
		.client = client_disk,
		.disk = disk_rebase },
	{ .name = "disk commit",
		.args = "[OPTION...] FILE",
		.help = "write what an image has into its backing file",
		.flags = CMD_FILE | CMD_NOSTART,
		.min = 1,
		.max = 1,
		.opts = opts_disk_commit,
		.more = "What else stands on that backing file (other "
			"clones, snapshots in FILE) reads\n"
			"something else then.",
		.exec = cmd_disk,
		.client = client_disk,
		.disk = disk_commit },
	{ .name = "disk compare",
		.args = "[OPTION...] FILE FILE",
		.help = "tell whether two images read the same",
		.flags = CMD_FILE | CMD_NOSTART,
		.min = 2,
		.max = 2,
		.opts = opts_disk_compare,
		.more = "Exit codes: 0 they do, 1 they differ, or could not be "
			"compared.",
		.exec = cmd_disk,
		.client = client_disk,
		.disk = disk_compare },
	{ .name = "disk map",
		.args = "[OPTION...] FILE",
		.help = "show where the data of an image lies",
		.flags = CMD_FILE | CMD_NOSTART,
		.min = 1,
		.max = 1,
		.opts = opts_disk_map,
		.exec = cmd_disk,
		.client = client_disk,
		.disk = disk_map },
	{ .name = "disk bench",
		.args = "[OPTION...] FILE",
		.help = "measure how fast an image is read or written",
		.flags = CMD_FILE | CMD_NOSTART,
		.min = 1,
		.max = 1,
		.opts = opts_disk_bench,
		.exec = cmd_disk,
		.client = client_disk,
		.disk = disk_bench },
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
		.max = 2,
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

const struct cmd_verb *cmd_find_words(int argc, char *const *argv, int *nwords)
{
	char two[64];

	*nwords = 2;
	if (argc > 1 && cmd_is_group(argv[0]) &&
		snprintf(two, sizeof(two), "%s %s", argv[0], argv[1]) <
			(int)sizeof(two))
		return cmd_find(two);
	*nwords = 1;
	return argc ? cmd_find(argv[0]) : NULL;
}

bool cmd_is_group(const char *word)
{
	size_t len = strlen(word);

	for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
		if (!strncmp(verbs[i].name, word, len) &&
			verbs[i].name[len] == ' ')
			return true;
	return false;
}
