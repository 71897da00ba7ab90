/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * libvncserver, kept on a short lead (display/README.md lists what bites):
 * no listening, no HTTP, no passwords, no cursor (it would be drawn into the
 * picture, which is mapped for reading), no input, one screen a process.
 */
#include "display/viewer/vnc.h"

#include <errno.h>
#include <fcntl.h>
#include <rfb/rfb.h>
#include <rfb/rfbregion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vm/base/lock.h"
#include "vm/base/loop.h"
#include "vm/base/thread.h"

#define VNC_MAX_NEW      16
#define VNC_MAX_CLIENTS  32
#define VNC_MAX_RECTS    40 /* the library makes one box of more than 50 */
#define VNC_MAX_ROUNDS   4
#define VNC_ENC_QEMU_KEY (-258)
#define VNC_FORWARDED    4 /* ExtendedDesktopSize: request forwarded */

struct vnc_client {
	struct vnc *v;
	rfbClientPtr cl; /* NULL = free */
	struct loop_fd watch;
	int fd; /* a dup to watch: the library closes its own when it likes */
};

struct vnc {
	struct loop *loop;
	struct thread thread;
	struct loop_call call;
	struct lock lock;
	/* passed over; guarded by lock */
	int new_fd[VNC_MAX_NEW];
	unsigned nnew;
	bool has_surface;
	struct viewer_surface surface;
	int surface_fd;
	struct surface_tiles tiles;
	bool has_tiles;

	/* the thread's */
	rfbScreenInfoPtr screen;
	void *map;
	size_t map_bytes;
	struct vnc_client client[VNC_MAX_CLIENTS];
	char name[VIEWER_NAME_MAX + 16];
};

/* ---- the library's hooks ---- */

static void vnc_no_log(const char *format, ...)
{
	(void)format;
}

/* Say that key events may bring scancodes: an empty rectangle does. */
static rfbBool vnc_enable_keys(rfbClientPtr cl, void **data, int encoding)
{
	static const char update[16] = {
		0,
		0,
		0,
		1,
		0,
		0,
		0,
		0,
		0,
		0,
		0,
		0,
		(char)0xff,
		(char)0xff,
		(char)0xfe,
		(char)0xfe,
	};

	(void)data;
	if (encoding != VNC_ENC_QEMU_KEY)
		return FALSE;
	if (rfbWriteExact(cl, update, sizeof(update)) < 0)
		rfbCloseClient(cl);
	return TRUE;
}

static int vnc_key_encodings[] = { VNC_ENC_QEMU_KEY, 0 };

static rfbProtocolExtension vnc_extension = {
	.pseudoEncodings = vnc_key_encodings,
	.enablePseudoEncoding = vnc_enable_keys,
};

/* The front has told the guest; whether it obeys is seen later. */
static int vnc_desktop_size(int width, int height, int n,
	struct rfbExtDesktopScreen *screens, rfbClientPtr cl)
{
	(void)width;
	(void)height;
	(void)n;
	(void)screens;
	(void)cl;
	return VNC_FORWARDED;
}

static void vnc_client_gone(rfbClientPtr cl)
{
	struct vnc_client *c = cl->clientData;

	if (!c)
		return;
	loop_fd_del(&c->watch);
	close(c->fd);
	c->cl = NULL;
}

/* ---- screen ---- */

/* Our pixels are 0x00RRGGBB; the library thinks otherwise after a resize. */
static void vnc_fix_format(rfbScreenInfoPtr s)
{
	rfbClientIteratorPtr it;
	rfbClientPtr cl;

	s->depth = 24;
	s->serverFormat.depth = 24;
	s->serverFormat.redShift = 16;
	s->serverFormat.greenShift = 8;
	s->serverFormat.blueShift = 0;
	it = rfbGetClientIterator(s);
	while ((cl = rfbClientIteratorNext(it)))
		s->setTranslateFunction(cl);
	rfbReleaseClientIterator(it);
}

static int vnc_make_screen(struct vnc *v, struct err *e)
{
	/* a picture to begin with, until the first surface comes */
	const int side = DISPLAY_MIN;
	rfbScreenInfoPtr s;

	rfbLog = vnc_no_log;
	rfbErr = vnc_no_log;
	v->map_bytes = (size_t)side * side * 4;
	v->map = mmap(NULL, v->map_bytes, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (v->map == MAP_FAILED)
		return err_sys(e, errno, "cannot make a first picture");
	s = rfbGetScreen(NULL, NULL, side, side, 8, 3, 4);
	if (!s) {
		munmap(v->map, v->map_bytes);
		return err_sys(e, ENOMEM, "cannot make a VNC screen");
	}
	s->port = s->ipv6port = -1;
	s->httpDir = NULL;
	s->frameBuffer = v->map;
	s->desktopName = v->name;
	s->alwaysShared = TRUE;
	s->neverShared = FALSE;
	s->deferUpdateTime = 0;
	s->cursor = NULL;
	s->permitFileTransfer = FALSE;
	s->setDesktopSizeHook = vnc_desktop_size;
	s->maxRectsPerUpdate = 0; /* boxes of many rectangles are ours */
	vnc_fix_format(s);
	rfbRegisterProtocolExtension(&vnc_extension);
	v->screen = s;
	return 0;
}

/* Show another memfd. */
static void vnc_take_surface(struct vnc *v, const struct viewer_surface *s,
	int fd)
{
	size_t bytes = s->bytes;
	void *map = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);

	close(fd);
	if (map == MAP_FAILED)
		return; /* the old picture stays */
	rfbNewFramebuffer(v->screen, map, (int)s->width, (int)s->height, 8, 3,
		4);
	v->screen->paddedWidthInBytes = (int)s->stride;
	vnc_fix_format(v->screen);
	munmap(v->map, v->map_bytes);
	v->map = map;
	v->map_bytes = bytes;
}

static void vnc_take_tiles(struct vnc *v, struct surface_tiles *t)
{
	struct surface_rect r[VNC_MAX_RECTS];
	size_t n = surface_rects(t, (unsigned)v->screen->width,
		(unsigned)v->screen->height, r, VNC_MAX_RECTS);

	for (size_t i = 0; i < n; i++)
		rfbMarkRectAsModified(v->screen, (int)r[i].x, (int)r[i].y,
			(int)(r[i].x + r[i].w), (int)(r[i].y + r[i].h));
}

/* ---- rounds ---- */

/* Does a client wait for something that is there? */
static bool vnc_pending(struct vnc *v)
{
	for (unsigned i = 0; i < VNC_MAX_CLIENTS; i++) {
		rfbClientPtr cl = v->client[i].cl;

		if (cl && cl->sock >= 0 && FB_UPDATE_PENDING(cl) &&
			!sraRgnEmpty(cl->requestedRegion))
			return true;
	}
	return false;
}

/* Read what clients said and send what they wait for. */
static void vnc_round(struct vnc *v)
{
	for (int i = 0; i < VNC_MAX_ROUNDS; i++) {
		rfbProcessEvents(v->screen, 0);
		if (!vnc_pending(v))
			break;
	}
}

static void vnc_readable(void *arg, uint32_t events)
{
	struct vnc_client *c = arg;

	(void)events;
	vnc_round(c->v);
}

static struct vnc_client *vnc_free_slot(struct vnc *v)
{
	for (unsigned i = 0; i < VNC_MAX_CLIENTS; i++)
		if (!v->client[i].cl)
			return &v->client[i];
	return NULL;
}

static void vnc_take_client(struct vnc *v, int fd)
{
	struct vnc_client *c = vnc_free_slot(v);
	int watch = c ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : -1;
	rfbClientPtr cl;

	if (watch < 0) {
		close(fd);
		return;
	}
	cl = rfbNewClient(v->screen, fd); /* closes fd when it fails */
	if (!cl) {
		close(watch);
		return;
	}
	c->v = v;
	c->cl = cl;
	c->fd = watch;
	cl->clientData = c;
	cl->clientGoneHook = vnc_client_gone;
	if (loop_fd_add(v->loop, &c->watch, watch, EPOLLIN, vnc_readable, c))
		rfbCloseClient(cl); /* the next round buries it */
}

/* On the encoder's thread: what was passed over. */
static void vnc_take(void *arg)
{
	struct vnc *v = arg;
	struct viewer_surface surface;
	struct surface_tiles tiles;
	int fds[VNC_MAX_NEW], surface_fd = -1;
	unsigned n;
	bool has_tiles;

	lock_take(&v->lock);
	n = v->nnew;
	memcpy(fds, v->new_fd, sizeof(fds));
	v->nnew = 0;
	if (v->has_surface) {
		surface = v->surface;
		surface_fd = v->surface_fd;
	}
	v->has_surface = false;
	has_tiles = v->has_tiles;
	tiles = v->tiles;
	memset(&v->tiles, 0, sizeof(v->tiles));
	v->has_tiles = false;
	lock_drop(&v->lock);

	if (surface_fd >= 0)
		vnc_take_surface(v, &surface, surface_fd);
	if (has_tiles)
		vnc_take_tiles(v, &tiles);
	for (unsigned i = 0; i < n; i++)
		vnc_take_client(v, fds[i]);
	vnc_round(v);
}

static void vnc_run(void *arg)
{
	struct vnc *v = arg;

	loop_run(v->loop);
}

/* ---- the front's side ---- */

void vnc_set_surface(struct vnc *v, const struct viewer_surface *s, int fd)
{
	int old = -1;

	lock_take(&v->lock);
	if (v->has_surface)
		old = v->surface_fd;
	v->surface = *s;
	v->surface_fd = fd;
	v->has_surface = true;
	lock_drop(&v->lock);
	if (old >= 0)
		close(old);
	loop_call_schedule(&v->call);
}

void vnc_frame(struct vnc *v, const struct surface_tiles *t)
{
	lock_take(&v->lock);
	for (unsigned i = 0; i < SURFACE_TILE_ROWS; i++)
		v->tiles.row[i] |= t->row[i];
	v->has_tiles = true;
	lock_drop(&v->lock);
	loop_call_schedule(&v->call);
}

int vnc_add_client(struct vnc *v, int fd)
{
	bool room;

	lock_take(&v->lock);
	room = v->nnew < VNC_MAX_NEW;
	if (room)
		v->new_fd[v->nnew++] = fd;
	lock_drop(&v->lock);
	if (!room) {
		close(fd);
		return -EAGAIN;
	}
	loop_call_schedule(&v->call);
	return 0;
}

int vnc_new(const char *name, struct vnc **out, struct err *e)
{
	struct vnc *v = calloc(1, sizeof(*v));
	int r;

	if (!v)
		return err_sys(e, ENOMEM, "cannot make a VNC screen");
	snprintf(v->name, sizeof(v->name), "guestdeck: %s", name);
	lock_init(&v->lock, "vnc", LOCK_SURFACE);
	r = vnc_make_screen(v, e);
	if (r)
		goto fail;
	r = loop_new(&v->loop, e);
	if (r)
		goto fail_screen;
	loop_call_init(&v->call, v->loop, vnc_take, v);
	r = thread_start(&v->thread, "encoder", vnc_run, v, e);
	if (r)
		goto fail_loop;
	*out = v;
	return 0;
fail_loop:
	loop_free(v->loop);
fail_screen:
	rfbScreenCleanup(v->screen);
	munmap(v->map, v->map_bytes);
fail:
	free(v);
	return r;
}

void vnc_free(struct vnc *v)
{
	if (!v)
		return;
	loop_stop(v->loop);
	thread_join(&v->thread);
	for (unsigned i = 0; i < VNC_MAX_CLIENTS; i++)
		if (v->client[i].cl)
			rfbCloseClient(v->client[i].cl);
	rfbProcessEvents(v->screen, 0);
	loop_call_cancel(&v->call);
	loop_free(v->loop);
	rfbScreenCleanup(v->screen);
	munmap(v->map, v->map_bytes);
	for (unsigned i = 0; i < v->nnew; i++)
		close(v->new_fd[i]);
	if (v->has_surface)
		close(v->surface_fd);
	lock_fini(&v->lock);
	free(v);
}
