/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One guest's hardware, built from its config: the only place that knows
 * every device. A table of stages is brought up in order and taken down in
 * reverse (board.c); what each stage makes is in board_impl.h.
 *
 * Thread: the engine's, except board_stats() and board_dirty_rate(), which
 * any thread may call while the board lives, and the request callback, which
 * vCPU and I/O threads make.
 */
#ifndef VM_MACHINE_BOARD_H
#define VM_MACHINE_BOARD_H

#include <stdbool.h>

#include "vm/base/err.h"
#include "vm/base/log.h"

#include "display/display.h"

#include "vm/conf/conf.h"
#include "vm/core/console.h"
#include "vm/core/device.h"
#include "vm/core/stats.h"

struct board;

/* All borrowed; they outlive the board. */
struct board_opts {
	const struct conf *conf;
	struct log *log;
	struct console *serial;
	struct console *virtcon;  /* hvc0, NULL = none */
	struct console *firmware; /* what firmware says on port 0x402 */
	struct display *display;  /* NULL = no VGA */
	void (*request)(void *arg, enum core_request what, const char *why);
	void *request_arg;
	int64_t rtc_offset_s; /* guest clock minus host UTC */
};

/*
 * Build everything up to vCPUs that wait for board_start(). 0 or -errno with
 * e naming cause and mend; then nothing is left.
 */
int board_new(const struct board_opts *o, struct board **out, struct err *e);
/* Stops whatever runs, takes all down. NULL is fine. */
void board_free(struct board *b);

int board_start(struct board *b, struct err *e);
/*
 * vCPUs stand still and devices begin nothing more, but requests to disks may
 * be in flight yet. board_pause(), board_reset() and board_free() follow, or
 * board_resume().
 */
void board_hold(struct board *b);
/* A disk with requests in flight, or NULL. Borrowed, until board_free(). */
const char *board_busy_disk(struct board *b);
/*
 * Returns when every vCPU is out of the guest, and nothing is in flight: a
 * wait for as long as a disk likes, unless board_hold() came before and
 * board_busy_disk() knows none.
 */
void board_pause(struct board *b);
void board_resume(struct board *b);
/*
 * Power-on state again: devices, firmware or kernel, vCPUs. The vCPUs end
 * up paused; board_resume() lets them go. Waits as board_pause() does.
 */
int board_reset(struct board *b, struct err *e);
void board_power_button(struct board *b);
/* The guest clock as the guest last set it; for the next start. */
int64_t board_rtc_offset_s(struct board *b);

void board_stats(struct board *b, struct guest_stats *out);
int board_dirty_rate(struct board *b, bool on);

#endif
