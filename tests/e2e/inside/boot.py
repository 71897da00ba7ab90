#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole way of a PC: SeaBIOS, GRUB, Debian's kernel, from a virtio disk,
a SATA disk and a CD. The image is the same for all of them."""
import hashlib
import os
import shutil

from gd import BOOT_S, CONTENT, RUN, Guest, check, disk, main, ok


def pc(name, disks, memory="256M", cpus=1):
    return Guest(name, "memory = %s\ncpus = %d\n[display]\nvnc = off\n%s" %
                 (memory, cpus, disks))


def image():
    """A copy: a disk of a guest's own, that it may write."""
    path = RUN + "/boot.raw"
    if not os.path.exists(path):
        shutil.copy(CONTENT + "/boot.iso", path)
    return path


def answers(g):
    check(g.sh("uname -s") == "Linux", "no Linux")
    out = g.sh("dmesg -r | grep '^<[0-3]>' || true")
    check(not out, "the kernel complains: %s", out)
    check("GD-GRUB" in g.log("serial"), "no GRUB on the way")
    check("SeaBIOS" in g.log("firmware"), "no SeaBIOS in the firmware's log")


def seabios_boots_a_virtio_disk():
    g = pc("vdisk", "[disk a]\npath = %s\n" % image(), cpus=2)
    g.boot()
    answers(g)
    check(g.sh("nproc") == "2", "nproc: %s", g.sh("nproc"))
    size = os.stat(image()).st_size // 512
    check(int(g.sh("cat /sys/block/vda/size")) == size, "size of vda")
    # the tables that firmware handed on
    out = g.sh("ls /sys/firmware/acpi/tables")
    for want in ("APIC", "DSDT", "FACP", "MCFG"):
        check(want in out, "no table %s: %s", want, out)
    out = g.sh("cat /sys/class/dmi/id/sys_vendor "
               "/sys/class/dmi/id/product_name /sys/class/dmi/id/bios_vendor")
    check("guestdeck" in out.lower(), "SMBIOS: %s", out)
    ok("stop", "vdisk", "--timeout", "60")
    check(g.state() == "off", "state is %s", g.state())
    g.forget()


def seabios_boots_a_sata_disk_and_reboots():
    g = pc("sdisk", "[disk empty]\npath = %s\nboot = 2\n[disk a]\npath = %s\n"
           "bus = sata\nboot = 1\n" % (disk("empty", 4), image()),
           memory="3G")
    g.boot()
    answers(g)
    kib = int(g.sh("sed -n 's/MemTotal: *\\([0-9]*\\) kB/\\1/p' "
                   "/proc/meminfo"))
    check(2.7 * 2**20 < kib < 3 * 2**20, "%d KiB of memory", kib)
    g.send(b"t0 reboot -f\n")
    g.wait_serial("GD-READY", BOOT_S, times=2)
    check(g.info()["reboots"] == 1, "%s", g.info())
    g.forget()


def seabios_boots_a_cd():
    g = pc("cd", "[disk a]\npath = %s/boot.iso\nbus = sata\ncdrom = yes\n" %
           CONTENT)
    g.boot()
    answers(g)
    g.sh("mkdir -p /mnt; mount -t iso9660 -o ro /dev/sr0 /mnt", 30)
    out = g.sh("cmp /mnt/initrd.cpio /mnt/initrd.cpio && "
               "sha256sum /mnt/vmlinuz", 90)
    with open(CONTENT + "/vmlinuz", "rb") as f:
        want = hashlib.sha256(f.read()).hexdigest()
    check(out.split()[0] == want, "the kernel on the CD reads differently")
    g.forget()


main([seabios_boots_a_virtio_disk, seabios_boots_a_sata_disk_and_reboots,
      seabios_boots_a_cd], "boot: ")
