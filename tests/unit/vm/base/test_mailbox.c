/* SPDX-License-Identifier: GPL-3.0-or-later */
/* vm/base/mailbox: order, bounds, senders on other threads. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>

#include "vm/base/mailbox.h"

#include "tests/unit/suite.h"

static uintptr_t got[4096];
static unsigned ngot, ndropped;
static struct mailbox *box;

static void receive(void *arg, void *msg)
{
	ck_assert_ptr_eq(arg, &ngot);
	got[ngot++] = (uintptr_t)msg;
}

static void drop(void *msg)
{
	(void)msg;
	ndropped++;
}

static struct loop *make(size_t capacity)
{
	struct loop *l;

	ck_assert_int_eq(loop_new(&l, NULL), 0);
	ck_assert_int_eq(mailbox_new(l, capacity, receive, &ngot, &box, NULL),
		0);
	return l;
}

START_TEST (messages_come_in_order) {
	struct loop *l = make(3);

	for (uintptr_t i = 1; i <= 6; i += 2) {
		ck_assert_int_eq(mailbox_put(box, (void *)i), 0);
		ck_assert_int_eq(mailbox_put(box, (void *)(i + 1)), 0);
		loop_run_once(l, 0);
	}
	ck_assert_uint_eq(ngot, 6);
	for (unsigned i = 0; i < 6; i++)
		ck_assert_uint_eq(got[i], i + 1);
	mailbox_free(box, drop);
	ck_assert_uint_eq(ndropped, 0);
	loop_free(l);
}
END_TEST

START_TEST (a_full_box_keeps_what_it_has) {
	struct loop *l = make(2);

	ck_assert_int_eq(mailbox_put(box, (void *)1), 0);
	ck_assert_int_eq(mailbox_put(box, (void *)2), 0);
	ck_assert_int_eq(mailbox_put(box, (void *)3), -EAGAIN);
	loop_run_once(l, 0);
	ck_assert_uint_eq(ngot, 2);
	ck_assert_int_eq(mailbox_put(box, (void *)3), 0);
	mailbox_free(box, NULL);
	loop_free(l);
}
END_TEST

START_TEST (what_was_not_delivered_is_dropped_at_the_end) {
	struct loop *l = make(4);

	for (uintptr_t i = 1; i <= 3; i++)
		mailbox_put(box, (void *)i);
	mailbox_free(box, drop);
	ck_assert_uint_eq(ndropped, 3);
	loop_run_once(l, 0);
	ck_assert_uint_eq(ngot, 0);
	mailbox_free(NULL, drop);
	loop_free(l);
}
END_TEST

static void receive_and_send(void *arg, void *msg)
{
	receive(arg, msg);
	if (ngot < 100)
		ck_assert_int_eq(mailbox_put(box, msg), 0);
}

START_TEST (a_message_that_sends_itself_lets_the_loop_go_on) {
	struct loop *l;

	ck_assert_int_eq(loop_new(&l, NULL), 0);
	ck_assert_int_eq(mailbox_new(l, 2, receive_and_send, &ngot, &box, NULL),
		0);
	mailbox_put(box, (void *)1);
	loop_run_once(l, 0);
	ck_assert_uint_le(ngot, 2);
	while (ngot < 100)
		loop_run_once(l, 0);
	mailbox_free(box, drop);
	loop_free(l);
}
END_TEST

static void *send_many(void *arg)
{
	for (uintptr_t i = 1; i <= 1000; i++)
		while (mailbox_put(box, (void *)((uintptr_t)arg + i)))
			sched_yield();
	return NULL;
}

START_TEST (senders_on_two_threads_lose_nothing) {
	struct loop *l = make(16);
	uintptr_t last[2] = { 0, 0 };
	pthread_t t[2];

	for (uintptr_t i = 0; i < 2; i++)
		pthread_create(&t[i], NULL, send_many, (void *)(i * 10000));
	while (ngot < 2000)
		loop_run_once(l, -1);
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	for (unsigned i = 0; i < 2000; i++) {
		uintptr_t who = got[i] / 10000, n = got[i] % 10000;

		ck_assert_uint_eq(n, last[who] + 1);
		last[who] = n;
	}
	mailbox_free(box, drop);
	loop_free(l);
}
END_TEST

START_TEST (an_absurd_capacity_is_refused) {
	struct err e = ERR_NONE;
	struct loop *l;

	ck_assert_int_eq(loop_new(&l, NULL), 0);
	ck_assert_int_eq(mailbox_new(l, SIZE_MAX, receive, NULL, &box, &e),
		-ENOMEM);
	ck_assert_err(e, ENOMEM,
		"cannot make a mailbox of 18446744073709551615"
		": Cannot allocate");
	ck_assert_int_eq(mailbox_new(l, SIZE_MAX / 64, receive, NULL, &box, &e),
		-ENOMEM);
	loop_free(l);
}
END_TEST

SUITE("mailbox", messages_come_in_order, a_full_box_keeps_what_it_has,
	what_was_not_delivered_is_dropped_at_the_end,
	a_message_that_sends_itself_lets_the_loop_go_on,
	senders_on_two_threads_lose_nothing, an_absurd_capacity_is_refused)
