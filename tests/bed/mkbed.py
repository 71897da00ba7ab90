# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds what the bed boots, once: build/bed/vmlinux and build/bed/initrd
from Debian's kernel, busybox and our agent. Run again when one changes."""
import os
import subprocess

import bedlib

HERE = os.path.dirname(os.path.abspath(__file__))
MODULES = ("virtio_pci 9p 9pnet_virtio virtio_net virtio_console virtio_blk "
           "overlay kvm_amd").split()
PATCHED = "svm_update_cr8_intercept"


def section_offset(path, name):
    """Where a section begins in an ELF file."""
    out = subprocess.check_output(
        [bedlib.find_tool("readelf", "binutils"), "-SW", path], text=True)
    for line in out.splitlines():
        words = line.replace("[ ", "[").split()
        if words[1:2] == [name]:
            return int(words[4], 16)
    raise bedlib.Missing(f"{path} has no section {name}")


def symbol_offset(path, name):
    out = subprocess.check_output(
        [bedlib.find_tool("nm", "binutils"), path], text=True)
    for line in out.splitlines():
        words = line.split()
        if words[-1] == name:
            return int(words[0], 16)
    raise bedlib.Missing(f"{path} has no symbol {name}")


def patch_kvm_amd(data, folder):
    """QEMU 7.2's emulation aborts when a guest of the bed writes CR8 while a
    virtual interrupt is pending. KVM's intercept of such writes is on when a
    vCPU is made; the function that would turn it off returns at once: a ret
    behind its first instruction, the five bytes of the call for ftrace."""
    path = os.path.join(folder, "kvm-amd.ko")
    bedlib.write_file(path, data)
    at = section_offset(path, ".text") + symbol_offset(path, PATCHED)
    if data[at] != 0xE8:
        raise bedlib.Missing("this kernel's kvm-amd is not as expected at "
                             + PATCHED)
    patched = bytearray(data)
    patched[at + 5] = 0xC3
    os.unlink(path)
    return bytes(patched)


def build_agent(folder):
    path = os.path.join(folder, "agent")
    subprocess.check_call(
        [bedlib.find_tool("cc", "build-essential"), "-std=gnu11", "-O2",
         "-D_GNU_SOURCE", "-Wall", "-Wextra", "-static", "-o", path,
         os.path.join(HERE, "agent.c")])
    return path


def build_initrd(release, folder):
    cpio = bedlib.Cpio()
    order = []
    for path in bedlib.module_files(release, MODULES):
        name = os.path.basename(path)
        data = bedlib.read_module(path)
        if name.startswith("kvm-amd.ko"):
            data = patch_kvm_amd(data, folder)
        cpio.file("mods/" + name, data)
        order.append(name + "\n")
    cpio.file("mods/order", "".join(order).encode())
    cpio.copy("bin/busybox", bedlib.find_busybox())
    cpio.copy("agent", build_agent(folder))
    cpio.copy("init", os.path.join(HERE, "init"))
    return cpio.finish()


def build():
    """The folder with vmlinux and initrd, built if need be."""
    folder = os.path.join(bedlib.build_dir(), "bed")
    release = bedlib.find_kernel()
    stamp = bedlib.stamp_of(
        [bedlib.kernel_image(release), bedlib.find_busybox()]
        + [os.path.join(HERE, f)
           for f in ("agent.c", "init", "bedlib.py", "mkbed.py")])
    with bedlib.Locked(folder):
        path = os.path.join(folder, "stamp")
        if not bedlib.is_current(path, stamp):
            bedlib.write_file(os.path.join(folder, "vmlinux"),
                              bedlib.unpack_kernel(
                                  bedlib.kernel_image(release)))
            bedlib.write_file(os.path.join(folder, "initrd"),
                              build_initrd(release, folder))
            bedlib.write_file(path, stamp)
    return folder
