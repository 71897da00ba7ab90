/* SPDX-License-Identifier: GPL-3.0-or-later */
/* vm/conf: what is written reads back to the same. */
#include <errno.h>

#include "vm/base/sizes.h"

#include "vm/conf/conf.h"

#include "tests/unit/suite.h"

static struct conf c, back;

static void parse(const char *text, struct conf *into)
{
	struct err e = ERR_NONE;
	int r = conf_parse(text, strlen(text), "x.ini", "/vm", into, &e);

	ck_assert_msg(r == 0, "%s", e.msg);
}

/* Write c, read that, compare every byte. */
static void round_trip(void)
{
	struct err e = ERR_NONE;
	char *text;
	int r = conf_format(&c, &text, &e);

	ck_assert_msg(r == 0, "%s", e.msg);
	parse(text, &back);
	ck_assert_mem_eq(&c, &back, sizeof(c));
	free(text);
}

START_TEST (a_full_file_survives) {
	parse("[guest]\nname=web\ncpus=4\nmemory=1.5G\nfirmware=none\n"
	      "hugepages=yes\ntablet=no\nrng=no\nconsole=yes\n"
	      "[linux]\nkernel=/k\ninitrd=/i\ncmdline=a;b \"c\" #d\n"
	      "[disk r]\npath=r.raw\nformat=qcow2\nboot=2\nqueues=3\n"
	      "[disk c]\npath=/c.iso\nbus=sata\ncdrom=yes\nboot=1\n"
	      "[disk o]\npath=/o\nformat=auto\nreadonly=yes\n"
	      "cache=unsafe\naio=io_uring\ndiscard=no\niops-read=7\n"
	      "bps=1000\nbps-burst=1M\nburst-length=9\n"
	      "throttle-group=g\n"
	      "[net a]\nmac=52:54:00:12:34:56\n"
	      "forward=tcp:127.0.0.1:2222-22,udp:[::1]:1-2\n"
	      "[net b]\nmode=tap\ntap=tap0\n[net c]\n"
	      "[display]\nvnc=0.0.0.0:7\npassword-file=p\ninsecure=yes\n"
	      "viewonly-password-file=v\nvga=no\n",
		&c);
	round_trip();
}
END_TEST

START_TEST (defaults_are_not_written) {
	char *text;

	parse("", &c);
	ck_assert_int_eq(conf_format(&c, &text, NULL), 0);
	ck_assert_str_eq(text, "[guest]\nname = x\ncpus = 1\nmemory = 1G\n");
	free(text);
	round_trip();
}
END_TEST

START_TEST (sections_are_set_apart) {
	char *text;

	parse("[display]\nvnc=off\n[net a]\n[disk b]\npath=/b\n", &c);
	ck_assert_int_eq(conf_format(&c, &text, NULL), 0);
	ck_assert_str_eq(text, "[guest]\nname = x\ncpus = 1\nmemory = 1G\n"
			       "\n[disk b]\npath = /b\n\n[net a]\n"
			       "\n[display]\nvnc = off\n");
	free(text);
}
END_TEST

START_TEST (odd_paths_are_quoted) {
	static const char *const odd[] = { "/a b", "/ ; x", "/a ", "/a #b",
		"/\"q\"", "/a\\b", "/a\\ ;\"", "/a;b", "/a\t#" };

	for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
		parse("[disk a]\npath=/x", &c);
		memset(c.disks[0].path, 0, sizeof(c.disks[0].path));
		strcpy(c.disks[0].path, odd[i]);
		round_trip();
	}
}
END_TEST

START_TEST (odd_sizes_are_exact) {
	static const uint64_t odd[] = { MiB, 1537 * MiB, 1023 * GiB + MiB, TiB,
		512 * MiB, 1536 * MiB };

	for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
		parse("", &c);
		c.memory_bytes = odd[i];
		round_trip();
	}
}
END_TEST

START_TEST (vnc_addresses_are_written) {
	char *text;

	parse("[display]\nvnc=[::1]:3", &c);
	ck_assert_int_eq(conf_format(&c, &text, NULL), 0);
	ck_assert_ptr_nonnull(strstr(text, "vnc = [::1]:3\n"));
	free(text);
	round_trip();
}
END_TEST

static void refuse(const char *want)
{
	struct err e = ERR_NONE;
	char *text = (char *)"";

	ck_assert_int_eq(conf_format(&c, &text, &e), -EINVAL);
	ck_assert_ptr_null(text);
	ck_assert_err(e, EINVAL, want);
	ck_assert_int_eq(conf_format(&c, &text, NULL), -EINVAL);
	parse("[disk a]\npath=/x", &c);
}

START_TEST (what_could_not_be_read_is_not_written) {
	parse("[disk a]\npath=/x", &c);
	strcpy(c.disks[0].path, "/a\nb");
	refuse("cannot save guest: x:8: no '='");
	strcpy(c.disks[0].path, "/a\n");
	refuse("cannot save guest x: a value would read back changed");
	c.cpus = 0;
	refuse("cannot save guest: x:3: cpus = 0 is not possible");
	c.firmware = CONF_FW_NONE;
	refuse("firmware = none starts nothing");
	c.firmware = (enum conf_firmware)77;
	refuse("cannot save guest");
	strcpy(c.disks[0].name, "a b");
	refuse("section name a b is not possible");
	strcpy(c.name, "a b");
	refuse("cannot save guest: a b:2: name = a b is not possible");
	memset(c.name, 0, sizeof(c.name));
	refuse("cannot save guest");
}
END_TEST

SUITE("conf_format", a_full_file_survives, defaults_are_not_written,
	sections_are_set_apart, odd_paths_are_quoted, odd_sizes_are_exact,
	vnc_addresses_are_written, what_could_not_be_read_is_not_written)
