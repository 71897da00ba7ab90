/* SPDX-License-Identifier: GPL-3.0-or-later */
/* vm/fw: e820, SMBIOS, boot order, the BIOS image, firmware files. */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vm/base/bytes.h"

#include "vm/fw/bootorder.h"
#include "vm/fw/layout.h"

#include "tests/unit/vm/fw/rig.h"

/* --- e820 ----------------------------------------------------------------- */

static struct fw_blob map_for(uint64_t low, uint64_t high, bool direct)
{
	struct fw_machine m = rig_machine(NULL);
	struct err e = ERR_NONE;
	struct fw_blob b;

	m.low_end = low;
	m.high_end = high;
	m.direct_boot = direct;
	ck_assert_int_eq(fw_e820_build(&m, &b, &e), 0);
	ck_assert_str_eq(b.name, "etc/e820");
	ck_assert_uint_eq(b.len % 20, 0);
	return b;
}

static void entry(const struct fw_blob *b, unsigned i, uint64_t addr,
	uint64_t len, uint32_t type)
{
	ck_assert_uint_lt(20 * i, b->len);
	ck_assert_uint_eq(get_le64(b->data + 20 * i), addr);
	ck_assert_uint_eq(get_le64(b->data + 20 * i + 8), len);
	ck_assert_uint_eq(get_le32(b->data + 20 * i + 16), type);
}

START_TEST (firmware_is_told_ram_only) {
	struct fw_blob b = map_for(256 * MiB, GMEM_HIGH_BASE, false);

	ck_assert_uint_eq(b.len, 20);
	entry(&b, 0, 0, 256 * MiB, 1);
	free(b.data);
	b = map_for(2 * GiB, GMEM_HIGH_BASE + GiB, false); /* 3 GiB */
	ck_assert_uint_eq(b.len, 40);
	entry(&b, 0, 0, 2 * GiB, 1);
	entry(&b, 1, GMEM_HIGH_BASE, GiB, 1);
	free(b.data);
	b = map_for(2 * GiB, GMEM_HIGH_BASE + 4 * GiB, false); /* 6 GiB */
	entry(&b, 1, GMEM_HIGH_BASE, 4 * GiB, 1);
	free(b.data);
}
END_TEST

START_TEST (a_kernel_is_told_what_is_reserved) {
	struct fw_blob b = map_for(2 * GiB, GMEM_HIGH_BASE + GiB, true);

	ck_assert_uint_eq(b.len, 7 * 20);
	entry(&b, 0, 0, 0x9FC00, 1);
	entry(&b, 1, 0x9FC00, 0x400, 2);
	entry(&b, 2, 0xE0000, 0x20000, 2);
	entry(&b, 3, MiB, 2 * GiB - MiB, 1);
	entry(&b, 4, GMEM_ECAM_BASE, GMEM_ECAM_SIZE, 2);
	entry(&b, 5, 0xFEFFC000, 0x4000, 2);
	entry(&b, 6, GMEM_HIGH_BASE, GiB, 1);
	free(b.data);
}
END_TEST

/* --- SMBIOS --------------------------------------------------------------- */

struct dmi {
	const uint8_t *p;
	size_t len;
};

/* The n-th structure of a type; NULL when there is none. */
static const uint8_t *structure(struct dmi d, unsigned type, unsigned n)
{
	size_t at = 0;

	while (at + 4 <= d.len) {
		const uint8_t *s = d.p + at;

		if (s[0] == type && !n--)
			return s;
		for (at += s[1]; at + 2 <= d.len; at++)
			if (!d.p[at] && !d.p[at + 1])
				break;
		at += 2;
	}
	ck_assert_uint_eq(at, d.len);
	return NULL;
}

/* String number n of a structure. */
static const char *string(const uint8_t *s, unsigned n)
{
	const char *t = (const char *)s + s[1];

	while (n > 1 && *t) {
		t += strlen(t) + 1;
		n--;
	}
	return t;
}

static uint8_t sum(const uint8_t *p, size_t len)
{
	uint8_t s = 0;

	while (len--)
		s = (uint8_t)(s + *p++);
	return s;
}

struct smbios {
	struct fw_blob anchor, tables;
	struct dmi d;
};

static void smbios_for(struct smbios *s, const struct fw_machine *m)
{
	struct err e = ERR_NONE;

	ck_assert_int_eq(fw_smbios_build(m, &s->anchor, &s->tables, &e), 0);
	s->d = (struct dmi){ s->tables.data, s->tables.len };
}

static void smbios_free(struct smbios *s)
{
	free(s->anchor.data);
	free(s->tables.data);
}

START_TEST (smbios_anchor_describes_the_tables) {
	struct fw_machine m = rig_machine(NULL);
	struct smbios s;
	const uint8_t *a;

	smbios_for(&s, &m);
	a = s.anchor.data;
	ck_assert_uint_eq(s.anchor.len, 31);
	ck_assert_mem_eq(a, "_SM_", 4);
	ck_assert_mem_eq(a + 16, "_DMI_", 5);
	ck_assert_uint_eq(sum(a, 31), 0);
	ck_assert_uint_eq(sum(a + 16, 15), 0);
	ck_assert_uint_eq(get_le16(a + 0x16), s.tables.len);
	ck_assert_ptr_null(structure(s.d, 0, 0)); /* firmware adds its own */
	ck_assert_ptr_nonnull(structure(s.d, 127, 0));
	ck_assert_str_eq(s.anchor.name, "etc/smbios/smbios-anchor");
	ck_assert_str_eq(s.tables.name, "etc/smbios/smbios-tables");
	smbios_free(&s);
}
END_TEST

START_TEST (smbios_system_has_name_and_uuid) {
	static const uint8_t uuid[16] = { 3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11,
		12, 13, 14, 15 };
	struct fw_machine m = rig_machine(NULL);
	struct smbios s;
	const uint8_t *t;

	m.name = "a b\n\xC3\xA4";
	smbios_for(&s, &m);
	t = structure(s.d, 1, 0);
	ck_assert_ptr_nonnull(t);
	ck_assert_str_eq(string(t, t[4]), "guestdeck");
	ck_assert_str_eq(string(t, t[7]), "a_b___");
	ck_assert_mem_eq(t + 8, uuid, 16);
	smbios_free(&s);
	m.name = "";
	smbios_for(&s, &m);
	ck_assert_uint_eq(structure(s.d, 1, 0)[7], 0);
	smbios_free(&s);
}
END_TEST

START_TEST (smbios_counts_cores) {
	struct fw_machine m = rig_machine(NULL);
	struct smbios s;

	m.cpus = 64;
	smbios_for(&s, &m);
	ck_assert_uint_eq(structure(s.d, 4, 0)[0x23], 64);
	smbios_free(&s);
	m.cpus = 300;
	smbios_for(&s, &m);
	ck_assert_uint_eq(structure(s.d, 4, 0)[0x23], 255);
	smbios_free(&s);
}
END_TEST

/* All DIMMs together, in MiB. */
static uint64_t dimms(struct smbios *s, unsigned *n)
{
	uint64_t mib = 0;
	const uint8_t *t;

	for (*n = 0; (t = structure(s->d, 17, *n)); (*n)++)
		mib += get_le16(t + 12) == 0x7FFF ? get_le32(t + 0x1C)
						  : get_le16(t + 12);
	return mib;
}

START_TEST (smbios_dimms_add_up_to_all_ram) {
	static const uint64_t high[] = { 0, GiB, 34 * GiB, 4 * TiB };
	struct fw_machine m = rig_machine(NULL);
	struct smbios s;
	unsigned n;

	for (size_t i = 0; i < ARRAY_LEN(high); i++) {
		m.low_end = 2 * GiB;
		m.high_end = GMEM_HIGH_BASE + high[i];
		smbios_for(&s, &m);
		ck_assert_uint_eq(dimms(&s, &n), (2 * GiB + high[i]) / MiB);
		ck_assert_uint_le(n, 64);
		ck_assert_uint_eq(get_le16(structure(s.d, 16, 0) + 13), n);
		ck_assert_int_eq(structure(s.d, 19, 1) != NULL, high[i] != 0);
		smbios_free(&s);
	}
}
END_TEST

START_TEST (smbios_for_direct_boot_lies_below_1_mib) {
	struct gmem *g = rig_gmem(16 * MiB);
	struct fw_machine m = rig_machine(g);
	struct err e = ERR_NONE;
	uint8_t a[31], tables[4096];
	struct dmi d = { tables, 0 };
	uint32_t at;

	m.direct_boot = true;
	ck_assert_int_eq(fw_smbios_install(&m, g, &e), 0);
	ck_assert_int_eq(gmem_read(g, FW_SMBIOS, a, sizeof(a)), 0);
	ck_assert_mem_eq(a, "_SM_", 4);
	ck_assert_uint_eq(sum(a, 31), 0);
	at = get_le32(a + 0x18);
	d.len = get_le16(a + 0x16);
	ck_assert_uint_le(at + d.len, MiB);
	ck_assert_uint_le(d.len, sizeof(tables));
	ck_assert_int_eq(gmem_read(g, at, tables, d.len), 0);
	ck_assert_ptr_nonnull(structure(d, 0, 0)); /* nobody else adds it */
	ck_assert_ptr_nonnull(structure(d, 127, 0));
	gmem_free(g);
}
END_TEST

/* --- boot order ----------------------------------------------------------- */

static void order(const struct fw_boot_dev *d, size_t n, bool halt,
	const char *want)
{
	char *got;
	size_t len;

	ck_assert_int_eq(fw_bootorder_build(d, n, halt, &got, &len), 0);
	ck_assert_str_eq(got, want);
	ck_assert_uint_eq(len, strlen(want) + 1);
	free(got);
}

START_TEST (each_kind_of_device_has_its_path) {
	static const struct {
		struct fw_boot_dev d;
		const char *want;
	} all[] = {
		{ { .kind = FW_BOOT_AHCI, .slot = 0x1F, .fn = 2, .port = 3 },
			"/pci@i0cf8/pci8086,2922@1f,2/drive@3/disk@0" },
		{ { .kind = FW_BOOT_VIRTIO_BLK, .slot = 5 },
			"/pci@i0cf8/scsi@5/disk@0,0" },
		{ { .kind = FW_BOOT_VIRTIO_SCSI,
			  .slot = 6,
			  .port = 2,
			  .lun = 1 },
			"/pci@i0cf8/scsi@6/channel@0/disk@2,1" },
		{ { .kind = FW_BOOT_NVME, .slot = 16 },
			"/pci@i0cf8/nvme@10/namespace@1,0" },
		{ { .kind = FW_BOOT_NET, .slot = 3, .fn = 1 },
			"/pci@i0cf8/ethernet@3,1/ethernet-phy@0" },
		{ { .kind = FW_BOOT_USB, .slot = 7, .port = 1 },
			"/pci@i0cf8/usb@7/storage@1/channel@0/disk@0,0" },
		{ { .kind = FW_BOOT_VIRTIO_BLK,
			  .bridged = true,
			  .bridge_slot = 0x1C,
			  .bridge_fn = 4 },
			"/pci@i0cf8/pci-bridge@1c,4/scsi@0/disk@0,0" },
	};

	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		order(&all[i].d, 1, false, all[i].want);
}
END_TEST

START_TEST (lines_keep_their_order_and_halt_is_last) {
	static const struct fw_boot_dev d[] = {
		{ .kind = FW_BOOT_NET, .slot = 9 },
		{ .kind = FW_BOOT_VIRTIO_BLK, .slot = 2 },
	};
	char *got;
	size_t len;

	order(d, 2, true,
		"/pci@i0cf8/ethernet@9/ethernet-phy@0\n"
		"/pci@i0cf8/scsi@2/disk@0,0\nHALT");
	order(NULL, 0, true, "HALT");
	ck_assert_int_eq(fw_bootorder_build(NULL, 0, false, &got, &len), 0);
	ck_assert_ptr_null(got);
	ck_assert_uint_eq(len, 0);
}
END_TEST

/* --- BIOS image ----------------------------------------------------------- */

START_TEST (reset_shows_the_last_128_kib_below_1_mib) {
	static uint8_t image[256 * 1024], got[128 * 1024];
	struct gmem *g = rig_gmem(16 * MiB);
	struct err e = ERR_NONE;
	struct fw_bios *b;

	for (size_t i = 0; i < sizeof(image); i++)
		image[i] = (uint8_t)(i ^ i >> 8 ^ i >> 16);
	ck_assert_int_eq(fw_bios_map(g, image, sizeof(image), &b, &e), 0);
	ck_assert_int_eq(fw_bios_reset(b, g), 0);
	ck_assert_int_eq(gmem_read(g, 0xE0000, got, sizeof(got)), 0);
	ck_assert_mem_eq(got, image + sizeof(got), sizeof(got));
	/* what the guest wrote over it comes back at the next reset */
	ck_assert_int_eq(gmem_write(g, 0xFFFF0, "xxxxxxxx", 8), 0);
	ck_assert_int_eq(fw_bios_reset(b, g), 0);
	ck_assert_int_eq(gmem_read(g, 0xE0000, got, sizeof(got)), 0);
	ck_assert_mem_eq(got, image + sizeof(got), sizeof(got));
	fw_bios_free(b);
	gmem_free(g);
}
END_TEST

START_TEST (a_small_image_ends_at_1_mib_too) {
	static uint8_t image[64 * 1024];
	struct gmem *g = rig_gmem(16 * MiB);
	struct err e = ERR_NONE;
	struct fw_bios *b;

	image[0] = 0x11;
	image[sizeof(image) - 1] = 0x22;
	ck_assert_int_eq(fw_bios_map(g, image, sizeof(image), &b, &e), 0);
	ck_assert_int_eq(fw_bios_reset(b, g), 0);
	ck_assert_uint_eq(rig_get(g, 0xF0000, 1), 0x11);
	ck_assert_uint_eq(rig_get(g, 0xFFFFF, 1), 0x22);
	ck_assert_uint_eq(rig_get(g, 0xE0000, 1), 0);
	fw_bios_free(b);
	gmem_free(g);
}
END_TEST

START_TEST (images_of_other_sizes_are_refused) {
	static uint8_t image[64 * 1024 + 1];
	struct gmem *g = rig_gmem(16 * MiB);
	struct fw_bios *b;
	static const size_t sizes[] = { 0, 64 * 1024 - 1, 64 * 1024 + 1,
		(size_t)16 * MiB + 65536 };

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct err e = ERR_NONE;

		ck_assert_int_eq(fw_bios_map(g, image, sizes[i], &b, &e),
			-EINVAL);
		ck_assert_err(e, EINVAL, "not a multiple of 64 KiB");
	}
	gmem_free(g);
}
END_TEST

START_TEST (two_bioses_have_no_room) {
	static uint8_t image[64 * 1024];
	struct gmem *g = rig_gmem(16 * MiB);
	struct err e = ERR_NONE;
	struct fw_bios *b, *c;

	ck_assert_int_eq(fw_bios_map(g, image, sizeof(image), &b, &e), 0);
	ck_assert_int_lt(fw_bios_map(g, image, sizeof(image), &c, &e), 0);
	ck_assert_err(e, EEXIST, "cannot map the BIOS");
	fw_bios_free(b);
	gmem_free(g);
}
END_TEST

/* --- finding files -------------------------------------------------------- */

START_TEST (the_environments_folders_come_first) {
	struct err e = ERR_NONE;
	uint8_t *p;
	size_t len;
	char dirs[1024], *folder = suite_tmp();
	FILE *f = fopen(suite_path(folder, "bios.bin"), "w");

	ck_assert_ptr_nonnull(f);
	fputs("mine", f);
	fclose(f);
	snprintf(dirs, sizeof(dirs), "/nonexistent::%s/bios.bin:%s", folder,
		folder);
	setenv("GUESTDECK_FIRMWARE", dirs, 1);
	ck_assert_msg(!fw_find("bios.bin", &p, &len, &e), "%s", e.msg);
	ck_assert_uint_eq(len, 4);
	ck_assert_mem_eq(p, "mine", 4);
	free(p);
	suite_rm(folder);
}
END_TEST

START_TEST (a_missing_file_names_its_package) {
	static const struct {
		const char *name, *text;
	} all[] = {
		{ "bios-none.bin", "install the package seabios" },
		{ "vgabios-none.bin", "install the package seabios" },
		{ "OVMF_NONE.fd", "install the package ovmf" },
		{ "efi-none.rom", "install the package ipxe-qemu" },
		{ "none.bin", "none.bin not found in /usr/share/seabios" },
	};
	uint8_t *p;
	size_t len;

	unsetenv("GUESTDECK_FIRMWARE");
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		struct err e = ERR_NONE;

		ck_assert_int_eq(fw_find(all[i].name, &p, &len, &e), -ENOENT);
		ck_assert_err(e, ENOENT, all[i].text);
	}
}
END_TEST

START_TEST (a_name_cannot_lead_elsewhere) {
	static const char *const names[] = { "", ".", "..", "../x",
		"/etc/passwd", "a/b" };
	uint8_t *p;
	size_t len;

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct err e = ERR_NONE;

		ck_assert_int_eq(fw_find(names[i], &p, &len, &e), -EINVAL);
		ck_assert_err(e, EINVAL, "is no firmware file name");
	}
}
END_TEST

START_TEST (a_huge_file_is_refused_by_path) {
	struct err e = ERR_NONE;
	uint8_t *p;
	size_t len;
	char *folder = suite_tmp();
	const char *path = suite_path(folder, "bios.bin");
	FILE *f = fopen(path, "w");

	ck_assert_ptr_nonnull(f);
	ck_assert_int_eq(ftruncate(fileno(f), 17 << 20), 0);
	fclose(f);
	setenv("GUESTDECK_FIRMWARE", folder, 1);
	ck_assert_int_eq(fw_find("bios.bin", &p, &len, &e), -EFBIG);
	ck_assert_err(e, EFBIG, path);
	suite_rm(folder);
}
END_TEST

START_TEST (debians_seabios_is_found) {
	struct err e = ERR_NONE;
	struct stat st;
	uint8_t *p;
	size_t len;

	unsetenv("GUESTDECK_FIRMWARE");
	if (stat("/usr/share/seabios/bios-256k.bin", &st)) {
		printf("seabios is not installed: not checked\n");
		return;
	}
	ck_assert_msg(!fw_find("bios-256k.bin", &p, &len, &e), "%s", e.msg);
	ck_assert_uint_eq(len, 256 * KiB);
	ck_assert_uint_eq(p[len - 16], 0xEA); /* far jump at the reset vector */
	free(p);
}
END_TEST

SUITE("tables", firmware_is_told_ram_only, a_kernel_is_told_what_is_reserved,
	smbios_anchor_describes_the_tables, smbios_system_has_name_and_uuid,
	smbios_counts_cores, smbios_dimms_add_up_to_all_ram,
	smbios_for_direct_boot_lies_below_1_mib,
	each_kind_of_device_has_its_path,
	lines_keep_their_order_and_halt_is_last,
	reset_shows_the_last_128_kib_below_1_mib,
	a_small_image_ends_at_1_mib_too, images_of_other_sizes_are_refused,
	two_bioses_have_no_room, the_environments_folders_come_first,
	a_missing_file_names_its_package, a_name_cannot_lead_elsewhere,
	a_huge_file_is_refused_by_path, debians_seabios_is_found)
