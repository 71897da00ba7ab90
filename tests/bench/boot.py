# SPDX-License-Identifier: GPL-3.0-or-later
"""Direct boot of Debian's kernel to userspace: from the exec of the program
to READY, the first thing that /init of the initrd says on the serial port. 1
vCPU, 256 MiB, no device but the serial port; then the guest powers off.
"engine" is the same from the start command in a running process (start.c)."""
import os

from benchlib import (CMDLINE, Program, Row, guestdeck_run, ini, median,
                      progress, qemu, spread)
from start import start

MARK = "READY"


def timed(words):
    with Program(words) as p:
        p.wait_for(MARK.encode())
        seconds = p.age()
        p.wait()
    return seconds


def engine(kernel, initrd):
    # the second of two: the first brings in the program's code
    return start(2, MARK, kernel, initrd, CMDLINE)[1][1] / 1000


def rounds_of(kernel, initrd, work, rounds):
    """Seconds by contestant, one after the other in each round."""
    path = ini(os.path.join(work, "boot.ini"), "boot", kernel,
               initrd=initrd, cmdline=CMDLINE)
    q35 = qemu("q35", kernel, initrd=initrd, cmdline=CMDLINE)
    microvm = qemu("microvm", kernel, initrd=initrd, cmdline=CMDLINE)
    times = {"run": [], "engine": [], "q35": [], "microvm": []}
    for i in range(rounds + 1):
        now = {"run": timed(guestdeck_run(path)), "q35": timed(q35),
               "engine": engine(kernel, initrd), "microvm": timed(microvm)}
        progress("boot: " + ", ".join(f"{k} {v:.2f} s"
                                      for k, v in now.items()))
        if i:  # the first warms the caches
            for name, seconds in now.items():
                times[name].append(seconds)
    return times


def run(env):
    rows = []
    for name, kernel in (("vmlinux (PVH)", env.vmlinux),
                         ("bzImage", env.bzimage)):
        t = rounds_of(kernel, env.ready_initrd, env.work, env.rounds)
        m = {k: median(v) for k, v in t.items()}
        note = ", ".join(f"{k} {spread(v)} s" for k, v in t.items())
        rows += [
            Row(f"boot of {name}, `run`", "s", m["run"], m["q35"],
                note=note),
            Row(f"boot of {name}, `run`", "s", m["run"], m["microvm"],
                peer="QEMU microvm"),
            Row(f"boot of {name}, engine alone", "s", m["engine"],
                m["microvm"], peer="QEMU microvm")]
    return rows
