# SPDX-License-Identifier: GPL-3.0-or-later
"""Direct boot of Debian's kernel to userspace: from the exec of the program
to READY, the first thing that /init of the initrd says on the serial port. 1
vCPU, 256 MiB, no device but the serial port; then the guest powers off."""
import ctypes
import os
import struct
import time

from benchlib import (CMDLINE, LIMIT_S, BenchError, Program, Row, Server,
                      guestdeck_run, ini, median, progress, qemu, spread)

MARK = b"READY"
IN_MODIFY = 2


def timed(words):
    with Program(words) as p:
        p.wait_for(MARK)
        seconds = p.age()
        p.wait()
    return seconds


class Watch:
    """Wait for a file to be written, without looking again and again."""

    def __init__(self, folder):
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.fd = self.libc.inotify_init1(os.O_CLOEXEC)
        if self.fd < 0 or self.libc.inotify_add_watch(
                self.fd, os.fsencode(folder), IN_MODIFY) < 0:
            raise BenchError("inotify: " + os.strerror(ctypes.get_errno()))

    def next_name(self):
        _, _, _, length = struct.unpack("iIII", os.read(self.fd, 16 + 256)[
            :16])
        return length

    def close(self):
        os.close(self.fd)


def started(server, watch):
    """Start the server's guest; seconds from the exec of `start` to MARK in
    the log of its serial port."""
    path = server.serial_log("boot")
    at = os.path.getsize(path) if os.path.exists(path) else 0
    begin = time.perf_counter()
    server.verb("start", "boot")
    while True:
        if os.path.exists(path):
            with open(path, "rb") as f:
                f.seek(at)
                if MARK in f.read():
                    break
        watch.next_name()
        if time.perf_counter() - begin > LIMIT_S:
            raise BenchError("guest boot: no READY")
    seconds = time.perf_counter() - begin
    while b'"off"' not in server.verb("list", "--json").encode():
        time.sleep(0.05)
    return seconds


def rounds_of(kernel, initrd, work, rounds):
    """Seconds by contestant, one after the other in each round."""
    path = ini(os.path.join(work, "boot.ini"), "boot", kernel,
               initrd=initrd, cmdline=CMDLINE)
    qemu_q35 = qemu("q35", kernel, initrd=initrd, cmdline=CMDLINE)
    microvm = qemu("microvm", kernel, initrd=initrd, cmdline=CMDLINE)
    times = {"run": [], "start": [], "q35": [], "microvm": []}
    with Server() as server:
        server.verb("define", path)
        watch = Watch(os.path.join(server.dir, "log"))
        for i in range(rounds + 1):
            now = {"run": timed(guestdeck_run(path)),
                   "start": started(server, watch),
                   "q35": timed(qemu_q35), "microvm": timed(microvm)}
            progress("boot: " + ", ".join(f"{k} {v:.2f} s"
                                          for k, v in now.items()))
            if i:  # the first warms the caches
                for name, seconds in now.items():
                    times[name].append(seconds)
        watch.close()
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
            Row(f"boot of {name}, `start` in a running server", "s",
                m["start"], m["microvm"], peer="QEMU microvm")]
    return rows
