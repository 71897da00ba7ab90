/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A peer that is gone or a limit that is reached is an error, no signal. */
#include "ui/process.h"

#include <signal.h>
#include <sys/resource.h>

void process_for_guests(void)
{
	struct rlimit fds;

	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* a disk or log beyond RLIMIT_FSIZE */
	if (!getrlimit(RLIMIT_NOFILE, &fds)) { /* many guests, many files */
		fds.rlim_cur = fds.rlim_max;
		setrlimit(RLIMIT_NOFILE, &fds);
	}
}
