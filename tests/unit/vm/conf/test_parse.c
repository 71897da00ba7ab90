/* SPDX-License-Identifier: GPL-3.0-or-later */
/* vm/conf: what good files say. */
#include <errno.h>
#include <unistd.h>

#include "vm/base/io.h"
#include "vm/base/sizes.h"

#include "vm/conf/conf.h"

#include "tests/unit/suite.h"

static struct conf c;

static void parse(const char *text)
{
	struct err e = ERR_NONE;
	int r = conf_parse(text, strlen(text), "/vm/web.ini", "/vm", &c, &e);

	ck_assert_msg(r == 0, "%s", e.msg);
}

START_TEST (an_empty_file_is_all_defaults) {
	struct conf d;

	parse("");
	ck_assert_str_eq(c.name, "web");
	ck_assert_uint_eq(c.cpus, 1);
	ck_assert_uint_eq(c.memory_bytes, GiB);
	ck_assert_int_eq(c.firmware, CONF_FW_SEABIOS);
	ck_assert(c.tablet && c.rng && !c.virtio_console && !c.hugepages);
	ck_assert_uint_eq(c.ndisks, 0);
	ck_assert_uint_eq(c.nnets, 0);
	ck_assert_int_eq(c.display.vnc, CONF_VNC_UNIX);
	ck_assert(c.display.vga && !c.display.insecure);
	conf_init(&d);
	ck_assert_str_eq(d.name, "");
	memset(c.name, 0, sizeof(c.name));
	ck_assert_mem_eq(&c, &d, sizeof(c));
}
END_TEST

START_TEST (every_guest_key_is_read) {
	parse("[guest]\nname = db-1.a_b\ncpus = 64\nmemory = 1.5G\n"
	      "firmware = uefi\nhugepages = yes\ntablet = no\nrng = no\n"
	      "console = yes\n");
	ck_assert_str_eq(c.name, "db-1.a_b");
	ck_assert_uint_eq(c.cpus, 64);
	ck_assert_uint_eq(c.memory_bytes, GiB + GiB / 2);
	ck_assert_int_eq(c.firmware, CONF_FW_UEFI);
	ck_assert(!c.tablet && !c.rng && c.virtio_console && c.hugepages);
}
END_TEST

START_TEST (linux_is_started_directly) {
	parse("[guest]\nfirmware=none\n[linux]\nkernel=/boot/vmlinuz\n"
	      "initrd=initrd.img\ncmdline = console=ttyS0;a quiet ; not this");
	ck_assert_int_eq(c.firmware, CONF_FW_NONE);
	ck_assert_str_eq(c.kernel, "/boot/vmlinuz");
	ck_assert_str_eq(c.initrd, "/vm/initrd.img");
	ck_assert_str_eq(c.cmdline, "console=ttyS0;a quiet");
}
END_TEST

START_TEST (disks_keep_their_order_and_defaults) {
	parse("[disk root]\npath = web.raw\nformat = qcow2\nboot = 2\n"
	      "queues = 8\n[disk cd]\npath=/iso/a b.iso\nbus=sata\n"
	      "cdrom=yes\nboot=1\n[disk x]\npath=x\nformat=auto\nreadonly=yes");
	ck_assert_uint_eq(c.ndisks, 3);
	ck_assert_str_eq(c.disks[0].name, "root");
	ck_assert_str_eq(c.disks[0].path, "/vm/web.raw");
	ck_assert_int_eq(c.disks[0].bus, CONF_BUS_VIRTIO);
	ck_assert_int_eq(c.disks[0].format, CONF_FORMAT_QCOW2);
	ck_assert(!c.disks[0].readonly && !c.disks[0].cdrom);
	ck_assert_int_eq(c.disks[0].boot, 2);
	ck_assert_uint_eq(c.disks[0].queues, 8);
	ck_assert_str_eq(c.disks[1].path, "/iso/a b.iso");
	ck_assert_int_eq(c.disks[1].bus, CONF_BUS_SATA);
	ck_assert_int_eq(c.disks[1].format, CONF_FORMAT_RAW);
	ck_assert(c.disks[1].cdrom && c.disks[1].readonly);
	ck_assert_int_eq(c.disks[2].format, CONF_FORMAT_AUTO);
	ck_assert(c.disks[2].readonly && !c.disks[2].cdrom);
	ck_assert_int_eq(c.disks[2].boot, 0);
}
END_TEST

START_TEST (disks_have_cache_and_limits) {
	const struct conf_disk *d = c.disks;

	parse("[disk a]\npath = nbds+unix:///x?socket=/run/s\ncache = none\n"
	      "aio = threads\ndiscard = no\ndetect-zeroes = unmap\n"
	      "iops = 100\niops-burst = 500\nbps-write = 10M\n"
	      "burst-length = 30\nthrottle-group = lab\ntls = keys\n"
	      "[disk b]\npath = b");
	ck_assert_str_eq(d[0].path, "nbds+unix:///x?socket=/run/s");
	ck_assert_int_eq(d[0].cache, CONF_CACHE_NONE);
	ck_assert_int_eq(d[0].aio, CONF_AIO_THREADS);
	ck_assert(!d[0].discard);
	ck_assert_int_eq(d[0].detect_zeroes, CONF_ZEROES_UNMAP);
	ck_assert_uint_eq(d[0].iops[0], 100);
	ck_assert_uint_eq(d[0].iops_burst[0], 500);
	ck_assert_uint_eq(d[0].bps[2], 10 << 20);
	ck_assert_uint_eq(d[0].burst_s, 30);
	ck_assert_str_eq(d[0].throttle_group, "lab");
	ck_assert_str_eq(d[0].tls, "/vm/keys");
	ck_assert_int_eq(d[1].cache, CONF_CACHE_WRITEBACK);
	ck_assert(d[1].discard && !d[1].iops[0] && !d[1].bps[2]);
	ck_assert_uint_eq(d[1].burst_s, 1);
}
END_TEST

START_TEST (nets_have_forwards_and_addresses) {
	const struct conf_forward *f;

	parse("[net lan]\nforward = tcp:127.0.0.1:2222-22\n"
	      "forward = udp:[::1]:53-5353 , tcp:0.0.0.0:80-8080\n"
	      "mac = 52:54:00:AB:cd:01\n"
	      "[net br]\nmode = tap\ntap = tap0\n[net any]\nmode = tap\n");
	ck_assert_uint_eq(c.nnets, 3);
	ck_assert_int_eq(c.nets[0].mode, CONF_NET_USER);
	ck_assert_uint_eq(c.nets[0].nforwards, 3);
	f = c.nets[0].forwards;
	ck_assert(!f[0].udp && f[1].udp && !f[2].udp);
	ck_assert_str_eq(f[0].host_addr, "127.0.0.1");
	ck_assert_uint_eq(f[0].host_port, 2222);
	ck_assert_uint_eq(f[0].guest_port, 22);
	ck_assert_str_eq(f[1].host_addr, "::1");
	ck_assert_str_eq(f[2].host_addr, "0.0.0.0");
	ck_assert(c.nets[0].mac_set);
	ck_assert_mem_eq(c.nets[0].mac, "\x52\x54\x00\xab\xcd\x01", 6);
	ck_assert_int_eq(c.nets[1].mode, CONF_NET_TAP);
	ck_assert_str_eq(c.nets[1].tap, "tap0");
	ck_assert_str_eq(c.nets[2].tap, "");
}
END_TEST

START_TEST (display_listens_where_it_is_told) {
	parse("[display]\nvnc = 127.0.0.1:5\nvga = no\npassword-file=secret\n"
	      "viewonly-password-file=/etc/look");
	ck_assert_int_eq(c.display.vnc, CONF_VNC_TCP);
	ck_assert_str_eq(c.display.vnc_addr, "127.0.0.1");
	ck_assert_uint_eq(c.display.vnc_display, 5);
	ck_assert_str_eq(c.display.password_file, "/vm/secret");
	ck_assert_str_eq(c.display.viewonly_password_file, "/etc/look");
	ck_assert(!c.display.vga);
	parse("[display]\nvnc = [::1]:59635");
	ck_assert_str_eq(c.display.vnc_addr, "::1");
	ck_assert_uint_eq(c.display.vnc_display, 59635);
	parse("[display]\nvnc = off");
	ck_assert_int_eq(c.display.vnc, CONF_VNC_OFF);
	parse("[display]\nvnc = 0.0.0.0:1\ninsecure=yes\npassword-file=s\n");
	ck_assert(c.display.insecure);
}
END_TEST

START_TEST (comments_blanks_and_line_ends_do_not_matter) {
	parse("\xef\xbb\xbf; a\n  # b\r\n\n \t \n"
	      "[guest] ; c\r\n  cpus\t=\t2\t# d\r\nmemory=512M\t;e\n"
	      "[ disk  root ] #f\npath = a;b#c ; d");
	ck_assert_uint_eq(c.cpus, 2);
	ck_assert_uint_eq(c.memory_bytes, 512 * MiB);
	ck_assert_str_eq(c.disks[0].name, "root");
	ck_assert_str_eq(c.disks[0].path, "/vm/a;b#c");
}
END_TEST

START_TEST (quotes_keep_blanks_and_comment_signs) {
	parse("[disk a]\npath = \" a ; \\\"b\\\\ \\c\" ; real comment\n"
	      "[guest]\nfirmware = none\n[linux]\nkernel = \"/k\"\n"
	      "cmdline = dyndbg=\"file a +p\"\ninitrd = \"\"\n");
	ck_assert_str_eq(c.disks[0].path, "/vm/ a ; \"b\\ \\c");
	ck_assert_str_eq(c.kernel, "/k");
	ck_assert_str_eq(c.cmdline, "dyndbg=\"file a +p\"");
	ck_assert_str_eq(c.initrd, "");
}
END_TEST

START_TEST (made_addresses_are_stable_and_differ) {
	uint8_t first[6];

	parse("[guest]\nname=a\n[net lan]\n[net wan]\n");
	ck_assert(!c.nets[0].mac_set);
	ck_assert_mem_eq(c.nets[0].mac, "\x52\x54\x00", 3);
	ck_assert_mem_ne(c.nets[0].mac, c.nets[1].mac, 6);
	memcpy(first, c.nets[0].mac, 6);
	parse("[net wan]\n[net lan]\n[guest]\nname=a\n");
	ck_assert_mem_eq(c.nets[1].mac, first, 6);
	parse("[guest]\nname=b\n[net lan]\n");
	ck_assert_mem_ne(c.nets[0].mac, first, 6);
}
END_TEST

START_TEST (a_made_address_leaves_a_given_one_alone) {
	char text[128];
	uint8_t m[6];

	parse("[guest]\nname=a\n[net lan]\n");
	memcpy(m, c.nets[0].mac, 6);
	snprintf(text, sizeof(text),
		"[guest]\nname=a\n[net lan]\n[net x]\n"
		"mac=%02x:%02x:%02x:%02x:%02x:%02x\n",
		m[0], m[1], m[2], m[3], m[4], m[5]);
	parse(text);
	ck_assert_mem_eq(c.nets[1].mac, m, 6);
	ck_assert_mem_ne(c.nets[0].mac, m, 6);
}
END_TEST

START_TEST (a_file_gives_base_and_name) {
	const char *folder = suite_tmp(), *path = suite_path(folder, "vm.ini");
	static const char text[] = "[disk a]\npath = a.raw\n";
	char want[CONF_PATH_MAX];

	ck_assert_int_eq(io_write_file(path, text, strlen(text), 0600, NULL),
		0);
	ck_assert_int_eq(conf_read(path, &c, NULL), 0);
	ck_assert_str_eq(c.name, "vm");
	snprintf(want, sizeof(want), "%s/a.raw", folder);
	ck_assert_str_eq(c.disks[0].path, want);
	ck_assert_int_eq(chdir(folder), 0);
	ck_assert_int_eq(conf_read("vm.ini", &c, NULL), 0);
	ck_assert_str_eq(c.disks[0].path, want);
	ck_assert_int_eq(chdir("/"), 0);
	suite_rm(folder);
}
END_TEST

START_TEST (the_base_may_end_with_a_slash) {
	static const char text[] = "[disk a]\npath = a\n";

	ck_assert_int_eq(conf_parse(text, strlen(text), "x.ini", "/", &c, NULL),
		0);
	ck_assert_str_eq(c.disks[0].path, "/a");
}
END_TEST

START_TEST (names_are_checked) {
	char name[CONF_NAME_MAX + 2];

	ck_assert(conf_name_ok("a") && conf_name_ok("9x.-_Z"));
	ck_assert(!conf_name_ok("") && !conf_name_ok(".a") &&
		  !conf_name_ok("-a") && !conf_name_ok("a b") &&
		  !conf_name_ok("a/b") && !conf_name_ok("\xc3\xa4"));
	memset(name, 'a', sizeof(name));
	name[CONF_NAME_MAX] = 0;
	ck_assert(conf_name_ok(name));
	name[CONF_NAME_MAX] = 'a';
	name[CONF_NAME_MAX + 1] = 0;
	ck_assert(!conf_name_ok(name));
}
END_TEST

START_TEST (the_table_can_be_walked) {
	size_t n = 0;

	for (; conf_option(n); n++) {
		const struct conf_option *o = conf_option(n);

		ck_assert(*o->section && *o->key && *o->type && *o->help);
		ck_assert_ptr_nonnull(o->dflt);
	}
	ck_assert_uint_ge(n, 26);
	ck_assert_str_eq(conf_option(0)->key, "name");
	ck_assert_ptr_null(conf_option(n + 1));
}
END_TEST

SUITE("conf_parse", an_empty_file_is_all_defaults, every_guest_key_is_read,
	linux_is_started_directly, disks_keep_their_order_and_defaults,
	disks_have_cache_and_limits, nets_have_forwards_and_addresses,
	display_listens_where_it_is_told,
	comments_blanks_and_line_ends_do_not_matter,
	quotes_keep_blanks_and_comment_signs,
	made_addresses_are_stable_and_differ,
	a_made_address_leaves_a_given_one_alone, a_file_gives_base_and_name,
	the_base_may_end_with_a_slash, names_are_checked,
	the_table_can_be_walked)
