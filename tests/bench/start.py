# SPDX-License-Identifier: GPL-3.0-or-later
"""CPU time from the start command to the guest's first instruction, which
writes to the serial port: start.c, of the whole process, kernel time too."""
import os
import subprocess

from benchlib import BUILD, BenchError, Row, median, progress, spread

ROUNDS = 31
NAME = "CPU time from start to the first instruction"


def start(rounds, mark, kernel, *more):
    """Milliseconds of CPU time and wall time of each start."""
    out = subprocess.run([os.path.join(BUILD, "bench/start"), str(rounds),
                          mark, kernel, *more],
                         capture_output=True, text=True, check=False,
                         env=dict(os.environ, TMPDIR="/dev/shm"))
    if out.returncode:
        raise BenchError(out.stderr.strip())
    return [tuple(int(word) / 1000 for word in line.split())
            for line in out.stdout.splitlines()]


def row(name, kernel):
    cpu = [c for c, _ in start(ROUNDS, "R", kernel)]
    progress(f"start: first {cpu[0]:.1f} ms, then {spread(cpu[1:])} ms")
    return Row(name, "ms", median(cpu[1:]), limit=10,
               note=f"{spread(cpu[1:])} ms; {cpu[0]:.1f} ms for the first "
               "guest of a process")


def run(env):
    return [row(NAME, env.idle)]


def run_outside():
    """The same on this machine's own CPU, where its KVM can do as much: tiny
    guests run on a KVM that has no use of the CPU's virtualisation too."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return []
    try:
        return [row(NAME + ", outside the bed",
                    os.path.join(BUILD, "bench/idle.elf"))]
    except BenchError as e:
        progress(f"start, outside the bed: {e}")
        return []
