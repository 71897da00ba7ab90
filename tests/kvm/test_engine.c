// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * The whole engine on the host's /dev/kvm with SeaBIOS as the guest (it runs
 * in an instruction emulator too): verbs, states, events, figures, and the
 * errors that a start can end in. Skipped where there is no /dev/kvm.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "vm/base/clock.h"
#include "vm/base/sizes.h"

#include "vm/vm.h"

#include "tests/unit/suite.h"

#define WAIT_S 60 /* only a hang reaches it */

static struct engine *en;
static char *dir;

static void open_engine(void)
{
	struct engine_opts o = { .exe = "/proc/self/exe" };
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

static void bios_guest(struct conf *c, const char *name)
{
	conf_init(c);
	snprintf(c->name, sizeof(c->name), "%s", name);
	c->memory_bytes = 64 * MiB;
	c->display.vga = false;
	c->display.vnc = CONF_VNC_OFF;
}

static void define(const struct conf *c)
{
	struct err e = ERR_NONE;

	ck_assert_msg(engine_define(en, c, false, &e) == 0, "%s", e.msg);
}

static void order(const char *name, enum engine_verb v)
{
	struct err e = ERR_NONE;

	ck_assert_msg(engine_command_wait(en, name, v, 0, &e) == 0, "%s",
		e.msg);
}

static enum guest_state state_of(const char *name)
{
	struct guest_info i;

	ck_assert_int_eq(engine_info(en, name, &i), 0);
	return i.state;
}

/* Wait until the file of the guest's firmware log holds text. */
static bool firmware_says(const char *name, const char *text)
{
	char path[600], *buf = malloc(1 << 20);
	uint64_t end = clock_now_ns() + WAIT_S * NS_PER_S;
	bool found = false;

	snprintf(path, sizeof(path), "%s/log/%s.firmware.log", dir, name);
	while (!found && clock_now_ns() < end) {
		FILE *f = fopen(path, "r");
		size_t n = f ? fread(buf, 1, (1 << 20) - 1, f) : 0;
		struct timespec ts = { 0, 20000000 };

		buf[n] = 0;
		found = strstr(buf, text);
		if (f)
			fclose(f);
		if (!found)
			nanosleep(&ts, NULL);
	}
	free(buf);
	return found;
}

START_TEST (a_guest_starts_runs_firmware_and_is_killed) {
	struct conf *c = malloc(sizeof(*c));
	struct guest_stats *s = calloc(1, sizeof(*s));

	open_engine();
	bios_guest(c, "one");
	define(c);
	ck_assert_int_eq(state_of("one"), GUEST_DEFINED);
	order("one", ENGINE_START);
	ck_assert_int_eq(state_of("one"), GUEST_RUNNING);
	ck_assert(firmware_says("one", "SeaBIOS (version"));
	ck_assert_int_eq(engine_stats(en, "one", s), 0);
	ck_assert_uint_eq(s->nvcpus, 1);
	ck_assert_uint_gt(s->vcpu[0].cpu_ns, 0);
	ck_assert_uint_gt(s->vcpu[0].exits[EXIT_IO_WRITE], 0);
	ck_assert_uint_eq(s->memory_bytes, 64 * MiB);
	ck_assert_uint_gt(s->memory_resident_bytes, 0);
	ck_assert_uint_le(s->memory_resident_bytes, 64 * MiB);
	order("one", ENGINE_KILL);
	ck_assert_int_eq(state_of("one"), GUEST_OFF);
	ck_assert_int_eq(engine_stats(en, "one", s), 0);
	ck_assert_uint_eq(s->nvcpus, 0);
	order("one", ENGINE_START);
	ck_assert_int_eq(state_of("one"), GUEST_RUNNING);
	close_engine();
	free(s);
	free(c);
}
END_TEST

START_TEST (a_paused_guest_makes_no_exits_and_goes_on) {
	struct conf *c = malloc(sizeof(*c));
	struct guest_stats *a = calloc(2, sizeof(*a)), *b = a + 1;

	open_engine();
	bios_guest(c, "p");
	define(c);
	order("p", ENGINE_START);
	ck_assert(firmware_says("p", "SeaBIOS (version"));
	order("p", ENGINE_PAUSE);
	ck_assert_int_eq(state_of("p"), GUEST_PAUSED);
	engine_stats(en, "p", a);
	usleep(100000);
	engine_stats(en, "p", b);
	ck_assert_mem_eq(a->vcpu[0].exits, b->vcpu[0].exits,
		sizeof(a->vcpu[0].exits));
	order("p", ENGINE_RESUME);
	ck_assert(firmware_says("p", "No bootable device"));
	close_engine();
	free(a);
	free(c);
}
END_TEST

START_TEST (reset_begins_the_firmware_anew) {
	struct conf *c = malloc(sizeof(*c));

	open_engine();
	bios_guest(c, "r");
	define(c);
	order("r", ENGINE_START);
	ck_assert(firmware_says("r", "No bootable device"));
	{
		char path[600];

		snprintf(path, sizeof(path), "%s/log/r.firmware.log", dir);
		ck_assert_int_eq(truncate(path, 0), 0);
	}
	order("r", ENGINE_RESET);
	ck_assert_int_eq(state_of("r"), GUEST_RUNNING);
	ck_assert(firmware_says("r", "SeaBIOS (version"));
	close_engine();
	free(c);
}
END_TEST

START_TEST (two_guests_run_and_one_ends_alone) {
	struct conf *c = malloc(sizeof(*c));

	open_engine();
	bios_guest(c, "a");
	define(c);
	bios_guest(c, "b");
	c->cpus = 2;
	define(c);
	order("a", ENGINE_START);
	order("b", ENGINE_START);
	ck_assert_uint_eq(engine_list(en, NULL, 0), 2);
	order("a", ENGINE_KILL);
	ck_assert_int_eq(state_of("b"), GUEST_RUNNING);
	ck_assert(firmware_says("b", "Found 2 cpu(s)"));
	close_engine();
	free(c);
}
END_TEST

static void start_fails(const struct conf *c, int code, const char *text)
{
	struct err e = ERR_NONE;
	struct guest_info i;

	define(c);
	ck_assert_int_eq(engine_command_wait(en, c->name, ENGINE_START, 0, &e),
		-code);
	ck_assert_err(e, code, text);
	ck_assert_int_eq(engine_info(en, c->name, &i), 0);
	ck_assert_int_eq(i.state, GUEST_OFF);
	ck_assert_ptr_nonnull(strstr(i.why, text));
}

START_TEST (a_failed_start_names_the_cause) {
	struct conf *c = malloc(sizeof(*c));
	char rubbish[600];
	int fd;

	open_engine();
	snprintf(rubbish, sizeof(rubbish), "%s/rubbish", dir);
	fd = open(rubbish, O_CREAT | O_WRONLY, 0600);
	ck_assert_int_eq(ftruncate(fd, 8192), 0);
	close(fd);

	bios_guest(c, "disk");
	c->ndisks = 1;
	snprintf(c->disks[0].name, sizeof(c->disks[0].name), "root");
	snprintf(c->disks[0].path, sizeof(c->disks[0].path), "/no/such.raw");
	c->disks[0].burst_s = 1;
	start_fails(c, ENOENT, "/no/such.raw");

	bios_guest(c, "kernel");
	c->firmware = CONF_FW_NONE;
	snprintf(c->kernel, sizeof(c->kernel), "/no/vmlinuz");
	start_fails(c, ENOENT, "/no/vmlinuz");

	snprintf(c->name, sizeof(c->name), "damaged");
	snprintf(c->kernel, sizeof(c->kernel), "%s", rubbish);
	start_fails(c, ENOEXEC, rubbish);

	bios_guest(c, "uefi");
	c->firmware = CONF_FW_UEFI;
	start_fails(c, ENOTSUP, "use seabios");
	close_engine();
	free(c);
}
END_TEST

START_TEST (definitions_are_kept_and_refused_twice) {
	struct conf *c = malloc(sizeof(*c)), *d = malloc(sizeof(*d));
	struct engine_opts o = { .exe = "/proc/self/exe" };
	struct err e = ERR_NONE;

	open_engine();
	bios_guest(c, "keep");
	c->cpus = 3;
	define(c);
	ck_assert_int_eq(engine_define(en, c, false, &e), -EEXIST);
	ck_assert_err(e, EEXIST, "keep");
	ck_assert_int_eq(engine_define(en, c, true, &e), 0);
	order("keep", ENGINE_START);
	ck_assert_int_eq(engine_define(en, c, true, &e), -EBUSY);
	ck_assert_int_eq(engine_command_wait(en, "keep", ENGINE_UNDEFINE, 0,
				 &e),
		-EINVAL);
	engine_free(en);

	o.dir = dir;
	ck_assert_int_eq(engine_new(&o, &en, &e), 0);
	ck_assert_int_eq(engine_conf(en, "keep", d), 0);
	ck_assert_uint_eq(d->cpus, 3);
	order("keep", ENGINE_UNDEFINE);
	ck_assert_int_eq(engine_conf(en, "keep", d), -ENOENT);
	ck_assert_int_eq(engine_command_wait(en, "keep", ENGINE_START, 0, &e),
		-ENOENT);
	ck_assert_err(e, ENOENT, "keep");
	close_engine();
	free(c);
	free(d);
}
END_TEST

static _Atomic unsigned seen[GUEST_STATES];

static void on_event(void *arg, const struct engine_event *ev)
{
	(void)arg;
	if (ev->kind == ENGINE_EV_STATE)
		atomic_fetch_or(&seen[ev->state], 1);
}

START_TEST (the_watcher_hears_of_every_state) {
	struct conf *c = malloc(sizeof(*c));

	open_engine();
	engine_watch(en, on_event, NULL);
	bios_guest(c, "w");
	define(c);
	order("w", ENGINE_START);
	order("w", ENGINE_PAUSE);
	order("w", ENGINE_RESUME);
	order("w", ENGINE_KILL);
	ck_assert(seen[GUEST_STARTING] && seen[GUEST_RUNNING] &&
		  seen[GUEST_PAUSED] && seen[GUEST_OFF]);
	close_engine();
	free(c);
}
END_TEST

START_TEST (a_stop_that_the_guest_ignores_times_out) {
	struct conf *c = malloc(sizeof(*c));
	struct err e = ERR_NONE;

	open_engine();
	bios_guest(c, "deaf"); /* SeaBIOS knows no power button */
	define(c);
	order("deaf", ENGINE_START);
	ck_assert_int_eq(engine_command_wait(en, "deaf", ENGINE_STOP, 200, &e),
		-ETIMEDOUT);
	ck_assert_err(e, ETIMEDOUT, "did not power off");
	ck_assert_int_eq(state_of("deaf"), GUEST_RUNNING);
	close_engine();
	free(c);
}
END_TEST

int main(void)
{
	const TTest *tests[] = {
		a_guest_starts_runs_firmware_and_is_killed,
		a_paused_guest_makes_no_exits_and_goes_on,
		reset_begins_the_firmware_anew,
		two_guests_run_and_one_ends_alone,
		a_failed_start_names_the_cause,
		definitions_are_kept_and_refused_twice,
		the_watcher_hears_of_every_state,
		a_stop_that_the_guest_ignores_times_out,
	};

	if (access("/dev/kvm", R_OK | W_OK) < 0) {
		printf("skip: no usable /dev/kvm\n");
		return 77;
	}
	setenv("CK_DEFAULT_TIMEOUT", "120", 0);
	return suite_run("engine", tests, ARRAY_LEN(tests));
}
