/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The disk verbs: words, help, completion, jobs in the server and a view. */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <semaphore.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vm/base/bytes.h"
#include "vm/base/sizes.h"

#include "ui/complete.h"
#include "ui/disk.h"
#include "ui/help.h"

#include "rig.h"

/* A verb that goes on until it is stopped. */
#define ENDLESS "disk bench -c 1000000000000000 "

static const char *dir;

static struct rig r;
static struct heard h;

static const char *at(const char *name)
{
	static char path[8][300];
	static unsigned next;
	char *p = path[next++ % 8];

	snprintf(p, sizeof(path[0]), "%s/%s", dir, name);
	return p;
}

static void begin(void)
{
	FILE *f;

	dir = suite_tmp();
	rig_init(&r);
	f = fopen(at("a.raw"), "w");
	ck_assert_ptr_nonnull(f);
	ck_assert_int_eq(ftruncate(fileno(f), 1 << 20), 0);
	fclose(f);
}

static void end(void)
{
	rig_fini(&r);
	suite_rm(dir);
}

static void run(int code, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static void run(int code, const char *fmt, ...)
{
	char line[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	rig_run(&r, &h, line);
	ck_assert_msg(h.code == code, "%s: %d: %s%s", line, h.code, h.out,
		h.err);
}

/* --- words --- */

static int parse(const char *line, struct cmd_args *a, struct err *e)
{
	static char **argv;
	static int argc;

	words_free(argc, argv);
	ck_assert_int_eq(words_split(line, &argc, &argv), 0);
	memset(e, 0, sizeof(*e));
	return cmd_parse(argc, argv, a, e);
}

START_TEST (options_are_known_by_both_names_and_o_may_come_again) {
	struct cmd_args a;
	struct err e;

	ck_assert_int_eq(parse("disk convert -f raw a -O qcow2 -o x=1 b -c "
			       "-o y=2 --parallel=4",
				 &a, &e),
		0);
	ck_assert_str_eq(a.verb->name, "disk convert");
	ck_assert_int_eq(a.noperands, 2);
	ck_assert_str_eq(a.operand[1], "b");
	ck_assert_str_eq(cmd_opt(&a, "--target-format"), "qcow2");
	ck_assert_str_eq(cmd_opt(&a, "-O"), "qcow2");
	ck_assert_str_eq(cmd_opt(&a, "-m"), "4");
	ck_assert_ptr_nonnull(cmd_opt(&a, "--compress"));
	ck_assert_int_eq(a.nmany, 2);
	ck_assert_str_eq(a.many[1], "y=2");
	ck_assert_int_eq(parse("disk resize a -10G", &a, &e), 0);
	ck_assert_str_eq(a.operand[1], "-10G");
}
END_TEST

START_TEST (mistakes_are_named) {
	static const struct {
		const char *line, *says;
	} bad[] = {
		{ "disk frobnicate", "no verb 'disk frobnicate'; see guestdeck "
				     "help disk" },
		{ "disk", "help disk" },
		{ "disk info", "something is missing" },
		{ "disk info a b", "one word too many: b" },
		{ "disk info -x a", "unknown option -x" },
		{ "disk convert a b -O", "value is missing after" },
		{ "disk convert -c=5 a b", "no value is taken by --compress" },
		{ "disk create -o a -o a -o a -o a -o a -o a -o a -o a -o a "
		  "-o a -o a -o a -o a -o a -o a -o a -o a x",
			"too many of --options" },
	};
	struct cmd_args a;
	struct err e;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		ck_assert_int_eq(parse(bad[i].line, &a, &e), -EINVAL);
		ck_assert_err(e, EINVAL, bad[i].says);
	}
}
END_TEST

/* --- completion --- */

static struct complete *complete(const char *line)
{
	static struct complete c;

	complete_fini(&c);
	complete_line(line, strlen(line), NULL, 0, true, &c);
	return &c;
}

START_TEST (both_words_options_and_values_are_completed) {
	static const struct {
		const char *line;
		int n;
		const char *first;
	} good[] = {
		{ "dis", 1, "disk" },
		{ "disk ", 12, "create" },
		{ "disk co", 3, "convert" },
		{ "disk convert --targ", 3, "--target-format" },
		{ "disk convert -O q", 1, "qcow2" },
		{ "disk convert --target-format v", 3, "vmdk" },
		{ "disk check --repair ", 2, "leaks" },
		{ "disk convert -t write", 2, "writeback" },
		{ "disk bench -i t", 1, "threads" },
		{ "disk snapshot -f qcow2 d", 1, "delete" },
		{ "disk snapshot list ", 0, NULL },
		{ "help dis", 1, "disk" },
		{ "help disk con", 1, "convert" },
	};

	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		struct complete *c = complete(good[i].line);

		ck_assert_msg(c->n == good[i].n, "%s: %d", good[i].line, c->n);
		if (c->n)
			ck_assert_str_eq(c->word[0], good[i].first);
	}
	ck_assert(complete("disk snapshot list x")->file);
	ck_assert(complete("disk create -b ba")->file);
	ck_assert(!complete("disk create -F ra")->file);
	complete("");
	complete_fini(complete("x "));
}
END_TEST

START_TEST (files_are_completed_as_words_of_the_line) {
	struct complete *c;
	char name[32];

	dir = suite_tmp();
	ck_assert_int_eq(mkdir(at("two words"), 0700), 0);
	ck_assert_int_eq(mkdir(at(".hidden"), 0700), 0);
	fclose(fopen(at("two words/it's"), "w"));
	fclose(fopen(at("three"), "w"));
	c = complete("disk info t");
	complete_files(c, dir, c->begin);
	ck_assert_int_eq(c->n, 2);
	ck_assert_str_eq(c->word[0], "three");
	ck_assert_str_eq(c->word[1], "two\\ words/");
	ck_assert_uint_eq(c->start, 10);
	c = complete("disk info two\\ words/i");
	ck_assert_str_eq(c->begin, "two words/i");
	ck_assert_uint_eq(c->start, 10);
	complete_files(c, dir, c->begin);
	ck_assert_int_eq(c->n, 1);
	ck_assert_str_eq(c->word[0], "two\\ words/it\\'s");
	/* more than are kept: one that is not may end what is common */
	for (int i = 0; i < 8 * COMPLETE_MAX; i++) {
		snprintf(name, sizeof(name), "manyx%d", i);
		fclose(fopen(at(name), "w"));
	}
	for (int i = 0; i < 8; i++) {
		snprintf(name, sizeof(name), "many%d", i);
		fclose(fopen(at(name), "w"));
		c = complete("disk info ma");
		complete_files(c, dir, c->begin);
		ck_assert_int_eq(c->n, COMPLETE_MAX);
		ck_assert_uint_eq(complete_common(c), strlen("many"));
		unlink(at(name));
	}
	c = complete("disk info no/such/folder/");
	complete_files(c, dir, c->begin);
	ck_assert_int_eq(c->n, 0);
	complete_fini(c);
	suite_rm(dir);
}
END_TEST

/* --- help --- */

static void golden(const char *name, const char *is)
{
	const char *mode = getenv("GUESTDECK_GOLDEN");
	bool write = mode && !strcmp(mode, "write");
	char path[256], want[16384];
	size_t n;
	FILE *f;

	snprintf(path, sizeof(path), "tests/unit/ui/golden/%s.txt", name);
	f = fopen(path, write ? "w" : "r");
	ck_assert_msg(f != NULL, "%s is missing", path);
	if (write) {
		fputs(is, f);
	} else {
		n = fread(want, 1, sizeof(want) - 1, f);
		want[n] = 0;
		ck_assert_msg(!strcmp(want, is), "%s differs:\n%s", path, is);
	}
	fclose(f);
}

START_TEST (help_of_the_group_and_of_a_verb) {
	char *text = help_group("disk");

	golden("help-disk", text);
	free(text);
	text = help_verb(cmd_find("disk convert"));
	golden("help-disk-convert", text);
	free(text);
}
END_TEST

/* --- jobs --- */

/* line with the words that look like files put into the folder. */
static void run_in_dir(const char *line)
{
	char *copy = strdup(line), full[2048] = "";

	for (char *p = strtok(copy, " "); p; p = strtok(NULL, " "))
		snprintf(full + strlen(full), sizeof(full) - strlen(full),
			"%s%s ", strchr(p, '.') ? at("") : "", p);
	free(copy);
	run(UI_OK, "%s", full);
}

START_TEST (every_verb_has_json_and_exit_codes) {
	static const char *const lines[] = {
		"disk create --json -f qcow2 b.qcow2 2M",
		"disk info --json b.qcow2",
		"disk info --output=json --backing-chain b.qcow2",
		"disk check --json b.qcow2",
		"disk convert --json -f raw -O qcow2 a.raw c.qcow2",
		"disk resize --json b.qcow2 +1M",
		"disk snapshot --json create b.qcow2 one",
		"disk snapshot --json list b.qcow2",
		"disk snapshot --json revert b.qcow2 one",
		"disk snapshot --json delete b.qcow2 one",
		"disk clone --json b.qcow2 d.qcow2",
		"disk rebase --json -f qcow2 -b c.qcow2 -F qcow2 d.qcow2",
		"disk commit --json -f qcow2 d.qcow2",
		"disk compare --json -f qcow2 -F qcow2 b.qcow2 b.qcow2",
		"disk map --json b.qcow2",
		"disk bench --json -f raw -c 10 a.raw",
	};

	begin();
	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		json_t *j;

		run_in_dir(lines[i]);
		j = json_loads(h.out, 0, NULL);
		ck_assert_msg(j != NULL, "%s: %s", lines[i], h.out);
		json_decref(j);
	}
	end();
}
END_TEST

START_TEST (errors_go_to_standard_error_alone) {
	begin();
	run(UI_FAIL, "disk info --json %s", at("gone.raw"));
	ck_assert_str_eq(h.out, "");
	ck_assert_ptr_nonnull(strstr(h.err, "gone.raw"));
	run(UI_FAIL, "disk map --json %s -s 1G", at("a.raw"));
	ck_assert_str_eq(h.out, "[]\n");
	run(UI_USAGE, "disk info -U %s", at("a.raw"));
	ck_assert_ptr_nonnull(strstr(h.err, "-U is refused"));
	run(UI_USAGE, "disk create %s much", at("b.raw"));
	run(UI_USAGE, "disk check -r some %s", at("a.raw"));
	run(UI_USAGE, "disk convert -t fast %s b", at("a.raw"));
	ck_assert_ptr_nonnull(strstr(h.err, "'fast' is no cache mode"));
	run(UI_USAGE, "disk snapshot create %s", at("a.raw"));
	ck_assert_ptr_nonnull(strstr(h.err, "name the snapshot"));
	run(UI_USAGE, "disk snapshot eat %s x", at("a.raw"));
	run(UI_USAGE, "disk resize --preallocation full,size=1 %s +1M",
		at("a.raw"));
	ck_assert_ptr_nonnull(strstr(h.err, "'full,size=1' is no prealloc"));
	run(UI_USAGE, "disk info --output=xml %s", at("a.raw"));
	ck_assert_ptr_nonnull(strstr(h.err, "--output xml: human or json"));
	run(UI_USAGE, "disk bench -i none %s", at("a.raw"));
	run(UI_USAGE, "disk bench -d 2000 %s", at("a.raw"));
	run(UI_OK, "disk create -f qcow2 -o help %s", at("b.raw"));
	ck_assert_ptr_nonnull(strstr(h.out, "cluster_size"));
	run(UI_OK, "disk create -f qcow2 -o help");
	ck_assert_ptr_nonnull(strstr(h.out, "cluster_size"));
	run(UI_USAGE, "disk create -f qcow2");
	ck_assert_ptr_nonnull(strstr(h.err, "name the file to make"));
	ck_assert_int_eq(access(at("b.raw"), F_OK), -1);
	end();
}
END_TEST

START_TEST (what_an_image_names_cannot_reach_the_terminal) {
	json_t *j;

	begin();
	run(UI_OK,
		"disk create -f qcow2 -u -b 'x\033[31m\xff\xc2\x9b.raw' -F raw "
		"%s 1M",
		at("b.qcow2"));
	run(UI_OK, "disk info %s", at("b.qcow2"));
	ck_assert_ptr_nonnull(strstr(h.out, "x?[31m??.raw (raw)"));
	run(UI_OK, "disk info --json %s", at("b.qcow2"));
	j = json_loads(h.out, 0, NULL);
	ck_assert_ptr_nonnull(j);
	ck_assert_ptr_null(strchr(h.out, 27));
	json_decref(j);
	run(UI_FAIL, "disk compare -f qcow2 %s %s", at("b.qcow2"), at("a.raw"));
	ck_assert_ptr_null(strchr(h.err, 27));
	end();
}
END_TEST

START_TEST (what_a_check_finds_is_clean_too) {
	static const uint8_t wrong[8] = { 0, 0, 0, 0, 0, 0, 0, 1 };
	uint8_t table[8];
	int fd;

	begin();
	run(UI_OK, "disk create -f qcow2 %s 1M", at("b.qcow2"));
	run(UI_OK, "disk snapshot create %s 'x\302\233m\377'", at("b.qcow2"));
	/* the snapshot's L1 table is nowhere */
	fd = open(at("b.qcow2"), O_RDWR | O_CLOEXEC);
	ck_assert_int_eq(pread(fd, table, 8, 64), 8);
	ck_assert_int_eq(pwrite(fd, wrong, 8, (off_t)get_be64(table)), 8);
	close(fd);
	run(UI_FAIL, "disk check %s", at("b.qcow2"));
	ck_assert_ptr_nonnull(strstr(h.out, "(x?m?)"));
	end();
}
END_TEST

static void wait_for_end(void)
{
	for (int i = 0; i < 4000 && h.code < 0; i++)
		loop_run_once(r.loop, 20);
	ck_assert_int_ge(h.code, 0);
}

START_TEST (a_job_is_stopped_and_says_so) {
	char line[400];
	struct job *j;

	begin();
	snprintf(line, sizeof(line), ENDLESS "-f raw %s", at("a.raw"));
	j = rig_begin(&r, &h, line);
	ck_assert(job_can_stop(j));
	job_stop(j);
	wait_for_end();
	ck_assert_int_eq(h.code, UI_FAIL);
	ck_assert_ptr_nonnull(strstr(h.err, "a.raw: stopped"));
	end();
}
END_TEST

START_TEST (a_job_whose_person_left_stops) {
	char line[400];

	begin();
	snprintf(line, sizeof(line), ENDLESS "-f raw %s", at("a.raw"));
	job_detach(rig_begin(&r, &h, line));
	for (int i = 0; i < 4000 && !list_empty(&r.app.jobs); i++)
		loop_run_once(r.loop, 20);
	ck_assert(list_empty(&r.app.jobs));
	ck_assert_int_eq(h.code, -1);
	end();
}
END_TEST

START_TEST (the_end_of_the_server_stops_what_runs) {
	char line[400];

	begin();
	snprintf(line, sizeof(line), ENDLESS "-f raw %s", at("a.raw"));
	rig_begin(&r, &h, line);
	rig_begin(&r, &h, line);
	end(); /* does not hang; the sanitizers look at the rest */
}
END_TEST

static void stop_asked(void *arg)
{
	++*(int *)arg;
}

START_TEST (server_stop_minds_disk_verbs) {
	static struct heard other;
	char line[400];
	int asked = 0;

	begin();
	r.app.stop = stop_asked;
	r.app.server = &asked;
	run(UI_OK, "kill build db web");
	snprintf(line, sizeof(line), ENDLESS "-f raw %s", at("a.raw"));
	job_detach(rig_begin(&r, &other, line));
	rig_begin(&r, &other, line);
	run(UI_FAIL, "server stop");
	ck_assert_ptr_nonnull(strstr(h.err, "at work for a console"));
	ck_assert_int_eq(asked, 0);
	run(UI_OK, "server stop --force");
	ck_assert_int_eq(asked, 1);
	end();
}
END_TEST

/* --- a view --- */

static struct seat s;

static void sit(void)
{
	begin();
	seat_open(&s, &r, "xterm-256color", 24, 100, true);
	free(s.view->cwd);
	s.view->cwd = strdup(dir);
}

static void wait_shows(const char *text)
{
	for (int i = 0; i < 1000 && !seat_shows(&s, text); i++)
		loop_run_once(r.loop, 20);
	ck_assert_shows(&s, text);
}

static void wait_gone(const char *text)
{
	for (int i = 0; i < 1000 && seat_shows(&s, text); i++)
		loop_run_once(r.loop, 20);
	ck_assert(!seat_shows(&s, text));
}

START_TEST (names_begin_where_the_person_is) {
	sit();
	seat_type(&s, ":disk create -f qcow2 b.qcow2 1M\r");
	wait_shows("disk create -f qcow2 b.qcow2 1M: done");
	ck_assert_int_eq(access(at("b.qcow2"), F_OK), 0);
	seat_type(&s, ":disk info b.qcow2\r");
	wait_shows("virtual size     1M");
	seat_type(&s, "q");
	seat_type(&s, ":disk info gone\r");
	wait_shows("gone: ");
	seat_close(&s);
	end();
}
END_TEST

START_TEST (tab_completes_files) {
	sit();
	seat_type(&s, ":disk info a.\t");
	wait_shows(":disk info a.raw");
	seat_type(&s, "\r");
	wait_shows("virtual size     1M");
	/* one that is looked for when the view goes away */
	seat_type(&s, ":disk info a.\t");
	seat_close(&s);
	end();
}
END_TEST

/* A folder on a server that does not answer, until the gate is open. */
static sem_t asked, gate;

DIR *opendir(const char *path)
{
	DIR *(*real)(const char *);

	*(void **)&real = dlsym(RTLD_NEXT, "opendir");
	if (strstr(path, "/far/")) {
		sem_post(&asked);
		sem_wait(&gate);
	}
	return real(path);
}

START_TEST (a_folder_that_does_not_answer_holds_nobody) {
	struct seat other;

	sem_init(&asked, 0, 0);
	sem_init(&gate, 0, 0);
	sit();
	seat_open(&other, &r, "xterm-256color", 24, 100, true);
	seat_type(&s, ":disk info far/\t");
	sem_wait(&asked);
	seat_close(&s);
	seat_type(&other, ":disk info a.r");
	ck_assert(seat_shows(&other, ":disk info a.r"));
	seat_close(&other);
	sem_post(&gate);
	end();
}
END_TEST

START_TEST (what_runs_is_shown_and_control_c_stops_the_last) {
	sit();
	seat_type(&s, "\003");
	ck_assert_shows(&s, "nothing runs that can be stopped");
	seat_type(&s, ":" ENDLESS "-f raw a.raw\r");
	wait_shows("^C stops it");
	seat_type(&s, ":" ENDLESS "-d 2 -f raw a.raw\r");
	wait_shows("^C stops it (1 of 2)");
	wait_shows("0.0 % disk bench -c 1000000000000000 -d 2 -f raw a.raw");
	seat_type(&s, "j"); /* keys go on working */
	seat_type(&s, "\003");
	wait_shows("a.raw: stopped");
	seat_type(&s, "j");
	wait_shows("^C stops it");
	ck_assert(!seat_shows(&s, "1 of 2"));
	seat_type(&s, "\003");
	wait_shows("a.raw: stopped");
	seat_type(&s, "j");
	wait_gone("^C stops it");
	seat_close(&s);
	end();
}
END_TEST

START_TEST (a_guests_own_screen_is_not_covered) {
	sit();
	seat_type(&s, ":console web\r");
	rig_pump(&r);
	ck_assert(s.view->top->ops->full);
	view_run_line(s.view, "disk info a.raw");
	wait_shows("disk info a.raw has ended");
	ck_assert(s.view->top->ops->full);
	view_pop(s.view);
	wait_shows("virtual size     1M");
	seat_close(&s);
	end();
}
END_TEST

START_TEST (a_view_that_leaves_takes_its_jobs_along) {
	sit();
	seat_type(&s, ":" ENDLESS "-f raw a.raw\r");
	wait_shows("^C stops it");
	seat_close(&s);
	for (int i = 0; i < 1000 && !list_empty(&r.app.jobs); i++)
		loop_run_once(r.loop, 20);
	ck_assert(list_empty(&r.app.jobs));
	end();
}
END_TEST

START_TEST (help_of_a_verb_opens_in_the_console) {
	sit();
	seat_type(&s, ":help disk convert\r");
	ck_assert_shows(&s, "--target-format FORMAT");
	seat_type(&s, "q:help disk\r");
	ck_assert_shows(&s, "usage: guestdeck disk VERB");
	seat_type(&s, "q:help frob\r");
	ck_assert_shows(&s, "there is no verb 'frob'");
	seat_close(&s);
	end();
}
END_TEST

SUITE("ui/disk", options_are_known_by_both_names_and_o_may_come_again,
	mistakes_are_named, both_words_options_and_values_are_completed,
	files_are_completed_as_words_of_the_line,
	help_of_the_group_and_of_a_verb, every_verb_has_json_and_exit_codes,
	errors_go_to_standard_error_alone,
	what_an_image_names_cannot_reach_the_terminal,
	what_a_check_finds_is_clean_too, a_job_is_stopped_and_says_so,
	a_job_whose_person_left_stops, the_end_of_the_server_stops_what_runs,
	server_stop_minds_disk_verbs, names_begin_where_the_person_is,
	tab_completes_files, a_folder_that_does_not_answer_holds_nobody,
	what_runs_is_shown_and_control_c_stops_the_last,
	a_guests_own_screen_is_not_covered,
	a_view_that_leaves_takes_its_jobs_along,
	help_of_a_verb_opens_in_the_console)
