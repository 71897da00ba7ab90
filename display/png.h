/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Pixels to a PNG file. Thread: any. */
#ifndef DISPLAY_PNG_H
#define DISPLAY_PNG_H

#include <stdint.h>

#include "vm/base/err.h"

/*
 * Write XRGB8888 pixels to PATH.tmp, then rename it to path. 0 or -errno
 * with e naming path and cause; PATH.tmp is then gone.
 */
int png_write_file(const char *path, const uint32_t *px, unsigned width,
	unsigned height, unsigned stride_bytes, struct err *e);

#endif
