#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make an initrd for test guests: Debian's modules and busybox. With
--script the guest runs that file (its output goes to the console) and powers
off; else it has shells on the screen and on the serial port. net-up asks for
an address by DHCP; the power button powers off."""
import argparse
import os
import sys

sys.dont_write_bytecode = True
import bedlib  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
MODULES = ("virtio_pci virtio_blk virtio_net virtio_console virtio_input "
           "virtio_rng evdev button psmouse bochs").split()


def add_modules(cpio, release, names):
    order = []
    for path in bedlib.module_files(release, names):
        name = os.path.basename(path)
        cpio.file("mods/" + name, bedlib.read_module(path))
        order.append(name + "\n")
    cpio.file("mods/order", "".join(order).encode())


def build(modules=MODULES, script=None, files=()):
    """The initrd's bytes. files: (path on the host, path inside)."""
    cpio = bedlib.Cpio()
    cpio.copy("bin/busybox", bedlib.find_busybox())
    add_modules(cpio, bedlib.find_kernel(), modules)
    for source, name in (("init", "init"), ("inittab", "etc/inittab"),
                         ("net-up", "bin/net-up"),
                         ("power", "etc/acpi/PWRF/00000080")):
        cpio.copy(name, os.path.join(HERE, "guest", source))
    if script:
        cpio.copy("script", script)
    for source, name in files:
        cpio.copy(name.lstrip("/"), source,
                  0o755 if os.access(source, os.X_OK) else 0o644)
    cpio.device("dev/console", 5, 1)
    cpio.device("dev/null", 1, 3)
    return cpio.finish()


def write_kernel(path, image=None):
    """The ELF kernel out of a bzImage (Debian's installed one)."""
    image = image or bedlib.kernel_image(bedlib.find_kernel())
    bedlib.write_file(path, bedlib.unpack_kernel(image))


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("output")
    p.add_argument("--script", metavar="FILE")
    p.add_argument("--modules", default=" ".join(MODULES), metavar="'A B'",
                   help="instead of: %(default)s")
    p.add_argument("--add", default="", metavar="'A B'",
                   help="more modules, e.g. 'ahci sd_mod sr_mod isofs'")
    p.add_argument("--file", action="append", default=[],
                   metavar="HOSTPATH:PATH", help="put a file in")
    p.add_argument("--kernel", metavar="FILE",
                   help="also write Debian's kernel there, unpacked (ELF)")
    args = p.parse_args()
    try:
        bedlib.write_file(args.output, build(
            args.modules.split() + args.add.split(), args.script,
            [item.split(":", 1) for item in args.file]))
        if args.kernel:
            write_kernel(args.kernel)
    except bedlib.Missing as e:
        print(f"mkinitrd: {e}", file=sys.stderr)
        return 77
    return 0


if __name__ == "__main__":
    sys.exit(main())
