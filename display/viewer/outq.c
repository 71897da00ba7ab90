/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Byte queue: see outq.h. */
#include "display/viewer/outq.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define OUTQ_CHUNK 65536

struct outq_chunk {
	struct outq_chunk *next;
	size_t start, end;
	uint8_t data[OUTQ_CHUNK];
};

static void outq_drop_first(struct outq *q)
{
	struct outq_chunk *c = q->first;

	q->first = c->next;
	if (!q->first)
		q->last = NULL;
	free(c);
}

void outq_clear(struct outq *q)
{
	while (q->first)
		outq_drop_first(q);
	q->bytes = 0;
}

/* A chunk with room at the end, or NULL. */
static struct outq_chunk *outq_room(struct outq *q)
{
	struct outq_chunk *c = q->last;

	if (c && c->end < OUTQ_CHUNK)
		return c;
	c = malloc(sizeof(*c));
	if (!c)
		return NULL;
	c->next = NULL;
	c->start = c->end = 0;
	if (q->last)
		q->last->next = c;
	else
		q->first = c;
	q->last = c;
	return c;
}

int outq_put(struct outq *q, const void *buf, size_t len)
{
	const uint8_t *p = buf;

	while (len) {
		struct outq_chunk *c = outq_room(q);
		size_t n;

		if (!c)
			return -ENOMEM;
		n = OUTQ_CHUNK - c->end < len ? OUTQ_CHUNK - c->end : len;
		memcpy(c->data + c->end, p, n);
		c->end += n;
		q->bytes += n;
		p += n;
		len -= n;
	}
	return 0;
}

ssize_t outq_fill(struct outq *q, int fd, size_t max)
{
	size_t got = 0;

	while (got < max) {
		struct outq_chunk *c = outq_room(q);
		size_t want;
		ssize_t n;

		if (!c)
			return got ? (ssize_t)got : -ENOMEM;
		want = OUTQ_CHUNK - c->end;
		if (want > max - got)
			want = max - got;
		n = read(fd, c->data + c->end, want);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return got ? (ssize_t)got : n ? -errno : 0;
		c->end += (size_t)n;
		q->bytes += (size_t)n;
		got += (size_t)n;
		if ((size_t)n < want)
			break;
	}
	return (ssize_t)got;
}

ssize_t outq_flush(struct outq *q, int fd)
{
	ssize_t done = 0;

	while (q->first) {
		struct outq_chunk *c = q->first;
		ssize_t n;

		if (c->start == c->end) {
			outq_drop_first(q);
			continue;
		}
		n = send(fd, c->data + c->start, c->end - c->start,
			MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? done : -errno;
		c->start += (size_t)n;
		q->bytes -= (size_t)n;
		done += n;
	}
	return done;
}
