/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A screen without a guest, for tests with real viewers: red, green and blue
 * boxes on grey. Usage: vncserver_demo ADDRESS[:PORT]|PATH [PASSWORD-FILE
 * [VIEWONLY-FILE]]. Says "listening ADDRESS", then one line for each input
 * event. Reads commands: "mode W H", "box X Y W H RRGGBB", "shot PATH",
 * "stats", "animate", "quit".
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "display/display.h"

struct demo {
	pthread_mutex_t lock;
	unsigned width, height; /* wanted */
	struct {
		unsigned x, y, w, h;
		uint32_t colour;
	} box[64];
	unsigned nboxes;
	bool animate;
	uint32_t tick;
};

static uint32_t demo_pixel(const struct demo *d, unsigned x, unsigned y)
{
	uint32_t px = 0x808080;

	for (unsigned i = 0; i < d->nboxes; i++)
		if (x - d->box[i].x < d->box[i].w &&
			y - d->box[i].y < d->box[i].h)
			px = d->box[i].colour;
	if (d->animate)
		px = ((x + d->tick * 3) & 0xff) | ((y + d->tick) & 0xff) << 8;
	return px;
}

static void demo_refresh(void *arg, struct surface *s, bool full,
	struct display_text *text)
{
	struct demo *d = arg;
	static uint32_t row[DISPLAY_MAX_W];

	(void)full;
	text->cols = text->rows = 0;
	pthread_mutex_lock(&d->lock);
	d->tick++;
	surface_resize(s, d->width, d->height);
	for (unsigned y = 0; y < surface_height(s); y++) {
		for (unsigned x = 0; x < surface_width(s); x++)
			row[x] = demo_pixel(d, x, y);
		surface_put_row(s, 0, y, row, surface_width(s));
	}
	pthread_mutex_unlock(&d->lock);
}

static void demo_hint(void *arg, unsigned width, unsigned height)
{
	(void)arg;
	printf("resize %u %u\n", width, height);
}

static void demo_input(void *arg, const struct input_event *ev)
{
	(void)arg;
	if (ev->kind == INPUT_KEY)
		printf("key %x %s\n", ev->scancode, ev->down ? "down" : "up");
	else
		printf("pointer %d %d %x\n", ev->x, ev->y, ev->buttons);
}

static void demo_box(struct demo *d, unsigned x, unsigned y, unsigned w,
	unsigned h, uint32_t colour)
{
	unsigned i = d->nboxes < 64 ? d->nboxes++ : 63;

	d->box[i].x = x;
	d->box[i].y = y;
	d->box[i].w = w;
	d->box[i].h = h;
	d->box[i].colour = colour;
}

static void demo_command(struct demo *d, struct display *disp, char *line)
{
	unsigned x, y, w, h, colour;
	struct display_stats st;
	struct err e = ERR_NONE;
	char path[256];

	pthread_mutex_lock(&d->lock);
	if (sscanf(line, "mode %u %u", &w, &h) == 2) {
		d->width = w;
		d->height = h;
	} else if (sscanf(line, "box %u %u %u %u %x", &x, &y, &w, &h,
			   &colour) == 5) {
		demo_box(d, x, y, w, h, colour);
	} else if (!strcmp(line, "animate")) {
		d->animate = !d->animate;
	}
	pthread_mutex_unlock(&d->lock);
	if (sscanf(line, "shot %255s", path) == 1)
		printf("shot %s\n",
			display_screenshot(disp, path, &e) ? e.msg : "done");
	display_stats(disp, &st);
	if (!strcmp(line, "stats"))
		printf("stats %u %llu %ux%u\n", st.viewers,
			(unsigned long long)st.frames, st.width, st.height);
}

static int demo_listen(struct display *disp, int argc, char **argv,
	struct err *e)
{
	struct display_listen l = {
		.password_file = argc > 2 && *argv[2] ? argv[2] : NULL,
		.viewonly_password_file = argc > 3 ? argv[3] : NULL,
	};
	char *colon = strrchr(argv[1], ':');

	if (*argv[1] == '/') {
		l.unix_path = argv[1];
	} else {
		if (colon) {
			*colon = 0;
			l.port = (uint16_t)atoi(colon + 1);
		}
		l.addr = argv[1];
	}
	return display_listen(disp, &l, e);
}

static int demo_run(struct display *disp, struct demo *d)
{
	char line[512];

	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = 0;
		if (!strcmp(line, "quit"))
			break;
		demo_command(d, disp, line);
	}
	return 0;
}

int main(int argc, char **argv)
{
	static struct demo d = {
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.width = 640,
		.height = 480,
	};
	const struct display_source src = { demo_refresh, demo_hint, &d };
	const struct input_sink sink = {
		1 << INPUT_KEY | 1 << INPUT_POINTER_ABS,
		demo_input,
		&d,
	};
	struct display_service *svc;
	struct display *disp;
	struct err e = ERR_NONE;

	if (argc > 1 && !strcmp(argv[1], DISPLAY_VIEWER_ARG))
		return display_viewer_main(argc, argv);
	if (argc < 2)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	demo_box(&d, 64, 64, 100, 100, 0xff0000);
	demo_box(&d, 200, 64, 100, 100, 0x00ff00);
	demo_box(&d, 336, 64, 100, 100, 0x0000ff);
	if (display_service_new("/proc/self/exe", NULL, &svc, &e) ||
		display_new(svc, "demo", NULL, &disp, &e) ||
		demo_listen(disp, argc, argv, &e)) {
		fprintf(stderr, "%s\n", e.msg);
		return 1;
	}
	display_add_sink(disp, &sink, true);
	display_set_source(disp, &src);
	printf("listening %s\n", display_address(disp));
	demo_run(disp, &d);
	display_free(disp);
	display_service_free(svc);
	return 0;
}
