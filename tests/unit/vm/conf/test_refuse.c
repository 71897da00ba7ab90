/* SPDX-License-Identifier: GPL-3.0-or-later */
/* vm/conf: what bad files get told, with file, line and mend. */
#include <errno.h>

#include "vm/base/io.h"

#include "vm/conf/conf.h"

#include "tests/unit/suite.h"

static struct conf c;

static void refuse_len(const char *text, size_t len, const char *want)
{
	struct err e = ERR_NONE;

	ck_assert_int_eq(conf_parse(text, len, "web.ini", "/vm", &c, NULL),
		-EINVAL);
	ck_assert_int_eq(conf_parse(text, len, "web.ini", "/vm", &c, &e),
		-EINVAL);
	ck_assert_err(e, EINVAL, want);
}

static void refuse(const char *text, const char *want)
{
	refuse_len(text, strlen(text), want);
}

START_TEST (unknown_words_name_the_nearest) {
	refuse("[guest]\n\ncpu = 2\n",
		"web.ini:3: unknown key cpu in [guest]: did you mean cpus?");
	refuse("[guest]\nmemroy = 2G\n", "did you mean memory?");
	refuse("[display]\npasswordfile = x\n", "did you mean password-file?");
	refuse("[disks a]\n",
		"web.ini:1: unknown section [disks]: did you mean [disk]?");
	refuse("[Guest]\n", "did you mean [guest]?");
	refuse("[]\n", "unknown section []");
	refuse("[net a]\nthis-is-a-very-long-key-that-nobody-knows-at-all = 1",
		"did you mean");
}
END_TEST

START_TEST (values_out_of_range_say_the_range) {
	refuse("[guest]\ncpus = 0",
		"web.ini:2: cpus = 0 is not possible: use 1..64");
	refuse("[guest]\ncpus = 65", "use 1..64");
	refuse("[guest]\ncpus = 9999999999", "use 1..64");
	refuse("[guest]\ncpus = -1", "use 1..64");
	refuse("[guest]\ncpus = 2x", "use 1..64");
	refuse("[guest]\ncpus =", "use 1..64");
	refuse("[guest]\nmemory = much", "use a size, as 512M or 2G");
	refuse("[guest]\nmemory = 4096", "use 1M to 1T");
	refuse("[guest]\nmemory = 1.5T", "use 1M to 1T");
	refuse("[guest]\nmemory = 1500K", "use a whole number of MiB");
	refuse("[guest]\nfirmware = bios", "use seabios|uefi|none");
	refuse("[guest]\nrng = true", "use yes|no");
	refuse("[guest]\nrng =", "use yes|no");
	refuse("[guest]\nname = -x", "name = -x is not possible: use letters");
	refuse("[disk a]\nbus = ide", "use virtio|sata");
	refuse("[disk a]\nformat = vmdk", "use raw|qcow2|auto");
	refuse("[disk a]\ncache = fast", "use writeback|none|writethrough");
	refuse("[disk a]\nbps = lots", "bytes a second");
	refuse("[disk a]\niops = 1K", "use 0..100000000");
	refuse("[disk a]\nburst-length = 0", "use 1..3600");
	refuse("[disk a]\nboot = 17", "use 0..16");
	refuse("[disk a]\nqueues = 9", "use 0..8");
	refuse("[net a]\nmode = bridge", "use user|tap");
	refuse("[net a]\nmode=tap\ntap = abcdefghijklmnop", "at most 15");
	refuse("[net a]\nmode=tap\ntap = a/b", "at most 15");
	refuse("[net a]\nmode=tap\ntap = ..", "at most 15");
}
END_TEST

START_TEST (bad_hardware_addresses_are_refused) {
	refuse("[net a]\nmac = 52:54:00:12:34", "use six hex pairs");
	refuse("[net a]\nmac = 52:54:00:12:34:5g", "use six hex pairs");
	refuse("[net a]\nmac = 52-54-00-12-34-56", "use six hex pairs");
	refuse("[net a]\nmac = 52:54:00:12:34:567", "use six hex pairs");
	refuse("[net a]\nmac = 53:54:00:12:34:56", "use an even first pair");
	refuse("[net a]\nmac = 00:00:00:00:00:00", "use an even first pair");
}
END_TEST

START_TEST (bad_forwards_are_refused) {
	static const char *const bad[] = { "", "tcp", "sctp:127.0.0.1:1-1",
		"tcp:2222-22", "tcp::2222-22", "tcp:localhost:2222-22",
		"tcp:127.0.0.1:0-22", "tcp:127.0.0.1:65536-22",
		"tcp:127.0.0.1:1-0", "tcp:127.0.0.1:1", "tcp:127.0.0.1:1-2x",
		"tcp:::1:1-1", "tcp:[::1:1-1", "tcp:[::1]1-1",
		"tcp:127.0.0.1:1-1,", "tcp:127.0.0.1:-1", "tcp:[:1-1",
		"tcp:127.0.0.1:1+1", "tcp:127.0.0.1:123456-1" };
	char text[512];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(text, sizeof(text), "[net a]\nforward = %s", bad[i]);
		refuse(text, "is no forward: use PROTO:ADDRESS:PORT-GUESTPORT");
	}
	memset(text, 'a', sizeof(text));
	memcpy(text, "[net a]\nforward=tcp:", 20);
	text[500] = 0;
	refuse(text, "is no forward");
	refuse("[net a]\nforward=tcp:127.0.0.1:1-1\n"
	       "forward=tcp:127.0.0.1:1-2",
		"web.ini:3: forward = tcp:127.0.0.1:1-2 uses a host port");
}
END_TEST

START_TEST (bad_vnc_addresses_are_refused) {
	static const char *const bad[] = { "", "on", "127.0.0.1", "localhost:1",
		"127.0.0.1:", "127.0.0.1:59636", "127.0.0.1:1x", ":1", "::1:1",
		"[::1]", "[127.0.0.1]:1", "unix:1" };
	char text[64];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(text, sizeof(text), "[display]\nvnc = %s", bad[i]);
		refuse(text, "is no address: use ADDRESS:DISPLAY");
	}
}
END_TEST

START_TEST (what_is_given_twice_is_refused) {
	refuse("[guest]\ncpus=1\nrng=no\ncpus=2",
		"web.ini:4: key cpus is given twice (first in line 2): "
		"remove one");
	refuse("[guest]\n[linux]\n[guest]",
		"web.ini:3: section [guest] is there already");
	refuse("[linux]\n[linux]", "section [linux] is there already");
	refuse("[display]\n[display]", "section [display] is there already");
	refuse("[disk a]\npath=x\n[disk a]",
		"web.ini:3: section [disk a] is there already: use another");
	refuse("[net a]\n[net a]", "section [net a] is there already");
	refuse("[disk a]\npath=x\n[disk b]\npath=y\npath=z", "given twice");
}
END_TEST

START_TEST (too_many_are_refused) {
	char text[4096];
	size_t n = 0;

	for (int i = 0; i <= CONF_MAX_DISKS; i++)
		n += (size_t)sprintf(text + n, "[disk d%d]\npath=x\n", i);
	refuse(text, "section [disk d16] is one too many: at most 16");
	n = 0;
	for (int i = 0; i <= CONF_MAX_NETS; i++)
		n += (size_t)sprintf(text + n, "[net n%d]\n", i);
	refuse(text, "section [net n8] is one too many: at most 8");
	n = (size_t)sprintf(text, "[net a]\n");
	for (int i = 1; i <= CONF_MAX_FORWARDS + 1; i++)
		n += (size_t)sprintf(text + n, "forward=udp:127.0.0.1:%d-1\n",
			i);
	refuse(text, "web.ini:18: forward = udp:127.0.0.1:17-1 is one too "
		     "many: at most 16");
}
END_TEST

START_TEST (lines_that_are_none_are_refused) {
	refuse("[guest]\ncpus 2", "web.ini:2: no '=' in \"cpus 2\": write KEY");
	refuse("cpus = 2", "web.ini:1: key outside of a section: begin with");
	refuse("[guest", "section without its ']'");
	refuse("[guest]x", "section without its ']'");
	refuse("[guest] x", "text behind ']'");
	refuse("[guest web]", "section [guest] takes no name: write [guest]");
	refuse("[disk]", "section [disk] needs a name: write [disk NAME]");
	refuse("[disk a b]", "section name a b is not possible: use letters");
	refuse("[net ../x]", "section name ../x is not possible");
	refuse("[guest]\n= 3", "unknown key  in [guest]");
	refuse("[linux]\nkernel = \"a", "value without its closing quote");
	refuse("[linux]\nkernel = \"a\"b", "text behind the closing quote");
	refuse("[linux]\nkernel = \"a\" b", "text behind the closing quote");
}
END_TEST

START_TEST (what_is_no_text_is_refused) {
	char line[9000];

	refuse_len("[guest]\ncpus\0=2", 15,
		"web.ini:2: a zero byte: this is no text file");
	refuse("[guest]\nname=a\x1b[2J",
		"web.ini:2: control character 0x1b in the line: remove it");
	refuse("[guest]\rname=a", "control character 0x0d");
	refuse("[guest]\nname=\x7f", "control character 0x7f");
	memset(line, 'a', sizeof(line));
	line[8192] = 0;
	refuse(line, "web.ini:1: line is longer than 8191 bytes");
	line[8191] = 0;
	refuse(line, "no '='");
}
END_TEST

START_TEST (what_is_too_long_is_refused) {
	char text[4096];

	memset(text, 'a', sizeof(text));
	memcpy(text, "[linux]\ncmdline=", 16);
	text[16 + 2048] = 0;
	refuse(text, "at most 2047 bytes");
	memcpy(text, "[linux]\nkernel=x", 16);
	text[15 + 1021] = 0; /* and "/vm/" before */
	refuse(text, "use a path of less than 1024 bytes");
}
END_TEST

START_TEST (a_file_beyond_a_mebibyte_is_refused) {
	char *text = malloc((1 << 20) + 1);

	memset(text, '\n', (1 << 20) + 1);
	refuse_len(text, (1 << 20) + 1, "web.ini: more than 1 MiB");
	ck_assert_int_eq(conf_parse(text, 1 << 20, "web.ini", "/", &c, NULL),
		0);
	free(text);
}
END_TEST

START_TEST (settings_that_contradict_are_refused) {
	refuse("[linux]\nkernel=/k",
		"web.ini:2: a kernel is not started by firmware: set firmware "
		"= none in [guest]");
	refuse("[guest]\nfirmware=none",
		"web.ini:2: firmware = none starts nothing: set kernel");
	refuse("[linux]\ninitrd=/i", "initrd without kernel");
	refuse("[linux]\ncmdline=x", "cmdline without kernel");
	refuse("[guest]\nhugepages=yes\nmemory=3M",
		"web.ini:3: hugepages = yes needs a multiple of 2M");
	refuse("[guest]\n[disk a]\nformat=raw\n[net b]\n",
		"web.ini:2: [disk a] has no path: set path");
	refuse("[disk a]\npath=x\ncdrom=yes",
		"web.ini:3: cdrom = yes is not possible on virtio: set bus");
	refuse("[disk a]\npath=x\nbus=sata\nqueues=2", "remove queues");
	refuse("[disk a]\npath=nbd://h/x\ntls=keys",
		"web.ini:3: tls does nothing for nbd://, which is not "
		"encrypted: write nbds:// or remove tls");
	refuse("[disk a]\ntls=keys\npath=nbd+unix:///x?socket=/s",
		"web.ini:2: tls does nothing for nbd+unix://");
	refuse("[disk a]\npath=x\niops-burst=9",
		"web.ini:3: iops-burst needs a rate to go beyond: set iops");
	refuse("[disk a]\npath=x\nbps=1M\nbps-read=2M\nbps-read-burst=2M\n",
		"web.ini:5: bps-read-burst is not above bps-read: raise it");
	refuse("[disk a]\npath=x\nboot=1\n[disk b]\nboot=1\npath=y",
		"web.ini:5: boot = 1 is that of [disk a] already");
	refuse("[net a]\ntap=x", "tap is of mode = tap");
	refuse("[net a]\nmode=tap\nforward=tcp:127.0.0.1:1-1",
		"forward is of mode = user");
	refuse("[net a]\nmac=52:54:00:00:00:01\n[net b]\n"
	       "mac=52:54:00:00:00:01",
		"web.ini:4: mac is that of [net a] already");
}
END_TEST

START_TEST (an_open_vnc_address_is_refused) {
	refuse("[display]\nvnc=0.0.0.0:1",
		"web.ini:2: vnc on 0.0.0.0 is open to others: set "
		"password-file");
	refuse("[display]\nvnc=0.0.0.0:1\ninsecure=yes", "set password-file");
	refuse("[display]\nvnc=[::]:1\npassword-file=x",
		"vnc on :: goes unencrypted over the network: set insecure");
	refuse("[display]\nvnc=10.0.0.1:1\n[guest]\n", "web.ini:2: vnc on");
}
END_TEST

START_TEST (a_file_name_that_is_no_name_needs_one) {
	struct err e = ERR_NONE;

	ck_assert_int_eq(conf_parse("", 0, "/a/my guest.ini", "/", &c, &e),
		-EINVAL);
	ck_assert_err(e, EINVAL,
		"/a/my guest.ini: the file's name is no guest name: set name");
	ck_assert_int_eq(conf_parse("", 0, ".ini", "/", &c, &e), -EINVAL);
	ck_assert_int_eq(conf_parse("[guest]\nname=x", 14, "/a/my guest.ini",
				 "/", &c, &e),
		0);
}
END_TEST

START_TEST (a_file_that_cannot_be_read_is_told) {
	const char *folder = suite_tmp(), *path = suite_path(folder, "x.ini");
	struct err e = ERR_NONE;
	char *text = calloc(1, (1 << 20) + 1);

	ck_assert_int_eq(conf_read("/nonexistent.ini", &c, &e), -ENOENT);
	ck_assert_err(e, ENOENT, "cannot open /nonexistent.ini: No such file");
	ck_assert_int_eq(conf_read("/", &c, &e), -EISDIR);
	ck_assert_int_eq(io_write_file(path, "[x]", 3, 0600, NULL), 0);
	ck_assert_int_eq(conf_read(path, &c, &e), -EINVAL);
	ck_assert_err(e, EINVAL, "x.ini:1: unknown section [x]");
	ck_assert_int_eq(io_write_file(path, text, (1 << 20) + 1, 0600, NULL),
		0);
	ck_assert_int_eq(conf_read(path, &c, &e), -EFBIG);
	ck_assert_err(e, EFBIG, "x.ini is larger than 1048576 bytes");
	free(text);
	suite_rm(folder);
}
END_TEST

SUITE("conf_refuse", unknown_words_name_the_nearest,
	values_out_of_range_say_the_range, bad_hardware_addresses_are_refused,
	bad_forwards_are_refused, bad_vnc_addresses_are_refused,
	what_is_given_twice_is_refused, too_many_are_refused,
	lines_that_are_none_are_refused, what_is_no_text_is_refused,
	what_is_too_long_is_refused, a_file_beyond_a_mebibyte_is_refused,
	settings_that_contradict_are_refused, an_open_vnc_address_is_refused,
	a_file_name_that_is_no_name_needs_one,
	a_file_that_cannot_be_read_is_told)
