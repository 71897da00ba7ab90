// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * What this host offers a guest, each with the mend where it lacks. Opens
 * what a start would open, so that the answer is the one a start would get.
 * Thread: any; no engine needed.
 */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vm/fw/fw.h"
#include "vm/kvm/kvm.h"
#include "vm/vm.h"

struct report {
	struct engine_finding *out;
	size_t max, n;
};

static void find(struct report *r, const char *what, bool ok, const char *text)
{
	if (r->n < r->max) {
		struct engine_finding *f = &r->out[r->n];

		snprintf(f->what, sizeof(f->what), "%s", what);
		f->ok = ok;
		snprintf(f->text, sizeof(f->text), "%s", text);
	}
	r->n++;
}

static void look_at_kvm(struct report *r)
{
	struct kvm_vm *vm = NULL;
	struct err e = ERR_NONE;
	char text[256];

	if (kvm_vm_new(&vm, &e) < 0) {
		find(r, "kvm", false, e.msg);
		return;
	}
	snprintf(text, sizeof(text),
		"/dev/kvm works; guests see %u address bits",
		kvm_phys_bits(vm));
	find(r, "kvm", true, text);
	kvm_vm_free(vm);
}

/* Does the CPU have VMX or SVM? Without them only tiny guests run. */
static void look_at_cpu(struct report *r)
{
	char line[8192];
	bool hw = false;
	FILE *f = fopen("/proc/cpuinfo", "re");

	while (f && !hw && fgets(line, sizeof(line), f))
		hw = !strncmp(line, "flags", 5) &&
		     (strstr(line, " vmx") || strstr(line, " svm"));
	if (f)
		fclose(f);
	find(r, "cpu", hw,
		hw ? "hardware virtualisation (VMX or SVM) is there"
		   : "no VMX or SVM: stock guests will not run; switch "
		     "virtualisation on in the firmware set-up, or allow "
		     "nested virtualisation on the host above");
}

static void look_at_firmware(struct report *r)
{
	static const char *const names[] = { "bios-256k.bin",
		"vgabios-stdvga.bin" };

	for (size_t i = 0; i < 2; i++) {
		struct err e = ERR_NONE;
		char text[128];
		uint8_t *p;
		size_t len;

		if (fw_find(names[i], &p, &len, &e) < 0) {
			find(r, "firmware", false, e.msg);
			continue;
		}
		free(p);
		snprintf(text, sizeof(text), "%s: %zu KiB", names[i],
			len / 1024);
		find(r, "firmware", true, text);
	}
}

static void look_at_uring(struct report *r)
{
	struct io_uring ring;
	char text[256];
	int rc = io_uring_queue_init(8, &ring, 0);

	if (rc < 0) {
		snprintf(text, sizeof(text),
			"refused (%s): disks use a pool of threads; see "
			"sysctl kernel.io_uring_disabled and your container's "
			"seccomp profile",
			strerror(-rc));
		find(r, "io_uring", false, text);
		return;
	}
	io_uring_queue_exit(&ring);
	find(r, "io_uring", true, "works: disks use it");
}

static void look_at_tap(struct report *r)
{
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	if (fd < 0) {
		find(r, "tap", false,
			errno == ENOENT
				? "no /dev/net/tun: load the module tun; "
				  "mode = user needs nothing"
				: "/dev/net/tun may not be opened: run as root "
				  "or join a tap made for you; mode = user "
				  "needs nothing");
		return;
	}
	close(fd);
	find(r, "tap", true, "/dev/net/tun may be opened");
}

size_t engine_doctor(struct engine_finding *out, size_t max)
{
	struct report r = { .out = out, .max = max };

	look_at_cpu(&r);
	look_at_kvm(&r);
	look_at_firmware(&r);
	look_at_uring(&r);
	look_at_tap(&r);
	return r.n;
}
