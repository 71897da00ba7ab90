// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * virtio-input, virtio 1.2 section 5.8: the driver asks by (select, subsel)
 * what the device has and gets evdev bit maps; events go out one a buffer of
 * eight bytes, each group ended by SYN_REPORT.
 *
 * Events come from any thread (a viewer's), wait in a short queue under
 * lock, and are pushed on the I/O thread. A full queue drops the newest
 * group whole, so that the driver never sees half of one.
 */
#include "vm/virtio/input.h"

#include <errno.h>
#include <linux/input-event-codes.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/bytes.h"
#include "vm/base/list.h"
#include "vm/base/sizes.h"

enum { Q_EVENT, Q_STATUS, NQUEUES };

/* Configuration (5.8.4): what select asks for, and the layout */
enum {
	CFG_ID_NAME = 0x01,
	CFG_ID_SERIAL = 0x02,
	CFG_ID_DEVIDS = 0x03,
	CFG_PROP_BITS = 0x10,
	CFG_EV_BITS = 0x11,
	CFG_ABS_INFO = 0x12,
};
#define CFG_SELECT 0
#define CFG_SUBSEL 1
#define CFG_SIZE   2
#define CFG_DATA   8
#define CFG_LEN    136

#define BUS_VIRTUAL 0x06 /* linux/input.h, whose input_event is not ours */

#define EVENT_LEN  8 /* le16 type, le16 code, le32 value (5.8.6) */
#define QUEUE_SIZE 64
#define PENDING    256
#define ABS_TOP    32767

struct event {
	uint16_t type, code;
	int32_t value;
};

struct virtio_input {
	struct virtio_dev v;
	enum virtio_input_kind kind;
	struct display *display;
	struct loop_call push_call;
	struct lock lock; /* rank LOCK_DEVICE; guards what follows */
	struct event pending[PENDING];
	unsigned head, n;
	unsigned buttons;
	/* [io] */
	struct iovec iov[2 * VIRTQ_MAX_CHAIN];
};

static const struct {
	unsigned mask; /* enum input_button */
	uint16_t code;
} buttons[] = {
	{ INPUT_LEFT, BTN_LEFT },
	{ INPUT_RIGHT, BTN_RIGHT },
	{ INPUT_MIDDLE, BTN_MIDDLE },
};

static struct virtio_input *input_of(struct virtio_dev *v)
{
	return container_of(v, struct virtio_input, v);
}

/* Configuration */

static void set_bit(uint8_t *map, unsigned bit, unsigned *size)
{
	map[bit / 8] |= (uint8_t)(1U << bit % 8);
	if (bit / 8 + 1 > *size)
		*size = bit / 8 + 1;
}

static unsigned key_bits(const struct virtio_input *in, uint8_t *map)
{
	unsigned size = 0;

	if (in->kind == VIRTIO_INPUT_TABLET) {
		for (size_t i = 0; i < ARRAY_LEN(buttons); i++)
			set_bit(map, buttons[i].code, &size);
		return size;
	}
	for (unsigned sc = 0; sc < 0x80; sc++) {
		uint16_t a = virtio_input_keycode((uint16_t)sc);
		uint16_t b = virtio_input_keycode((uint16_t)(0xe000 | sc));

		if (a)
			set_bit(map, a, &size);
		if (b)
			set_bit(map, b, &size);
	}
	return size;
}

static unsigned ev_bits(const struct virtio_input *in, unsigned type,
	uint8_t *map)
{
	bool tablet = in->kind == VIRTIO_INPUT_TABLET;
	unsigned size = 0;

	switch (type) {
	case EV_KEY:
		return key_bits(in, map);
	case EV_REL:
		if (tablet)
			set_bit(map, REL_WHEEL, &size);
		return size;
	case EV_ABS:
		if (tablet) {
			set_bit(map, ABS_X, &size);
			set_bit(map, ABS_Y, &size);
		}
		return size;
	case EV_LED:
		if (!tablet) {
			set_bit(map, LED_NUML, &size);
			set_bit(map, LED_CAPSL, &size);
			set_bit(map, LED_SCROLLL, &size);
		}
		return size;
	case EV_REP:
		if (!tablet) {
			set_bit(map, REP_DELAY, &size);
			set_bit(map, REP_PERIOD, &size);
		}
		return size;
	default:
		return 0;
	}
}

/* A name, without an end mark: its size tells (5.8.4). */
static unsigned text(uint8_t *data, const char *s)
{
	unsigned n;

	for (n = 0; s[n]; n++)
		data[n] = (uint8_t)s[n];
	return n;
}

/* struct virtio_input_devids: bus, vendor, product, version */
static unsigned devids(const struct virtio_input *in, uint8_t *data)
{
	put_le16(data, BUS_VIRTUAL);
	put_le16(data + 2, 0x0627);
	put_le16(data + 4, in->kind == VIRTIO_INPUT_TABLET ? 3 : 1);
	put_le16(data + 6, 1);
	return 8;
}

/* struct virtio_input_absinfo: min, max, fuzz, flat, res */
static unsigned abs_info(const struct virtio_input *in, unsigned axis,
	uint8_t *data)
{
	if (in->kind != VIRTIO_INPUT_TABLET || (axis != ABS_X && axis != ABS_Y))
		return 0;
	put_le32(data + 4, ABS_TOP);
	return 20;
}

/* The driver chose what to look at. [lock] */
static void input_config_written(struct virtio_dev *v, unsigned off,
	unsigned len)
{
	const struct virtio_input *in = input_of(v);
	bool tablet = in->kind == VIRTIO_INPUT_TABLET;
	uint8_t *data = v->config + CFG_DATA;
	unsigned subsel = v->config[CFG_SUBSEL], size = 0;

	(void)off;
	(void)len;
	memset(data, 0, CFG_LEN - CFG_DATA);
	switch (v->config[CFG_SELECT]) {
	case CFG_ID_NAME:
		size = text(data,
			tablet ? "guestdeck tablet" : "guestdeck keyboard");
		break;
	case CFG_ID_SERIAL:
		break;
	case CFG_ID_DEVIDS:
		size = devids(in, data);
		break;
	case CFG_PROP_BITS:
		break;
	case CFG_EV_BITS:
		size = ev_bits(in, subsel, data);
		break;
	case CFG_ABS_INFO:
		size = abs_info(in, subsel, data);
		break;
	default:
		break;
	}
	v->config[CFG_SIZE] = (uint8_t)size;
}

static void input_reset(struct virtio_dev *v)
{
	memset(v->config, 0, CFG_LEN);
}

/* Events */

/* Lock held: add to the group that is being built. */
static void add(struct virtio_input *in, uint16_t type, uint16_t code,
	int32_t value)
{
	unsigned at = (in->head + in->n) % PENDING;

	in->pending[at] = (struct event){ type, code, value };
	in->n++;
}

static void add_pointer(struct virtio_input *in, const struct input_event *ev)
{
	unsigned changed = ev->buttons ^ in->buttons;
	unsigned pressed = changed & ev->buttons;

	add(in, EV_ABS, ABS_X, ev->x);
	add(in, EV_ABS, ABS_Y, ev->y);
	for (size_t i = 0; i < ARRAY_LEN(buttons); i++)
		if (changed & buttons[i].mask)
			add(in, EV_KEY, buttons[i].code,
				!!(ev->buttons & buttons[i].mask));
	if (pressed & INPUT_WHEEL_UP)
		add(in, EV_REL, REL_WHEEL, 1);
	if (pressed & INPUT_WHEEL_DOWN)
		add(in, EV_REL, REL_WHEEL, -1);
	in->buttons = ev->buttons;
}

/* From the hub, any thread. */
static void input_event(void *arg, const struct input_event *ev)
{
	struct virtio_input *in = arg;
	uint16_t code = virtio_input_keycode(ev->scancode);

	lock_take(&in->lock);
	if (in->n + 9 <= PENDING) { /* the longest group */
		if (ev->kind == INPUT_POINTER_ABS) {
			add_pointer(in, ev);
			add(in, EV_SYN, SYN_REPORT, 0);
		} else if (ev->kind == INPUT_KEY && code) {
			add(in, EV_KEY, code, ev->down);
			add(in, EV_SYN, SYN_REPORT, 0);
		}
	}
	lock_drop(&in->lock);
	loop_call_schedule(&in->push_call);
}

static bool next_event(struct virtio_input *in, uint8_t *wire)
{
	const struct event *ev = &in->pending[in->head];
	bool any;

	lock_take(&in->lock);
	any = in->n > 0;
	if (any) {
		put_le16(wire, ev->type);
		put_le16(wire + 2, ev->code);
		put_le32(wire + 4, (uint32_t)ev->value);
		in->head = (in->head + 1) % PENDING;
		in->n--;
	}
	lock_drop(&in->lock);
	return any;
}

static void forget_events(struct virtio_input *in)
{
	lock_take(&in->lock);
	in->n = 0;
	in->buttons = 0;
	lock_drop(&in->lock);
}

static void push_events(void *arg)
{
	struct virtio_input *in = arg;
	struct virtq *q = virtio_queue(&in->v, Q_EVENT);
	uint8_t wire[EVENT_LEN];
	bool any = false;

	if (!virtio_active(&in->v)) {
		forget_events(in);
		return;
	}
	for (;;) {
		struct virtq_elem el = { .iov = in->iov,
			.iov_max = 2 * VIRTQ_MAX_CHAIN };

		if (virtq_pop(q, &el) != 1) {
			if (virtq_enable_kicks(q))
				continue; /* there came one meanwhile */
			break;
		}
		if (!next_event(in, wire)) {
			virtq_unpop(q, &el);
			break;
		}
		virtq_push(q, &el, virtq_elem_write(&el, 0, wire, EVENT_LEN));
		any = true;
	}
	if (any)
		virtq_notify(q);
}

/* LED changes: taken and returned; nobody shows them yet. */
static void take_status(struct virtio_input *in, struct virtq *q)
{
	unsigned n = 0;

	while (n < QUEUE_SIZE) {
		struct virtq_elem el = { .iov = in->iov,
			.iov_max = 2 * VIRTQ_MAX_CHAIN };

		if (virtq_pop(q, &el) != 1) {
			if (virtq_enable_kicks(q))
				continue; /* there came one meanwhile */
			break;
		}
		virtq_push(q, &el, 0);
		n++;
	}
	if (n)
		virtq_notify(q);
	if (n == QUEUE_SIZE)
		virtq_again(q);
}

static void input_queue(struct virtio_dev *v, struct virtq *q)
{
	struct virtio_input *in = input_of(v);

	if (virtq_index(q) == Q_STATUS)
		take_status(in, q);
	else
		push_events(in);
}

static void input_start(struct virtio_dev *v)
{
	struct virtio_input *in = input_of(v);

	if (in->display)
		display_sink_active(in->display, in, true);
}

static bool input_stop(struct virtio_dev *v)
{
	struct virtio_input *in = input_of(v);

	if (in->display)
		display_sink_active(in->display, in, false);
	forget_events(in);
	return true;
}

static void input_free(struct virtio_dev *v)
{
	struct virtio_input *in = input_of(v);

	if (in->display)
		display_del_sink(in->display, in);
	loop_call_cancel(&in->push_call);
	virtio_dev_fini(v);
	lock_fini(&in->lock);
	free(in);
}

static const struct virtio_ops input_ops = {
	.config_written = input_config_written,
	.reset = input_reset,
	.start = input_start,
	.queue = input_queue,
	.stop = input_stop,
	.free = input_free,
};

static int attach(struct virtio_input *in, struct pci_bus *bus, unsigned devfn,
	struct err *e)
{
	struct input_sink sink = {
		.kinds = in->kind == VIRTIO_INPUT_TABLET
				 ? 1U << INPUT_POINTER_ABS
				 : 1U << INPUT_KEY,
		.event = input_event,
		.arg = in,
	};
	int r = virtio_pci_add(&in->v, bus, devfn, e);

	if (r >= 0 && in->display) {
		r = display_add_sink(in->display, &sink, false);
		if (r < 0)
			err_set(e, -r, "%s: no room for an input device",
				in->v.info.name);
	}
	return r;
}

int virtio_input_new(struct core *core, struct pci_bus *bus, unsigned devfn,
	enum virtio_input_kind kind, struct display *d, struct device **out,
	struct err *e)
{
	const struct virtio_info info = {
		.name = kind == VIRTIO_INPUT_TABLET ? "virtio-tablet"
						    : "virtio-keyboard",
		.type = VIRTIO_TYPE_INPUT,
		.class_code = kind == VIRTIO_INPUT_TABLET ? 0x098000 : 0x090000,
		.nqueues = NQUEUES,
		.queue_size = QUEUE_SIZE,
		.config_len = CFG_LEN,
	};
	struct virtio_input *in = calloc(1, sizeof(*in));
	int r;

	if (!in)
		return err_set(e, ENOMEM, "no memory for %s", info.name);
	in->kind = kind;
	in->display = d;
	r = virtio_dev_init(&in->v, core, &info, &input_ops, e);
	if (r < 0) {
		free(in);
		return r;
	}
	in->v.config_wmask[CFG_SELECT] = 0xff;
	in->v.config_wmask[CFG_SUBSEL] = 0xff;
	lock_init(&in->lock, "virtio-input", LOCK_DEVICE);
	loop_call_init(&in->push_call, core->io, push_events, in);
	r = attach(in, bus, devfn, e);
	if (r < 0) {
		virtio_dev_fini(&in->v);
		lock_fini(&in->lock);
		free(in);
		return r;
	}
	*out = &in->v.dev;
	return 0;
}
