/* SPDX-License-Identifier: GPL-3.0-or-later */
/* vm/fw/acpi, dsdt, linker: tables, and the list that joins them. */
#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vm/base/bytes.h"

#include "vm/fw/dsdt.h"
#include "vm/fw/layout.h"
#include "vm/fw/linker.h"

#include "tests/unit/vm/fw/rig.h"

/* All tables as a guest finds them, in guest RAM. */
struct installed {
	struct gmem *g;
	uint64_t rsdp, xsdt, rsdt;
};

static void install(struct installed *t, const struct fw_machine *m)
{
	struct err e = ERR_NONE;
	struct fw_acpi a;

	ck_assert_msg(!fw_acpi_build(m, &a, &e), "%s", e.msg);
	ck_assert_msg(!fw_acpi_install(&a, t->g, &t->rsdp, &e), "%s", e.msg);
	fw_acpi_free(&a);
	t->rsdt = rig_get(t->g, t->rsdp + 16, 4);
	t->xsdt = rig_get(t->g, t->rsdp + 24, 8);
}

static void setup(struct installed *t, unsigned cpus)
{
	struct fw_machine m;

	t->g = rig_gmem(256 * MiB);
	m = rig_machine(t->g);
	m.cpus = cpus;
	install(t, &m);
}

static uint8_t sum(struct gmem *g, uint64_t gpa, uint64_t len)
{
	uint8_t s = 0;

	for (uint64_t i = 0; i < len; i++)
		s = (uint8_t)(s + rig_get(g, gpa + i, 1));
	return s;
}

static bool has_signature(struct gmem *g, uint64_t gpa, const char *sig)
{
	char got[4];

	return !gmem_read(g, gpa, got, 4) && !memcmp(got, sig, 4);
}

/* The table of that signature in the XSDT, or 0. */
static uint64_t table(struct installed *t, const char *sig)
{
	uint64_t len = rig_get(t->g, t->xsdt + 4, 4);

	for (uint64_t off = 36; off < len; off += 8) {
		uint64_t at = rig_get(t->g, t->xsdt + off, 8);

		if (has_signature(t->g, at, sig))
			return at;
	}
	return 0;
}

static uint64_t dsdt_of(struct installed *t)
{
	return rig_get(t->g, table(t, "FACP") + 140, 8);
}

START_TEST (every_table_is_found_and_sums_to_zero) {
	static const char *const names[] = { "FACP", "APIC", "MCFG", "WAET" };
	struct installed t;

	setup(&t, 2);
	ck_assert_uint_eq(t.rsdp, FW_RSDP);
	ck_assert_uint_eq(sum(t.g, t.rsdp, 20), 0);
	ck_assert_uint_eq(sum(t.g, t.rsdp, 36), 0);
	ck_assert(has_signature(t.g, t.rsdt, "RSDT"));
	ck_assert(has_signature(t.g, t.xsdt, "XSDT"));
	ck_assert_uint_eq(sum(t.g, t.rsdt, rig_get(t.g, t.rsdt + 4, 4)), 0);
	ck_assert_uint_eq(sum(t.g, t.xsdt, rig_get(t.g, t.xsdt + 4, 4)), 0);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		uint64_t at = table(&t, names[i]);

		ck_assert_uint_ne(at, 0);
		ck_assert_uint_ge(at, FW_ACPI);
		ck_assert_uint_lt(at, FW_SMBIOS);
		ck_assert_uint_eq(sum(t.g, at, rig_get(t.g, at + 4, 4)), 0);
		/* both lists name the same tables in the same order */
		ck_assert_uint_eq(rig_get(t.g, t.rsdt + 36 + 4 * i, 4), at);
		ck_assert_uint_eq(rig_get(t.g, t.xsdt + 36 + 8 * i, 8), at);
	}
	gmem_free(t.g);
}
END_TEST

START_TEST (fadt_says_what_the_board_has) {
	struct installed t;
	uint64_t f, dsdt, facs;

	setup(&t, 2);
	f = table(&t, "FACP");
	ck_assert_uint_eq(rig_get(t.g, f + 4, 4), 244);
	ck_assert_uint_eq(rig_get(t.g, f + 8, 1), 3);
	facs = rig_get(t.g, f + 36, 4);
	dsdt = rig_get(t.g, f + 40, 4);
	ck_assert(has_signature(t.g, facs, "FACS"));
	ck_assert_uint_eq(facs % 64, 0);
	ck_assert(has_signature(t.g, dsdt, "DSDT"));
	ck_assert_uint_eq(rig_get(t.g, f + 140, 8), dsdt);
	ck_assert_uint_eq(sum(t.g, dsdt, rig_get(t.g, dsdt + 4, 4)), 0);
	ck_assert_uint_eq(rig_get(t.g, f + 46, 2), 9); /* SCI */
	ck_assert_uint_eq(rig_get(t.g, f + 48, 4), 0); /* no SMI_CMD */
	ck_assert_uint_eq(rig_get(t.g, f + 56, 4), 0x600);
	ck_assert_uint_eq(rig_get(t.g, f + 64, 4), 0x604);
	ck_assert_uint_eq(rig_get(t.g, f + 76, 4), 0x608);
	ck_assert_uint_eq(rig_get(t.g, f + 80, 4), 0x620);
	ck_assert_uint_eq(rig_get(t.g, f + 109, 2), 2); /* 8042 */
	ck_assert_uint_eq(rig_get(t.g, f + 112, 4), 0x84A5);
	ck_assert_uint_eq(rig_get(t.g, f + 120, 8), 0xCF9);
	ck_assert_uint_eq(rig_get(t.g, f + 128, 1), 0x0F);
	gmem_free(t.g);
}
END_TEST

START_TEST (fadt_without_old_devices_says_so) {
	struct installed t = { .g = rig_gmem(256 * MiB) };
	struct fw_machine m = rig_machine(t.g);
	uint64_t f;

	m.i8042 = m.rtc = m.serial = false;
	install(&t, &m);
	f = table(&t, "FACP");
	ck_assert_uint_eq(rig_get(t.g, f + 108, 1), 0);
	ck_assert_uint_eq(rig_get(t.g, f + 109, 2), 0x20);
	gmem_free(t.g);
}
END_TEST

START_TEST (more_than_8_cpus_need_cluster_mode) {
	struct installed t;

	setup(&t, 9);
	ck_assert_uint_eq(rig_get(t.g, table(&t, "FACP") + 112, 4),
		0x84A5 | 1 << 18);
	gmem_free(t.g);
}
END_TEST

/* Count MADT entries of a type; *last is where the last one is. */
static unsigned madt_count(struct installed *t, unsigned type, uint64_t *last)
{
	uint64_t at = table(t, "APIC"), end = at + rig_get(t->g, at + 4, 4);
	unsigned n = 0;

	for (at += 44; at < end; at += rig_get(t->g, at + 1, 1)) {
		ck_assert_uint_gt(rig_get(t->g, at + 1, 1), 1);
		if (rig_get(t->g, at, 1) != type)
			continue;
		n++;
		*last = at;
	}
	ck_assert_uint_eq(at, end);
	return n;
}

START_TEST (madt_has_64_cpus_and_the_overrides) {
	struct installed t;
	uint64_t at = 0;

	setup(&t, 64);
	ck_assert_uint_eq(madt_count(&t, 0, &at), 64);
	ck_assert_uint_eq(rig_get(t.g, at + 3, 1), 63);
	ck_assert_uint_eq(rig_get(t.g, at + 4, 4), 1);
	ck_assert_uint_eq(madt_count(&t, 9, &at), 0);
	ck_assert_uint_eq(madt_count(&t, 1, &at), 1);
	ck_assert_uint_eq(rig_get(t.g, at + 4, 4), 0xFEC00000);
	ck_assert_uint_eq(madt_count(&t, 2, &at), 5);
	ck_assert_uint_eq(rig_get(t.g, at + 3, 1), 11);
	ck_assert_uint_eq(rig_get(t.g, at + 8, 2), 0x0D);
	ck_assert_uint_eq(madt_count(&t, 4, &at), 1);
	gmem_free(t.g);
}
END_TEST

START_TEST (apic_ids_from_255_on_are_x2apic) {
	struct installed t;
	uint64_t at = 0;

	setup(&t, 300);
	ck_assert_uint_eq(madt_count(&t, 0, &at), 255);
	ck_assert_uint_eq(madt_count(&t, 9, &at), 45);
	ck_assert_uint_eq(rig_get(t.g, at + 4, 4), 299);
	ck_assert_uint_eq(rig_get(t.g, at + 12, 4), 299);
	ck_assert_uint_eq(madt_count(&t, 10, &at), 1);
	gmem_free(t.g);
}
END_TEST

START_TEST (mcfg_points_at_ecam) {
	struct installed t;
	uint64_t at;

	setup(&t, 1);
	at = table(&t, "MCFG");
	ck_assert_uint_eq(rig_get(t.g, at + 44, 8), GMEM_ECAM_BASE);
	ck_assert_uint_eq(rig_get(t.g, at + 54, 2), FW_LAST_BUS << 8);
	ck_assert_uint_eq(rig_get(t.g, table(&t, "WAET") + 36, 4), 3);
	gmem_free(t.g);
}
END_TEST

START_TEST (the_64_bit_window_starts_above_ram) {
	struct fw_machine m = rig_machine(NULL);
	uint64_t last = 0;

	ck_assert_uint_eq(fw_pci64_window(&m, &last), GMEM_HIGH_BASE);
	ck_assert_uint_eq(last, (UINT64_C(1) << 40) - 1);
	m.high_end = GMEM_HIGH_BASE + 3 * GiB / 2;
	ck_assert_uint_eq(fw_pci64_window(&m, &last), GMEM_HIGH_BASE + 2 * GiB);
	m.phys_bits = 64;
	ck_assert_uint_ne(fw_pci64_window(&m, &last), 0);
	ck_assert_uint_eq(last, (UINT64_C(1) << 52) - 1);
	m.phys_bits = 32;
	ck_assert_uint_eq(fw_pci64_window(&m, &last), 0);
}
END_TEST

START_TEST (no_cpu_and_too_many_are_refused) {
	struct fw_machine m = rig_machine(NULL);
	struct err e = ERR_NONE;
	struct fw_acpi a;

	m.cpus = 0;
	ck_assert_int_eq(fw_acpi_build(&m, &a, &e), -EINVAL);
	ck_assert_err(e, EINVAL, "1 to 1024 CPUs, not 0");
	m.cpus = 1025;
	ck_assert_int_eq(fw_acpi_build(&m, &a, &e), -EINVAL);
	ck_assert_ptr_null(a.tables.data);
}
END_TEST

/* --- the linker's list ---------------------------------------------------- */

static void build(struct fw_acpi *a)
{
	struct fw_machine m = rig_machine(NULL);
	struct err e = ERR_NONE;

	ck_assert_int_eq(fw_acpi_build(&m, a, &e), 0);
	ck_assert_str_eq(a->tables.name, "etc/acpi/tables");
	ck_assert_str_eq(a->rsdp.name, "etc/acpi/rsdp");
	ck_assert_str_eq(a->loader.name, "etc/table-loader");
	ck_assert_uint_eq(a->loader.len % LINKER_ENTRY, 0);
}

START_TEST (each_file_is_allocated_once_before_use) {
	struct fw_acpi a;
	bool tables = false, rsdp = false;

	build(&a);
	for (size_t at = 0; at < a.loader.len; at += LINKER_ENTRY) {
		const uint8_t *c = a.loader.data + at;
		bool *which = !strcmp((const char *)c + 4, a.tables.name)
				      ? &tables
				      : &rsdp;

		if (get_le32(c) == LINKER_ALLOCATE) {
			ck_assert(!*which);
			*which = true;
		}
		ck_assert(*which);
	}
	ck_assert(tables && rsdp);
	fw_acpi_free(&a);
}
END_TEST

static void refuse(struct fw_acpi *a, struct gmem *g, int code,
	const char *text)
{
	struct err e = ERR_NONE;
	uint64_t rsdp = 77;

	ck_assert_int_eq(fw_acpi_install(a, g, &rsdp, &e), -code);
	ck_assert_err(e, code, text);
	ck_assert_uint_eq(rsdp, 77);
	ck_assert_uint_eq(rig_get(g, FW_RSDP, 8), 0);
}

START_TEST (a_damaged_list_is_told_and_writes_nothing) {
	struct gmem *g = rig_gmem(16 * MiB);
	struct fw_acpi a;
	uint8_t *l;

	build(&a);
	l = a.loader.data;
	a.loader.len -= 1;
	refuse(&a, g, EINVAL, "part entry");
	a.loader.len += 1;
	put_le32(l, 9); /* unknown command */
	refuse(&a, g, EINVAL, "entry 0 does not work");
	put_le32(l, LINKER_ALLOCATE);
	put_le32(l + 60, 3); /* alignment */
	refuse(&a, g, EINVAL, "entry 0");
	put_le32(l + 60, UINT32_C(1) << 31); /* leads out of the area */
	refuse(&a, g, ENOSPC, "entry 0");
	put_le32(l + 60, 64);
	l[64] = 7; /* zone */
	refuse(&a, g, EINVAL, "entry 0");
	l[64] = LINKER_HIGH;
	l[4] = 'x'; /* no such file */
	refuse(&a, g, EINVAL, "entry 0");
	l[4] = 'e';
	a.loader.len = LINKER_ENTRY;
	refuse(&a, g, EINVAL, "no place");
	a.loader.len = 0;
	refuse(&a, g, EINVAL, "no place");
	fw_acpi_free(&a);
	gmem_free(g);
}
END_TEST

/* The first entry of that command. */
static uint8_t *first(struct fw_acpi *a, enum linker_command what)
{
	for (size_t at = 0; at < a->loader.len; at += LINKER_ENTRY)
		if (get_le32(a->loader.data + at) == what)
			return a->loader.data + at;
	ck_abort_msg("no such entry");
}

START_TEST (pointers_and_checksums_stay_inside_their_file) {
	struct gmem *g = rig_gmem(16 * MiB);
	struct fw_acpi a;
	uint8_t *c;

	build(&a);
	c = first(&a, LINKER_ADD_POINTER);
	put_le32(c + 116, (uint32_t)a.tables.len - 3);
	refuse(&a, g, EINVAL, "does not work");
	put_le32(c + 116, UINT32_MAX);
	refuse(&a, g, EINVAL, "does not work");
	put_le32(c + 116, 0);
	c[120] = 3;
	refuse(&a, g, EINVAL, "does not work");
	c[120] = 16;
	refuse(&a, g, EINVAL, "does not work");
	c[120] = 1; /* an address has no room there */
	refuse(&a, g, ERANGE, "does not work");
	c[120] = 4;
	c = first(&a, LINKER_ADD_CHECKSUM);
	put_le32(c + 68, UINT32_MAX);
	refuse(&a, g, EINVAL, "does not work");
	put_le32(c + 68, 1);
	put_le32(c + 60, (uint32_t)a.tables.len);
	refuse(&a, g, EINVAL, "does not work");
	fw_acpi_free(&a);
	gmem_free(g);
}
END_TEST

START_TEST (too_little_memory_or_too_large_tables_are_told) {
	struct gmem *g = rig_gmem(MiB);
	struct err e = ERR_NONE;
	struct fw_machine m;
	struct fw_acpi a;
	uint64_t rsdp;

	build(&a);
	ck_assert_int_eq(fw_acpi_install(&a, g, &rsdp, &e), -ENOMEM);
	ck_assert_err(e, ENOMEM, "at least 2 MiB");
	fw_acpi_free(&a);
	gmem_free(g);

	g = rig_gmem(16 * MiB);
	m = rig_machine(g);
	m.cpus = 1024; /* the most there may be fit */
	ck_assert_int_eq(fw_acpi_build(&m, &a, &e), 0);
	ck_assert_int_eq(fw_acpi_install(&a, g, &rsdp, &e), 0);
	a.tables.data = realloc(a.tables.data, FW_SMBIOS - FW_ACPI + 1);
	ck_assert_ptr_nonnull(a.tables.data);
	a.tables.len = FW_SMBIOS - FW_ACPI + 1;
	ck_assert_int_eq(fw_acpi_install(&a, g, &rsdp, &e), -ENOSPC);
	fw_acpi_free(&a);
	gmem_free(g);
}
END_TEST

/* --- what iasl thinks ----------------------------------------------------- */

/* Run a program in the scratch folder, quiet; its exit status. */
static int run(const char *folder, const char *a0, const char *a1,
	const char *a2)
{
	pid_t pid = fork();
	int status = 0;

	ck_assert_int_ge(pid, 0);
	if (!pid) {
		if (chdir(folder) || !freopen("iasl.log", "a", stdout) ||
			!freopen("iasl.log", "a", stderr))
			_exit(126);
		execlp(a0, a0, a1, a2, (char *)NULL);
		_exit(127);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void dump_table(struct installed *t, const char *folder, const char *sig,
	uint64_t at)
{
	size_t len = (size_t)rig_get(t->g, at + 4, 4);
	uint8_t *bytes = malloc(len);
	char name[16];
	FILE *f;

	ck_assert_ptr_nonnull(bytes);
	ck_assert_int_eq(gmem_read(t->g, at, bytes, len), 0);
	snprintf(name, sizeof(name), "%s.dat", sig);
	f = fopen(suite_path(folder, name), "w");
	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(fwrite(bytes, 1, len, f), len);
	fclose(f);
	free(bytes);
}

static void round_trip(struct installed *t, const char *folder, const char *sig,
	uint64_t at)
{
	char dat[16], dsl[16];

	snprintf(dat, sizeof(dat), "%s.dat", sig);
	snprintf(dsl, sizeof(dsl), "%s.dsl", sig);
	dump_table(t, folder, sig, at);
	ck_assert_msg(run(folder, "iasl", "-d", dat) == 0,
		"iasl cannot read %s", sig);
	ck_assert_msg(run(folder, "iasl", "-we", dsl) == 0,
		"iasl does not take back %s", sig);
}

START_TEST (iasl_reads_each_table_and_compiles_it_again) {
	static const unsigned cpus[] = { 1, 64, 300 };
	char *folder = suite_tmp();
	struct installed t;

	if (run(folder, "iasl", "-v", NULL)) {
		printf("iasl is not installed (acpica-tools): not checked\n");
		suite_rm(folder);
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(cpus); i++) {
		setup(&t, cpus[i]);
		round_trip(&t, folder, "DSDT", dsdt_of(&t));
		round_trip(&t, folder, "FACP", table(&t, "FACP"));
		round_trip(&t, folder, "APIC", table(&t, "APIC"));
		round_trip(&t, folder, "MCFG", table(&t, "MCFG"));
		round_trip(&t, folder, "WAET", table(&t, "WAET"));
		round_trip(&t, folder, "RSDT", t.rsdt);
		round_trip(&t, folder, "XSDT", t.xsdt);
		gmem_free(t.g);
	}
	suite_rm(folder);
}
END_TEST

SUITE("acpi", every_table_is_found_and_sums_to_zero,
	fadt_says_what_the_board_has, fadt_without_old_devices_says_so,
	more_than_8_cpus_need_cluster_mode, madt_has_64_cpus_and_the_overrides,
	apic_ids_from_255_on_are_x2apic, mcfg_points_at_ecam,
	the_64_bit_window_starts_above_ram, no_cpu_and_too_many_are_refused,
	each_file_is_allocated_once_before_use,
	a_damaged_list_is_told_and_writes_nothing,
	pointers_and_checksums_stay_inside_their_file,
	too_little_memory_or_too_large_tables_are_told,
	iasl_reads_each_table_and_compiles_it_again)
