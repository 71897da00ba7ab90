/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The jail: seccomp(2) by libseccomp. After jail_close() the process can
 * read and write the descriptors it has, take more from its engine, and use
 * memory that is not executable. It can open no file, make no socket but
 * pairs, start no process or thread. A forbidden call fails with EPERM (a
 * newer libc may try a new call and fall back); those that only an intruder
 * would make kill the process.
 *
 * Builds with sanitizers keep the limits but not the list: their runtime
 * needs more.
 */
#include "display/viewer/jail.h"

#include <errno.h>
#include <seccomp.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vm/base/sizes.h"

#include "display/proto.h"

#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) ||           \
	__has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define JAIL_SANITIZED 1
#else
#define JAIL_SANITIZED 0
#endif

#define JAIL_FDS    128
#define JAIL_MEMORY (UINT64_C(1) << 30)

static void jail_limit(int what, rlim_t value)
{
	struct rlimit now, l = { .rlim_cur = value, .rlim_max = value };

	if (!getrlimit((__rlimit_resource_t)what, &now) && now.rlim_max < value)
		l.rlim_cur = l.rlim_max = now.rlim_max;
	setrlimit((__rlimit_resource_t)what, &l);
}

int jail_begin(struct err *e)
{
	if (syscall(SYS_close_range, VIEWER_FD + 1, ~0u, 0))
		for (int fd = VIEWER_FD + 1; fd < 4096; fd++)
			close(fd);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return err_sys(e, errno, "no_new_privs");
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	umask(077);
	signal(SIGPIPE, SIG_IGN);
	jail_limit(RLIMIT_CORE, 0);
	jail_limit(RLIMIT_FSIZE, 0);
	jail_limit(RLIMIT_NOFILE, JAIL_FDS);
	jail_limit(RLIMIT_MEMLOCK, 0);
	if (!JAIL_SANITIZED)
		jail_limit(RLIMIT_AS, JAIL_MEMORY);
	if (chdir("/"))
		return err_sys(e, errno, "chdir");
	return 0;
}

#if !JAIL_SANITIZED

static const int jail_allowed[] = {
	SCMP_SYS(read),
	SCMP_SYS(readv),
	SCMP_SYS(write),
	SCMP_SYS(writev),
	SCMP_SYS(recvfrom),
	SCMP_SYS(recvmsg),
	SCMP_SYS(sendmsg),
	SCMP_SYS(shutdown),
	SCMP_SYS(getsockopt),
	SCMP_SYS(setsockopt),
	SCMP_SYS(getpeername),
	SCMP_SYS(getsockname),
	SCMP_SYS(close),
	SCMP_SYS(fcntl),
	SCMP_SYS(fstat),
	SCMP_SYS(lseek),
	SCMP_SYS(epoll_create1),
	SCMP_SYS(epoll_ctl),
	SCMP_SYS(epoll_wait),
	SCMP_SYS(epoll_pwait),
	SCMP_SYS(epoll_pwait2),
	SCMP_SYS(poll),
	SCMP_SYS(ppoll),
	SCMP_SYS(select),
	SCMP_SYS(pselect6),
	SCMP_SYS(eventfd2),
	SCMP_SYS(munmap),
	SCMP_SYS(mremap),
	SCMP_SYS(madvise),
	SCMP_SYS(brk),
	SCMP_SYS(futex),
	SCMP_SYS(sched_yield),
	SCMP_SYS(clock_gettime),
	SCMP_SYS(clock_nanosleep),
	SCMP_SYS(nanosleep),
	SCMP_SYS(gettimeofday),
	SCMP_SYS(time),
	SCMP_SYS(getrandom),
	SCMP_SYS(getpid),
	SCMP_SYS(gettid),
	SCMP_SYS(uname),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(restart_syscall),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
	SCMP_SYS(rseq),
	SCMP_SYS(set_robust_list),
};

/* No libc tries these by itself. */
static const int jail_deadly[] = {
	SCMP_SYS(execve),
	SCMP_SYS(execveat),
	SCMP_SYS(fork),
	SCMP_SYS(vfork),
	SCMP_SYS(ptrace),
	SCMP_SYS(process_vm_readv),
	SCMP_SYS(process_vm_writev),
	SCMP_SYS(kexec_load),
	SCMP_SYS(init_module),
	SCMP_SYS(bpf),
	SCMP_SYS(mount),
	SCMP_SYS(unshare),
	SCMP_SYS(setns),
	SCMP_SYS(userfaultfd),
	SCMP_SYS(keyctl),
	SCMP_SYS(add_key),
};

/* Calls that are harmless with these arguments only. */
static int jail_arguments(scmp_filter_ctx f)
{
	int r;

	r = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
		SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (!r)
		r = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
			SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (!r)
		r = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(socketpair), 1,
			SCMP_A0(SCMP_CMP_EQ, AF_UNIX, 0));
	/* send(): no address of its own */
	if (!r)
		r = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(sendto), 1,
			SCMP_A4(SCMP_CMP_EQ, 0, 0));
	/* abort() */
	if (!r)
		r = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
			SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0));
	return r;
}

static int jail_rules(scmp_filter_ctx f)
{
	int r = seccomp_attr_set(f, SCMP_FLTATR_CTL_TSYNC, 1);

	for (size_t i = 0; i < ARRAY_LEN(jail_allowed) && !r; i++)
		r = seccomp_rule_add(f, SCMP_ACT_ALLOW, jail_allowed[i], 0);
	for (size_t i = 0; i < ARRAY_LEN(jail_deadly) && !r; i++)
		r = seccomp_rule_add(f, SCMP_ACT_KILL_PROCESS, jail_deadly[i],
			0);
	if (!r)
		r = jail_arguments(f);
	return r ? r : seccomp_load(f);
}

int jail_close(struct err *e)
{
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int r;

	if (!f)
		return err_sys(e, ENOMEM, "seccomp");
	r = jail_rules(f);
	seccomp_release(f);
	return r ? err_sys(e, -r, "seccomp") : 0;
}

#else

int jail_close(struct err *e)
{
	(void)e;
	return 0;
}

#endif
