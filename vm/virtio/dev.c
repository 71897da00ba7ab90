/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A virtio device between driver and device file (virtio 1.2, 2 and 3):
 * status, feature negotiation, config bytes, start and reset.
 *
 * Registers live under v->lock and are written on vCPU threads; rings belong
 * to the I/O thread. A status write that concerns rings (DRIVER_OK, reset of
 * a started device) only leaves a mark and schedules v->change, which does
 * the work on the I/O thread; so no vCPU waits for a disk.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "vm/base/bytes.h"
#include "vm/base/clock.h"

#include "vm/virtio/impl.h"
#include "vm/virtio/virtio.h"

/* How long a driver that does not poll for the end of a reset waits. */
#define SETTLE_NS NS_PER_S

#define STATUS_DRIVER_BITS                                                     \
	(VIRTIO_S_ACKNOWLEDGE | VIRTIO_S_DRIVER | VIRTIO_S_DRIVER_OK |         \
		VIRTIO_S_FEATURES_OK | VIRTIO_S_FAILED)

/* --- registers ---------------------------------------------------------- */

static void regs_reset_locked(struct virtio_dev *v)
{
	v->status = 0;
	v->driver_features = 0;
	v->started = false;
	v->resetting = false;
	for (unsigned i = 0; i < v->info.nqueues; i++) {
		struct virtio_queue_regs *r = &v->regs[i];

		r->size = v->info.queue_size;
		r->enabled = false;
		r->desc = r->driver = r->device = 0;
		__atomic_store_n(&r->vector, VIRTIO_NO_VECTOR,
			__ATOMIC_RELAXED);
	}
	if (v->ops->reset)
		v->ops->reset(v);
	if (v->transport)
		v->transport->reset(v);
	pthread_cond_broadcast(&v->reset_done);
}

uint64_t virtio_offered(const struct virtio_dev *v)
{
	return v->info.features | VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC) |
	       VIRTIO_BIT(VIRTIO_F_EVENT_IDX) | VIRTIO_BIT(VIRTIO_F_VERSION_1) |
	       VIRTIO_BIT(VIRTIO_F_RING_PACKED);
}

static bool features_ok_locked(struct virtio_dev *v)
{
	uint64_t f = v->driver_features;

	if (f & ~virtio_offered(v) || !(f & VIRTIO_BIT(VIRTIO_F_VERSION_1)))
		return false;
	return !v->ops->features_ok || v->ops->features_ok(v, f);
}

void virtio_features_write_locked(struct virtio_dev *v, unsigned half,
	uint32_t val)
{
	if (v->status & VIRTIO_S_FEATURES_OK || half > 1)
		return;
	v->driver_features &= ~((uint64_t)UINT32_MAX << 32 * half);
	v->driver_features |= (uint64_t)val << 32 * half;
}

void virtio_status_write_locked(struct virtio_dev *v, uint8_t val)
{
	if (val == 0) {
		if (!v->started) {
			regs_reset_locked(v);
		} else if (!v->resetting) {
			v->resetting = true;
			loop_call_schedule(&v->change);
		}
		return;
	}
	/* bits are never taken back but by a reset (3.1.1) */
	val = (uint8_t)(v->status | (val & STATUS_DRIVER_BITS));
	if (val & ~v->status & VIRTIO_S_FEATURES_OK && !features_ok_locked(v))
		val &= (uint8_t)~VIRTIO_S_FEATURES_OK;
	if (!(val & VIRTIO_S_FEATURES_OK))
		val &= (uint8_t)~VIRTIO_S_DRIVER_OK;
	v->status = val;
	if (val & VIRTIO_S_DRIVER_OK && !v->started) {
		v->started = true;
		loop_call_schedule(&v->change);
	}
}

bool virtio_settle_locked(struct virtio_dev *v)
{
	uint64_t until = clock_now_ns() + SETTLE_NS;
	struct timespec ts = { .tv_sec = (time_t)(until / NS_PER_S),
		.tv_nsec = (long)(until % NS_PER_S) };

	/* the I/O thread cannot wait for itself (only tests get here) */
	while (v->resetting && !loop_is_mine(v->core->io))
		if (pthread_cond_timedwait(&v->reset_done, &v->lock.mutex,
			    &ts) != 0)
			break;
	return !v->resetting;
}

uint64_t virtio_config_read_locked(struct virtio_dev *v, unsigned off,
	unsigned size)
{
	uint64_t val = 0;

	for (unsigned i = 0; i < size && off + i < v->info.config_len; i++)
		val |= (uint64_t)v->config[off + i] << i * 8;
	return val;
}

void virtio_config_write_locked(struct virtio_dev *v, unsigned off,
	uint64_t val, unsigned size)
{
	if (off >= v->info.config_len)
		return;
	if (size > v->info.config_len - off)
		size = v->info.config_len - off;
	for (unsigned i = 0; i < size; i++) {
		uint8_t mask = v->config_wmask[off + i];

		v->config[off + i] = (uint8_t)((v->config[off + i] & ~mask) |
					       (val >> i * 8 & mask));
	}
	if (v->ops->config_written)
		v->ops->config_written(v, off, size);
}

void virtio_config_set(struct virtio_dev *v, unsigned off, const void *buf,
	unsigned len)
{
	LOCK_GUARD(&v->lock);
	memcpy(v->config + off, buf, len);
	v->generation++;
	if (v->status & VIRTIO_S_DRIVER_OK && v->transport)
		v->transport->notify_config(v);
}

/* --- rings: I/O thread --------------------------------------------------- */

bool virtio_active(struct virtio_dev *v)
{
	return v->live && !v->broken && !v->paused && v->transport->may_dma(v);
}

void virtio_broken(struct virtio_dev *v, const char *why)
{
	log_limited(v->core->log, &v->log_limit, LOG_WARN,
		"%s: the driver broke the rules: %s; it must reset the device",
		v->info.name, why);
	v->broken = true;
	LOCK_GUARD(&v->lock);
	if (v->status & VIRTIO_S_NEEDS_RESET)
		return;
	v->status |= VIRTIO_S_NEEDS_RESET;
	if (v->status & VIRTIO_S_DRIVER_OK)
		v->transport->notify_config(v);
}

void virtio_queue_run(struct virtq *q)
{
	struct virtio_dev *v = q->v;

	if (q->ready && virtio_active(v))
		v->ops->queue(v, q);
}

static void queues_run(struct virtio_dev *v)
{
	for (unsigned i = 0; i < v->info.nqueues; i++)
		virtio_queue_run(v->vq[i]);
}

void virtio_kick(struct virtio_dev *v, unsigned n)
{
	eventfd_write(v->vq[n]->kick_fd, 1);
}

void virtio_recheck(struct virtio_dev *v)
{
	loop_call_schedule(&v->change);
}

static void dev_start(struct virtio_dev *v)
{
	struct virtio_queue_regs r;
	const char *why;

	v->broken = false;
	lock_take(&v->lock);
	v->features = v->driver_features;
	lock_drop(&v->lock);
	v->live = true;
	for (unsigned i = 0; i < v->info.nqueues; i++) {
		kick_start(v->vq[i]);
		lock_take(&v->lock);
		r = v->regs[i];
		lock_drop(&v->lock);
		if (r.enabled && virtq_start(v->vq[i], &r, &why) < 0) {
			virtio_broken(v, why);
			return;
		}
	}
	if (v->ops->start)
		v->ops->start(v);
	v->transport->live(v, true);
	/* kicks that came before the eventfds were looked at */
	queues_run(v);
}

static void reset_finish(struct virtio_dev *v)
{
	LOCK_GUARD(&v->lock);
	v->broken = false;
	regs_reset_locked(v);
}

static void dev_stop(struct virtio_dev *v)
{
	if (v->live) {
		v->live = false;
		v->transport->live(v, false);
		for (unsigned i = 0; i < v->info.nqueues; i++)
			virtq_stop(v->vq[i]);
		v->stopping = v->ops->stop && !v->ops->stop(v);
	}
	if (!v->stopping)
		reset_finish(v);
}

void virtio_stopped(struct virtio_dev *v)
{
	if (!v->stopping)
		return;
	v->stopping = false;
	reset_finish(v);
}

static void dev_changed(void *arg)
{
	struct virtio_dev *v = arg;
	bool start, reset;

	lock_take(&v->lock);
	start = v->started;
	reset = v->resetting;
	lock_drop(&v->lock);
	if (reset)
		dev_stop(v);
	else if (start && !v->live && !v->stopping)
		dev_start(v);
	else
		queues_run(v);
}

/* --- what the machine asks ------------------------------------------------ */

static struct virtio_dev *from_device(struct device *d)
{
	return container_of(d, struct virtio_dev, dev);
}

static void machine_reset(void *arg)
{
	struct virtio_dev *v = arg;

	dev_stop(v);
	if (v->stopping && v->ops->drain)
		v->ops->drain(v);
	virtio_stopped(v);
}

static void dev_reset(struct device *d)
{
	struct virtio_dev *v = from_device(d);

	loop_sync(v->core->io, machine_reset, v);
}

static void dev_hold(struct device *d)
{
	from_device(d)->paused = true;
}

static void dev_quiesce(struct device *d)
{
	struct virtio_dev *v = from_device(d);

	dev_hold(d);
	if (v->ops->drain)
		v->ops->drain(v);
}

static void dev_resume(struct device *d)
{
	struct virtio_dev *v = from_device(d);

	v->paused = false;
	queues_run(v);
}

static void dev_free(struct device *d)
{
	struct virtio_dev *v = from_device(d);

	v->ops->free(v);
}

static const struct device_ops virtio_device_ops = {
	.reset = dev_reset,
	.hold = dev_hold,
	.quiesce = dev_quiesce,
	.resume = dev_resume,
	.free = dev_free,
};

/* --- made and freed --------------------------------------------------------
 */

static int queues_init(struct virtio_dev *v, struct err *e)
{
	unsigned n = v->info.nqueues;

	v->regs = calloc(n, sizeof(*v->regs));
	v->vq = calloc(n, sizeof(struct virtq *));
	if (!v->regs || !v->vq)
		return err_set(e, ENOMEM, "%s: out of memory", v->info.name);
	for (unsigned i = 0; i < n; i++) {
		struct virtq *q = calloc(1, sizeof(*q));
		int r;

		if (!q)
			return err_set(e, ENOMEM, "%s: out of memory",
				v->info.name);
		v->vq[i] = q;
		r = virtq_init(q, v, i, e);
		if (r == 0)
			r = kick_init(q);
		if (r < 0)
			return err_sys(e, -r, "%s: queue %u", v->info.name, i);
	}
	return 0;
}

int virtio_dev_init(struct virtio_dev *v, struct core *core,
	const struct virtio_info *info, const struct virtio_ops *ops,
	struct err *e)
{
	int r;

	memset(v, 0, sizeof(*v));
	v->dev.name = info->name;
	v->dev.ops = &virtio_device_ops;
	v->core = core;
	v->info = *info;
	v->ops = ops;
	lock_init(&v->lock, info->name, LOCK_DEVICE);
	lock_cond_init(&v->reset_done);
	loop_call_init(&v->change, core->io, dev_changed, v);
	r = queues_init(v, e);
	if (r < 0) {
		virtio_dev_fini(v);
		return r;
	}
	for (unsigned i = 0; i < info->nqueues; i++) {
		v->regs[i].size = info->queue_size;
		v->regs[i].vector = VIRTIO_NO_VECTOR;
	}
	return 0;
}

void virtio_dev_fini(struct virtio_dev *v)
{
	if (v->transport) {
		if (v->live)
			v->transport->live(v, false);
		v->transport->remove(v);
	}
	loop_call_cancel(&v->change);
	for (unsigned i = 0; v->vq && i < v->info.nqueues; i++) {
		if (!v->vq[i])
			continue;
		kick_fini(v->vq[i]);
		virtq_fini(v->vq[i]);
		free(v->vq[i]);
	}
	free(v->vq);
	free(v->regs);
	pthread_cond_destroy(&v->reset_done);
	lock_fini(&v->lock);
}

struct virtq *virtio_queue(struct virtio_dev *v, unsigned n)
{
	return v->vq[n];
}
