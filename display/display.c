/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One guest's screen: its source, what people ask of it, its listener. All
 * that touches the surface goes to the display thread by loop_sync().
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vm/base/clock.h"

#include "display/display_impl.h"
#include "display/png.h"

#define ACCEPT_BATCH 8

/* ---- refresh ---- */

/* Only what is shown counts: cells past cols * rows are old. */
static bool display_text_same(const struct display_text *a,
	const struct display_text *b)
{
	size_t head = offsetof(struct display_text, cell);

	return !memcmp(a, b, head) &&
	       !memcmp(a->cell, b->cell,
		       (size_t)a->cols * a->rows * sizeof(a->cell[0]));
}

static void display_text_copy(struct display_text *to,
	const struct display_text *from)
{
	memcpy(to, from, offsetof(struct display_text, cell));
	memcpy(to->cell, from->cell,
		(size_t)from->cols * from->rows * sizeof(from->cell[0]));
}

static void display_text_clamp(struct display_text *t)
{
	if (t->cols > DISPLAY_TEXT_MAX_COLS)
		t->cols = DISPLAY_TEXT_MAX_COLS;
	if (t->rows > DISPLAY_TEXT_MAX_ROWS)
		t->rows = DISPLAY_TEXT_MAX_ROWS;
	if (!t->cols || !t->rows)
		t->cols = t->rows = 0;
}

void display_refresh(struct display *d, bool full)
{
	if (!d->has_source)
		return;
	d->source.refresh(d->source.arg, d->surface, full, &d->text_next);
	d->painted = surface_width(d->surface) != 0;
	display_text_clamp(&d->text_next);
	if (!display_text_same(&d->text, &d->text_next)) {
		display_text_copy(&d->text, &d->text_next);
		d->text_generation++;
	}
	atomic_store(&d->width, surface_width(d->surface));
	atomic_store(&d->height, surface_height(d->surface));
	input_hub_size(&d->hub, surface_width(d->surface),
		surface_height(d->surface));
}

/* ---- life ---- */

int display_new(struct display_service *s, const char *name, struct log *log,
	struct display **out, struct err *e)
{
	struct display *d = calloc(1, sizeof(*d));
	int r;

	if (!d)
		return err_sys(e, ENOMEM, "cannot make a screen for %s", name);
	r = surface_new(&d->surface, e);
	if (r) {
		free(d);
		return r;
	}
	d->service = s;
	d->log = log;
	d->listener.fd = -1;
	snprintf(d->name, sizeof(d->name), "%s", name);
	input_hub_init(&d->hub);
	sendkey_init(&d->sendkey, s->loop, &d->hub);
	viewers_init(d);
	*out = d;
	return 0;
}

/* What display_listen() hands to the display thread. */
struct display_job {
	struct display *d;
	const struct display_listen *listen;
	const struct display_source *source;
	struct display_text *text;
	uint64_t generation;
	uint32_t *px;
	unsigned width, height;
	struct err *e;
	int r;
};

/* Who is at the other end, without a port: failures count for all of it. */
static void display_peer(int fd, char *out, size_t len)
{
	struct sockaddr_storage ss;
	socklen_t n = sizeof(ss);
	int one = 1, idle_s = 60;

	snprintf(out, len, "local");
	memset(&ss, 0, sizeof(ss));
	if (getpeername(fd, (struct sockaddr *)&ss, &n))
		return;
	if (ss.ss_family == AF_INET)
		inet_ntop(AF_INET, &((struct sockaddr_in *)&ss)->sin_addr, out,
			(socklen_t)len);
	else if (ss.ss_family == AF_INET6)
		inet_ntop(AF_INET6, &((struct sockaddr_in6 *)&ss)->sin6_addr,
			out, (socklen_t)len);
	else
		return;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	/* a viewer whose cable was pulled gives its place free */
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
}

static void display_accept(void *arg, uint32_t events)
{
	struct display *d = arg;
	char peer[VIEWER_PEER_MAX];

	(void)events;
	for (int i = 0; i < ACCEPT_BATCH; i++) {
		/* cppcheck-suppress nullPointer ; accept4() takes none */
		int fd = accept4(d->listener.fd, NULL, NULL,
			SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd < 0) {
			if (errno == EMFILE || errno == ENFILE ||
				errno == ENOBUFS || errno == ENOMEM) {
				/* or the loop would spin on it */
				loop_fd_mod(&d->listener.watch, 0);
				loop_timer_arm(&d->listener.again,
					clock_now_ns() + NS_PER_S);
			}
			return;
		}
		display_peer(fd, peer, sizeof(peer));
		viewers_connect(d, fd, peer);
	}
}

static void display_accept_again(void *arg)
{
	struct display *d = arg;

	if (d->listener.fd >= 0)
		loop_fd_mod(&d->listener.watch, EPOLLIN);
}

static void display_listen_job(void *arg)
{
	struct display_job *j = arg;
	struct display *d = j->d;
	struct listener *ln = &d->listener;
	char address[DISPLAY_ADDRESS_MAX] = "";

	j->r = listener_open(ln, j->listen, address, j->e);
	if (j->r)
		return;
	loop_timer_init(&ln->again, d->service->loop, display_accept_again, d);
	j->r = loop_fd_add(d->service->loop, &ln->watch, ln->fd, EPOLLIN,
		display_accept, d);
	if (j->r) {
		listener_close(ln);
		err_sys(j->e, -j->r, "cannot listen for viewers");
		return;
	}
	memcpy(d->address, address, sizeof(address));
}

/* Check the file now, so that a wrong one is told at the start. */
static int display_password(struct display *d, const char *path, char **out,
	struct err *e)
{
	char pass[VIEWER_PASS_MAX + 1];
	int r;

	free(*out);
	*out = NULL;
	if (!path)
		return 0;
	r = viewers_read_password(path, pass, d->log, e);
	explicit_bzero(pass, sizeof(pass));
	if (r)
		return r;
	*out = strdup(path);
	return *out ? 0 : err_sys(e, ENOMEM, "cannot listen for viewers");
}

int display_listen(struct display *d, const struct display_listen *l,
	struct err *e)
{
	struct display_job j = { .d = d, .listen = l, .e = e };
	int r;

	if (l->off)
		return 0;
	if (d->listener.fd >= 0)
		return err_set(e, EBUSY, "viewers are listened for already");
	r = display_password(d, l->password_file, &d->viewers.password_file, e);
	if (r)
		return r;
	r = display_password(d, l->viewonly_password_file,
		&d->viewers.viewonly_file, e);
	if (r)
		return r;
	loop_sync(d->service->loop, display_listen_job, &j);
	return j.r;
}

const char *display_address(const struct display *d)
{
	return d->address;
}

static void display_close_job(void *arg)
{
	struct display *d = arg;

	listener_close(&d->listener);
	viewers_stop(d);
	d->has_source = false;
}

void display_close(struct display *d)
{
	loop_sync(d->service->loop, display_close_job, d);
}

static void display_free_job(void *arg)
{
	struct display *d = arg;

	display_close_job(d);
	viewers_fini(d);
	sendkey_fini(&d->sendkey);
}

void display_free(struct display *d)
{
	if (!d)
		return;
	loop_sync(d->service->loop, display_free_job, d);
	input_hub_fini(&d->hub);
	surface_free(d->surface);
	free(d);
}

/* ---- the device's side ---- */

static void display_source_job(void *arg)
{
	struct display_job *j = arg;
	struct display *d = j->d;

	d->has_source = j->source != NULL;
	if (j->source)
		d->source = *j->source;
	display_refresh(d, true);
}

void display_set_source(struct display *d, const struct display_source *src)
{
	struct display_job j = { .d = d, .source = src };

	loop_sync(d->service->loop, display_source_job, &j);
}

int display_add_sink(struct display *d, const struct input_sink *s, bool active)
{
	return input_hub_add(&d->hub, s, active);
}

void display_sink_active(struct display *d, void *arg, bool active)
{
	input_hub_active(&d->hub, arg, active);
}

void display_del_sink(struct display *d, void *arg)
{
	input_hub_del(&d->hub, arg);
}

/* ---- people's side ---- */

void display_input(struct display *d, const struct input_event *ev)
{
	input_hub_event(&d->hub, ev);
}

/* Copy the pixels; the slow part, packing them, is the caller's. */
static void display_shot_job(void *arg)
{
	struct display_job *j = arg;
	struct display *d = j->d;

	display_refresh(d, false);
	if (!d->painted) {
		j->r = err_set(j->e, ENODATA, "%s has no screen", d->name);
		return;
	}
	j->width = surface_width(d->surface);
	j->height = surface_height(d->surface);
	j->px = malloc(surface_bytes(d->surface));
	if (!j->px) {
		j->r = err_sys(j->e, ENOMEM, "cannot copy the screen of %s",
			d->name);
		return;
	}
	memcpy(j->px, surface_pixels(d->surface), surface_bytes(d->surface));
}

int display_screenshot(struct display *d, const char *path, struct err *e)
{
	struct display_job j = { .d = d, .e = e };

	loop_sync(d->service->loop, display_shot_job, &j);
	if (!j.r)
		j.r = png_write_file(path, j.px, j.width, j.height, j.width * 4,
			e);
	free(j.px);
	return j.r;
}

static void display_text_job(void *arg)
{
	struct display_job *j = arg;

	display_refresh(j->d, false);
	display_text_copy(j->text, &j->d->text);
	j->generation = j->d->text_generation;
}

uint64_t display_text(struct display *d, struct display_text *out)
{
	struct display_job j = { .d = d, .text = out };

	loop_sync(d->service->loop, display_text_job, &j);
	return j.generation;
}

void display_stats(struct display *d, struct display_stats *out)
{
	out->viewers = atomic_load(&d->viewer_count);
	out->frames = atomic_load(&d->frames);
	out->width = atomic_load(&d->width);
	out->height = atomic_load(&d->height);
}
