// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Guests that reset themselves, by a kernel of a few bytes that is started
 * directly. Skipped where there is no /dev/kvm.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "vm/base/clock.h"
#include "vm/base/sizes.h"

#include "vm/vm.h"

#include "tests/kvm/kernel.h"
#include "tests/unit/suite.h"

#define WAIT_S 60 /* only a hang reaches it */

static struct engine *en;
static char *dir;

static void open_engine(void)
{
	struct engine_opts o = { .exe = "/bin/false" };
	struct err e = ERR_NONE;

	dir = suite_tmp();
	o.dir = dir;
	ck_assert_msg(engine_new(&o, &en, &e) == 0, "%s", e.msg);
}

static void close_engine(void)
{
	engine_free(en);
	suite_rm(dir);
}

static int order(const char *name, enum engine_verb v)
{
	struct err e = ERR_NONE;

	return engine_command_wait(en, name, v, 0, &e);
}

static void start_kernel(const char *name, enum kernel what)
{
	struct conf *c = malloc(sizeof(*c));
	struct err e = ERR_NONE;

	conf_init(c);
	snprintf(c->name, sizeof(c->name), "%s", name);
	c->memory_bytes = 32 * MiB;
	c->display.vga = false;
	c->firmware = CONF_FW_NONE;
	snprintf(c->kernel, sizeof(c->kernel), "%s", make_kernel(dir, what));
	ck_assert_msg(engine_define(en, c, false, &e) == 0, "%s", e.msg);
	ck_assert_msg(engine_command_wait(en, name, ENGINE_START, 0, &e) == 0,
		"%s", e.msg);
	free(c);
}

static struct guest_info info_of(const char *name)
{
	struct guest_info i;

	ck_assert_int_eq(engine_info(en, name, &i), 0);
	return i;
}

static unsigned wait_reboots(const char *name, unsigned n)
{
	uint64_t end = clock_now_ns() + WAIT_S * NS_PER_S;
	struct timespec ts = { 0, 1000000 };

	while (info_of(name).reboots < n && clock_now_ns() < end)
		nanosleep(&ts, NULL);
	return info_of(name).reboots;
}

START_TEST (a_guest_that_only_reboots_is_slowed_down) {
	uint64_t begun, ms;
	unsigned n;

	open_engine();
	begun = clock_now_ns();
	start_kernel("storm", KERNEL_REBOOTS);
	ck_assert_uint_ge(wait_reboots("storm", 8), 8);
	n = info_of("storm").reboots;
	ms = (clock_now_ns() - begun) / NS_PER_MS;
	/* the n-th comes n * 50 ms after the one before: 25 n (n - 1) */
	ck_assert_msg(25u * (n - 1) * (n - 2) <= ms, "%u reboots in %llu ms", n,
		(unsigned long long)ms);
	close_engine();
}
END_TEST

START_TEST (a_guest_whose_reset_waits_obeys_commands) {
	open_engine();
	start_kernel("storm", KERNEL_REBOOTS);
	ck_assert_uint_ge(wait_reboots("storm", 4), 4);
	ck_assert_int_eq(order("storm", ENGINE_PAUSE), 0);
	ck_assert_int_eq(info_of("storm").state, GUEST_PAUSED);
	ck_assert_int_eq(order("storm", ENGINE_RESUME), 0);
	ck_assert_int_eq(order("storm", ENGINE_RESET), 0);
	ck_assert_int_eq(info_of("storm").state, GUEST_RUNNING);
	ck_assert_int_eq(order("storm", ENGINE_KILL), 0);
	ck_assert_int_eq(info_of("storm").state, GUEST_OFF);
	ck_assert_int_eq(order("storm", ENGINE_START), 0);
	close_engine();
}
END_TEST

START_TEST (a_definition_in_a_file_of_another_name_is_refused) {
	struct engine_opts o = { .exe = "/bin/false" };
	struct guest_info i;
	struct err e = ERR_NONE;
	FILE *f;

	open_engine();
	f = fopen(suite_path(dir, "guests/file.ini"), "w");
	ck_assert_ptr_nonnull(f);
	fputs("[guest]\nname = other\n", f);
	fclose(f);
	engine_free(en);
	o.dir = dir;
	ck_assert_int_eq(engine_new(&o, &en, &e), 0);
	ck_assert_int_eq(engine_info(en, "other", &i), -ENOENT);
	ck_assert_ptr_nonnull(engine_broken(en, 0));
	ck_assert_ptr_nonnull(strstr(engine_broken(en, 0), "other.ini"));
	close_engine();
}
END_TEST

int main(void)
{
	const TTest *tests[] = {
		a_guest_that_only_reboots_is_slowed_down,
		a_guest_whose_reset_waits_obeys_commands,
		a_definition_in_a_file_of_another_name_is_refused,
	};

	if (access("/dev/kvm", R_OK | W_OK) < 0) {
		printf("skip: no usable /dev/kvm\n");
		return 77;
	}
	setenv("CK_DEFAULT_TIMEOUT", "120", 0);
	return suite_run("reboot", tests, ARRAY_LEN(tests));
}
