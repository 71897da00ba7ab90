# SPDX-License-Identifier: GPL-3.0-or-later
"""4 KiB random reads at depth 32 through virtio-blk: guest/randread.c in
Linux guests that both are up all the while and take turns. The image is in
the host's memory (tmpfs): what is measured is the way there."""
import os

from benchlib import (CMDLINE, Program, Row, guestdeck_run, ini, median,
                      progress, qemu, spread)

SECONDS = 3


def one(program):
    """One run in the guest; reads a second."""
    at = len(program.text)
    program.send(f"{SECONDS}\n")
    found = program.wait_for(rb"(?:IOPS (\d+)|FAIL .*)\r?\n", at)
    if not found.group(1):
        program.fail("randread")
    return float(found.group(1))


def run(env):
    path = ini(os.path.join(env.work, "disk.ini"), "disk", env.vmlinux,
               initrd=env.disk_initrd, cmdline=CMDLINE, disk=env.disk)
    peer = qemu("q35", env.vmlinux, initrd=env.disk_initrd, cmdline=CMDLINE,
                more=["-object", "iothread,id=io0",
                      # the other guest has it open too
                      "-drive", f"file={env.disk},if=none,id=d,format=raw,"
                      "cache=writeback,aio=io_uring,file.locking=off",
                      "-device", "virtio-blk-pci,drive=d,iothread=io0,"
                      "disable-legacy=on,num-queues=1"])
    a, b = [], []
    with Program(guestdeck_run(path)) as ours, Program(peer) as theirs:
        ours.wait_for(b"WAITING")
        theirs.wait_for(b"WAITING")
        for i in range(env.rounds + 1):
            now = one(ours), one(theirs)
            progress(f"disk: {now[0]:.0f} and {now[1]:.0f} reads/s")
            if i:
                a.append(now[0])
                b.append(now[1])
        for p in (ours, theirs):
            p.send("end\n")
            p.wait()
    return [Row("4 KiB random reads, virtio-blk, depth 32", "/s", median(a),
                median(b), better="more", peer="QEMU q35, iothread, io_uring",
                note=f"{spread(a)}, QEMU {spread(b)}; raw image in tmpfs, "
                "page cache in both")]
