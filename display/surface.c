/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The surface: see surface.h. The memfd is sealed against resizing (a viewer
 * cannot make us fault by truncating it) and against new writable mappings
 * (a viewer cannot paint). No atomics: only the display thread marks and
 * fetches, other processes get the tiles by message.
 */
#include "display/surface.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

struct surface {
	uint8_t *map; /* NULL before the first resize */
	size_t bytes;
	int fd;
	unsigned width, height, stride;
	uint64_t generation;
	/*
	 * Rows that something was painted in, a bit each. The others are zero,
	 * and not even looked at, which would take memory for them: a screen
	 * that stays black has none.
	 */
	uint64_t painted[(DISPLAY_MAX_H + 63) / 64];
	struct list readers;
};

int surface_new(struct surface **out, struct err *e)
{
	struct surface *s = calloc(1, sizeof(*s));

	if (!s)
		return err_sys(e, ENOMEM, "cannot make a screen");
	s->fd = -1;
	list_init(&s->readers);
	*out = s;
	return 0;
}

static void surface_unmap(struct surface *s)
{
	if (s->map)
		munmap(s->map, s->bytes);
	if (s->fd >= 0)
		close(s->fd);
	s->map = NULL;
	s->fd = -1;
}

void surface_free(struct surface *s)
{
	if (!s)
		return;
	surface_unmap(s);
	free(s);
}

uint32_t *surface_pixels(struct surface *s)
{
	return (uint32_t *)(void *)s->map;
}

unsigned surface_width(const struct surface *s)
{
	return s->width;
}

unsigned surface_height(const struct surface *s)
{
	return s->height;
}

unsigned surface_stride(const struct surface *s)
{
	return s->stride;
}

int surface_fd(const struct surface *s)
{
	return s->fd;
}

size_t surface_bytes(const struct surface *s)
{
	return s->bytes;
}

uint64_t surface_generation(const struct surface *s)
{
	return s->generation;
}

/* Zeroed shared memory; sets *fd. NULL with errno on failure. */
static void *surface_map(size_t bytes, int *fd)
{
	const int seals = F_SEAL_SHRINK | F_SEAL_GROW;
	void *map;
	int f = memfd_create("guestdeck-screen",
		MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (f < 0)
		return NULL;
	if (ftruncate(f, (off_t)bytes) || fcntl(f, F_ADD_SEALS, seals))
		goto fail;
	map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, f, 0);
	if (map == MAP_FAILED)
		goto fail;
	/* Linux before 5.1 has no such seal; the jail allows no more there */
	fcntl(f, F_ADD_SEALS, F_SEAL_FUTURE_WRITE);
	fcntl(f, F_ADD_SEALS, F_SEAL_SEAL);
	*fd = f;
	return map;
fail:
	close(f);
	return NULL;
}

static unsigned surface_clamp(unsigned v, unsigned min, unsigned max)
{
	return v < min ? min : v > max ? max : v;
}

int surface_resize(struct surface *s, unsigned width, unsigned height)
{
	unsigned w = surface_clamp(width, DISPLAY_MIN, DISPLAY_MAX_W);
	unsigned h = surface_clamp(height, DISPLAY_MIN, DISPLAY_MAX_H);
	size_t bytes = (size_t)w * h * 4;
	void *map;
	int fd;

	if (w == s->width && h == s->height)
		return 0;
	map = surface_map(bytes, &fd);
	if (!map)
		return -errno;
	surface_unmap(s);
	s->map = map;
	s->fd = fd;
	s->bytes = bytes;
	s->width = w;
	s->height = h;
	s->stride = w * 4;
	s->generation++;
	memset(s->painted, 0, sizeof(s->painted));
	/* marks of the old size must not point outside the new one */
	list_each (it, &s->readers)
		memset(&list_entry(it, struct surface_reader, node)->dirty, 0,
			sizeof(struct surface_tiles));
	surface_dirty(s, 0, 0, w, h);
	return 0;
}

/* Bits first..last (0..63, first <= last). */
static uint64_t surface_span(unsigned first, unsigned last)
{
	return (~UINT64_C(0) << first) & (~UINT64_C(0) >> (63 - last));
}

void surface_dirty(struct surface *s, unsigned x, unsigned y, unsigned w,
	unsigned h)
{
	uint64_t span;

	if (x >= s->width || y >= s->height || !w || !h)
		return;
	if (w > s->width - x)
		w = s->width - x;
	if (h > s->height - y)
		h = s->height - y;
	span = surface_span(x / DISPLAY_TILE, (x + w - 1) / DISPLAY_TILE);
	list_each (it, &s->readers) {
		struct surface_reader *r =
			list_entry(it, struct surface_reader, node);

		for (unsigned t = y / DISPLAY_TILE;
			t <= (y + h - 1) / DISPLAY_TILE; t++)
			r->dirty.row[t] |= span;
		r->any = true;
	}
}

static bool surface_is_black(const uint32_t *px, unsigned n)
{
	while (n && !*px) {
		px++;
		n--;
	}
	return !n;
}

bool surface_put_row(struct surface *s, unsigned x, unsigned y,
	const uint32_t *px, unsigned n)
{
	bool changed = false;
	uint32_t *to;

	if (y >= s->height || x >= s->width)
		return false;
	if (n > s->width - x)
		n = s->width - x;
	if (!(s->painted[y / 64] >> y % 64 & 1)) {
		if (surface_is_black(px, n))
			return false;
		s->painted[y / 64] |= UINT64_C(1) << y % 64;
	}
	to = (uint32_t *)(void *)(s->map + (size_t)y * s->stride) + x;
	while (n) {
		unsigned part = DISPLAY_TILE - x % DISPLAY_TILE;

		if (part > n)
			part = n;
		if (memcmp(to, px, (size_t)part * 4)) {
			memcpy(to, px, (size_t)part * 4);
			surface_dirty(s, x, y, part, 1);
			changed = true;
		}
		to += part;
		px += part;
		x += part;
		n -= part;
	}
	return changed;
}

void surface_reader_add(struct surface *s, struct surface_reader *r)
{
	memset(r, 0, sizeof(*r));
	list_add_tail(&s->readers, &r->node);
	surface_dirty(s, 0, 0, s->width, s->height);
}

void surface_reader_del(struct surface_reader *r)
{
	list_del(&r->node);
}

bool surface_fetch(struct surface_reader *r, struct surface_tiles *out)
{
	if (!r->any)
		return false;
	*out = r->dirty;
	memset(&r->dirty, 0, sizeof(r->dirty));
	r->any = false;
	return true;
}

/* First run of set bits in v as *first..*last. v is not 0. */
static uint64_t surface_run(uint64_t v, unsigned *first, unsigned *last)
{
	uint64_t rest;

	*first = (unsigned)__builtin_ctzll(v);
	rest = ~(v >> *first);
	*last = rest ? *first + (unsigned)__builtin_ctzll(rest) - 1 : 63;
	if (*last > 63)
		*last = 63;
	return surface_span(*first, *last);
}

/* Grow r to hold o too. */
static void surface_join(struct surface_rect *r, const struct surface_rect *o)
{
	unsigned x2 = r->x + r->w, y2 = r->y + r->h;

	if (o->x < r->x)
		r->x = o->x;
	if (o->y < r->y)
		r->y = o->y;
	if (o->x + o->w > x2)
		x2 = o->x + o->w;
	if (o->y + o->h > y2)
		y2 = o->y + o->h;
	r->w = x2 - r->x;
	r->h = y2 - r->y;
}

size_t surface_rects(struct surface_tiles *t, unsigned width, unsigned height,
	struct surface_rect *out, size_t max)
{
	size_t n = 0;

	for (unsigned row = 0; row < SURFACE_TILE_ROWS; row++) {
		while (t->row[row]) {
			struct surface_rect r;
			unsigned first, last, end = row;
			uint64_t span;

			span = surface_run(t->row[row], &first, &last);
			/* take the same span out of the rows below as well */
			while (end < SURFACE_TILE_ROWS &&
				(t->row[end] & span) == span)
				t->row[end++] &= ~span;
			r.x = first * DISPLAY_TILE;
			r.y = row * DISPLAY_TILE;
			if (r.x >= width || r.y >= height)
				continue;
			r.w = (last + 1) * DISPLAY_TILE - r.x;
			r.h = end * DISPLAY_TILE - r.y;
			if (r.w > width - r.x)
				r.w = width - r.x;
			if (r.h > height - r.y)
				r.h = height - r.y;
			if (n < max)
				out[n++] = r;
			else if (max)
				surface_join(&out[max - 1], &r);
		}
	}
	return n;
}
