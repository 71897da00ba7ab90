/* SPDX-License-Identifier: GPL-3.0-or-later */
/* vm/dev/fwcfg: ports, directory, DMA, the standard items. */
#include <errno.h>
#include <pthread.h>

#include "vm/base/bytes.h"
#include "vm/base/sizes.h"

#include "vm/dev/fwcfg.h"
#include "vm/fw/bootorder.h"

#include "tests/unit/suite.h"

#define RAM (16 * MiB)

enum { READ = 2, SKIP = 4, SELECT = 8, WRITE = 16 };

struct rig {
	struct core core;
	struct fwcfg *f;
};

static void rig_up(struct rig *r)
{
	struct err e = ERR_NONE;

	memset(r, 0, sizeof(*r));
	ck_assert_int_eq(log_open("/dev/null", &r->core.log, &e), 0);
	ck_assert_int_eq(gmem_new(NULL, RAM, false, &r->core.gmem, &e), 0);
	ck_assert_int_eq(bus_new(NULL, true, 0x10000, &r->core.pio, &e), 0);
	ck_assert_int_eq(fwcfg_new(&r->core, &r->f, &e), 0);
}

static void rig_down(struct rig *r)
{
	struct device *d = fwcfg_device(r->f);

	d->ops->free(d);
	bus_free(r->core.pio);
	gmem_free(r->core.gmem);
	log_close(r->core.log);
}

static void reset(struct rig *r)
{
	struct device *d = fwcfg_device(r->f);

	d->ops->reset(d);
}

static void sel(struct rig *r, unsigned key)
{
	bus_write(r->core.pio, 0x510, key, 2);
}

static uint8_t byte(struct rig *r)
{
	return (uint8_t)bus_read(r->core.pio, 0x511, 1);
}

static uint32_t le32(struct rig *r)
{
	uint8_t b[4];

	for (size_t i = 0; i < 4; i++)
		b[i] = byte(r);
	return get_le32(b);
}

static uint32_t be32(struct rig *r)
{
	return __builtin_bswap32(le32(r));
}

static void start_dma(struct rig *r, uint64_t desc)
{
	bus_write(r->core.pio, 0x514, htobe32((uint32_t)(desc >> 32)), 4);
	bus_write(r->core.pio, 0x518, htobe32((uint32_t)desc), 4);
}

/* Carry one DMA out with its descriptor at 0x1000; the control word after. */
static uint32_t dma(struct rig *r, uint32_t control, uint32_t len,
	uint64_t addr)
{
	uint8_t d[16];

	put_be32(d, control);
	put_be32(d + 4, len);
	put_be64(d + 8, addr);
	ck_assert_int_eq(gmem_write(r->core.gmem, 0x1000, d, 16), 0);
	start_dma(r, 0x1000);
	ck_assert_int_eq(gmem_read(r->core.gmem, 0x1000, d, 4), 0);
	return get_be32(d);
}

static uint32_t key_op(unsigned key, unsigned op)
{
	return (uint32_t)key << 16 | SELECT | op;
}

/* Select key of a file by name through the directory; *size gets its size. */
static unsigned find(struct rig *r, const char *name, uint32_t *size)
{
	uint32_t n;
	unsigned found = 0;

	sel(r, FWCFG_FILE_DIR);
	n = be32(r);
	while (n--) {
		uint32_t len = be32(r), keys = be32(r);
		char got[56];

		for (size_t i = 0; i < sizeof(got); i++)
			got[i] = (char)byte(r);
		if (!strcmp(got, name)) {
			found = keys >> 16;
			*size = len;
		}
	}
	return found;
}

START_TEST (it_says_who_it_is_and_that_it_has_dma) {
	struct rig r;

	rig_up(&r);
	sel(&r, FWCFG_SIGNATURE);
	ck_assert_uint_eq(be32(&r), 0x51454D55);
	sel(&r, FWCFG_ID);
	ck_assert_uint_eq(le32(&r), 3);
	ck_assert_uint_eq(bus_read(r.core.pio, 0x514, 4), 0x554D4551);
	ck_assert_uint_eq(bus_read(r.core.pio, 0x518, 4), 0x47464320);
	ck_assert_uint_eq(bus_read(r.core.pio, 0x51B, 1), 'G');
	rig_down(&r);
}
END_TEST

START_TEST (past_the_end_and_unknown_keys_read_zero) {
	struct rig r;

	rig_up(&r);
	ck_assert_uint_eq(byte(&r), 0); /* nothing selected yet */
	sel(&r, FWCFG_ID);
	le32(&r);
	for (int i = 0; i < 10; i++)
		ck_assert_uint_eq(byte(&r), 0);
	sel(&r, 0x12);
	ck_assert_uint_eq(byte(&r), 0);
	sel(&r, 0x7FFF);
	ck_assert_uint_eq(byte(&r), 0);
	rig_down(&r);
}
END_TEST

START_TEST (other_widths_do_nothing) {
	struct rig r;

	rig_up(&r);
	sel(&r, FWCFG_SIGNATURE);
	bus_write(r.core.pio, 0x510, 1, 1);
	bus_write(r.core.pio, 0x511, 1, 1);
	bus_write(r.core.pio, 0x514, 1, 1);
	bus_write(r.core.pio, 0x518, 1, 2);
	bus_write(r.core.pio, 0x516, 1, 4);
	ck_assert_uint_eq(bus_read(r.core.pio, 0x510, 2), 0xFFFF);
	ck_assert_uint_eq(byte(&r), 'Q');
	/* a byte of the select port is data as well */
	ck_assert_uint_eq(bus_read(r.core.pio, 0x510, 1), 'E');
	rig_down(&r);
}
END_TEST

START_TEST (files_are_listed_sorted_with_their_keys) {
	struct rig r;
	uint32_t size;
	char b[] = "bb", a[] = "aaa";

	rig_up(&r);
	ck_assert_int_eq(fwcfg_add_file(r.f, "opt/b", b, 2, false), 0);
	ck_assert_int_eq(fwcfg_add_file(r.f, "opt/a", a, 3, false), 0);
	ck_assert_int_eq(fwcfg_add_file(r.f, "etc/z", strdup("z"), 1, true), 0);
	b[0] = a[0] = '!'; /* they were copied */
	ck_assert_uint_eq(find(&r, "etc/z", &size), 0x20);
	ck_assert_uint_eq(find(&r, "opt/a", &size), 0x21);
	ck_assert_uint_eq(size, 3);
	ck_assert_uint_eq(find(&r, "opt/b", &size), 0x22);
	ck_assert_uint_eq(size, 2);
	sel(&r, 0x22);
	ck_assert_uint_eq(byte(&r), 'b');
	sel(&r, 0x21 | 0x4000); /* the write channel's flag means nothing */
	ck_assert_uint_eq(byte(&r), 'a');
	sel(&r, 0x23);
	ck_assert_uint_eq(byte(&r), 0);
	rig_down(&r);
}
END_TEST

START_TEST (a_list_that_was_seen_is_closed_until_reset) {
	struct rig r;
	uint32_t size;

	rig_up(&r);
	ck_assert_uint_eq(find(&r, "x", &size), 0);
	ck_assert_int_eq(fwcfg_add_file(r.f, "x", strdup("x"), 1, true),
		-EBUSY);
	ck_assert_int_eq(fwcfg_add_key(r.f, 5, "x", 1), -EBUSY);
	ck_assert_int_eq(fwcfg_add_writable(r.f, "x", "x", 1, NULL, NULL),
		-EBUSY);
	reset(&r);
	ck_assert_int_eq(fwcfg_add_file(r.f, "x", strdup("x"), 1, true), 0);
	ck_assert_uint_eq(find(&r, "x", &size), 0x20);
	rig_down(&r);
}
END_TEST

START_TEST (what_cannot_be_added_is_refused) {
	struct rig r;
	char name[64];
	uint8_t one = 1;
	int rc = 0;

	rig_up(&r);
	memset(name, 'n', sizeof(name));
	name[56] = 0;
	ck_assert_int_eq(fwcfg_add_file(r.f, name, &one, 1, false), -EINVAL);
	name[55] = 0;
	ck_assert_int_eq(fwcfg_add_file(r.f, name, &one, 1, false), 0);
	ck_assert_int_eq(fwcfg_add_file(r.f, name, &one, 1, false), -EEXIST);
	ck_assert_int_eq(fwcfg_add_file(r.f, "", &one, 1, false), -EINVAL);
	ck_assert_int_eq(fwcfg_add_file(r.f, "big", &one, (size_t)1 << 40,
				 false),
		-EINVAL);
	ck_assert_int_eq(fwcfg_add_file(r.f, "none", NULL, 0, false), 0);
	ck_assert_int_eq(fwcfg_add_key(r.f, FWCFG_ID, &one, 1), -EEXIST);
	ck_assert_int_eq(fwcfg_add_key(r.f, FWCFG_FILE_DIR, &one, 1), -EINVAL);
	ck_assert_int_eq(fwcfg_add_key(r.f, 0x20, &one, 1), -EINVAL);
	ck_assert_int_eq(fwcfg_add_key(r.f, 0x10000, &one, 1), -EINVAL);
	for (unsigned k = 0x8000; !rc; k++)
		rc = fwcfg_add_key(r.f, k, &one, 1);
	ck_assert_int_eq(rc, -ENOSPC);
	for (rc = 0; !rc;) {
		static unsigned n;

		snprintf(name, sizeof(name), "file%u", n++);
		rc = fwcfg_add_file(r.f, name, &one, 1, false);
	}
	ck_assert_int_eq(rc, -ENOSPC);
	ck_assert_uint_ne(find(&r, "file0", &(uint32_t){ 0 }), 0);
	rig_down(&r);
}
END_TEST

START_TEST (dma_reads_select_skip_and_pad) {
	struct rig r;
	uint8_t got[12];
	char text[] = "0123456789";

	rig_up(&r);
	fwcfg_add_file(r.f, "t", text, 10, false);
	ck_assert_uint_eq(dma(&r, key_op(0x20, READ), 4, 0x2000), 0);
	ck_assert_int_eq(gmem_read(r.core.gmem, 0x2000, got, 4), 0);
	ck_assert_mem_eq(got, "0123", 4);
	ck_assert_uint_eq(dma(&r, SKIP, 2, 0), 0);
	ck_assert_uint_eq(byte(&r), '6'); /* port and DMA share the place */
	ck_assert_int_eq(gmem_write(r.core.gmem, 0x2000, "xxxxxxxxxxxx", 12),
		0);
	ck_assert_uint_eq(dma(&r, READ, 12, 0x2000), 0);
	ck_assert_int_eq(gmem_read(r.core.gmem, 0x2000, got, 12), 0);
	ck_assert_mem_eq(got, "789\0\0\0\0\0\0\0\0\0", 12);
	ck_assert_uint_eq(dma(&r, key_op(0x20, SKIP), UINT32_MAX, 0), 0);
	ck_assert_uint_eq(byte(&r), 0);
	ck_assert_uint_eq(dma(&r, key_op(0x20, 0), 0, 0), 0);
	ck_assert_uint_eq(byte(&r), '0');
	/* unknown keys read as zeroes too */
	ck_assert_uint_eq(dma(&r, key_op(0x77, READ), 4, 0x2000), 0);
	ck_assert_int_eq(gmem_read(r.core.gmem, 0x2000, got, 4), 0);
	ck_assert_mem_eq(got, "\0\0\0\0", 4);
	rig_down(&r);
}
END_TEST

START_TEST (dma_outside_ram_sets_the_error_bit) {
	struct rig r;
	char text[64] = "text";

	rig_up(&r);
	fwcfg_add_file(r.f, "t", text, 64, false);
	ck_assert_uint_eq(dma(&r, key_op(0x20, READ), 64, RAM - 63), 1);
	ck_assert_uint_eq(dma(&r, key_op(0x20, READ), 64, UINT64_MAX - 3), 1);
	ck_assert_uint_eq(dma(&r, key_op(0x20, READ), 64, 0x9FFF0), 1);
	ck_assert_uint_eq(dma(&r, key_op(0x20, READ), 0, UINT64_MAX), 0);
	ck_assert_uint_eq(dma(&r, key_op(0x77, READ), 4, RAM), 1);
	ck_assert_uint_eq(dma(&r, key_op(0x20, WRITE), 4, 0x2000), 1);
	ck_assert_uint_eq(dma(&r, key_op(0x77, WRITE), 4, 0x2000), 1);
	/* zeroes without end are not handed out */
	ck_assert_uint_eq(dma(&r, key_op(0x77, READ), UINT32_MAX, 0), 1);
	ck_assert_uint_eq(dma(&r, key_op(0x20, READ), 2 * MiB, 0x2000), 1);
	/* a descriptor that is nowhere has no place for an error */
	start_dma(&r, RAM);
	start_dma(&r, RAM - 15);
	start_dma(&r, UINT64_MAX);
	rig_down(&r);
}
END_TEST

START_TEST (the_high_half_of_an_address_counts_once) {
	struct rig r;
	uint8_t d[16];

	rig_up(&r);
	bus_write(r.core.pio, 0x514, htobe32(0x7), 4);
	start_dma(&r, 0x1000); /* writes the high half anew */
	put_be32(d, key_op(FWCFG_ID, READ));
	put_be32(d + 4, 4);
	put_be64(d + 8, 0x2000);
	gmem_write(r.core.gmem, 0x1000, d, 16);
	bus_write(r.core.pio, 0x518, htobe32(0x1000), 4);
	gmem_read(r.core.gmem, 0x2000, d, 4);
	ck_assert_uint_eq(get_le32(d), 3);
	rig_down(&r);
}
END_TEST

struct seen {
	unsigned calls;
	uint8_t data[8];
	size_t len;
};

static void written(void *arg, const void *data, size_t len)
{
	struct seen *s = arg;

	s->calls++;
	s->len = len;
	memcpy(s->data, data, len);
}

START_TEST (a_writable_file_tells_its_owner_and_resets) {
	struct rig r;
	struct seen s = { 0 };

	rig_up(&r);
	ck_assert_int_eq(fwcfg_add_writable(r.f, "w", "12345678", 8, written,
				 &s),
		0);
	gmem_write(r.core.gmem, 0x2000, "abc", 3);
	ck_assert_uint_eq(dma(&r, key_op(0x20, SKIP), 4, 0), 0);
	ck_assert_uint_eq(dma(&r, WRITE, 3, 0x2000), 0);
	ck_assert_uint_eq(s.calls, 1);
	ck_assert_uint_eq(s.len, 8);
	ck_assert_mem_eq(s.data, "1234abc8", 8);
	/* it cannot grow */
	ck_assert_uint_eq(dma(&r, WRITE, 2, 0x2000), 1);
	ck_assert_uint_eq(dma(&r, WRITE, UINT32_MAX, 0x2000), 1);
	ck_assert_uint_eq(dma(&r, key_op(0x20, WRITE), 4, RAM), 1);
	ck_assert_uint_eq(s.calls, 1);
	sel(&r, 0x20);
	ck_assert_uint_eq(be32(&r), 0x31323334);
	ck_assert_uint_eq(byte(&r), 'a');
	reset(&r);
	ck_assert_uint_eq(byte(&r), 0);
	find(&r, "w", &(uint32_t){ 0 });
	sel(&r, 0x20);
	be32(&r);
	ck_assert_uint_eq(byte(&r), '5');
	rig_down(&r);
}
END_TEST

struct vcpu {
	struct rig *r;
	uint64_t mem; /* its own part of guest RAM */
};

static void *vcpu(void *arg)
{
	struct vcpu *v = arg;
	uint8_t d[16];

	for (unsigned i = 0; i < 2000; i++) {
		put_be32(d, key_op(0x20 + (i & 1), i & 2 ? READ : WRITE));
		put_be32(d + 4, 16);
		put_be64(d + 8, v->mem + 64);
		gmem_write(v->r->core.gmem, v->mem, d, 16);
		start_dma(v->r, v->mem);
		sel(v->r, 0x20 + (i & 1));
		byte(v->r);
	}
	return NULL;
}

static void nothing(void *arg, const void *data, size_t len)
{
	(void)arg;
	(void)data;
	(void)len;
}

START_TEST (two_vcpus_may_use_it_at_once) {
	struct rig r;
	struct vcpu v[2] = { { &r, 0x1000 }, { &r, 0x2000 } };
	pthread_t id[2];
	uint8_t text[16] = "", got[4];

	rig_up(&r);
	fwcfg_add_file(r.f, "a", text, sizeof(text), false);
	ck_assert_int_eq(fwcfg_add_writable(r.f, "b", text, 16, nothing, NULL),
		0);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(pthread_create(&id[i], NULL, vcpu, &v[i]), 0);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(pthread_join(id[i], NULL), 0);
	/* it is still in order */
	ck_assert_uint_eq(dma(&r, key_op(FWCFG_ID, READ), 4, 0x3000), 0);
	ck_assert_int_eq(gmem_read(r.core.gmem, 0x3000, got, 4), 0);
	ck_assert_uint_eq(get_le32(got), 3);
	rig_down(&r);
}
END_TEST

/* --- the standard set ------------------------------------------------------*/

struct set {
	struct fw_machine m;
	struct fw_acpi acpi;
	struct fw_blob anchor, tables, e820;
	struct fwcfg_standard s;
};

static void set_make(struct set *x)
{
	struct err e = ERR_NONE;

	*x = (struct set){ .m = { .name = "x",
				   .cpus = 3,
				   .low_end = RAM,
				   .high_end = GMEM_HIGH_BASE,
				   .phys_bits = 40 } };
	ck_assert_int_eq(fw_acpi_build(&x->m, &x->acpi, &e), 0);
	ck_assert_int_eq(fw_smbios_build(&x->m, &x->anchor, &x->tables, &e), 0);
	ck_assert_int_eq(fw_e820_build(&x->m, &x->e820, &e), 0);
	x->s = (struct fwcfg_standard){ .machine = &x->m,
		.acpi = &x->acpi,
		.smbios_anchor = &x->anchor,
		.smbios_tables = &x->tables,
		.e820 = &x->e820,
		.bootorder = "HALT",
		.bootorder_len = 5,
		.boot_menu = true,
		.boot_menu_wait_ms = 100000 };
}

static void set_free(struct set *x)
{
	fw_acpi_free(&x->acpi);
	free(x->anchor.data);
	free(x->tables.data);
	free(x->e820.data);
}

START_TEST (the_standard_set_is_what_seabios_asks_for) {
	static const char *const files[] = { "bootorder", "etc/acpi/rsdp",
		"etc/acpi/tables", "etc/boot-fail-wait", "etc/boot-menu-wait",
		"etc/e820", "etc/smbios/smbios-anchor",
		"etc/smbios/smbios-tables", "etc/table-loader" };
	struct err e = ERR_NONE;
	struct set x;
	struct rig r;
	uint32_t size = 0;

	rig_up(&r);
	set_make(&x);
	ck_assert_int_eq(fwcfg_add_standard(r.f, &x.s, &e), 0);
	for (unsigned i = 0; i < ARRAY_LEN(files); i++)
		ck_assert_uint_eq(find(&r, files[i], &size), 0x20 + i);
	sel(&r, FWCFG_NB_CPUS);
	ck_assert_uint_eq(le32(&r), 3);
	sel(&r, FWCFG_MAX_CPUS);
	ck_assert_uint_eq(le32(&r), 3);
	sel(&r, FWCFG_BOOT_MENU);
	ck_assert_uint_eq(le32(&r), 1);
	sel(&r, FWCFG_NOGRAPHIC);
	ck_assert_uint_eq(le32(&r), 0);
	sel(&r, FWCFG_IRQ0_OVERRIDE);
	ck_assert_uint_eq(le32(&r), 1);
	sel(&r, find(&r, "etc/boot-fail-wait", &size));
	ck_assert_uint_eq(le32(&r), 30000);
	sel(&r, find(&r, "etc/boot-menu-wait", &size));
	ck_assert_uint_eq(size, 2);
	ck_assert_uint_eq(le32(&r), 65535);
	sel(&r, find(&r, "etc/acpi/tables", &size));
	ck_assert_uint_eq(be32(&r), 0x46414353); /* FACS */
	set_free(&x);
	rig_down(&r);
}
END_TEST

START_TEST (what_is_not_given_is_not_listed) {
	struct err e = ERR_NONE;
	struct fw_machine m = { .cpus = 1 };
	struct fwcfg_standard s = { .machine = &m,
		.boot_retry_ms = FWCFG_BOOT_NO_RETRY,
		.serial_screen = true };
	struct rig r;
	uint32_t size;

	rig_up(&r);
	ck_assert_int_eq(fwcfg_add_standard(r.f, &s, &e), 0);
	ck_assert_uint_eq(find(&r, "bootorder", &size), 0);
	ck_assert_uint_eq(find(&r, "etc/e820", &size), 0);
	sel(&r, find(&r, "etc/boot-fail-wait", &size));
	ck_assert_uint_eq(le32(&r), UINT32_MAX);
	sel(&r, FWCFG_NOGRAPHIC);
	ck_assert_uint_eq(le32(&r), 1);
	rig_down(&r);
}
END_TEST

START_TEST (a_second_standard_set_is_told) {
	struct err e = ERR_NONE;
	struct fw_machine m = { .cpus = 1 };
	struct fwcfg_standard s = { .machine = &m };
	struct rig r;

	rig_up(&r);
	ck_assert_int_eq(fwcfg_add_standard(r.f, &s, &e), 0);
	ck_assert_int_eq(fwcfg_add_standard(r.f, &s, &e), -EEXIST);
	ck_assert_err(e, EEXIST, "cannot fill fw_cfg");
	rig_down(&r);
}
END_TEST

START_TEST (a_freed_one_leaves_the_ports) {
	struct rig r;

	rig_up(&r);
	sel(&r, FWCFG_SIGNATURE);
	ck_assert_uint_eq(byte(&r), 'Q');
	rig_down(&r);
	rig_up(&r);
	ck_assert_uint_eq(byte(&r), 0);
	rig_down(&r);
}
END_TEST

SUITE("fwcfg", it_says_who_it_is_and_that_it_has_dma,
	past_the_end_and_unknown_keys_read_zero, other_widths_do_nothing,
	files_are_listed_sorted_with_their_keys,
	a_list_that_was_seen_is_closed_until_reset,
	what_cannot_be_added_is_refused, dma_reads_select_skip_and_pad,
	dma_outside_ram_sets_the_error_bit,
	the_high_half_of_an_address_counts_once,
	a_writable_file_tells_its_owner_and_resets,
	two_vcpus_may_use_it_at_once, the_standard_set_is_what_seabios_asks_for,
	what_is_not_given_is_not_listed, a_second_standard_set_is_told,
	a_freed_one_leaves_the_ports)
