/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The disk verbs in the client's process: progress on a terminal, ^C stops
 * cleanly (a second one at once). No server is needed. Thread: main.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "vm/base/clock.h"
#include "vm/base/sizes.h"

#include "ui/client.h"
#include "ui/disk.h"

#define BAR_WIDTH 24
#define BAR_NS    (200 * NS_PER_MS) /* between two drawings */
#define RATE_NS   NS_PER_S          /* a rate is taken over so long */

struct disk_bar {
	const char *verb;
	bool on, shown;
	uint64_t begun_ns, drawn_ns;
	uint64_t rate_ns, rate_done; /* where the present rate began */
	double rate;                 /* bytes/s */
};

static volatile sig_atomic_t disk_stopped;

static void disk_on_signal(int sig)
{
	(void)sig;
	disk_stopped = 1;
}

static bool disk_cancelled(void *arg)
{
	(void)arg;
	return disk_stopped;
}

static void bar_rate(struct disk_bar *b, uint64_t now, uint64_t done)
{
	uint64_t ns = now - b->rate_ns;
	double r;

	if (done < b->rate_done) { /* another part of the job */
		b->rate_ns = now;
		b->rate_done = done;
		return;
	}
	if (ns < RATE_NS)
		return;
	r = (double)(done - b->rate_done) * (double)NS_PER_S / (double)ns;
	b->rate = b->rate > 0 ? 0.7 * b->rate + 0.3 * r : r;
	b->rate_ns = now;
	b->rate_done = done;
}

static void bar_time(char *to, size_t size, double s)
{
	unsigned long t = s < 360000 ? (unsigned long)s : 359999;

	if (t >= 3600)
		snprintf(to, size, "%lu:%02lu:%02lu left", t / 3600,
			t / 60 % 60, t % 60);
	else
		snprintf(to, size, "%lu:%02lu left", t / 60, t % 60);
}

static void bar_draw(struct disk_bar *b, uint64_t done, uint64_t total)
{
	double part = (double)done / (double)total;
	int full = (int)(part * BAR_WIDTH);
	char bar[BAR_WIDTH + 1], rate[40] = "", left[32] = "";

	memset(bar, '.', BAR_WIDTH);
	memset(bar, '#', (size_t)(full > BAR_WIDTH ? BAR_WIDTH : full));
	bar[BAR_WIDTH] = '\0';
	if (b->rate > 0) {
		size_format((uint64_t)b->rate, rate, sizeof(rate) - 3);
		strcat(rate, "/s");
		bar_time(left, sizeof(left), (double)(total - done) / b->rate);
	}
	fprintf(stderr, "\r%s [%s] %5.1f %% %12s %s\033[K", b->verb, bar,
		100 * part, rate, left);
	fflush(stderr);
	b->shown = true;
}

static void bar_clear(struct disk_bar *b)
{
	if (b->shown)
		fputs("\r\033[K", stderr);
	b->shown = false;
}

static void disk_progress(void *arg, uint64_t done, uint64_t total)
{
	struct disk_bar *b = arg;
	uint64_t now = clock_now_ns();

	if (!total)
		bar_clear(b);
	if (!b->on || !total)
		return;
	if (done > total)
		done = total;
	bar_rate(b, now, done);
	/* what takes a blink needs no bar */
	if (now - b->begun_ns < 2 * BAR_NS || now - b->drawn_ns < BAR_NS)
		return;
	b->drawn_ns = now;
	bar_draw(b, done, total);
}

static void disk_warn(void *arg, const char *text)
{
	bar_clear(arg);
	disk_say(stderr, text);
}

/* The signals that stop the work; who ignores one (nohup) goes on to. */
static const int disk_signals[] = { SIGINT, SIGTERM, SIGHUP };
#define DISK_SIGNALS ARRAY_LEN(disk_signals)

static void disk_catch(struct sigaction *old)
{
	struct sigaction on = { .sa_handler = disk_on_signal,
		.sa_flags = (int)SA_RESETHAND };

	disk_stopped = 0;
	for (size_t i = 0; i < DISK_SIGNALS; i++) {
		sigaction(disk_signals[i], &on, &old[i]);
		if (disk_signals[i] == SIGHUP && old[i].sa_handler == SIG_IGN)
			sigaction(SIGHUP, &old[i], NULL);
	}
}

static void disk_release(const struct sigaction *old)
{
	for (size_t i = 0; i < DISK_SIGNALS; i++)
		sigaction(disk_signals[i], &old[i], NULL);
}

int client_disk(struct client *c, const struct cmd_args *a)
{
	struct sigaction old[DISK_SIGNALS];
	struct disk_bar bar = {
		.verb = a->verb->name,
		.on = isatty(STDERR_FILENO) && !cmd_opt(a, "-q"),
		.begun_ns = clock_now_ns(),
	};
	struct img_job job = {
		.progress = disk_progress,
		.cancelled = disk_cancelled,
		.warn = disk_warn,
		.arg = &bar,
	};
	struct disk_io io = { .out = stdout, .err = stderr, .job = &job };
	int code;

	(void)c;
	bar.rate_ns = bar.begun_ns;
	disk_catch(old);
	code = a->verb->disk(a, &io);
	disk_release(old);
	bar_clear(&bar);
	disk_io_fini(&io);
	if (fflush(stdout) || ferror(stdout))
		return client_fail("cannot write: %s", strerror(errno));
	return code;
}
