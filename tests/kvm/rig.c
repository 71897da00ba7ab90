// SPDX-License-Identifier: GPL-3.0-or-later
/* The engine tests' guest: see rig.h. */
#include "tests/kvm/rig.h"

#define ROM_BASE UINT64_C(0xffff0000)
#define ROM_SIZE UINT64_C(0x10000)

static void note_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
	struct rig *r = opaque;

	(void)off;
	(void)size;
	pthread_mutex_lock(&r->mutex);
	if (r->nseen < RIG_SEEN)
		r->seen[r->nseen++] = val;
	pthread_cond_broadcast(&r->cond);
	pthread_mutex_unlock(&r->mutex);
}

static void done_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
	struct rig *r = opaque;

	(void)off;
	(void)val;
	(void)size;
	vcpus_park(r->vcpus);
	pthread_mutex_lock(&r->mutex);
	r->ndone++;
	pthread_cond_broadcast(&r->cond);
	pthread_mutex_unlock(&r->mutex);
}

static uint64_t reg_read(void *opaque, uint64_t off, unsigned size)
{
	const struct rig *r = opaque;

	(void)off;
	(void)size;
	return ~r->reg_val;
}

static void reg_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
	struct rig *r = opaque;

	(void)off;
	(void)size;
	r->reg_val = (uint32_t)val;
}

static const struct bus_ops note_ops = { .write = note_write };
static const struct bus_ops done_ops = { .write = done_write };
static const struct bus_ops reg_ops = { reg_read, reg_write };

static void rig_crashed(void *arg, struct vcpu *v, const char *why)
{
	struct rig *r = arg;

	(void)v;
	pthread_mutex_lock(&r->mutex);
	r->ncrashed++;
	snprintf(r->why, sizeof(r->why), "%s", why);
	pthread_cond_broadcast(&r->cond);
	pthread_mutex_unlock(&r->mutex);
}

static void rig_request(void *arg, enum core_request what, const char *why)
{
	struct rig *r = arg;

	(void)what;
	rig_crashed(r, NULL, why ? why : "");
}

static void map_port(struct rig *r, struct bus_region *reg, uint64_t port,
	uint64_t len, const struct bus_ops *ops)
{
	*reg = (struct bus_region){ .name = "test port",
		.ops = ops,
		.opaque = r,
		.len = len,
		.prio = BUS_FIXED };
	ck_assert_int_eq(bus_map(r->core.pio, reg, port), 0);
}

/* ROM up to 4 GiB with a jump to the guest's code at the reset vector. */
static void rig_rom(struct rig *r)
{
	static const uint8_t jump[] = { 0xea, 0x00, 0x80, 0x00, 0x00 };
	struct gmem_block *b;
	struct gmem_view *v;
	struct err e;

	ck_assert_int_eq(gmem_block_new(r->core.gmem, "rom", ROM_SIZE, &b, &e),
		0);
	memcpy((uint8_t *)gmem_block_ptr(b) + 0xfff0, jump, sizeof(jump));
	ck_assert_int_eq(gmem_view_new(b, 0, ROM_SIZE, GMEM_ROM, &v, &e), 0);
	ck_assert_int_eq(gmem_view_map(v, ROM_BASE), 0);
}

void rig_up(struct rig *r, const char *name, uint64_t mem, unsigned n)
{
	struct vcpus_opts o = { .n = n, .crashed = rig_crashed };
	struct err e = ERR_NONE;
	const uint8_t *code;
	size_t len;
	int rc;

	memset(r, 0, sizeof(*r));
	pthread_mutex_init(&r->mutex, NULL);
	pthread_cond_init(&r->cond, NULL);
	rc = kvm_vm_new(&r->kvm, &e);
	ck_assert_msg(rc == 0, "%s", e.msg);
	rc = gmem_new(r->kvm, mem, false, &r->core.gmem, &e);
	ck_assert_msg(rc == 0, "%s", e.msg);
	ck_assert_int_eq(bus_new(r->kvm, true, 0x10000, &r->core.pio, &e), 0);
	ck_assert_int_eq(bus_new(r->kvm, false,
				 UINT64_C(1) << kvm_phys_bits(r->kvm),
				 &r->core.mmio, &e),
		0);
	ck_assert_int_eq(irqs_new(r->kvm, &r->core.irqs, &e), 0);
	r->core.request = rig_request;
	r->core.request_arg = r;
	map_port(r, &r->note, 0xf0, 4, &note_ops);
	map_port(r, &r->done, 0xf4, 4, &done_ops);
	map_port(r, &r->reg, 0xf8, 4, &reg_ops);
	rig_rom(r);
	code = guest_code(name, &len);
	ck_assert_int_eq(gmem_write(r->core.gmem, RIG_CODE, code, len), 0);
	o.kvm = r->kvm;
	o.core = &r->core;
	o.crashed_arg = r;
	rc = vcpus_new(&o, &r->vcpus, &e);
	ck_assert_msg(rc == 0, "%s", e.msg);
}

void rig_down(struct rig *r)
{
	vcpus_free(r->vcpus);
	irqs_free(r->core.irqs);
	bus_free(r->core.mmio);
	bus_free(r->core.pio);
	gmem_free(r->core.gmem);
	kvm_vm_free(r->kvm);
	pthread_cond_destroy(&r->cond);
	pthread_mutex_destroy(&r->mutex);
}

void rig_start(struct rig *r)
{
	static const struct vcpu_entry entry = { .mode = VCPU_RESET };
	struct err e = ERR_NONE;

	ck_assert_int_eq(vcpus_reset(r->vcpus, &entry, &e), 0);
	ck_assert_int_eq(vcpus_start(r->vcpus, &e), 0);
}

static void rig_wait(struct rig *r, const unsigned *what, unsigned n)
{
	pthread_mutex_lock(&r->mutex);
	/* a crash ends every wait: it is not what the test waits for */
	while (*what < n && !r->ncrashed)
		pthread_cond_wait(&r->cond, &r->mutex);
	ck_assert_msg(*what >= n, "the guest crashed: %s", r->why);
	pthread_mutex_unlock(&r->mutex);
}

void rig_wait_done(struct rig *r, unsigned n)
{
	rig_wait(r, &r->ndone, n);
}

void rig_wait_seen(struct rig *r, unsigned n)
{
	rig_wait(r, &r->nseen, n);
}

void rig_wait_crashed(struct rig *r, unsigned n)
{
	rig_wait(r, &r->ncrashed, n);
}

void rig_run(struct rig *r)
{
	rig_start(r);
	rig_wait_done(r, 1);
	vcpus_pause(r->vcpus);
}

int rig_main(const char *name, const TTest **tests, size_t n)
{
	struct kvm_host h;
	struct err e = ERR_NONE;

	if (kvm_probe(&h, &e) < 0) {
		printf("%s\n", e.msg);
		return 77;
	}
	return suite_run(name, tests, n);
}
