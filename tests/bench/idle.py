# SPDX-License-Identifier: GPL-3.0-or-later
"""CPU time of idle guests: 20 halted ones (guest/idle.s) and some idle
Linux ones, in % of one core, with nobody looking."""
import contextlib
import os
import time

from benchlib import (CMDLINE, Program, Row, Server, cpu_seconds, ini,
                      progress, qemu)

HALTED = 20
LINUX = 4
SECONDS = 20


def percent(pids, seconds=SECONDS):
    before = [cpu_seconds(pid) for pid in pids]
    begin = time.perf_counter()
    time.sleep(seconds)
    used = sum(cpu_seconds(pid) - b for pid, b in zip(pids, before))
    return 100 * used / (time.perf_counter() - begin)


def ours(env, count, kernel, mark, **more):
    with Server() as server:
        for i in range(count):
            path = ini(os.path.join(env.work, "idle.ini"), f"g{i}", kernel,
                       **more)
            server.verb("define", path)
            server.verb("start", f"g{i}")
        for i in range(count):
            server.wait_for(f"g{i}", mark)
        time.sleep(3)
        value = percent([server.pid])
    progress(f"idle: {count} guests {value:.3f} %")
    return value


def theirs(count, mark, words):
    with contextlib.ExitStack() as stack:
        programs = [stack.enter_context(Program(words))
                    for _ in range(count)]
        for p in programs:
            p.wait_for(mark)
        time.sleep(3)
        value = percent([p.process.pid for p in programs])
    progress(f"idle: {count} QEMUs {value:.3f} %")
    return value


def run(env):
    halted = (ours(env, HALTED, env.idle, b"R", memory="16M", rng=True,
                   screen=True),
              theirs(HALTED, b"R", qemu("q35", env.idle, memory=16, more=[
                  "-device", "virtio-rng-pci", "-device", "VGA"])))
    linux = (ours(env, LINUX, env.vmlinux, b"IDLE", memory="160M",
                  initrd=env.idle_initrd, cmdline=CMDLINE, rng=True,
                  screen=True),
             theirs(LINUX, b"IDLE", qemu(
                 "q35", env.vmlinux, memory=160, initrd=env.idle_initrd,
                 cmdline=CMDLINE, more=["-device", "virtio-rng-pci",
                                        "-device", "VGA"])))
    return [Row(f"CPU of {HALTED} halted guests", "% of a core", *halted,
                limit=1),
            Row(f"CPU of {LINUX} idle Linux guests", "% of a core", *linux,
                better="told")]
