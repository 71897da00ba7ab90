// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * virtio-console, virtio 1.2 section 5.3, without multiport: one byte stream
 * on a struct console. Output never waits for a reader; input waits in the
 * console until the driver has buffers. All rings on the I/O thread.
 */
#include "vm/virtio/console.h"

#include <errno.h>
#include <stdlib.h>

#include "vm/base/list.h"

enum { Q_RX, Q_TX, NQUEUES };

#define QUEUE_SIZE 128
#define RX_BATCH   128
#define TX_BATCH   128
#define CFG_LEN    12 /* cols, rows, max_nr_ports, emerg_wr */

struct virtio_console {
	struct virtio_dev v;
	struct console *con;
	struct loop_call input; /* bytes came */
	struct iovec iov[2 * VIRTQ_MAX_CHAIN];
};

static struct virtio_console *console_of(struct virtio_dev *v)
{
	return container_of(v, struct virtio_console, v);
}

static void give_input(void *arg)
{
	struct virtio_console *vc = arg;
	struct virtq *q = virtio_queue(&vc->v, Q_RX);
	unsigned given = 0;

	while (virtio_active(&vc->v) && given < RX_BATCH) {
		struct virtq_elem el = { .iov = vc->iov,
			.iov_max = 2 * VIRTQ_MAX_CHAIN };
		char buf[CONSOLE_INPUT];
		size_t n;

		if (virtq_pop(q, &el) != 1) {
			if (virtq_enable_kicks(q))
				continue; /* there came one meanwhile */
			break;
		}
		n = el.in_bytes < sizeof(buf) ? el.in_bytes : sizeof(buf);
		n = console_input_take(vc->con, buf, n);
		if (!n && el.in_bytes) {
			virtq_unpop(q, &el);
			break;
		}
		virtq_elem_write(&el, 0, buf, (uint32_t)n);
		virtq_push(q, &el, (uint32_t)n);
		given++;
	}
	if (given)
		virtq_notify(q);
	if (given == RX_BATCH)
		virtq_again(q);
}

static void input_came(void *arg)
{
	struct virtio_console *vc = arg;

	loop_call_schedule(&vc->input);
}

static void take_output(struct virtio_console *vc, struct virtq *q)
{
	unsigned n = 0;

	do {
		virtq_disable_kicks(q);
		for (;;) {
			struct virtq_elem el = { .iov = vc->iov,
				.iov_max = 2 * VIRTQ_MAX_CHAIN };

			if (n == TX_BATCH || virtq_pop(q, &el) != 1)
				break;
			n++;
			for (unsigned i = 0; i < el.nout; i++)
				console_output(vc->con, el.iov[i].iov_base,
					el.iov[i].iov_len);
			virtq_push(q, &el, 0);
		}
		virtq_notify(q);
		if (n == TX_BATCH) {
			virtq_again(q);
			return;
		}
	} while (virtq_enable_kicks(q));
}

static void con_queue(struct virtio_dev *v, struct virtq *q)
{
	struct virtio_console *vc = console_of(v);

	if (virtq_index(q) == Q_TX)
		take_output(vc, q);
	else
		give_input(vc);
}

static void con_free(struct virtio_dev *v)
{
	struct virtio_console *vc = console_of(v);

	console_set_sink(vc->con, NULL, NULL);
	loop_call_cancel(&vc->input);
	virtio_dev_fini(v);
	free(vc);
}

static const struct virtio_ops con_ops = {
	.queue = con_queue,
	.free = con_free,
};

int virtio_console_new(struct core *core, struct pci_bus *bus, unsigned devfn,
	struct console *c, struct device **out, struct err *e)
{
	static const struct virtio_info info = {
		.name = "virtio-console",
		.type = VIRTIO_TYPE_CONSOLE,
		.class_code = 0x078000,
		.nqueues = NQUEUES,
		.queue_size = QUEUE_SIZE,
		.config_len = CFG_LEN,
	};
	struct virtio_console *vc = calloc(1, sizeof(*vc));
	int r;

	if (!vc)
		return err_set(e, ENOMEM, "no memory for virtio-console");
	vc->con = c;
	r = virtio_dev_init(&vc->v, core, &info, &con_ops, e);
	if (r < 0) {
		free(vc);
		return r;
	}
	loop_call_init(&vc->input, core->io, give_input, vc);
	r = virtio_pci_add(&vc->v, bus, devfn, e);
	if (r < 0) {
		virtio_dev_fini(&vc->v);
		free(vc);
		return r;
	}
	console_set_sink(c, input_came, vc);
	*out = &vc->v.dev;
	return 0;
}
