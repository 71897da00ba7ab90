/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Virtio 1.2 devices: what a device file (blk.c, net.c, ...) writes and gets.
 *
 *   device (blk.c)     ops, config bytes, requests
 *   dev.c              status, features, queue registers, start, reset
 *   queue.c packed.c   rings: pop, push, notify
 *   pci.c              the transport: capabilities, BAR4, MSI-X, ioeventfds
 *
 * A device file in short:
 *
 *	struct virtio_foo { struct virtio_dev v; ... };   v is the first member
 *	virtio_dev_init(&f->v, core, &info, &foo_ops, e); fill f->v.config
 *	virtio_pci_add(&f->v, bus, devfn, e);
 *	*out = &f->v.dev;
 *
 * THREADS. Everything that touches a ring runs on the guest's I/O thread
 * (core->io): ops marked [io], virtq_*(), completions. So a device that does
 * all its work there needs no lock of its own. Ops marked [lock] run with
 * v->lock (rank LOCK_DEVICE) held, on a vCPU's or the I/O thread; they only
 * look at registers and config bytes and call nothing of this header but
 * what says so.
 *
 * LIFE. DRIVER_OK -> start [io] -> queue [io] whenever the driver kicks (and
 * once after start and after resume) -> the driver writes status 0, or the
 * machine resets -> stop [io]; the device pops no more, cancels what it can,
 * and answers whether it is idle. When it was not, it calls virtio_stopped()
 * once the last request has come back. Only then the driver sees status 0,
 * so nothing of a device writes guest memory after a reset that was
 * acknowledged. virtq_push() of a late request does nothing.
 *
 * A ring that breaks the rules makes virtq_pop() return an error after
 * setting DEVICE_NEEDS_RESET; the device just stops. It never reports one
 * itself but by virtio_broken().
 */
#ifndef VM_VIRTIO_VIRTIO_H
#define VM_VIRTIO_VIRTIO_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "vm/base/lock.h"
#include "vm/base/log.h"
#include "vm/base/loop.h"

#include "vm/core/device.h"
#include "vm/pci/pci.h"

#define VIRTIO_MAX_QUEUES     64
#define VIRTIO_MAX_QUEUE_SIZE 1024
#define VIRTIO_CONFIG_MAX     256

/* A chain holds at most so many pieces and bytes; more breaks the device. */
#define VIRTQ_MAX_CHAIN 1024
#define VIRTQ_MAX_BYTES (UINT32_C(1) << 31)

/* Device types, virtio 1.2 section 5 */
enum virtio_type {
	VIRTIO_TYPE_NET = 1,
	VIRTIO_TYPE_BLK = 2,
	VIRTIO_TYPE_CONSOLE = 3,
	VIRTIO_TYPE_RNG = 4,
	VIRTIO_TYPE_BALLOON = 5,
	VIRTIO_TYPE_SCSI = 8,
	VIRTIO_TYPE_GPU = 16,
	VIRTIO_TYPE_INPUT = 18,
	VIRTIO_TYPE_VSOCK = 19,
};

#define VIRTIO_BIT(n) (UINT64_C(1) << (n))

/* Feature bits of queues and transport (6); dev.c offers them itself. */
#define VIRTIO_F_INDIRECT_DESC 28
#define VIRTIO_F_EVENT_IDX     29
#define VIRTIO_F_VERSION_1     32
#define VIRTIO_F_RING_PACKED   34

/* Device status bits (2.1) */
#define VIRTIO_S_ACKNOWLEDGE 1
#define VIRTIO_S_DRIVER      2
#define VIRTIO_S_DRIVER_OK   4
#define VIRTIO_S_FEATURES_OK 8
#define VIRTIO_S_NEEDS_RESET 64
#define VIRTIO_S_FAILED      128

#define VIRTIO_NO_VECTOR 0xffff

struct virtio_dev;
struct virtq;
struct blk; /* storage/storage.h */

struct virtio_ops {
	/*
	 * Would the device work with these accepted features? NULL = yes to
	 * every subset of what was offered. [lock]
	 */
	bool (*features_ok)(struct virtio_dev *v, uint64_t features);
	/*
	 * The driver wrote v->config[off, off+len) (bits of config_wmask
	 * only). May change other bytes of v->config. May be NULL. [lock]
	 */
	void (*config_written)(struct virtio_dev *v, unsigned off,
		unsigned len);
	/*
	 * Device reset: v->config and what is derived from it back to
	 * power-on values; no ring is in use. May be NULL. [lock]
	 */
	void (*reset)(struct virtio_dev *v);
	/* Rings are ready, v->features is final. May be NULL. [io] */
	void (*start)(struct virtio_dev *v);
	/* The driver kicked q. Not called unless virtio_active(). [io] */
	void (*queue)(struct virtio_dev *v, struct virtq *q);
	/*
	 * No ring from now on; cancel what can be. Returns whether nothing is
	 * in flight; if false, virtio_stopped() follows. NULL = idle always.
	 * [io]
	 */
	bool (*stop)(struct virtio_dev *v);
	/*
	 * Wait until nothing is in flight (completions go on being pushed
	 * unless stopped). NULL = idle always. [io]
	 */
	void (*drain)(struct virtio_dev *v);
	/* Free the device, its struct virtio_dev included, after
	 * virtio_dev_fini(). Threads are stopped. */
	void (*free)(struct virtio_dev *v);
};

/* What a transport does for dev.c. */
struct virtio_transport_ops {
	/* Tell the driver: used buffers in queue n. Thread: [io]. */
	void (*notify_queue)(struct virtio_dev *v, unsigned n);
	/* Tell the driver: config or status changed. [lock] */
	void (*notify_config)(struct virtio_dev *v);
	/* Rings went live or dead: (un)hook the kick eventfds. [io] */
	void (*live)(struct virtio_dev *v, bool on);
	/* Registers of the transport to power-on values. [lock] */
	void (*reset)(struct virtio_dev *v);
	/* May the device touch memory now (bus master)? Thread: any. */
	bool (*may_dma)(struct virtio_dev *v);
	/* Take the device off its bus. Threads are stopped. */
	void (*remove)(struct virtio_dev *v);
};

/* Registers of one queue. Guarded by v->lock. */
struct virtio_queue_regs {
	uint16_t size;   /* as set by the driver, 0 = no such queue */
	uint16_t vector; /* MSI-X, or VIRTIO_NO_VECTOR */
	bool enabled;
	uint64_t desc, driver, device; /* guest addresses */
};

/* What a device is, given to virtio_dev_init() (copied). */
struct virtio_info {
	const char *name; /* "virtio-blk", static */
	enum virtio_type type;
	uint32_t class_code; /* PCI class, 24 bit: 0x010000 */
	unsigned nqueues;    /* 1..VIRTIO_MAX_QUEUES */
	uint16_t queue_size; /* largest, a power of two, for all queues */
	uint64_t features;   /* device's own bits; dev.c adds ring bits */
	unsigned config_len; /* 0..VIRTIO_CONFIG_MAX */
};

struct virtio_dev {
	struct device dev; /* first: what the board holds */
	struct core *core;
	struct virtio_info info;
	const struct virtio_ops *ops;
	const struct virtio_transport_ops *transport;
	void *transport_data;

	/* Registers. Rank LOCK_DEVICE. */
	struct lock lock;
	uint8_t status;                 /* guarded by lock */
	uint8_t generation;             /* guarded by lock: config changes */
	bool started;                   /* guarded by lock: DRIVER_OK seen */
	bool resetting;                 /* guarded by lock: status 0 written */
	uint64_t driver_features;       /* guarded by lock */
	struct virtio_queue_regs *regs; /* guarded by lock; nqueues of them */
	uint8_t config[VIRTIO_CONFIG_MAX];       /* guarded by lock */
	uint8_t config_wmask[VIRTIO_CONFIG_MAX]; /* constant after init */
	pthread_cond_t reset_done;               /* with lock */

	/* I/O thread only. */
	uint64_t features;       /* accepted ones, from start on */
	struct virtq **vq;       /* nqueues */
	bool live;               /* rings are mapped */
	bool stopping;           /* waiting for virtio_stopped() */
	bool broken;             /* NEEDS_RESET was set */
	bool paused;             /* quiesced */
	struct loop_call change; /* status was written: start or reset */
	struct log_limit log_limit;
};

/*
 * Set up v from info: registers, nqueues queues with a kick eventfd each.
 * config starts as zeroes; fill v->config and v->config_wmask before the
 * guest runs. v->dev is filled in. 0 or -errno with e filled; after success
 * virtio_dev_fini() undoes it.
 */
int virtio_dev_init(struct virtio_dev *v, struct core *core,
	const struct virtio_info *info, const struct virtio_ops *ops,
	struct err *e);
/* Takes the device off its bus too. Threads are stopped. */
void virtio_dev_fini(struct virtio_dev *v);

/*
 * Put v on the bus as a modern virtio PCI function (1af4:1040+type, BAR4
 * registers, BAR1 MSI-X with one vector a queue and one for config). -EEXIST
 * when devfn is taken. virtio_dev_fini() takes it off.
 */
int virtio_pci_add(struct virtio_dev *v, struct pci_bus *bus, unsigned devfn,
	struct err *e);

/* Has the driver accepted feature bit n? [io], from start to stop */
static inline bool virtio_has(const struct virtio_dev *v, unsigned bit)
{
	return v->features & VIRTIO_BIT(bit);
}

/*
 * May the device pop now? False before DRIVER_OK, while stopping, paused,
 * broken or without bus mastering. What arrives from outside meanwhile
 * (packets, key presses) is dropped or kept by the device; queue() is called
 * when it becomes true again. [io]
 */
bool virtio_active(struct virtio_dev *v);

/* The last request came back after stop() said false. [io] */
void virtio_stopped(struct virtio_dev *v);

/* The driver broke the device's rules: needs reset, logged. [io] */
void virtio_broken(struct virtio_dev *v, const char *why);

/*
 * Change config bytes as the device (link status, capacity): writes
 * config[off, off+len), counts the generation up and tells the driver.
 * Thread: any, without v->lock.
 */
void virtio_config_set(struct virtio_dev *v, unsigned off, const void *buf,
	unsigned len);

/* Queue n of v, 0 <= n < nqueues. */
struct virtq *virtio_queue(struct virtio_dev *v, unsigned n);

/*
 * QUEUES. All [io].
 */

/*
 * One chain of buffers. The caller sets iov and iov_max (what the device can
 * use, at most 2 * VIRTQ_MAX_CHAIN) before the pop; iov[0, nout) is what the
 * driver wrote, iov[nout, nout + nin) what the device may write.
 */
struct virtq_elem {
	struct iovec *iov;
	unsigned iov_max;
	unsigned nout, nin;
	uint32_t out_bytes, in_bytes;
	/* private to the queue */
	uint16_t id;    /* head index or buffer id */
	uint16_t ndesc; /* descriptors taken in a packed ring */
};

unsigned virtq_index(const struct virtq *q);
struct virtio_dev *virtq_dev(const struct virtq *q);
/* The driver set this queue up. Devices with optional queues ask. */
bool virtq_ready(const struct virtq *q);

/*
 * Take the next chain. 1 = got one, 0 = none there, -errno = the device is
 * broken now (bad address, loop, too long: logged, NEEDS_RESET set) or not
 * active. Does not wait.
 */
int virtq_pop(struct virtq *q, struct virtq_elem *el);

/* Give the chain taken last back to the ring untouched (no rx data yet). */
void virtq_unpop(struct virtq *q, const struct virtq_elem *el);

/*
 * Return a chain with `written` bytes (at most in_bytes) in its in-pieces.
 * In any order. The driver is sure to see it only after virtq_notify(), which
 * interrupts it unless it asked not to be: call that once a batch. Both do
 * nothing on a queue that is not ready.
 */
void virtq_push(struct virtq *q, const struct virtq_elem *el, uint32_t written);
void virtq_notify(struct virtq *q);

/*
 * Ask the driver not to kick while we look at the ring anyway, and to kick
 * again. enable returns true when chains came meanwhile: go on popping.
 *
 *	do {
 *		virtq_disable_kicks(q);
 *		while (virtq_pop(q, el) == 1)
 *			...
 *	} while (virtq_enable_kicks(q));
 *
 * Bound such a loop (a driver on another CPU may fill as fast as we empty)
 * and call virtq_again() to go on in the loop's next round. While the device
 * is not active, enable answers false.
 */
void virtq_disable_kicks(struct virtq *q);
bool virtq_enable_kicks(struct virtq *q);
void virtq_again(struct virtq *q);

/*
 * Copy out of the driver's pieces, from byte off on, or into the device's.
 * Returns the number of bytes copied, less than len at the end.
 */
uint32_t virtq_elem_read(const struct virtq_elem *el, uint32_t off, void *buf,
	uint32_t len);
uint32_t virtq_elem_write(const struct virtq_elem *el, uint32_t off,
	const void *buf, uint32_t len);

/*
 * Cut bytes [off, off+len) out of src[0, n) in place: afterwards *first is
 * the index of the first piece kept; returns how many pieces. The caller
 * knows that the range is inside.
 */
int virtq_iov_cut(struct iovec *src, int n, uint64_t off, uint64_t len,
	int *first);

/*
 * DEVICES. Each fills *out, which the board resets and frees by its ops;
 * what is passed besides is borrowed until then. 0 or -errno with e filled.
 */

/*
 * Disk on blk (opened on core->io). queues 1..8; serial: at most 20 bytes
 * are used, "" = none.
 */
int virtio_blk_new(struct core *core, struct pci_bus *bus, unsigned devfn,
	struct blk *blk, unsigned queues, const char *serial,
	struct device **out, struct err *e);
/* The image's size changed: tell the driver. Thread: any. */
void virtio_blk_resized(struct device *d);

/* Entropy source from getrandom(2), at most 1 MiB/s. */
int virtio_rng_new(struct core *core, struct pci_bus *bus, unsigned devfn,
	struct device **out, struct err *e);

#endif
