/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * /dev/kvm: open it, check that it has what guestdeck needs, and say what is
 * wrong and how to mend it when not. The list of needs is MACHINE.md 6.
 */
#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "vm/base/sizes.h"

#include "vm/kvm/kvm_impl.h"

static const struct {
	int cap;
	const char *name;
} kvm_needs[] = {
	{ KVM_CAP_IRQCHIP, "IRQCHIP" },
	{ KVM_CAP_USER_MEMORY, "USER_MEMORY" },
	{ KVM_CAP_SET_TSS_ADDR, "SET_TSS_ADDR" },
	{ KVM_CAP_SET_IDENTITY_MAP_ADDR, "SET_IDENTITY_MAP_ADDR" },
	{ KVM_CAP_EXT_CPUID, "EXT_CPUID" },
	{ KVM_CAP_MP_STATE, "MP_STATE" },
	{ KVM_CAP_IRQ_ROUTING, "IRQ_ROUTING" },
	{ KVM_CAP_IRQFD, "IRQFD" },
	{ KVM_CAP_PIT2, "PIT2" },
	{ KVM_CAP_PIT_STATE2, "PIT_STATE2" },
	{ KVM_CAP_IOEVENTFD, "IOEVENTFD" },
	{ KVM_CAP_IOEVENTFD_NO_LENGTH, "IOEVENTFD_NO_LENGTH" },
	{ KVM_CAP_VCPU_EVENTS, "VCPU_EVENTS" },
	{ KVM_CAP_DEBUGREGS, "DEBUGREGS" },
	{ KVM_CAP_XSAVE, "XSAVE" },
	{ KVM_CAP_XCRS, "XCRS" },
	{ KVM_CAP_SIGNAL_MSI, "SIGNAL_MSI" },
	{ KVM_CAP_IMMEDIATE_EXIT, "IMMEDIATE_EXIT" },
};

int kvm_ioctl(int fd, unsigned long request, void *arg)
{
	int r;

	do
		r = ioctl(fd, request, arg);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r;
}

int kvm_ioctl_int(int fd, unsigned long request, unsigned long arg)
{
	int r;

	do
		r = ioctl(fd, request, arg);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r;
}

unsigned kvm_cap(int fd, int cap)
{
	int r = kvm_ioctl_int(fd, KVM_CHECK_EXTENSION, (unsigned long)cap);

	return r > 0 ? (unsigned)r : 0;
}

static void kvm_cpu_flags(struct kvm_host *h)
{
	unsigned a, b, c, d, v[3];

	if (!__get_cpuid(0, &a, &v[0], &v[2], &v[1]))
		return;
	memcpy(h->cpu, v, sizeof(v));
	if (__get_cpuid(1, &a, &b, &c, &d))
		h->vmx = c & (1u << 5);
	if (__get_cpuid(0x80000001, &a, &b, &c, &d))
		h->svm = c & (1u << 2);
}

/* Why there is no /dev/kvm: the module, or what the module needs. */
static int kvm_err_no_device(struct err *e)
{
	struct kvm_host h = { 0 };

	kvm_cpu_flags(&h);
	if (!h.vmx && !h.svm)
		return err_set(e, ENOENT,
			"no /dev/kvm: the CPU offers no VMX or SVM; switch "
			"virtualisation on in the BIOS set-up, or nested "
			"virtualisation on the host above");
	return err_set(e, ENOENT,
		"no /dev/kvm: load the module (modprobe %s); if that fails, "
		"switch virtualisation on in the BIOS set-up",
		h.vmx ? "kvm_intel" : "kvm_amd");
}

int kvm_host_err(int code, struct err *e)
{
	switch (code) {
	case ENOENT:
	case ENXIO:
	case ENODEV:
		return kvm_err_no_device(e);
	case EACCES:
	case EPERM:
		return err_set(e, code,
			"/dev/kvm may not be opened: add the user to group "
			"kvm (usermod -aG kvm USER) and log in again");
	case EBUSY:
		return err_set(e, code,
			"/dev/kvm is busy: another hypervisor (VirtualBox, "
			"VMware) holds the CPU's virtualisation; stop it");
	case EMFILE:
	case ENFILE:
		return err_set(e, code,
			"cannot open /dev/kvm: too many open files; raise the "
			"limit (ulimit -n, LimitNOFILE=)");
	default:
		return err_sys(e, code, "cannot open /dev/kvm");
	}
}

static int kvm_check(int fd, struct err *e)
{
	char lacks[256] = "";
	size_t n = 0;
	int api = kvm_ioctl_int(fd, KVM_GET_API_VERSION, 0);

	if (api < 0)
		return err_sys(e, -api, "/dev/kvm is not KVM");
	if (api != KVM_API_VERSION)
		return err_set(e, ENOTSUP,
			"/dev/kvm speaks version %d, guestdeck needs %d: the "
			"host's kernel is too old or too new",
			api, KVM_API_VERSION);
	for (size_t i = 0; i < ARRAY_LEN(kvm_needs); i++)
		if (!kvm_cap(fd, kvm_needs[i].cap) && n < sizeof(lacks))
			n += (size_t)snprintf(lacks + n, sizeof(lacks) - n,
				" %s", kvm_needs[i].name);
	if (n)
		return err_set(e, ENOTSUP,
			"the host's KVM lacks%s: a kernel from 4.13 on has "
			"them all",
			lacks);
	return 0;
}

int kvm_host_open(struct err *e)
{
	static _Atomic bool good; /* the same KVM for as long as we live */
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC), r;

	if (fd < 0)
		return kvm_host_err(errno, e);
	r = atomic_load(&good) ? 0 : kvm_check(fd, e);
	atomic_store(&good, r >= 0);
	if (r < 0) {
		close(fd);
		return r;
	}
	return fd;
}

static void kvm_probe_fd(int fd, struct kvm_host *out)
{
	struct kvm_cpuid2 *c = kvm_cpuid_supported(fd);

	out->readonly_mem = kvm_cap(fd, KVM_CAP_READONLY_MEM);
	out->dirty_protect = kvm_cap(fd, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2);
	out->binary_stats = kvm_cap(fd, KVM_CAP_BINARY_STATS_FD);
	out->coalesced = kvm_cap(fd, KVM_CAP_COALESCED_MMIO);
	out->nested = kvm_cap(fd, KVM_CAP_NESTED_STATE);
	out->max_vcpus = kvm_cap(fd, KVM_CAP_MAX_VCPUS);
	if (!out->max_vcpus)
		out->max_vcpus = kvm_cap(fd, KVM_CAP_NR_VCPUS);
	if (c)
		out->phys_bits = kvm_cpuid_phys_bits(c);
	free(c);
}

int kvm_probe(struct kvm_host *out, struct err *e)
{
	int fd, r;

	memset(out, 0, sizeof(*out));
	kvm_cpu_flags(out);
	fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (fd < 0) {
		r = errno;
		out->device = access("/dev/kvm", F_OK) == 0;
		return kvm_host_err(r, e);
	}
	out->device = true;
	r = kvm_ioctl_int(fd, KVM_GET_API_VERSION, 0);
	out->api = r > 0 ? r : 0;
	r = kvm_check(fd, e);
	if (r >= 0) {
		out->usable = true;
		kvm_probe_fd(fd, out);
	}
	close(fd);
	return r;
}
