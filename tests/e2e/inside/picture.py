# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures of a guest's screen, the text in them, and a VNC client."""
import collections
import os
import select
import socket
import struct
import subprocess
import time

from gd import RUN, Fail, ok

VGABIOS = "/usr/share/seabios/vgabios-stdvga.bin"
# the letter A of the 8x16 font, to find it in the option ROM
LETTER_A = bytes((0, 0, 0x10, 0x38, 0x6c, 0xc6, 0xc6, 0xfe, 0xc6, 0xc6, 0xc6,
                  0xc6, 0, 0, 0, 0))


class Picture:
    """Pixels as bytes R, G, B."""

    def __init__(self, width, height, rgb):
        self.width, self.height, self.rgb = width, height, rgb

    def __eq__(self, other):
        return (self.width, self.height, self.rgb) == \
            (other.width, other.height, other.rgb)

    def size(self):
        return "%dx%d" % (self.width, self.height)

    def colours(self):
        """How many there are, looking at every 7th pixel."""
        r = self.rgb
        return len(collections.Counter(zip(r[0::21], r[1::21], r[2::21])))

    def differing(self, other):
        """A word on how two pictures differ."""
        if self.size() != other.size():
            return "%s against %s" % (self.size(), other.size())
        bad = [i // 3 for i in range(0, len(self.rgb), 3)
               if self.rgb[i:i + 3] != other.rgb[i:i + 3]]
        if not bad:
            return "nothing"
        at = divmod(bad[0], self.width)
        return "%d pixels differ, the first at %d,%d: %s against %s" % (
            len(bad), at[1], at[0], self.rgb[3 * bad[0]:3 * bad[0] + 3].hex(),
            other.rgb[3 * bad[0]:3 * bad[0] + 3].hex())

    def text(self):
        """The lines of a VGA text screen, by the ROM's own font."""
        cell = 9 if self.width == 720 else 8
        green = self.rgb[1::3]
        lines = []
        for top in range(0, self.height - 15, 16):
            rows = [green[y * self.width:(y + 1) * self.width]
                    for y in range(top, top + 16)]
            lines.append("".join(
                glyph(b"".join(row[x:x + 8] for row in rows))
                for x in range(0, self.width - 7, cell)).rstrip())
        return lines


def load_font():
    rom = open(VGABIOS, "rb").read()
    base = rom.index(LETTER_A) - 65 * 16
    table = {}
    for code in range(255, 0, -1):
        bits = rom[base + code * 16:base + code * 16 + 16]
        key = bytes(b >> (7 - i) & 1 for b in bits for i in range(8))
        table[key] = chr(code) if 32 <= code < 127 else "#"
    return table


FONT = {}


def glyph(pixels):
    if not FONT:
        FONT.update(load_font())
    colours = set(pixels)
    if len(colours) == 1:
        return " "
    if len(colours) > 2:
        return "?"
    a, b = colours
    for low, high in ((a, b), (b, a)):
        swap = bytearray(256)
        swap[high] = 1
        swap[low] = 0
        found = FONT.get(pixels.translate(bytes(swap)))
        if found:
            return found
    return "?"


def from_png(path):
    """By ImageMagick, which knows all kinds."""
    size = subprocess.run(
        ["convert", path, "-depth", "8", "ppm:-"], capture_output=True)
    if size.returncode:
        raise Fail("%s: %s" % (path, size.stderr.decode().strip()))
    magic, dims, depth, rgb = size.stdout.split(b"\n", 3)
    if magic != b"P6" or depth != b"255":
        raise Fail("%s: odd picture %s %s" % (path, magic, depth))
    width, height = map(int, dims.split())
    return Picture(width, height, rgb)


def shot(g, keep=None):
    """What guestdeck screenshot gives."""
    path = "%s/%s.png" % (RUN, g.name)
    ok("screenshot", g.name, path)
    if keep and os.environ.get("PICTURES"):
        subprocess.check_call(["cp", path, "%s/%s.png" %
                               (os.environ["PICTURES"], keep)])
    return from_png(path)


def gvnc(g):
    """What a real viewer sees at the guest's VNC address."""
    path = "%s/%s-viewer.png" % (RUN, g.name)
    host, _, port = g.info()["vnc"].rpartition(":")
    r = subprocess.run(
        ["gvnccapture", "-q", "%s:%d" % (host, int(port) - 5900), path],
        capture_output=True, text=True, timeout=90,
        env=dict(os.environ, HOME=RUN, GSETTINGS_BACKEND="memory"))
    if r.returncode:
        raise Fail("gvnccapture: %s" % r.stderr.strip())
    return from_png(path)


class Vnc:
    """A client of RFB 3.8 that takes raw pixels."""

    def __init__(self, address):
        if address.startswith("/"):
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.settimeout(30)
            self.sock.connect(address)
        else:
            host, _, port = address.rpartition(":")
            self.sock = socket.create_connection((host, int(port)), 30)
        if not self.read(12).startswith(b"RFB 003.008"):
            raise Fail("no RFB 3.8")
        self.sock.sendall(b"RFB 003.008\n")
        kinds = self.read(self.read(1)[0])
        if 1 not in kinds:
            raise Fail("security types %s" % list(kinds))
        self.sock.sendall(b"\1")
        if self.read(4) != bytes(4):
            raise Fail("not let in")
        self.sock.sendall(b"\1")
        self.width, self.height = struct.unpack(">HH", self.read(4))
        self.read(16)
        self.name = self.read(struct.unpack(">I", self.read(4))[0]).decode()
        # 32 bits, blue first; encodings: raw, desktop size
        self.sock.sendall(struct.pack(">B3xBBBBHHHBBB3x", 0, 32, 24, 0, 1,
                                      255, 255, 255, 16, 8, 0))
        self.sock.sendall(struct.pack(">BxHii", 2, 2, 0, -223))
        self.pixels = bytearray(4 * self.width * self.height)

    def close(self):
        self.sock.close()

    def read(self, n):
        data = b""
        while len(data) < n:
            try:
                more = self.sock.recv(n - len(data))
            except socket.timeout:
                raise Fail("VNC: nothing came for 30 s") from None
            if not more:
                raise Fail("VNC: the server hung up")
            data += more
        return data

    def key(self, keysym, down):
        self.sock.sendall(struct.pack(">BBxxI", 4, down, keysym))

    def type(self, text):
        for c in text:
            code = 0xff0d if c == "\n" else ord(c)
            self.key(code, 1)
            self.key(code, 0)

    def pointer(self, x, y, buttons=0):
        self.sock.sendall(struct.pack(">BBHH", 5, buttons, x, y))

    def rectangle(self):
        x, y, w, h, kind = struct.unpack(">HHHHi", self.read(12))
        if kind == -223:
            self.width, self.height = w, h
            self.pixels = bytearray(4 * w * h)
        elif kind == 0:
            for row in range(y, y + h):
                at = 4 * (row * self.width + x)
                self.pixels[at:at + 4 * w] = self.read(4 * w)
        else:
            raise Fail("VNC: encoding %d was not asked for" % kind)

    def ask(self, incremental):
        self.sock.sendall(struct.pack(">BBHHHH", 3, incremental, 0, 0,
                                      self.width, self.height))

    def update(self, incremental):
        """Ask for one update and take it."""
        self.ask(incremental)
        self.take()

    def take(self):
        while True:
            kind = self.read(1)[0]
            if kind == 0:
                for _ in range(struct.unpack(">xH", self.read(3))[0]):
                    self.rectangle()
                return
            if kind == 3:
                self.read(struct.unpack(">3xI", self.read(7))[0])
            elif kind != 2:
                raise Fail("VNC: message %d" % kind)

    def picture(self):
        """All of the screen, now."""
        size = None
        while size != (self.width, self.height):
            size = (self.width, self.height)
            self.update(0)
        p = bytes(self.pixels)
        rgb = bytearray(len(p) // 4 * 3)
        rgb[0::3], rgb[1::3], rgb[2::3] = p[2::4], p[1::4], p[0::4]
        return Picture(self.width, self.height, bytes(rgb))

    def changes_within(self, seconds):
        """Does an incremental update come? It is taken."""
        self.ask(1)
        come = bool(select.select([self.sock], [], [], seconds)[0])
        if come:
            self.take()
        return come


def look_like(viewer, looks):
    """None when each look gives the viewer's picture, else what differs. A
    cursor may blink between two looks, so each gets some."""
    for what, look in looks:
        for _ in range(12):
            p = look()
            if p == viewer:
                break
            time.sleep(0.13)
        else:
            return "%s and gvnccapture: %s" % (what, p.differing(viewer))
    return None


def same_for_all(g, keep=None):
    """A real viewer, a client that takes raw pixels and the screenshot show
    the same, once the guest has drawn all that it draws."""
    vnc = Vnc(g.info()["vnc"])
    looks = (("raw pixels", vnc.picture), ("screenshot",
                                           lambda: shot(g, keep)))
    end = time.monotonic() + 60
    while True:
        viewer = gvnc(g)
        other = look_like(viewer, looks)
        if not other:
            break
        if time.monotonic() > end:
            raise Fail(other)
    vnc.close()
    return viewer


def wait_text(g, words, seconds):
    """Until the screen shows words; the picture."""
    end = time.monotonic() + seconds
    while True:
        p = shot(g)
        lines = p.text()
        if any(words in line for line in lines):
            return p
        if time.monotonic() > end:
            raise Fail("no '%s' on the screen (%s): %s" %
                       (words, p.size(), " | ".join(l for l in lines if l)))
        time.sleep(0.5)
