// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * The engine under many hands: random verbs from several threads on a few
 * SeaBIOS guests, while others look at figures, screens and consoles, type,
 * and connect as viewers. What counts is that nothing crashes, hangs, races
 * (run it under the sanitizers) or is left behind. Bounded to some twenty
 * seconds; GUESTDECK_LONG=1 makes it longer. Skipped without /dev/kvm.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "vm/base/clock.h"
#include "vm/base/sizes.h"

#include "display/display.h"

#include "vm/vm.h"

#include "tests/kvm/kernel.h"
#include "tests/unit/suite.h"

#define GUESTS 3
#define HANDS  3

static struct engine *en;
static struct log *server_log;
static char *dir;
static _Atomic bool ended;

static bool is_long(void)
{
	return getenv("GUESTDECK_LONG") != NULL;
}

static void open_engine(void)
{
	/* what connects as a viewer meets a process that ends at once */
	struct engine_opts o = { .exe = "/bin/false" };
	struct err e = ERR_NONE;

	dir = suite_tmp();
	o.dir = dir;
	ck_assert_int_eq(log_open(suite_path(dir, "server.log"), &server_log,
				 &e),
		0);
	o.log = server_log;
	ck_assert_msg(engine_new(&o, &en, &e) == 0, "%s", e.msg);
}

static void close_engine(void)
{
	engine_free(en);
	log_close(server_log);
	suite_rm(dir);
}

/* An image of 1 MiB; a CD that SeaBIOS finds nothing on. */
static void make_image(struct conf *c, const char *guest, const char *name,
	bool cdrom)
{
	struct conf_disk *d = &c->disks[c->ndisks++];
	int fd;

	snprintf(d->name, sizeof(d->name), "%s", name);
	snprintf(d->path, sizeof(d->path), "%s/%s.%s", dir, guest, name);
	fd = open(d->path, O_CREAT | O_WRONLY, 0600);
	ck_assert_int_eq(ftruncate(fd, MiB), 0);
	close(fd);
	d->burst_s = 1;
	d->bus = cdrom ? CONF_BUS_SATA : CONF_BUS_VIRTIO;
	d->cdrom = d->readonly = cdrom;
}

static void make_guest(const char *name, unsigned cpus)
{
	struct conf *c = malloc(sizeof(*c));
	struct err e = ERR_NONE;

	conf_init(c);
	snprintf(c->name, sizeof(c->name), "%s", name);
	c->cpus = cpus;
	c->memory_bytes = 32 * MiB;
	c->virtio_console = true;
	if (*name == 'c') { /* this one reboots all the time */
		c->firmware = CONF_FW_NONE;
		snprintf(c->kernel, sizeof(c->kernel), "%s",
			make_kernel(dir, KERNEL_REBOOTS));
	}
	make_image(c, name, "root", false);
	make_image(c, name, "cd", true);
	c->nnets = 1;
	snprintf(c->nets[0].name, sizeof(c->nets[0].name), "lan");
	ck_assert_msg(engine_define(en, c, true, &e) == 0, "%s", e.msg);
	free(c);
}

static int order(const char *name, enum engine_verb v)
{
	struct err e = ERR_NONE;

	return engine_command_wait(en, name, v, 0, &e);
}

static void nap_ms(unsigned ms)
{
	struct timespec ts = { 0, (long)ms * 1000000 };

	nanosleep(&ts, NULL);
}

/* ---- nothing is left behind ---- */

static unsigned count_dir(const char *path)
{
	DIR *d = opendir(path);
	unsigned n = 0;

	ck_assert_ptr_nonnull(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static unsigned long resident_pages(void)
{
	unsigned long size = 0, resident = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	ck_assert_int_eq(fscanf(f, "%lu %lu", &size, &resident), 2);
	fclose(f);
	return resident;
}

static void start_and_kill(unsigned ms)
{
	ck_assert_int_eq(order("leak", ENGINE_START), 0);
	nap_ms(ms);
	ck_assert_int_eq(order("leak", ENGINE_KILL), 0);
}

START_TEST (a_hundred_starts_leave_nothing_behind) {
	unsigned cycles = is_long() ? 200 : 30, fds, threads;
	unsigned long pages;

	open_engine();
	make_guest("leak", 2);
	/* allocators and caches fill up first */
	for (unsigned i = 0; i < 5; i++)
		start_and_kill(i * 4);
	fds = count_dir("/proc/self/fd");
	threads = count_dir("/proc/self/task");
	pages = resident_pages();
	for (unsigned i = 0; i < cycles; i++)
		start_and_kill(i % 8 * 3);
	ck_assert_uint_eq(count_dir("/proc/self/fd"), fds);
	ck_assert_uint_eq(count_dir("/proc/self/task"), threads);
	/* 8 KiB a cycle would be a leak; sanitizers keep what was freed */
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	ck_assert_uint_lt(resident_pages(), pages + 512 + 2 * cycles);
#else
	(void)pages;
#endif
	close_engine();
}
END_TEST

/* ---- many hands ---- */

static const char *guest_name(unsigned i)
{
	static const char *const names[GUESTS] = { "a", "b", "c" };

	return names[i % GUESTS];
}

static void do_verb(unsigned *seed)
{
	/* starts are what gives the others something to do */
	static const enum engine_verb verbs[] = { ENGINE_START, ENGINE_START,
		ENGINE_START, ENGINE_START, ENGINE_PAUSE, ENGINE_RESUME,
		ENGINE_RESET, ENGINE_RESET, ENGINE_KILL, ENGINE_STOP,
		ENGINE_UNDEFINE };
	const char *name = guest_name((unsigned)rand_r(seed));
	enum engine_verb v = verbs[(unsigned)rand_r(seed) % ARRAY_LEN(verbs)];
	unsigned timeout_ms = rand_r(seed) % 2 ? 0 : 20;
	struct err e = ERR_NONE;

	engine_command_wait(en, name, v, timeout_ms, &e);
	if (v == ENGINE_UNDEFINE && !e.code)
		make_guest(name, 1 + (unsigned)rand_r(seed) % 3);
}

static void *hand(void *arg)
{
	unsigned seed = (unsigned)(uintptr_t)arg;

	while (!atomic_load(&ended)) {
		do_verb(&seed);
		nap_ms((unsigned)rand_r(&seed) % 20);
	}
	return NULL;
}

static void look_at_screen(const char *name, struct display_text *text,
	unsigned *seed)
{
	static const char *const keys[] = { "a", "ctrl-alt-delete", "ret" };
	const char *key[] = { keys[(unsigned)rand_r(seed) % 3] };
	struct input_event ev = { .kind = INPUT_POINTER_ABS,
		.x = rand_r(seed) % 32768,
		.y = rand_r(seed) % 32768,
		.buttons = (unsigned)rand_r(seed) % 32 };
	struct display *d = engine_display_get(en, name);
	struct display_stats st;
	struct err e = ERR_NONE;

	if (!d)
		return;
	for (int i = rand_r(seed) % 50; i > 0; i--)
		display_text(d, text);
	display_sendkey(d, key, 1, &e);
	display_input(d, &ev);
	display_stats(d, &st);
	if (rand_r(seed) % 8 == 0)
		display_screenshot(d, suite_path(dir, "shot.png"), &e);
	engine_display_put(en, d);
}

static void look_at_console(const char *name)
{
	struct console *c = engine_console_get(en, name);
	uint64_t pos = 0;
	char buf[512];

	if (!c)
		return;
	while (console_read(c, &pos, buf, sizeof(buf)))
		;
	console_input(c, "x\n", 2);
	engine_console_put(en, c);
}

static void *eyes(void *arg)
{
	unsigned seed = (unsigned)(uintptr_t)arg;
	struct display_text *text = malloc(sizeof(*text));
	struct guest_stats *s = malloc(sizeof(*s));
	struct guest_info info[GUESTS];
	struct conf *c = malloc(sizeof(*c));

	while (!atomic_load(&ended)) {
		const char *name = guest_name((unsigned)rand_r(&seed));

		engine_list(en, info, GUESTS);
		engine_conf(en, name, c);
		engine_stats(en, name, s);
		engine_dirty_rate(en, name, rand_r(&seed) % 2);
		look_at_screen(name, text, &seed);
		look_at_console(name);
	}
	free(c);
	free(s);
	free(text);
	return NULL;
}

/* Somebody who connects to a guest's screen and says nonsense. */
static void *viewer(void *arg)
{
	unsigned seed = (unsigned)(uintptr_t)arg;

	while (!atomic_load(&ended)) {
		struct sockaddr_un a = { .sun_family = AF_UNIX };
		int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

		snprintf(a.sun_path, sizeof(a.sun_path), "%.80s/run/%s.vnc",
			dir, guest_name((unsigned)rand_r(&seed)));
		if (!connect(fd, (struct sockaddr *)&a, sizeof(a)))
			(void)!send(fd, "nonsense", 8, MSG_NOSIGNAL);
		nap_ms(5);
		close(fd);
	}
	return NULL;
}

static void on_event(void *arg, const struct engine_event *ev)
{
	(void)ev;
	atomic_fetch_add((_Atomic unsigned *)arg, 1);
}

static void stress(unsigned s)
{
	pthread_t t[HANDS + 3];
	unsigned n = 0, seed = (unsigned)time(NULL);

	printf("seed %u\n", seed);
	atomic_store(&ended, false);
	for (unsigned i = 0; i < HANDS; i++)
		pthread_create(&t[n++], NULL, hand,
			(void *)(uintptr_t)(seed + i));
	pthread_create(&t[n++], NULL, eyes, (void *)(uintptr_t)seed);
	pthread_create(&t[n++], NULL, eyes, (void *)(uintptr_t)(seed + 1));
	pthread_create(&t[n++], NULL, viewer, (void *)(uintptr_t)seed);
	sleep(s);
	atomic_store(&ended, true);
	for (unsigned i = 0; i < n; i++)
		pthread_join(t[i], NULL);
}

START_TEST (any_verbs_at_any_time_are_survived) {
	static _Atomic unsigned events;
	struct guest_info info;

	open_engine();
	engine_watch(en, on_event, &events);
	for (unsigned i = 0; i < GUESTS; i++)
		make_guest(guest_name(i), 1 + i);
	stress(is_long() ? 60 : 8);
	/* every guest still does what it is told */
	for (unsigned i = 0; i < GUESTS; i++) {
		order(guest_name(i), ENGINE_KILL);
		ck_assert_int_eq(order(guest_name(i), ENGINE_START), 0);
		engine_info(en, guest_name(i), &info);
		ck_assert_int_eq(info.state, GUEST_RUNNING);
	}
	ck_assert_uint_gt(events, 0);
	close_engine(); /* while they run */
}
END_TEST

/* ---- the engine's end ---- */

static void count_done(void *arg, const struct err *e)
{
	(void)e;
	atomic_fetch_add((_Atomic unsigned *)arg, 1);
}

START_TEST (every_command_is_answered_when_the_engine_ends) {
	static _Atomic unsigned answers;
	unsigned asked = 0;

	open_engine();
	for (unsigned i = 0; i < GUESTS; i++)
		make_guest(guest_name(i), 1);
	for (unsigned i = 0; i < 24; i++) {
		struct engine_command c = {
			.verb = i % 2 ? ENGINE_STOP : ENGINE_START,
			.timeout_ms = 60000,
			.done = count_done,
			.arg = &answers,
		};

		snprintf(c.guest, sizeof(c.guest), "%s", guest_name(i / 2));
		engine_command(en, &c);
		asked++;
	}
	close_engine();
	ck_assert_uint_eq(answers, asked);
}
END_TEST

int main(void)
{
	const TTest *tests[] = {
		a_hundred_starts_leave_nothing_behind,
		any_verbs_at_any_time_are_survived,
		every_command_is_answered_when_the_engine_ends,
	};

	if (access("/dev/kvm", R_OK | W_OK) < 0) {
		printf("skip: no usable /dev/kvm\n");
		return 77;
	}
	setenv("CK_DEFAULT_TIMEOUT", "120", 0);
	return suite_run("stress", tests, ARRAY_LEN(tests));
}
