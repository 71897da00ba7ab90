/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Kernels of a few bytes for tests of the whole engine. */
#ifndef TESTS_KVM_KERNEL_H
#define TESTS_KVM_KERNEL_H

enum kernel {
	KERNEL_REBOOTS, /* resets by port 0xcf9 */
	KERNEL_OFF,     /* powers off by ACPI, and says so on the serial port
			 * before each try */
	KERNEL_VGA,     /* moves the VGA's windows about, without end */
};

/* Write it to DIR; returns its path, good until a few more are made. */
const char *make_kernel(const char *dir, enum kernel what);

#endif
