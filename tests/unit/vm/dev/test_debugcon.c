// SPDX-License-Identifier: GPL-3.0-or-later
#include "vm/base/io.h"

#include "vm/dev/debugcon.h"
#include "vm/dev/outbuf.h"

#include "tests/unit/suite.h"
#include "tests/unit/vm/dev/devrig.h"

static struct devrig rig;
static struct device *dev;

static void print(const char *s)
{
	for (; *s; s++)
		out8(&rig, 0x402, (uint8_t)*s);
}

START_TEST (reads_the_id_that_seabios_wants) {
	struct err e = ERR_NONE;

	devrig_init(&rig, MiB);
	ck_assert_int_eq(debugcon_new(&rig.core, NULL, &dev, &e), 0);
	ck_assert_uint_eq(in8(&rig, 0x402), 0xe9);
	dev->ops->reset(dev);
	ck_assert_uint_eq(in8(&rig, 0x402), 0xe9);
	dev->ops->free(dev);
	devrig_fini(&rig);
}
END_TEST

START_TEST (text_goes_to_the_console) {
	struct err e = ERR_NONE;
	struct console *con;
	uint64_t pos = 0;
	char buf[64] = { 0 };

	devrig_init(&rig, MiB);
	ck_assert_int_eq(console_new(NULL, &con, &e), 0);
	ck_assert_int_eq(debugcon_new(&rig.core, con, &dev, &e), 0);
	print("SeaBIOS\nversion");
	devrig_until(&rig, console_end(con) == 15);
	console_read(con, &pos, buf, sizeof(buf) - 1);
	ck_assert_str_eq(buf, "SeaBIOS\nversion");
	dev->ops->free(dev);
	console_free(con);
	devrig_fini(&rig);
}
END_TEST

START_TEST (text_goes_to_the_log_by_line) {
	struct err e = ERR_NONE;
	char *dir = suite_tmp();
	const char *path = suite_path(dir, "log");
	uint8_t *text;
	size_t len;

	devrig_init(&rig, MiB);
	log_close(rig.core.log);
	ck_assert_int_eq(log_open(path, &rig.core.log, &e), 0);
	log_set_level(rig.core.log, LOG_DEBUG);
	ck_assert_int_eq(debugcon_new(&rig.core, NULL, &dev, &e), 0);
	print("one\r\ntwo\n\nrest");
	dev->ops->free(dev);
	devrig_fini(&rig);
	ck_assert_int_eq(io_read_file(path, MiB, &text, &len, &e), 0);
	ck_assert_ptr_nonnull(strstr((char *)text, "firmware: one\n"));
	ck_assert_ptr_nonnull(strstr((char *)text, "firmware: two\n"));
	ck_assert_ptr_nonnull(strstr((char *)text, "firmware: rest\n"));
	free(text);
	suite_rm(dir);
}
END_TEST

START_TEST (flood_is_dropped_and_told) {
	struct err e = ERR_NONE;
	char *dir = suite_tmp();
	const char *path = suite_path(dir, "log");
	struct console *con;
	uint8_t *text;
	size_t len;

	devrig_init(&rig, MiB);
	log_close(rig.core.log);
	ck_assert_int_eq(log_open(path, &rig.core.log, &e), 0);
	ck_assert_int_eq(console_new(NULL, &con, &e), 0);
	ck_assert_int_eq(debugcon_new(&rig.core, con, &dev, &e), 0);
	for (unsigned i = 0; i < OUTBUF_SIZE + 5; i++)
		out8(&rig, 0x402, 'x');
	devrig_until(&rig, console_end(con) == OUTBUF_SIZE);
	dev->ops->free(dev);
	console_free(con);
	devrig_fini(&rig);
	ck_assert_int_eq(io_read_file(path, MiB, &text, &len, &e), 0);
	ck_assert_ptr_nonnull(strstr((char *)text, "5 bytes dropped"));
	free(text);
	suite_rm(dir);
}
END_TEST

START_TEST (a_flood_does_not_fill_the_log) {
	struct err e = ERR_NONE;
	char *dir = suite_tmp();
	const char *path = suite_path(dir, "log");
	struct console *con;
	unsigned lines = 0;
	uint8_t *text;
	size_t len;

	devrig_init(&rig, MiB);
	log_close(rig.core.log);
	ck_assert_int_eq(log_open(path, &rig.core.log, &e), 0);
	ck_assert_int_eq(console_new(NULL, &con, &e), 0);
	ck_assert_int_eq(debugcon_new(&rig.core, con, &dev, &e), 0);
	for (unsigned n = 1; n <= 100; n++) {
		for (unsigned i = 0; i < OUTBUF_SIZE + 5; i++)
			out8(&rig, 0x402, 'x');
		devrig_until(&rig, console_end(con) == n * OUTBUF_SIZE);
	}
	dev->ops->free(dev);
	console_free(con);
	devrig_fini(&rig);
	ck_assert_int_eq(io_read_file(path, MiB, &text, &len, &e), 0);
	for (size_t i = 0; i < len; i++)
		lines += text[i] == '\n';
	ck_assert_uint_le(lines, LOG_BURST + 2);
	free(text);
	suite_rm(dir);
}
END_TEST

SUITE("debugcon", reads_the_id_that_seabios_wants, text_goes_to_the_console,
	text_goes_to_the_log_by_line, flood_is_dropped_and_told,
	a_flood_does_not_fill_the_log)
