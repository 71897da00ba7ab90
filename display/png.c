/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * PNG by libpng. Its error handling is longjmp, so what must be freed is
 * held by one struct outside of the function that can be jumped out of.
 */
#include "display/png.h"

#include <errno.h>
#include <fcntl.h>
#include <png.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct png_job {
	png_structp png;
	png_infop info;
	FILE *f;
	uint8_t *row;
	const uint32_t *px;
	unsigned width, height, stride;
	char why[128];
};

static void png_job_error(png_structp png, png_const_charp msg)
{
	struct png_job *j = png_get_error_ptr(png);

	snprintf(j->why, sizeof(j->why), "%s", msg);
	longjmp(png_jmpbuf(png), 1);
}

static void png_job_warn(png_structp png, png_const_charp msg)
{
	(void)png;
	(void)msg;
}

static void png_job_rows(struct png_job *j)
{
	for (unsigned y = 0; y < j->height; y++) {
		const uint32_t *p =
			(const uint32_t *)(const void *)((const uint8_t *)
								 j->px +
							 (size_t)y * j->stride);

		for (unsigned x = 0; x < j->width; x++) {
			j->row[3 * x] = (uint8_t)(p[x] >> 16);
			j->row[3 * x + 1] = (uint8_t)(p[x] >> 8);
			j->row[3 * x + 2] = (uint8_t)p[x];
		}
		png_write_row(j->png, j->row);
	}
}

/* 0 or -1 with j->why. */
static int png_job_run(struct png_job *j)
{
	j->png = png_create_write_struct(PNG_LIBPNG_VER_STRING, j,
		png_job_error, png_job_warn);
	if (j->png)
		j->info = png_create_info_struct(j->png);
	j->row = malloc((size_t)j->width * 3);
	if (!j->png || !j->info || !j->row) {
		snprintf(j->why, sizeof(j->why), "out of memory");
		return -1;
	}
	if (setjmp(png_jmpbuf(j->png)))
		return -1;
	png_init_io(j->png, j->f);
	png_set_IHDR(j->png, j->info, j->width, j->height, 8,
		PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
		PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
	png_set_compression_level(j->png, 3);
	png_write_info(j->png, j->info);
	png_job_rows(j);
	png_write_end(j->png, NULL);
	return 0;
}

static int png_close(struct png_job *j, struct err *e, const char *path)
{
	int r = png_job_run(j);

	png_destroy_write_struct(&j->png, &j->info);
	free(j->row);
	if (fclose(j->f) && !r)
		return err_sys(e, errno, "cannot write %s", path);
	if (r)
		return err_set(e, EIO, "cannot write %s: %s", path, j->why);
	return 0;
}

int png_write_file(const char *path, const uint32_t *px, unsigned width,
	unsigned height, unsigned stride_bytes, struct err *e)
{
	struct png_job j = {
		.px = px,
		.width = width,
		.height = height,
		.stride = stride_bytes,
	};
	char tmp[4096];
	int fd, r;

	if ((size_t)snprintf(tmp, sizeof(tmp), "%s.tmp", path) >= sizeof(tmp))
		return err_sys(e, ENAMETOOLONG, "cannot write %.60s...", path);
	fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_sys(e, errno, "cannot write %s", tmp);
	j.f = fdopen(fd, "wb");
	if (!j.f) {
		r = err_sys(e, errno, "cannot write %s", tmp);
		close(fd);
		goto out;
	}
	r = png_close(&j, e, path);
	if (!r && rename(tmp, path))
		r = err_sys(e, errno, "cannot rename %s to %s", tmp, path);
out:
	if (r)
		unlink(tmp);
	return r;
}
