/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Verbs from words to exit code, against an engine without KVM. */
#include <errno.h>
#include <jansson.h>

#include "vm/base/sizes.h"

#include "rig.h"

START_TEST (start_moves_a_guest_and_says_nothing) {
	struct rig r;
	struct heard h;

	rig_init(&r);
	rig_run(&r, &h, "start legacy");
	ck_assert_int_eq(h.code, UI_OK);
	ck_assert_str_eq(h.out, "");
	ck_assert_str_eq(h.err, "");
	ck_assert_int_eq(fake_find(r.en, "legacy")->info.state, GUEST_RUNNING);
	rig_fini(&r);
}
END_TEST

START_TEST (a_refusal_names_the_guest_and_is_exit_code_1) {
	struct rig r;
	struct heard h;

	rig_init(&r);
	rig_run(&r, &h, "start web");
	ck_assert_int_eq(h.code, UI_FAIL);
	ck_assert_ptr_nonnull(strstr(h.err, "guestdeck: web: "));
	rig_run(&r, &h, "start wbe");
	ck_assert_int_eq(h.code, UI_FAIL);
	ck_assert_str_eq(h.err, "guestdeck: there is no guest 'wbe', did you "
				"mean 'web'?\n");
	rig_run(&r, &h, "start");
	ck_assert_int_eq(h.code, UI_USAGE);
	ck_assert_ptr_nonnull(strstr(h.err, "usage: guestdeck start"));
	rig_run(&r, &h, "stop web --timeout never");
	ck_assert_int_eq(h.code, UI_USAGE);
	ck_assert_ptr_nonnull(strstr(h.err, "not 'never'"));
	rig_run(&r, &h, "doctor");
	ck_assert_int_eq(h.code, UI_USAGE);
	rig_fini(&r);
}
END_TEST

START_TEST (patterns_name_several_and_one_failure_fails_it) {
	struct rig r;
	struct heard h;

	rig_init(&r);
	rig_run(&r, &h, "kill '[wd]*'");
	ck_assert_int_eq(h.code, UI_OK);
	ck_assert_int_eq(fake_find(r.en, "web")->info.state, GUEST_OFF);
	ck_assert_int_eq(fake_find(r.en, "db")->info.state, GUEST_OFF);
	rig_run(&r, &h, "resume build web");
	ck_assert_int_eq(h.code, UI_FAIL);
	ck_assert_int_eq(fake_find(r.en, "build")->info.state, GUEST_RUNNING);
	ck_assert_ptr_nonnull(strstr(h.err, "web: "));
	rig_run(&r, &h, "kill 'x*'");
	ck_assert_int_eq(h.code, UI_FAIL);
	rig_fini(&r);
}
END_TEST

START_TEST (stop_waits_for_the_guest_and_tells_when_it_did_not_obey) {
	struct rig r;
	struct heard h;

	rig_init(&r);
	r.en->hold = true;
	rig_begin(&r, &h, "stop web --timeout 7");
	rig_pump(&r);
	ck_assert_int_eq(h.code, -1);
	ck_assert_uint_eq(r.en->held.timeout_ms, 7000);
	fake_finish(r.en, 0);
	rig_pump(&r);
	ck_assert_int_eq(h.code, UI_OK);
	rig_begin(&r, &h, "stop db");
	ck_assert_uint_eq(r.en->held.timeout_ms, 60000);
	fake_finish(r.en, ETIMEDOUT);
	rig_pump(&r);
	ck_assert_int_eq(h.code, UI_FAIL);
	ck_assert_ptr_nonnull(strstr(h.err, "did not power off in time"));
	rig_fini(&r);
}
END_TEST

START_TEST (who_asked_may_leave_before_the_end) {
	struct rig r;
	struct heard h;
	struct job *j;

	rig_init(&r);
	r.en->hold = true;
	j = rig_begin(&r, &h, "stop web");
	rig_pump(&r);
	job_detach(j);
	fake_finish(r.en, 0);
	rig_pump(&r);
	ck_assert_int_eq(h.code, -1); /* nobody was told */
	ck_assert(list_empty(&r.app.jobs));
	rig_fini(&r);
}
END_TEST

START_TEST (a_command_under_way_at_the_end_is_freed) {
	struct rig r;
	struct heard h;

	rig_init(&r);
	r.en->hold = true;
	job_detach(rig_begin(&r, &h, "stop web"));
	rig_fini(&r); /* the sanitizers look at the rest */
}
END_TEST

static json_t *list_find(json_t *a, const char *name)
{
	size_t i;
	json_t *j;

	json_array_foreach(a, i,
		j) if (!strcmp(json_string_value(json_object_get(j, "name")),
			       name)) return j;
	return NULL;
}

START_TEST (list_json_has_what_scripts_rely_on) {
	static const char *const keys[] = { "name", "state", "cpu_percent",
		"memory_bytes", "memory_resident_bytes", "disk_read_bytes",
		"disk_write_bytes", "vnc", "uptime_s", "cpus", "net_rx_bytes",
		"net_tx_bytes", "viewers", "reboots", "why" };
	struct rig r;
	struct heard h;
	json_t *a, *j;
	double cpu;

	rig_init(&r);
	rig_run(&r, &h, "list --json");
	ck_assert_int_eq(h.code, UI_OK);
	a = json_loads(h.out, 0, NULL);
	ck_assert(json_is_array(a));
	ck_assert_uint_eq(json_array_size(a), 5);
	for (size_t i = 0; i < 5; i++)
		for (size_t k = 0; k < ARRAY_LEN(keys); k++)
			ck_assert_msg(json_object_get(json_array_get(a, i),
					      keys[k]) != NULL,
				"%s", keys[k]);
	j = list_find(a, "db");
	cpu = json_real_value(json_object_get(j, "cpu_percent"));
	ck_assert(cpu > 230 && cpu < 232);
	ck_assert_str_eq(json_string_value(json_object_get(j, "state")),
		"running");
	ck_assert_int_eq(json_integer_value(
				 json_object_get(j, "disk_read_bytes")),
		3 * 48000000);
	j = list_find(a, "legacy");
	ck_assert(json_real_value(json_object_get(j, "cpu_percent")) == 0);
	ck_assert_str_eq(json_string_value(json_object_get(j, "why")),
		"triple fault at rip 0x7c00");
	json_decref(a);
	rig_fini(&r);
}
END_TEST

START_TEST (list_takes_a_second_sample_when_there_is_one) {
	struct rig r;
	struct heard h;
	json_t *a;

	rig_init(&r);
	rig_run(&r, &h, "start legacy");
	fake_find(r.en, "legacy")->cpu_percent = 50;
	rig_begin(&r, &h, "list --json legacy");
	/* half a second of guest time passes until the second sample */
	fake_pass(r.en, 500);
	for (int i = 0; i < 100 && h.code < 0; i++)
		loop_run_once(r.loop, 20);
	ck_assert_int_eq(h.code, UI_OK);
	a = json_loads(h.out, 0, NULL);
	ck_assert(json_real_value(json_object_get(json_array_get(a, 0),
			  "cpu_percent")) > 49);
	json_decref(a);
	rig_fini(&r);
}
END_TEST

START_TEST (list_as_a_table_tells_what_did_not_load) {
	struct rig r;
	struct heard h;

	rig_init(&r);
	r.en->broken = "/x/bad.ini:3: unknown key";
	rig_run(&r, &h, "list");
	ck_assert_ptr_nonnull(strstr(h.out, "web "));
	ck_assert_ptr_nonnull(strstr(h.err, "bad.ini:3"));
	ck_assert_int_eq(h.code, UI_OK);
	rig_run(&r, &h, "list --names 'l*' web");
	ck_assert_str_eq(h.out, "legacy\nweb\n");
	rig_fini(&r);
}
END_TEST

START_TEST (show_json_tells_disks_nets_and_vcpus) {
	struct rig r;
	struct heard h;
	json_t *j;

	rig_init(&r);
	rig_run(&r, &h, "show web --json");
	j = json_loads(h.out, 0, NULL);
	ck_assert(json_is_object(j));
	ck_assert_uint_eq(json_array_size(json_object_get(j, "disks")), 1);
	ck_assert_uint_eq(json_array_size(json_object_get(j, "nets")), 1);
	ck_assert_uint_eq(json_array_size(json_object_get(j, "vcpus")), 2);
	json_decref(j);
	rig_run(&r, &h, "show web");
	ck_assert_ptr_nonnull(strstr(h.out, "127.0.0.1:5905"));
	rig_fini(&r);
}
END_TEST

START_TEST (define_reads_a_file_against_the_clients_folder) {
	struct rig r;
	struct heard h;
	char *dir, line[512];
	FILE *f;

	rig_init(&r);
	dir = suite_tmp();
	f = fopen(suite_path(dir, "new.ini"), "w");
	fputs("[guest]\ncpus = 3\nmemory = 64M\n", f);
	fclose(f);
	snprintf(line, sizeof(line), "define %s/new.ini", dir);
	rig_run(&r, &h, line);
	ck_assert_str_eq(h.out, "new defined\n");
	ck_assert_uint_eq(fake_find(r.en, "new")->conf.cpus, 3);
	rig_run(&r, &h, line);
	ck_assert_int_eq(h.code, UI_FAIL);
	strcat(line, " --replace");
	rig_run(&r, &h, line);
	ck_assert_int_eq(h.code, UI_OK);
	rig_run(&r, &h, "define no-such.ini");
	ck_assert_int_eq(h.code, UI_FAIL);
	ck_assert_ptr_nonnull(strstr(h.err, "/tmp/no-such.ini"));
	suite_rm(dir);
	rig_fini(&r);
}
END_TEST

START_TEST (console_log_prints_what_was_said) {
	struct rig r;
	struct heard h;

	rig_init(&r);
	fake_say(r.en, "web", "one\r\ntwo\r\n");
	rig_run(&r, &h, "console web --log");
	ck_assert_str_eq(h.out, "one\r\ntwo\r\n");
	ck_assert_int_eq(h.code, UI_OK);
	rig_run(&r, &h, "console --log installer-netboot-amd64");
	ck_assert_int_eq(h.code, UI_FAIL);
	ck_assert_ptr_nonnull(strstr(h.err, "never started"));
	rig_fini(&r);
}
END_TEST

START_TEST (console_streams_until_the_guest_ends) {
	struct rig r;
	struct heard h;
	struct job *j;
	char buf[64] = { 0 };

	rig_init(&r);
	fake_say(r.en, "web", "before ");
	j = rig_begin(&r, &h, "console web");
	fake_say(r.en, "web", "after");
	rig_pump(&r);
	ck_assert_str_eq(h.out, "before after");
	ck_assert(j->ops->input(j, (const uint8_t *)"root\r", 5));
	console_input_take(fake_find(r.en, "web")->console, buf, sizeof(buf));
	ck_assert_str_eq(buf, "root\r");
	fake_say(r.en, "web", " last");
	fake_state(r.en, "web", GUEST_OFF, 0);
	fake_event(r.en, ENGINE_EV_STATE, "web");
	rig_pump(&r);
	ck_assert_str_eq(h.out, "before after last");
	ck_assert_int_eq(h.code, UI_OK);
	ck_assert_ptr_nonnull(strstr(h.err, "web has ended"));
	rig_run(&r, &h, "console web");
	ck_assert_int_eq(h.code, UI_FAIL);
	rig_fini(&r);
}
END_TEST

START_TEST (input_that_the_guest_does_not_take_pushes_back) {
	struct rig r;
	struct heard h;
	struct job *j;
	uint8_t buf[6000] = { 'x' };
	bool more = true;
	int sent = 0;

	rig_init(&r);
	j = rig_begin(&r, &h, "console web");
	for (; more && sent < 100; sent++)
		more = j->ops->input(j, buf, sizeof(buf));
	ck_assert_int_lt(sent, 10);
	job_detach(j);
	rig_fini(&r);
}
END_TEST

START_TEST (screenshot_and_sendkey_reach_the_display) {
	struct rig r;
	struct heard h;

	rig_init(&r);
	rig_run(&r, &h, "screenshot web shot.png");
	ck_assert_int_eq(h.code, UI_OK);
	ck_assert_uint_eq(r.en->screenshots, 1);
	rig_run(&r, &h, "screenshot web /missing/shot.png");
	ck_assert_int_eq(h.code, UI_FAIL);
	ck_assert_ptr_nonnull(strstr(h.err, "/missing/shot.png"));
	rig_run(&r, &h, "screenshot installer-netboot-amd64 x.png");
	ck_assert_int_eq(h.code, UI_FAIL);
	ck_assert_ptr_nonnull(strstr(h.err, "never started"));
	rig_run(&r, &h, "sendkey web ctrl-alt-delete ret");
	ck_assert_str_eq(r.en->keys, "ctrl-alt-delete ret");
	rig_run(&r, &h, "sendkey web bogus");
	ck_assert_int_eq(h.code, UI_FAIL);
	rig_run(&r, &h, "sendkey '*' ret");
	ck_assert_int_eq(h.code, UI_FAIL);
	ck_assert_ptr_nonnull(strstr(h.err, "names 5 guests"));
	rig_fini(&r);
}
END_TEST

static void stop_asked(void *arg)
{
	++*(int *)arg;
}

START_TEST (server_stop_refuses_while_guests_run) {
	struct rig r;
	struct heard h;
	int asked = 0;

	rig_init(&r);
	r.app.stop = stop_asked;
	r.app.server = &asked;
	rig_run(&r, &h, "server stop");
	ck_assert_int_eq(h.code, UI_FAIL);
	ck_assert_ptr_nonnull(strstr(h.err, "build, db, web run"));
	ck_assert_int_eq(asked, 0);
	rig_run(&r, &h, "server stop --force");
	ck_assert_int_eq(h.code, UI_OK);
	ck_assert_int_eq(asked, 1);
	rig_run(&r, &h, "server status");
	ck_assert_ptr_nonnull(strstr(h.out, "3 of 5 guests running"));
	rig_run(&r, &h, "server bogus");
	ck_assert_int_eq(h.code, UI_USAGE);
	rig_fini(&r);
}
END_TEST

START_TEST (rates_come_from_two_samples_and_are_never_made_up) {
	struct rig r;
	const struct model_guest *g;

	rig_init(&r);
	g = model_find(r.app.model, "web");
	ck_assert_uint_eq(g->samples, 2);
	ck_assert(g->rate[SERIES_CPU] > 36.9 && g->rate[SERIES_CPU] < 37.1);
	ck_assert(g->rate[SERIES_READ] > 1199999 &&
		  g->rate[SERIES_READ] < 1200001);
	ck_assert_uint_eq(g->nhistory, 2);
	/* history is of seconds, however seldom one looked */
	fake_pass(r.en, 5000);
	model_sample(r.app.model);
	ck_assert_uint_eq(g->nhistory, 7);
	for (int i = 0; i < 80; i++)
		rig_second(&r);
	ck_assert_uint_eq(g->nhistory, MODEL_HISTORY);
	/* a new life begins with one sample and no rates */
	fake_state(r.en, "web", GUEST_RUNNING, 1);
	model_sample(r.app.model);
	ck_assert_uint_eq(g->samples, 1);
	ck_assert_uint_eq(g->nhistory, 0);
	ck_assert(g->rate[SERIES_CPU] == 0);
	ck_assert(model_wants_sample(r.app.model));
	/* a snapshot of the same moment is no second one */
	model_sample(r.app.model);
	ck_assert_uint_eq(g->samples, 1);
	fake_state(r.en, "web", GUEST_OFF, 0);
	model_sample(r.app.model);
	ck_assert_uint_eq(g->samples, 0);
	rig_fini(&r);
}
END_TEST

START_TEST (the_dirty_rate_is_measured_only_when_asked) {
	const struct model_guest *g;
	struct rig r;
	struct heard h;

	rig_init(&r);
	g = model_find(r.app.model, "web");
	ck_assert(model_dirty_rate(g) < 0);
	rig_run(&r, &h, "dirty web");
	ck_assert_int_eq(h.code, UI_OK);
	rig_second(&r);
	ck_assert(model_dirty_rate(g) < 0); /* one sample is no rate */
	rig_second(&r);
	ck_assert(model_dirty_rate(g) > 0.99 * MiB &&
		  model_dirty_rate(g) < 1.01 * MiB);
	rig_run(&r, &h, "dirty web --off");
	rig_second(&r);
	ck_assert(model_dirty_rate(g) < 0);
	rig_run(&r, &h, "dirty legacy");
	ck_assert_int_eq(h.code, UI_FAIL);
	ck_assert_ptr_nonnull(strstr(h.err, "start it first"));
	rig_fini(&r);
}
END_TEST

START_TEST (the_model_follows_guests_that_come_and_go) {
	struct rig r;
	struct heard h;

	rig_init(&r);
	fake_add(r.en, "aaa", 1, MiB);
	fake_event(r.en, ENGINE_EV_LIST, "aaa");
	rig_pump(&r);
	ck_assert_str_eq(r.app.model->guest[0]->info.name, "aaa");
	rig_run(&r, &h, "undefine aaa");
	ck_assert_int_eq(h.code, UI_OK);
	rig_pump(&r);
	ck_assert_ptr_null(model_find(r.app.model, "aaa"));
	rig_fini(&r);
}
END_TEST

SUITE("ui/job", start_moves_a_guest_and_says_nothing,
	a_refusal_names_the_guest_and_is_exit_code_1,
	patterns_name_several_and_one_failure_fails_it,
	stop_waits_for_the_guest_and_tells_when_it_did_not_obey,
	who_asked_may_leave_before_the_end,
	a_command_under_way_at_the_end_is_freed,
	list_json_has_what_scripts_rely_on,
	list_takes_a_second_sample_when_there_is_one,
	list_as_a_table_tells_what_did_not_load,
	show_json_tells_disks_nets_and_vcpus,
	define_reads_a_file_against_the_clients_folder,
	console_log_prints_what_was_said, console_streams_until_the_guest_ends,
	input_that_the_guest_does_not_take_pushes_back,
	screenshot_and_sendkey_reach_the_display,
	server_stop_refuses_while_guests_run,
	rates_come_from_two_samples_and_are_never_made_up,
	the_dirty_rate_is_measured_only_when_asked,
	the_model_follows_guests_that_come_and_go)
