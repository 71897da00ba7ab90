/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * State folder and the names in it. No state; any thread.
 */
#include "ui/paths.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "vm/base/io.h"

/* The folder as the environment says it, not yet absolute. */
static int paths_pick(char *out, size_t len, struct err *e)
{
	const char *dir = getenv("GUESTDECK_DIR");
	const char *xdg = getenv("XDG_STATE_HOME");
	const char *home = getenv("HOME");
	int n;

	if (dir && *dir) {
		n = snprintf(out, len, "%s", dir);
	} else if (xdg && *xdg == '/') { /* others are to be ignored */
		n = snprintf(out, len, "%s/guestdeck", xdg);
	} else {
		struct passwd pw, *found = NULL;
		char buf[4096];

		if (!home || *home != '/') {
			home = NULL;
			if (!getpwuid_r(geteuid(), &pw, buf, sizeof(buf),
				    &found) &&
				found)
				home = found->pw_dir;
		}
		if (!home)
			return err_set(e, ENOENT,
				"no home folder is known: set GUESTDECK_DIR");
		n = snprintf(out, len, "%s/.local/state/guestdeck", home);
	}
	if (n < 0 || (size_t)n >= len)
		return err_set(e, ENAMETOOLONG,
			"the name of the state folder is too long: set "
			"GUESTDECK_DIR to a shorter one");
	return 0;
}

int paths_resolve(const char *cwd, const char *path, char *out, size_t len,
	struct err *e)
{
	int n;

	if (!*path)
		return err_set(e, EINVAL, "an empty file name");
	if (*path == '/')
		n = snprintf(out, len, "%s", path);
	else
		n = snprintf(out, len, "%s/%s", strcmp(cwd, "/") ? cwd : "",
			path);
	if (n < 0 || (size_t)n >= len)
		return err_set(e, ENAMETOOLONG, "file name is too long: %s",
			path);
	return 0;
}

static void paths_drop_slashes(char *dir)
{
	size_t n = strlen(dir);

	while (n > 1 && dir[n - 1] == '/')
		dir[--n] = 0;
}

static void paths_exe(char *out, size_t len)
{
	ssize_t n = readlink("/proc/self/exe", out, len - 1);

	if (n > 0)
		out[n] = 0;
	else
		snprintf(out, len, "/proc/self/exe");
}

int paths_init(struct paths *p, struct err *e)
{
	char dir[PATHS_DIR_MAX] = "", cwd[PATHS_DIR_MAX];
	int r;

	memset(p, 0, sizeof(*p));
	r = paths_pick(dir, sizeof(dir), e);
	if (r)
		return r;
	if (*dir != '/' && !getcwd(cwd, sizeof(cwd)))
		return err_sys(e, errno, "cannot read the working folder");
	r = paths_resolve(cwd, dir, p->dir, sizeof(p->dir), e);
	if (r)
		return r;
	paths_drop_slashes(p->dir);
	snprintf(p->run, sizeof(p->run), "%s/run", p->dir);
	snprintf(p->log, sizeof(p->log), "%s/log", p->dir);
	snprintf(p->socket, sizeof(p->socket), "%s/run/server.sock", p->dir);
	snprintf(p->lock, sizeof(p->lock), "%s/run/server.lock", p->dir);
	snprintf(p->server_log, sizeof(p->server_log), "%s/log/server.log",
		p->dir);
	paths_exe(p->exe, sizeof(p->exe));
	if (strlen(p->socket) >= sizeof(((struct sockaddr_un *)0)->sun_path))
		return err_set(e, ENAMETOOLONG,
			"%s is too long for a socket: set GUESTDECK_DIR to a "
			"shorter folder",
			p->socket);
	return 0;
}

int paths_make(const struct paths *p, struct err *e)
{
	int r = io_mkdirs(p->run, e);

	return r ? r : io_mkdirs(p->log, e);
}
