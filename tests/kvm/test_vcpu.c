// SPDX-License-Identifier: GPL-3.0-or-later
/* vCPU threads: pause, kick, crash, reset, several CPUs and guests. */
#include <errno.h>

#include "tests/kvm/rig.h"

static uint32_t counter(struct rig *r)
{
	uint32_t n;

	ck_assert_int_eq(gmem_read(r->core.gmem, RIG_DATA, &n, 4), 0);
	return n;
}

/* Wait until the guest has counted on. */
static void wait_counting(struct rig *r)
{
	volatile uint32_t *p = gmem_host(r->core.gmem, RIG_DATA, 4);
	uint32_t was = *p;

	while (*p == was)
		sched_yield();
}

START_TEST (a_spinning_guest_pauses_and_resumes) {
	struct rig r;
	struct vcpu_stats s;

	rig_up(&r, "spin", MiB, 1);
	rig_start(&r);
	for (int i = 0; i < 100; i++) {
		uint32_t n;

		wait_counting(&r);
		vcpus_pause(r.vcpus);
		n = counter(&r);
		/* nobody counts now */
		for (int j = 0; j < 1000; j++)
			sched_yield();
		ck_assert_uint_eq(counter(&r), n);
		vcpus_resume(r.vcpus);
	}
	wait_counting(&r);
	ck_assert_uint_eq(vcpus_stats(r.vcpus, &s, 1), 1);
	ck_assert_uint_gt(s.cpu_ns, 0);
	ck_assert_uint_gt(s.exits[EXIT_INTR], 0);
	rig_down(&r);
}
END_TEST

START_TEST (no_kick_is_lost) {
	struct rig r;

	rig_up(&r, "spin", MiB, 1);
	rig_start(&r);
	/* a lost one would hang here, as nothing else ends KVM_RUN */
	for (int i = 0; i < 3000; i++) {
		vcpus_pause(r.vcpus);
		vcpus_resume(r.vcpus);
	}
	rig_down(&r);
}
END_TEST

START_TEST (pause_twice_and_stop_while_paused_are_fine) {
	struct rig r;

	rig_up(&r, "spin", MiB, 2);
	vcpus_pause(r.vcpus); /* not started */
	vcpus_park(r.vcpus);
	rig_start(&r);
	vcpus_pause(r.vcpus);
	vcpus_pause(r.vcpus);
	vcpus_stop(r.vcpus);
	vcpus_stop(r.vcpus);
	vcpus_resume(r.vcpus);
	vcpus_stop(r.vcpus);
	rig_down(&r);
}
END_TEST

START_TEST (a_triple_fault_is_a_crash_with_registers) {
	struct rig r;
	char path[256], text[4096] = "";
	struct err e = ERR_NONE;
	FILE *f;

	rig_up(&r, "triple", MiB, 1);
	snprintf(path, sizeof(path), "%s", suite_path(suite_tmp(), "log"));
	ck_assert_int_eq(log_open(path, &r.core.log, &e), 0);
	rig_start(&r);
	rig_wait_crashed(&r, 1);
	vcpus_pause(r.vcpus);
	ck_assert_str_eq(r.why, "CPU 0: triple fault");
	log_close(r.core.log);
	r.core.log = NULL;
	f = fopen(path, "r");
	ck_assert_ptr_nonnull(f);
	ck_assert_uint_gt(fread(text, 1, sizeof(text) - 1, f), 0);
	fclose(f);
	ck_assert_ptr_nonnull(strstr(text, "CPU 0: triple fault"));
	ck_assert_ptr_nonnull(strstr(text, "rip "));
	ck_assert_ptr_nonnull(strstr(text, "cr0 "));
	ck_assert_ptr_nonnull(strstr(text, "code at "));
	/* not on AMD, where the CPU is reset by the fault */
	if (!strstr(text, "state after a reset"))
		ck_assert_ptr_nonnull(strstr(text, "0f 0b"));
	rig_down(&r);
	suite_rm(path);
}
END_TEST

START_TEST (what_kvm_cannot_emulate_is_named_by_its_bytes) {
	struct rig r;

	rig_up(&r, "fwait", MiB, 1);
	rig_start(&r);
	pthread_mutex_lock(&r.mutex);
	while (!r.ndone && !r.ncrashed)
		pthread_cond_wait(&r.cond, &r.mutex);
	pthread_mutex_unlock(&r.mutex);
	/* a host with VMX or SVM just runs it */
	if (r.ncrashed)
		ck_assert_msg(strstr(r.why, "cannot emulate") != NULL &&
				      strstr(r.why, " 9b") != NULL,
			"%s", r.why);
	rig_down(&r);
}
END_TEST

START_TEST (a_crashed_guest_runs_again_after_a_reset) {
	static const struct vcpu_entry entry = { .mode = VCPU_RESET };
	struct rig r;
	struct err e = ERR_NONE;
	const uint8_t *code;
	size_t len;

	rig_up(&r, "triple", MiB, 1);
	rig_start(&r);
	rig_wait_crashed(&r, 1);
	vcpus_pause(r.vcpus);
	code = guest_code("boots", &len);
	ck_assert_int_eq(gmem_write(r.core.gmem, RIG_CODE, code, len), 0);
	memset(gmem_host(r.core.gmem, RIG_DATA, 16), 0, 16);
	ck_assert_int_eq(vcpus_reset(r.vcpus, &entry, &e), 0);
	r.ncrashed = 0;
	vcpus_resume(r.vcpus);
	rig_wait_done(&r, 1);
	ck_assert_uint_eq(r.seen[0], 1);
	rig_down(&r);
}
END_TEST

START_TEST (reset_gives_power_on_registers_and_runs_again) {
	static const struct vcpu_entry entry = { .mode = VCPU_RESET };
	struct rig r;
	struct err e = ERR_NONE;
	char first[2048], again[2048];

	rig_up(&r, "boots", MiB, 2);
	ck_assert_uint_gt(vcpus_dump(r.vcpus, 0, first, sizeof(first)), 0);
	rig_start(&r);
	for (unsigned i = 1; i <= 20; i++) {
		rig_wait_done(&r, i);
		vcpus_pause(r.vcpus);
		ck_assert_uint_eq(r.seen[i - 1], i);
		ck_assert_int_eq(vcpus_reset(r.vcpus, &entry, &e), 0);
		vcpus_dump(r.vcpus, 0, again, sizeof(again));
		ck_assert_str_eq(again, first);
		vcpus_resume(r.vcpus);
	}
	rig_down(&r);
}
END_TEST

START_TEST (who_parks_from_a_port_runs_no_further_instruction) {
	struct rig r;

	rig_up(&r, "reboot", MiB, 1);
	rig_run(&r);
	ck_assert_uint_eq(r.nseen, 1);
	vcpus_resume(r.vcpus);
	rig_wait_seen(&r, 2);
	ck_assert_uint_eq(r.seen[1], 2);
	rig_down(&r);
}
END_TEST

START_TEST (the_out_that_parked_is_done_exactly_once) {
	struct rig r;
	char a[2048], b[2048];

	rig_up(&r, "reboot", MiB, 1);
	rig_run(&r);
	/* rip is past it: the instruction has been completed */
	vcpus_dump(r.vcpus, 0, a, sizeof(a));
	ck_assert_msg(strstr(a, "code at ") != NULL, "%s", a);
	ck_assert_ptr_nonnull(strstr(a, ": 66 b8 02 00 00 00"));
	vcpus_dump(r.vcpus, 0, b, sizeof(b));
	ck_assert_str_eq(a, b);
	ck_assert_uint_eq(vcpus_dump(r.vcpus, 7, b, sizeof(b)), 0);
	ck_assert_uint_eq(vcpus_dump(r.vcpus, 0, b, 32), 31);
	rig_down(&r);
}
END_TEST

START_TEST (a_second_cpu_starts_by_init_and_sipi) {
	static const struct vcpu_entry entry = { .mode = VCPU_RESET };
	struct rig r;
	struct err e = ERR_NONE;

	rig_up(&r, "smp", MiB, 2);
	rig_start(&r);
	rig_wait_done(&r, 1);
	vcpus_pause(r.vcpus);
	ck_assert_uint_eq(r.nseen, 2);
	ck_assert_uint_eq(r.seen[0], 0x101);
	ck_assert_uint_eq(r.seen[1], 0);
	/* after a reset it waits for INIT and SIPI again */
	memset(gmem_host(r.core.gmem, RIG_DATA, 16), 0, 16);
	memset(gmem_host(r.core.gmem, 0x9000, 64), 0, 64);
	ck_assert_int_eq(vcpus_reset(r.vcpus, &entry, &e), 0);
	vcpus_resume(r.vcpus);
	rig_wait_done(&r, 2);
	ck_assert_uint_eq(r.nseen, 4);
	ck_assert_uint_eq(r.seen[2], 0x101);
	rig_down(&r);
}
END_TEST

START_TEST (two_guests_run_side_by_side) {
	struct rig *a = calloc(1, sizeof(*a)), *b = calloc(1, sizeof(*b));

	rig_up(a, "spin", MiB, 1);
	rig_up(b, "triple", 2 * MiB, 1);
	rig_start(a);
	wait_counting(a);
	rig_start(b);
	rig_wait_crashed(b, 1);
	/* what happens to one is nothing to the other */
	wait_counting(a);
	rig_down(b);
	wait_counting(a);
	ck_assert_uint_eq(a->ncrashed, 0);
	rig_down(a);
	free(a);
	free(b);
}
END_TEST

START_TEST (counters_tell_what_kvm_counts) {
	struct rig r;
	struct vcpu_stats s[4];
	struct kvm_host h;
	struct err e;

	rig_up(&r, "boots", MiB, 2);
	rig_run(&r);
	ck_assert_uint_eq(vcpus_stats(r.vcpus, s, 4), 2);
	ck_assert_uint_eq(vcpus_stats(r.vcpus, s, 1), 1);
	ck_assert_uint_eq(s[0].exits[EXIT_IO_WRITE], 2);
	ck_assert_int_eq(kvm_probe(&h, &e), 0);
	if (h.binary_stats)
		ck_assert_uint_gt(s[0].kvm_exits, 0);
	rig_down(&r);
}
END_TEST

START_TEST (a_senseless_number_of_cpus_is_refused) {
	struct rig r;
	struct vcpus_opts o = { .n = 0 };
	struct vcpus *vs;
	struct err e = ERR_NONE;

	rig_up(&r, "spin", MiB, 1);
	ck_assert_int_eq(vcpus_new(&o, &vs, &e), -EINVAL);
	ck_assert_err(e, EINVAL, "give 1 to 64");
	o.n = 65;
	ck_assert_int_eq(vcpus_new(&o, &vs, &e), -EINVAL);
	/* CPU 0 is there already: KVM refuses another one */
	o.n = 1;
	o.kvm = r.kvm;
	o.core = &r.core;
	ck_assert_int_eq(vcpus_new(&o, &vs, &e), -EEXIST);
	ck_assert_err(e, EEXIST, "CPU 0");
	rig_down(&r);
}
END_TEST

KVM_SUITE("vcpu", a_spinning_guest_pauses_and_resumes, no_kick_is_lost,
	pause_twice_and_stop_while_paused_are_fine,
	a_triple_fault_is_a_crash_with_registers,
	what_kvm_cannot_emulate_is_named_by_its_bytes,
	a_crashed_guest_runs_again_after_a_reset,
	reset_gives_power_on_registers_and_runs_again,
	who_parks_from_a_port_runs_no_further_instruction,
	the_out_that_parked_is_done_exactly_once,
	a_second_cpu_starts_by_init_and_sipi, two_guests_run_side_by_side,
	counters_tell_what_kvm_counts, a_senseless_number_of_cpus_is_refused)
