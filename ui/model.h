/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The only reader of guests' statistics. Keeps the two latest snapshots of
 * each guest, the rates between them and a minute of history. Screens and
 * `list` read from here. Thread: the loop's.
 */
#ifndef UI_MODEL_H
#define UI_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "vm/vm.h"

#include "ui/host.h"

#define MODEL_HISTORY 60
/* Snapshots closer than this are not told apart. */
#define MODEL_MIN_NS UINT64_C(100000000)

enum model_series {
	SERIES_CPU,  /* percent, one CPU = 100 */
	SERIES_READ, /* bytes a second, all disks */
	SERIES_WRITE,
	SERIES_RX, /* bytes a second, all NICs, as the guest sees it */
	SERIES_TX,
	SERIES_EXITS, /* a second */
	MODEL_SERIES,
};

struct model_guest {
	struct guest_info info;
	struct guest_stats cur, prev;
	unsigned samples;                     /* 0, 1, 2 of the present life */
	double rate[MODEL_SERIES];            /* samples == 2 only */
	double vcpu_percent[STATS_MAX_VCPUS]; /* likewise */
	double vcpu_steal[STATS_MAX_VCPUS];
	float history[MODEL_SERIES][MODEL_HISTORY]; /* oldest first */
	unsigned nhistory;
	bool seen; /* while refreshing */
};

struct model {
	struct engine *engine;
	struct model_guest **guest; /* sorted by name */
	size_t n;
	uint64_t sampled_ns; /* last sample of all, 0 = never */
	uint64_t generation; /* changes with every refresh */
	struct host host;
};

int model_new(struct engine *en, struct model **out); /* 0 or -ENOMEM */
void model_free(struct model *m);

/* How fast the guest writes to its RAM, bytes/s; -1 = not measured. */
double model_dirty_rate(const struct model_guest *g);

/* Read the list of guests and their states. */
void model_refresh(struct model *m);
/* Refresh, then take a snapshot of every guest and of the host. */
void model_sample(struct model *m);

/* NULL when there is none. Pointers last until the next refresh. */
struct model_guest *model_find(struct model *m, const char *name);
/* How many guests have a board: starting, running, paused or stopping. */
size_t model_running(const struct model *m);
/* Is there a guest that runs but has no rates yet? */
bool model_wants_sample(const struct model *m);

/* Has this guest a board? */
bool model_alive(enum guest_state s);

/* Sums over the disks and NICs of a snapshot. */
struct model_totals {
	uint64_t read_bytes, write_bytes, rx_bytes, tx_bytes;
	uint64_t exits;
};
void model_totals(const struct guest_stats *s, struct model_totals *out);

/* Put snapshot s into g: rates from the one before. */
void model_take(struct model_guest *g, const struct guest_stats *s);

#endif
