# SPDX-License-Identifier: GPL-3.0-or-later
"""Memory of an idle guest beyond its own RAM, with nobody looking: Linux at
its end, halted, with a screen, a disk, a network card and a source of
randomness. Proportional set sizes (Pss) by the kernel's account."""
import os

from benchlib import (CMDLINE, Memory, Program, Row, Server, ini, median,
                      progress, qemu)

GUESTS = 4
RAM = 160
MIB = 1 << 20


def name(i):
    return f"idle{i}"


def disk(env, i):
    """An empty one; guests do not share a disk that they may write."""
    path = os.path.join(env.work, f"idle{i}.raw")
    with open(path, "wb") as f:
        f.truncate(64 * MIB)
    return path


def ours(env):
    """Bytes a guest, and of private memory alone."""
    with Server() as server:
        for i in range(GUESTS):
            path = ini(os.path.join(env.work, "idle.ini"), name(i),
                       env.vmlinux, memory=f"{RAM}M",
                       initrd=env.idle_initrd, cmdline=CMDLINE, rng=True,
                       screen=True, disk=disk(env, i), nic=True)
            server.verb("define", path)
        # the first guest brings in code and tables for all
        server.verb("start", name(0))
        server.wait_for(name(0), b"IDLE")
        before = Memory(server.pid, RAM * MIB)
        for i in range(1, GUESTS):
            server.verb("start", name(i))
            server.wait_for(name(i), b"IDLE")
        after = Memory(server.pid, RAM * MIB)
        told = sum(server.resident(name(i)) for i in range(GUESTS))
    progress(f"memory: guest RAM {after.ram / MIB:.0f} MiB, the server says "
             f"{told / MIB:.0f} MiB")
    return ((after.pss - before.pss) / (GUESTS - 1), before.pss)


def theirs(env):
    words = qemu("q35", env.vmlinux, memory=RAM, initrd=env.idle_initrd,
                 cmdline=CMDLINE, more=[
                     "-device", "virtio-rng-pci", "-device", "VGA",
                     "-drive", f"file={disk(env, 0)},if=none,id=d,format=raw",
                     "-device", "virtio-blk-pci,drive=d",
                     "-netdev", "user,id=n",
                     "-device", "virtio-net-pci,netdev=n,romfile=",
                     "-device", "virtio-tablet-pci",
                     "-device", "virtio-keyboard-pci"])
    sizes = []
    for _ in range(2):
        with Program(words) as p:
            p.wait_for(b"IDLE")
            sizes.append(Memory(p.process.pid, RAM * MIB).pss)
    return median(sizes)


def run(env):
    each, first = ours(env)
    process = theirs(env)
    return [Row("memory of an idle guest beyond its RAM", "MiB", each / MIB,
                process / MIB, limit=5,
                note=f"each of {GUESTS - 1} guests more in a server that "
                f"holds {first / MIB:.1f} MiB with one; QEMU: its process; "
                "Pss, the kernel's own memory (page tables, KVM) apart")]
