/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <stdlib.h>

#include "vm/base/sizes.h"

#include "storage/import/vmdk_desc.h"

#include "tests/unit/suite.h"

#define FIRST "# Disk DescriptorFile\n"
#define TYPE  "createType=\"monolithicFlat\"\n"
#define FLAT  "RW 8 FLAT \"a\" 0\n"

static int parse(const char *text, struct vmdk_desc *d, struct err *e)
{
	return vmdk_desc_parse(text, strlen(text), "d.vmdk", d, e);
}

static void refused(const char *text, int code, const char *has)
{
	struct err e = ERR_NONE;
	struct vmdk_desc d;

	ck_assert_int_eq(parse(text, &d, &e), -code);
	ck_assert_err(e, code, has);
	ck_assert_uint_eq(d.nextents, 0);
	ck_assert_ptr_null(d.extents);
}

START_TEST (a_descriptor_tells_type_and_extents) {
	struct err e = ERR_NONE;
	struct vmdk_desc d;

	ck_assert_int_eq(
		parse("\n" FIRST "version=1\r\nCID = 12345678\n"
		      "parentCID=FFFFFFFF\n  createType = \"custom\"  \n"
		      "isNativeSnapshot=\"no\"\n\n# Extent description\n"
		      "RW 4192256 SPARSE \"a b-s001.vmdk\"\n"
		      "\trdonly 7 flat \"f=1.vmdk\"\t12\r\n"
		      "RW 1 VMFS \"v\"\nRW 2 VMFS \"w\" 3\nRW 9 ZERO\n"
		      "#DDB\nddb.adapterType = \"ide\"\nddb.x = \n"
		      "changeTrackPath=\"x/y\"",
			&d, &e),
		0);
	ck_assert_str_eq(d.create_type, "custom");
	ck_assert_uint_eq(d.nextents, 5);
	ck_assert_int_eq(d.extents[0].kind, VMDK_SPARSE);
	ck_assert_uint_eq(d.extents[0].len, UINT64_C(4192256) * 512);
	ck_assert_str_eq(d.extents[0].name, "a b-s001.vmdk");
	ck_assert_int_eq(d.extents[1].kind, VMDK_FLAT);
	ck_assert_uint_eq(d.extents[1].offset, 12 * 512);
	ck_assert_str_eq(d.extents[1].name, "f=1.vmdk");
	ck_assert_int_eq(d.extents[2].kind, VMDK_FLAT);
	ck_assert_uint_eq(d.extents[2].offset, 0);
	ck_assert_uint_eq(d.extents[3].offset, 3 * 512);
	ck_assert_int_eq(d.extents[4].kind, VMDK_ZERO);
	ck_assert_ptr_null(d.extents[4].name);
	vmdk_desc_fini(&d);
}
END_TEST

START_TEST (text_ends_at_a_nul_or_the_length) {
	static const char text[] = FIRST TYPE FLAT "\0garbage";
	struct err e = ERR_NONE;
	struct vmdk_desc d;

	ck_assert_int_eq(vmdk_desc_parse(text, sizeof(text), "d", &d, &e), 0);
	ck_assert_uint_eq(d.nextents, 1);
	vmdk_desc_fini(&d);
	ck_assert_int_eq(vmdk_desc_parse(text, 21, "d", &d, &e), -EINVAL);
	ck_assert_err(e, EINVAL, "no createType");
	ck_assert_int_eq(vmdk_desc_parse(text, 20, "d", &d, &e), -EINVAL);
	ck_assert_err(e, EINVAL, "no descriptor where it should be");
}
END_TEST

START_TEST (the_types_of_whole_disks_are_known) {
	static const char *const types[] = { "monolithicSparse",
		"monolithicFlat", "twoGbMaxExtentSparse", "twoGbMaxExtentFlat",
		"streamOptimized", "vmfs", "vmfsThin", "vmfsPreallocated",
		"vmfsEagerZeroedThick", "custom" };

	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		struct err e = ERR_NONE;
		struct vmdk_desc d;
		char text[200];

		snprintf(text, sizeof(text), FIRST "createType=\"%s\"\n" FLAT,
			types[i]);
		ck_assert_int_eq(parse(text, &d, &e), 0);
		vmdk_desc_fini(&d);
	}
}
END_TEST

START_TEST (other_types_are_refused_by_name) {
	static const char *const types[] = { "fullDevice", "partitionedDevice",
		"vmfsRaw", "vmfsRDM", "vmfsPassthroughRawDeviceMap",
		"2GbMaxExtentX" };

	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		char text[200];

		snprintf(text, sizeof(text), FIRST "createType=\"%s\"\n" FLAT,
			types[i]);
		refused(text, ENOTSUP, types[i]);
	}
	refused(FIRST "createType=\"vmfsSparse\"\n" FLAT, ENOTSUP,
		"\"vmfsSparse\" is a snapshot's delta");
	refused(FIRST "createType=\"seSparse\"\n" FLAT, ENOTSUP,
		"\"seSparse\" is a snapshot's delta");
}
END_TEST

START_TEST (what_has_a_parent_is_refused_by_name) {
	refused(FIRST "parentCID=12345678\n" TYPE FLAT, ENOTSUP,
		"d.vmdk: it has a parent");
	refused(FIRST TYPE "parentFileNameHint=\"base.vmdk\"\n" FLAT, ENOTSUP,
		"it has a parent");
}
END_TEST

START_TEST (a_file_in_another_folder_is_refused) {
	refused(FIRST TYPE "RW 8 FLAT \"/etc/passwd\" 0\n", EINVAL,
		"in another folder (\"/etc/passwd\")");
	refused(FIRST TYPE "RW 8 FLAT \"../x\" 0\n", EINVAL, "other folder");
	refused(FIRST TYPE "RW 8 SPARSE \"a/b\"\n", EINVAL, "other folder");
	refused(FIRST TYPE "RW 8 FLAT \"..\" 0\n", EINVAL, "other folder");
	refused(FIRST TYPE "RW 8 FLAT \".\" 0\n", EINVAL, "other folder");
}
END_TEST

START_TEST (lines_that_make_no_sense_are_refused) {
	refused(FIRST TYPE FLAT "nonsense\n", EINVAL,
		"line 4: neither a value nor an extent");
	refused(FIRST TYPE FLAT " = 5\n", EINVAL, "without a name");
	refused(FIRST TYPE TYPE FLAT, EINVAL, "second createType");
	refused(FIRST "createType=\"\x1b[2J\"\n" FLAT, EINVAL,
		"line 2: createType is no name");
	refused(FIRST "createType=\n" FLAT, EINVAL, "createType is no name");
	refused(FIRST "createType=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n" FLAT,
		EINVAL, "createType is no name");
	refused(FIRST FLAT, EINVAL, "no createType");
	refused(FIRST TYPE, EINVAL, "no extents");
	refused("", EINVAL, "no descriptor");
}
END_TEST

START_TEST (extents_that_make_no_sense_are_refused) {
	static const struct {
		const char *line, *has;
	} bad[] = {
		{ "RW", "an extent's size" },
		{ "RW x FLAT \"a\" 0", "an extent's size" },
		{ "RW 0 FLAT \"a\" 0", "an extent's size" },
		{ "RW -1 FLAT \"a\" 0", "an extent's size" },
		{ "RW 0x10 FLAT \"a\" 0", "an extent's size" },
		{ "RW 36028797018963968 FLAT \"a\" 0", "an extent's size" },
		{ "RW 99999999999999999999 FLAT \"a\" 0", "an extent's size" },
		{ "RW 8", "an extent's type" },
		{ "RW 8 \x1b \"a\"", "an extent's type" },
		{ "RW 8 FLAT", "without a name in quotes" },
		{ "RW 8 FLAT a 0", "without a name in quotes" },
		{ "RW 8 FLAT \"a 0", "without a name in quotes" },
		{ "RW 8 FLAT \"\" 0", "empty or too long" },
		{ "RW 8 FLAT \"a\x1b\" 0", "no text" },
		{ "RW 8 FLAT \"a\x7f\" 0", "no text" },
		{ "RW 8 FLAT \"a\"", "an extent's offset" },
		{ "RW 8 FLAT \"a\" x", "an extent's offset" },
		{ "RW 8 FLAT \"a\" 99999999999999999999",
			"an extent's offset" },
		{ "RW 8 FLAT \"a\" 0 1", "more behind" },
		{ "RW 8 SPARSE \"a\" 0", "an extent's offset" },
		{ "RW 8 ZERO \"a\"", "more behind" },
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		char text[300];

		snprintf(text, sizeof(text), FIRST TYPE FLAT "%s\n" FLAT,
			bad[i].line);
		refused(text, EINVAL, bad[i].has);
	}
	refused(FIRST TYPE "NOACCESS 8 FLAT \"a\" 0\n", ENOTSUP, "NOACCESS");
	refused(FIRST TYPE "RW 8 VMFSSPARSE \"a\"\n", ENOTSUP,
		"type \"VMFSSPARSE\"");
	refused(FIRST TYPE "RW 8 VMFSRDM \"a\"\n", ENOTSUP, "type \"VMFSRDM\"");
}
END_TEST

/* count lines behind a good head; the caller frees. */
static char *many(const char *line, unsigned count)
{
	char *text = malloc(200 + count * strlen(line));
	char *at = text + sprintf(text, "%s", FIRST TYPE);

	for (unsigned i = 0; i < count; i++)
		at += sprintf(at, "%s", line);
	return text;
}

START_TEST (lines_and_names_have_a_limit) {
	char *text = malloc(10000), name[300];

	memset(name, 'n', sizeof(name));
	name[256] = 0;
	sprintf(text, FIRST TYPE "RW 8 FLAT \"%s\" 0\n", name);
	refused(text, EINVAL, "empty or too long");
	sprintf(text, FIRST TYPE FLAT "ddb.x = %*d\n", 4096, 1);
	refused(text, EINVAL, "line 4: it is too long");
	free(text);
}
END_TEST

START_TEST (extents_have_a_limit) {
	char *text = many(FLAT, VMDK_EXTENTS_MAX);
	struct err e = ERR_NONE;
	struct vmdk_desc d;

	ck_assert_int_eq(parse(text, &d, &e), 0);
	ck_assert_uint_eq(d.nextents, VMDK_EXTENTS_MAX);
	vmdk_desc_fini(&d);
	free(text);
	text = many(FLAT, VMDK_EXTENTS_MAX + 1);
	refused(text, EINVAL, "too many extents");
	free(text);
	text = many("RW 9007199254740992 ZERO\n", 2);
	refused(text, EINVAL, "sizes are too large");
	free(text);
}
END_TEST

SUITE("import_vmdk_desc", a_descriptor_tells_type_and_extents,
	text_ends_at_a_nul_or_the_length, the_types_of_whole_disks_are_known,
	other_types_are_refused_by_name, what_has_a_parent_is_refused_by_name,
	a_file_in_another_folder_is_refused,
	lines_that_make_no_sense_are_refused,
	extents_that_make_no_sense_are_refused, lines_and_names_have_a_limit,
	extents_have_a_limit)
