/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Read a guest file from disk. No state; any thread. */
#include "vm/conf/conf.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/io.h"

#include "vm/conf/conf_impl.h"

/* The folder of path, absolute, without links. Caller frees; NULL = errno. */
static char *conf_folder(const char *path)
{
	const char *slash = strrchr(path, '/');
	char dir[PATH_MAX] = ".";

	if (slash) {
		size_t n = slash == path ? 1 : (size_t)(slash - path);

		if (n >= sizeof(dir)) {
			errno = ENAMETOOLONG;
			return NULL;
		}
		memcpy(dir, path, n);
		dir[n] = 0;
	}
	return realpath(dir, NULL);
}

int conf_read(const char *path, struct conf *c, struct err *e)
{
	uint8_t *text;
	char *base;
	size_t len;
	int r;

	r = io_read_file(path, CONF_FILE_MAX, &text, &len, e);
	if (r)
		return r;
	base = conf_folder(path);
	if (base)
		r = conf_parse((const char *)text, len, path, base, c, e);
	else
		r = err_sys(e, errno, "cannot find the folder of %s", path);
	free(base);
	free(text);
	return r;
}
