// SPDX-License-Identifier: GPL-3.0-or-later
/* What a person reads when /dev/kvm does not open. */
#include <errno.h>

#include "vm/kvm/kvm_impl.h"

#include "tests/unit/suite.h"

START_TEST (each_cause_is_told_with_its_mend) {
	static const struct {
		int code, told;
		const char *text;
	} t[] = {
		{ EACCES, EACCES, "add the user to group kvm" },
		{ EPERM, EPERM, "add the user to group kvm" },
		{ EBUSY, EBUSY, "another hypervisor" },
		{ EMFILE, EMFILE, "ulimit -n" },
		{ ENFILE, ENFILE, "ulimit -n" },
		{ EIO, EIO, "cannot open /dev/kvm: Input/output error" },
		{ ENOENT, ENOENT, "no /dev/kvm: " },
		{ ENXIO, ENOENT, "no /dev/kvm: " },
		{ ENODEV, ENOENT, "no /dev/kvm: " },
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct err e = ERR_NONE;

		ck_assert_int_eq(kvm_host_err(t[i].code, &e), -t[i].told);
		ck_assert_err(e, t[i].told, t[i].text);
	}
}
END_TEST

START_TEST (a_missing_device_names_the_module_or_the_cpu) {
	struct kvm_host h;
	struct err e = ERR_NONE, probe = ERR_NONE;

	kvm_probe(&h, &probe); /* for the CPU's flags */
	kvm_host_err(ENOENT, &e);
	if (h.vmx)
		ck_assert_err(e, ENOENT, "modprobe kvm_intel");
	else if (h.svm)
		ck_assert_err(e, ENOENT, "modprobe kvm_amd");
	else
		ck_assert_err(e, ENOENT, "offers no VMX or SVM");
	ck_assert_err(e, ENOENT, "BIOS set-up");
}
END_TEST

SUITE("host", each_cause_is_told_with_its_mend,
	a_missing_device_names_the_module_or_the_cpu)
