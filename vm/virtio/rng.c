/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Entropy device (virtio 1.2, 5.4): the driver gives buffers, getrandom(2)
 * fills them. A bucket of tokens holds a guest that asks for ever to a rate
 * that costs the host little; what is over waits for a timer. Thread: I/O.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#include "vm/base/clock.h"
#include "vm/base/sizes.h"

#include "vm/virtio/virtio.h"

#define RNG_QUEUE   64
#define RNG_ROUNDS  16  /* of a driver that fills as we empty */
#define RNG_RATE    MiB /* bytes a second */
#define RNG_BURST   (64 * KiB)
#define RNG_REQUEST (4 * KiB) /* at most in one buffer; fewer is legal */
#define RNG_WAIT_NS (20 * NS_PER_MS)

struct virtio_rng {
	struct virtio_dev v; /* first */
	struct loop_timer timer;
	uint64_t tokens;    /* bytes that may be given now */
	uint64_t filled_ns; /* when tokens were last added */
	struct iovec iov[2 * VIRTQ_MAX_CHAIN];
};

static void rng_refill(struct virtio_rng *r)
{
	uint64_t now = clock_now_ns(), ms = (now - r->filled_ns) / NS_PER_MS;

	if (ms == 0)
		return;
	if (ms > 1000)
		ms = 1000;
	r->tokens += ms * RNG_RATE / 1000;
	if (r->tokens > RNG_BURST)
		r->tokens = RNG_BURST;
	r->filled_ns = now;
}

/* Fill el; returns bytes written, 0 when the host has no entropy yet. */
static uint32_t rng_fill(struct virtio_rng *r, const struct virtq_elem *el)
{
	uint8_t buf[RNG_REQUEST];
	uint64_t want = el->in_bytes;
	ssize_t n;

	if (want > sizeof(buf))
		want = sizeof(buf);
	if (want > r->tokens)
		want = r->tokens;
	n = getrandom(buf, want, GRND_NONBLOCK);
	if (n <= 0)
		return 0;
	r->tokens -= (uint64_t)n;
	return virtq_elem_write(el, 0, buf, (uint32_t)n);
}

static void rng_later(struct virtio_rng *r)
{
	loop_timer_arm(&r->timer, clock_now_ns() + RNG_WAIT_NS);
}

/* Serve up to a ring's length. False when the rest must wait. */
static bool rng_serve(struct virtio_rng *r, struct virtq *q)
{
	struct virtq_elem el = { .iov = r->iov, .iov_max = ARRAY_LEN(r->iov) };

	for (unsigned i = 0; i < RNG_QUEUE; i++) {
		uint32_t n = 0;

		if (virtq_pop(q, &el) != 1)
			return true;
		if (el.in_bytes && r->tokens)
			n = rng_fill(r, &el);
		if (el.in_bytes && n == 0) {
			virtq_unpop(q, &el);
			rng_later(r);
			return false;
		}
		virtq_push(q, &el, n);
	}
	virtq_again(q);
	return false;
}

static void rng_queue(struct virtio_dev *v, struct virtq *q)
{
	struct virtio_rng *r = (struct virtio_rng *)v;

	unsigned rounds = 0;

	rng_refill(r);
	do
		virtq_disable_kicks(q);
	while (rng_serve(r, q) && virtq_enable_kicks(q) &&
		++rounds < RNG_ROUNDS);
	if (rounds == RNG_ROUNDS)
		virtq_again(q);
	virtq_notify(q);
}

static void rng_tick(void *arg)
{
	struct virtio_rng *r = arg;
	struct virtq *q = virtio_queue(&r->v, 0);

	if (virtq_ready(q) && virtio_active(&r->v))
		rng_queue(&r->v, q);
}

static bool rng_stop(struct virtio_dev *v)
{
	loop_timer_disarm(&((struct virtio_rng *)v)->timer);
	return true;
}

static void rng_free(struct virtio_dev *v)
{
	struct virtio_rng *r = (struct virtio_rng *)v;

	loop_timer_disarm(&r->timer);
	virtio_dev_fini(v);
	free(r);
}

static const struct virtio_ops rng_ops = {
	.queue = rng_queue,
	.stop = rng_stop,
	.free = rng_free,
};

int virtio_rng_new(struct core *core, struct pci_bus *bus, unsigned devfn,
	struct device **out, struct err *e)
{
	static const struct virtio_info info = {
		.name = "virtio-rng",
		.type = VIRTIO_TYPE_RNG,
		.class_code = 0x00ff00,
		.nqueues = 1,
		.queue_size = RNG_QUEUE,
	};
	struct virtio_rng *r = calloc(1, sizeof(*r));
	int err;

	if (!r)
		return err_set(e, ENOMEM, "virtio-rng: out of memory");
	loop_timer_init(&r->timer, core->io, rng_tick, r);
	r->tokens = RNG_BURST;
	r->filled_ns = clock_now_ns();
	err = virtio_dev_init(&r->v, core, &info, &rng_ops, e);
	if (err < 0) {
		free(r);
		return err;
	}
	err = virtio_pci_add(&r->v, bus, devfn, e);
	if (err < 0) {
		rng_free(&r->v);
		return err;
	}
	*out = &r->v.dev;
	return 0;
}
