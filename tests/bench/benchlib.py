# SPDX-License-Identifier: GPL-3.0-or-later
"""What the rows of the bench share: programs under test and their peers as
one kind of thing, a server with guests, medians, the table."""
import json
import os
import re
import select
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
BUILD = os.path.abspath(os.environ.get("BUILD") or os.path.join(TOP, "build"))
GUESTDECK = os.path.join(BUILD, "guestdeck")
QEMU = "qemu-system-x86_64"
CMDLINE = "console=ttyS0 quiet mitigations=off nokaslr"
LIMIT_S = 120  # for a guest to say what it is to say


class BenchError(Exception):
    """A measurement that could not be made; str() says why."""


def progress(text):
    print("bench: " + text, file=sys.stderr, flush=True)


# -- the table --------------------------------------------------------------

class Row:
    """One line. ours and theirs are numbers of `unit` or None; better says
    which way is ahead; limit is an absolute goal instead of being ahead."""

    def __init__(self, name, unit, ours, theirs=None, better="less",
                 limit=None, peer="QEMU q35", note=""):
        self.name, self.unit, self.peer, self.note = name, unit, peer, note
        self.ours, self.theirs = ours, theirs
        self.better, self.limit = better, limit

    def ratio(self):
        if self.ours is None or not self.theirs:
            return None
        return self.ours / self.theirs

    def goal(self):
        if self.limit is not None:
            return f"< {self.limit:g} {self.unit}"
        return {"less": "ratio < 1", "more": "ratio > 1",
                "told": "-"}[self.better]

    def met(self):
        if self.better == "told":
            return "-"
        if self.limit is not None:
            good = self.ours is not None and self.ours < self.limit
        else:
            r = self.ratio()
            good = r is not None and (r < 1 if self.better == "less"
                                      else r > 1)
        return "yes" if good else "NO"

    def cells(self):
        ratio = self.ratio()
        return [self.name, number(self.ours, self.unit),
                self.peer if self.theirs is not None else "-",
                number(self.theirs, self.unit),
                "-" if ratio is None else f"{ratio:.2f}", self.goal(),
                self.met()]


def number(value, unit):
    if value is None:
        return "-"
    return f"{figure(value)} {unit}"


def table(rows):
    """The rows in Markdown, columns of equal width."""
    head = ["measure", "guestdeck", "peer", "its figure", "ratio", "goal",
            "met"]
    lines = [head] + [row.cells() for row in rows]
    width = [max(len(line[i]) for line in lines) for i in range(len(head))]
    lines.insert(1, ["-" * w for w in width])
    text = "\n".join("| " + " | ".join(c.ljust(w) for c, w in
                                       zip(line, width)) + " |"
                     for line in lines)
    notes = [f"- {row.name}: {row.note}" for row in rows if row.note]
    return "\n\n".join([text] + (["\n".join(notes)] if notes else []))


def median(values):
    return statistics.median(values) if values else None


def figure(value):
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def spread(values):
    return f"{figure(min(values))} to {figure(max(values))}"


# -- guests of guestdeck and of QEMU ----------------------------------------

def ini(path, name, kernel, memory="256M", initrd=None, cmdline=None,
        rng=False, screen=False, disk=None, nic=False):
    """Write a guest's file; returns its path."""
    def yes(flag):
        return "yes" if flag else "no"

    lines = ["[guest]", f"name = {name}", f"memory = {memory}",
             "firmware = none", f"rng = {yes(rng)}", "[linux]",
             f"kernel = {kernel}"]
    if initrd:
        lines.append(f"initrd = {initrd}")
    if cmdline:
        lines.append(f"cmdline = {cmdline}")
    if disk:
        lines += ["[disk d]", f"path = {disk}", "queues = 1"]
    if nic:
        lines += ["[net n]", "mode = user"]
    lines += ["[display]", f"vga = {yes(screen)}",
              f"vnc = {'unix' if screen else 'off'}"]
    with open(path, "w", encoding="ascii") as f:
        f.write("\n".join(lines) + "\n")
    return path


def qemu(machine, kernel, memory=256, initrd=None, cmdline=None, more=()):
    """QEMU's command line for the same guest, serial port on its streams."""
    words = [QEMU, "-M", machine, "-accel", "kvm", "-cpu", "host",
             "-m", str(memory), "-nodefaults", "-no-user-config",
             "-no-reboot", "-display", "none", "-serial", "stdio",
             "-kernel", kernel]
    if initrd:
        words += ["-initrd", initrd]
    if cmdline:
        words += ["-append", cmdline]
    return words + list(more)


class Program:
    """A running program whose standard streams are a guest's serial port."""

    def __init__(self, words, env=None):
        self.words, self.text = words, b""
        self.log = tempfile.TemporaryFile()
        self.begin = time.perf_counter()
        self.process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=self.log, bufsize=0, env=env)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def fail(self, what):
        self.log.seek(0)
        tail = (self.text + self.log.read())[-600:]
        raise BenchError(f"{os.path.basename(self.words[0])}: {what}: "
                         + tail.decode(errors="replace").strip())

    def read(self, end):
        """What comes next; end is when that takes too long."""
        left = end - time.perf_counter()
        out = self.process.stdout
        if left <= 0 or not select.select([out], [], [], left)[0]:
            self.fail("is silent")
        data = os.read(out.fileno(), 65536)
        if not data:
            self.fail("ended early")
        self.text += data

    def wait_for(self, pattern, at=0, seconds=LIMIT_S):
        """Read until there is a match from place `at` on; returns it."""
        end = time.perf_counter() + seconds
        while True:
            found = re.search(pattern, self.text[at:])
            if found:
                return found
            self.read(end)

    def age(self):
        """Seconds since the exec."""
        return time.perf_counter() - self.begin

    def send(self, text):
        self.process.stdin.write(text.encode())

    def wait(self, seconds=LIMIT_S):
        """Until the guest has powered off."""
        try:
            self.process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.fail(f"did not end in {seconds} s")

    def kill(self):
        if self.process.poll() is None:
            # guestdeck run clears up after two signals
            for _ in range(2):
                self.process.send_signal(signal.SIGTERM)
                time.sleep(0.05)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            stream.close()
        self.log.close()


def guestdeck_run(path):
    return [GUESTDECK, "run", path]


class Server:
    """A guestdeck server in a folder of its own."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="deck-", dir="/dev/shm")
        self.env = dict(os.environ, GUESTDECK_DIR=self.dir)

    def __enter__(self):
        self.verb("list")
        with open(os.path.join(self.dir, "run/server.lock"),
                  encoding="ascii") as f:
            self.pid = int(f.read())
        return self

    def __exit__(self, *_):
        subprocess.run([GUESTDECK, "server", "stop", "--force"],
                       env=self.env, check=False, capture_output=True)
        shutil.rmtree(self.dir, ignore_errors=True)

    def verb(self, *words):
        out = subprocess.run([GUESTDECK, *words], env=self.env,
                             capture_output=True, text=True, check=False,
                             stdin=subprocess.DEVNULL)
        if out.returncode:
            raise BenchError(f"guestdeck {' '.join(words)}: "
                             + (out.stderr or out.stdout).strip())
        return out.stdout

    def serial_log(self, name):
        return os.path.join(self.dir, f"log/{name}.serial.log")

    def wait_for(self, name, marker, seconds=LIMIT_S):
        end = time.perf_counter() + seconds
        while True:
            try:
                with open(self.serial_log(name), "rb") as f:
                    if marker in f.read():
                        return
            except FileNotFoundError:
                pass
            if time.perf_counter() > end:
                raise BenchError(f"guest {name}: no {marker!r} in "
                                 f"{seconds} s")
            time.sleep(0.02)

    def resident(self, name):
        """Bytes of the guest's own RAM that the host holds, as it says."""
        return json.loads(self.verb("show", name,
                                    "--json"))["memory_resident_bytes"]


# -- what a process uses ----------------------------------------------------

def cpu_seconds(pid):
    """CPU time of a process, all threads, also those that ended."""
    return time.clock_gettime((~pid << 3) | 2)


class Mapping:
    """One of smaps: where it is, what is behind it, bytes of it."""

    def __init__(self, head):
        ends, self.rights, _, device, inode = head[:5]
        self.begin, self.end = (int(x, 16) for x in ends.split("-"))
        self.behind = (self.rights, device, inode)
        self.pss = self.private = 0

    def size(self):
        return self.end - self.begin


def mappings(pid):
    found = []
    with open(f"/proc/{pid}/smaps", encoding="ascii", errors="replace") as f:
        for line in f:
            words = line.split()
            if not words[0].endswith(":"):
                found.append(Mapping(words))
            elif words[0] == "Pss:":
                found[-1].pss += int(words[1]) << 10
            elif words[0] in ("Private_Clean:", "Private_Dirty:"):
                found[-1].private += int(words[1]) << 10
    return found


class Memory:
    """A process' memory in bytes, guest RAM apart: mappings of more than half
    its size are guest RAM, which nothing else in these programs comes near.
    So are the 2 MiB right below one if they are of the same kind: guestdeck
    asks for no huge page there, which makes them a mapping of their own."""

    def __init__(self, pid, ram_bytes):
        self.pss = self.private = self.ram = 0
        found = mappings(pid)
        for m, above in zip(found, found[1:] + [None]):
            if m.size() > ram_bytes // 2 or (
                    m.size() == 2 << 20 and above and
                    m.end == above.begin and m.behind == above.behind and
                    above.size() > ram_bytes // 2):
                self.ram += m.pss
            else:
                self.pss += m.pss
                self.private += m.private


def warm(*paths):
    """Read files, so that the first round does not."""
    for path in paths:
        with open(path, "rb") as f:
            while f.read(1 << 20):
                pass
