// SPDX-License-Identifier: GPL-3.0-or-later
/* The state table: each verb from each state, and the text of refusals. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vm/core/state.h"

#define NO (-1)

START_TEST (people_verbs_lead_where_the_readme_says) {
	static const struct {
		enum guest_state from;
		enum guest_move move;
		int to;
	} t[] = {
		{ GUEST_DEFINED, MOVE_START, GUEST_STARTING },
		{ GUEST_OFF, MOVE_START, GUEST_STARTING },
		{ GUEST_CRASHED, MOVE_START, GUEST_STARTING },
		{ GUEST_RUNNING, MOVE_START, NO },
		{ GUEST_RUNNING, MOVE_PAUSE, GUEST_PAUSED },
		{ GUEST_PAUSED, MOVE_PAUSE, NO },
		{ GUEST_PAUSED, MOVE_RESUME, GUEST_RUNNING },
		{ GUEST_RUNNING, MOVE_RESUME, NO },
		{ GUEST_RUNNING, MOVE_STOP, GUEST_STOPPING },
		{ GUEST_PAUSED, MOVE_STOP, NO },
		{ GUEST_STOPPING, MOVE_STOP, GUEST_STOPPING },
		{ GUEST_STOPPING, MOVE_STOP_TIMEOUT, GUEST_RUNNING },
		{ GUEST_STOPPING, MOVE_KILL, GUEST_OFF },
		{ GUEST_RUNNING, MOVE_KILL, GUEST_OFF },
		{ GUEST_OFF, MOVE_KILL, NO },
		{ GUEST_RUNNING, MOVE_RESET, GUEST_RUNNING },
		{ GUEST_PAUSED, MOVE_RESET, GUEST_PAUSED },
		{ GUEST_OFF, MOVE_RESET, NO },
		{ GUEST_RUNNING, MOVE_UNDEFINE, NO },
		{ GUEST_PAUSED, MOVE_UNDEFINE, NO },
		{ GUEST_OFF, MOVE_UNDEFINE, GUEST_OFF },
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct err e = ERR_NONE;
		int to = guest_state_next(t[i].from, t[i].move, &e);

		if (t[i].to == NO) {
			ck_assert_int_eq(to, -EINVAL);
			ck_assert_int_eq(e.code, EINVAL);
			ck_assert_ptr_nonnull(
				strstr(e.msg, guest_state_name(t[i].from)));
		} else {
			ck_assert_int_eq(to, t[i].to);
		}
	}
}
END_TEST

START_TEST (a_reboot_keeps_the_guest_running) {
	ck_assert_int_eq(guest_state_next(GUEST_RUNNING, MOVE_GUEST_RESET,
				 NULL),
		GUEST_RUNNING);
	ck_assert_int_eq(guest_state_next(GUEST_STOPPING, MOVE_GUEST_RESET,
				 NULL),
		GUEST_STOPPING);
}
END_TEST

START_TEST (a_crash_is_legal_whenever_a_board_is_up) {
	for (int s = 0; s < GUEST_STATES; s++) {
		int want = s == GUEST_DEFINED || s == GUEST_OFF ||
					   s == GUEST_CRASHED
				   ? -EINVAL
				   : GUEST_CRASHED;

		ck_assert_int_eq(guest_state_next((enum guest_state)s,
					 MOVE_GUEST_CRASH, NULL),
			want);
	}
}
END_TEST

START_TEST (refusals_name_the_mend) {
	struct err e;

	guest_state_next(GUEST_PAUSED, MOVE_STOP, &e);
	ck_assert_str_eq(e.msg,
		"cannot stop: the guest is paused: resume it first");
	guest_state_next(GUEST_OFF, MOVE_RESET, &e);
	ck_assert_str_eq(e.msg,
		"cannot reset: the guest is off: start it first");
}
END_TEST

START_TEST (values_out_of_the_table_are_refused) {
	ck_assert_int_eq(guest_state_next((enum guest_state)99, MOVE_START,
				 NULL),
		-EINVAL);
	ck_assert_int_eq(guest_state_next(GUEST_OFF, (enum guest_move)99, NULL),
		-EINVAL);
	ck_assert_str_eq(guest_state_name((enum guest_state)99), "?");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("core/state");
	TCase *tc = tcase_create("table");
	SRunner *r = srunner_create(s);
	int failed;

	suite_add_tcase(s, tc);
	tcase_add_test(tc, people_verbs_lead_where_the_readme_says);
	tcase_add_test(tc, a_reboot_keeps_the_guest_running);
	tcase_add_test(tc, a_crash_is_legal_whenever_a_board_is_up);
	tcase_add_test(tc, refusals_name_the_mend);
	tcase_add_test(tc, values_out_of_the_table_are_refused);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
