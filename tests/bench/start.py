# SPDX-License-Identifier: GPL-3.0-or-later
"""CPU time from the start command to the guest's first instruction, which
writes to the serial port: start.c, of the whole process, kernel time too."""
import os
import subprocess

from benchlib import BUILD, BenchError, Row, median, progress, spread

ROUNDS = 21


def start(kernel, *more):
    """Milliseconds of CPU time: the first start, and the ones after."""
    out = subprocess.run([os.path.join(BUILD, "bench/start"), str(ROUNDS),
                          kernel, *more],
                         capture_output=True, text=True, check=False)
    if out.returncode:
        raise BenchError(out.stderr.strip())
    cpu = [int(line.split()[0]) / 1000 for line in out.stdout.splitlines()]
    progress(f"start of {os.path.basename(kernel)}: first {cpu[0]:.1f} ms, "
             f"then {spread(cpu[1:])} ms")
    return cpu[0], cpu[1:]


def run(env):
    first, cpu = start(env.idle)
    return [Row("CPU time from start to the first instruction", "ms",
                median(cpu), limit=10,
                note=f"{spread(cpu)} ms; {first:.1f} ms for the first start "
                "of a process")]
