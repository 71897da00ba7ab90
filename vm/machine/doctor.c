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
		snprintf(f->text, sizeof(f->text), "%.255s", text);
	}
	r->n++;
}

static void look_at_kvm(struct report *r, const struct kvm_host *h, int rc,
	const struct err *e)
{
	char text[256];

	if (rc < 0) {
		find(r, "kvm", false, e->msg);
		return;
	}
	snprintf(text, sizeof(text),
		"/dev/kvm works: up to %u vCPUs, %u address bits%s",
		h->max_vcpus, h->phys_bits,
		h->binary_stats ? ", exit statistics" : "");
	find(r, "kvm", true, text);
}

/* Does the CPU have VMX or SVM? Without them only tiny guests run. */
static void look_at_cpu(struct report *r, const struct kvm_host *h)
{
	if (h->vmx || h->svm)
		find(r, "cpu", true,
			h->vmx ? "Intel VMX is there" : "AMD SVM is there");
	else
		find(r, "cpu", false,
			"no VMX or SVM: stock guests will not run; switch "
			"virtualisation on in the firmware set-up, or allow "
			"nested virtualisation on the host above");
}

static void look_at_memory(struct report *r)
{
	static const char *const text[] = {
		[GMEM_SHARED_HUGE] = "guests get transparent huge pages, in "
				     "memory that can be shared",
		[GMEM_PRIVATE_HUGE] = "guests get transparent huge pages",
		[GMEM_SMALL] = "guests run on 4 KiB pages, which is slower: "
			       "echo madvise > "
			       "/sys/kernel/mm/transparent_hugepage/enabled, "
			       "or reserve huge pages and set hugepages = yes",
	};
	enum gmem_kind k = gmem_kind();

	find(r, "memory", k != GMEM_SMALL, text[k]);
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
	struct kvm_host h;
	struct err e = ERR_NONE;
	int rc = kvm_probe(&h, &e);

	look_at_cpu(&r, &h);
	look_at_kvm(&r, &h, rc, &e);
	look_at_memory(&r);
	look_at_firmware(&r);
	look_at_uring(&r);
	look_at_tap(&r);
	return r.n;
}
