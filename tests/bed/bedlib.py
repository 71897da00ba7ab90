# SPDX-License-Identifier: GPL-3.0-or-later
"""What the bed's builder and mkinitrd share: Debian's kernel and modules as
installed on this machine, and initrd images (cpio, "newc")."""
import fcntl
import glob
import gzip
import lzma
import os
import re
import shutil
import stat
import struct
import subprocess

TOP = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
SBIN = ":/usr/sbin:/sbin"


class Missing(Exception):
    """A package that this machine lacks; str() says which and what to do."""


def build_dir():
    return os.path.abspath(os.environ.get("BUILD")
                           or os.path.join(TOP, "build"))


def find_tool(name, package):
    path = shutil.which(name, path=os.environ.get("PATH", "") + SBIN)
    if not path:
        raise Missing(f"no {name} here: install Debian's package {package}")
    return path


def version_key(text):
    return [int(p) if p.isdigit() else p for p in re.split(r"(\d+)", text)]


def find_kernel():
    """Release of the newest generic Debian kernel that is installed whole."""
    found = []
    for path in glob.glob("/boot/vmlinuz-*-amd64"):
        release = os.path.basename(path)[len("vmlinuz-"):]
        if "cloud" in release or "-rt-" in release:
            continue
        if os.path.isdir("/lib/modules/" + release):
            found.append(release)
    if not found:
        raise Missing("no kernel in /boot: install Debian's package "
                      "linux-image-amd64")
    return max(found, key=version_key)


def kernel_image(release):
    return "/boot/vmlinuz-" + release


def unpack_kernel(path):
    """The ELF kernel that is packed (xz) in Debian's bzImage: entered by its
    PVH note it starts without the unpacking, which is slow when emulated."""
    with open(path, "rb") as f:
        image = f.read()
    setup = (image[0x1F1] + 1) * 512
    offset, length = struct.unpack_from("<II", image, 0x248)
    payload = image[setup + offset:setup + offset + length]
    return lzma.LZMADecompressor().decompress(payload)


def module_files(release, names):
    """Files of the modules and what they need, in loading order."""
    modprobe = find_tool("modprobe", "kmod")
    order = []
    for name in names:
        out = subprocess.run(
            [modprobe, "-S", release, "--show-depends", name],
            capture_output=True, text=True, check=False)
        if out.returncode:
            raise Missing(f"kernel {release} has no module {name}: "
                          + out.stderr.strip())
        for line in out.stdout.splitlines():
            word = line.split()
            if word[0] == "insmod" and word[1] not in order:
                order.append(word[1])
    return order


def read_module(path):
    """A module's bytes, without compression and signature."""
    opener = {".xz": lzma.open, ".gz": gzip.open}.get(
        os.path.splitext(path)[1], open)
    with opener(path, "rb") as f:
        data = f.read()
    magic = b"~Module signature appended~\n"
    if data.endswith(magic):
        end = len(data) - len(magic)
        data = data[:end - 12 - struct.unpack(">I", data[end - 4:end])[0]]
    return data


def find_busybox():
    path = find_tool("busybox", "busybox-static")
    with open(path, "rb") as f:
        if b"/lib64/ld-linux" in f.read(4096):
            raise Missing(f"{path} is not static: install Debian's package "
                          "busybox-static")
    return path


class Cpio:
    """An initrd in memory. Parents of what is added are made."""

    def __init__(self):
        self.data = bytearray()
        self.names = set()

    def _entry(self, name, mode, data=b"", rdev=(0, 0)):
        raw = name.encode() + b"\0"
        fields = (len(self.names) + 1, mode, 0, 0, 1, 0, len(data), 0, 0,
                  rdev[0], rdev[1], len(raw), 0)
        self.names.add(name)
        self.data += b"070701" + b"".join(b"%08X" % x for x in fields) + raw
        self.data += b"\0" * (-len(self.data) % 4)
        self.data += data
        self.data += b"\0" * (-len(self.data) % 4)

    def folder(self, name):
        if not name or name in self.names:
            return
        self.folder(os.path.dirname(name))
        self._entry(name, stat.S_IFDIR | 0o755)

    def file(self, name, data, mode=0o644):
        self.folder(os.path.dirname(name))
        self._entry(name, stat.S_IFREG | mode, data)

    def copy(self, name, path, mode=0o755):
        with open(path, "rb") as f:
            self.file(name, f.read(), mode)

    def link(self, name, target):
        self.folder(os.path.dirname(name))
        self._entry(name, stat.S_IFLNK | 0o777, target.encode())

    def device(self, name, major, minor):
        self.folder(os.path.dirname(name))
        self._entry(name, stat.S_IFCHR | 0o600, rdev=(major, minor))

    def finish(self):
        self._entry("TRAILER!!!", 0)
        self.data += b"\0" * (-len(self.data) % 512)
        return bytes(self.data)


def write_file(path, data):
    """As one step, so that nobody reads half of it."""
    part = f"{path}.{os.getpid()}"
    with open(part, "wb") as f:
        f.write(data)
    os.rename(part, path)


class Locked:
    """Held while something is built: two that start at once build once."""

    def __init__(self, folder):
        os.makedirs(folder, exist_ok=True)
        self.path = os.path.join(folder, ".lock")

    def __enter__(self):
        self.fd = os.open(self.path, os.O_CREAT | os.O_RDWR, 0o666)
        fcntl.flock(self.fd, fcntl.LOCK_EX)

    def __exit__(self, *args):
        os.close(self.fd)


def stamp_of(paths):
    """A text that changes when one of the files does."""
    lines = []
    for path in paths:
        st = os.stat(path)
        lines.append(f"{path} {st.st_size} {st.st_mtime_ns}")
    return "\n".join(lines).encode()


def is_current(stamp_path, stamp):
    try:
        with open(stamp_path, "rb") as f:
            return f.read() == stamp
    except OSError:
        return False
