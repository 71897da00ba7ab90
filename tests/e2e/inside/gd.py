# SPDX-License-Identifier: GPL-3.0-or-later
"""Guests for end-to-end tests, as a script sees them: every act is a verb of
the program, every wait is for a condition and has an end. Runs in the bed."""
import faulthandler
import glob
import itertools
import json
import os
import select
import shutil
import subprocess
import time

GUESTDECK = os.environ["GUESTDECK"]
CONTENT = os.environ["CONTENT"]  # what mkguest made
RUN = "/run/e2e"  # tmpfs: sockets, disks
DIR = RUN + "/deck"
BOOT_S = 150  # a tenth of it when nothing else runs
CMDLINE = "console=ttyS0 quiet mitigations=off nokaslr audit=0 " \
    "cryptomgr.notests"


class Fail(Exception):
    """A test's finding, in words."""


class Old(Fail):
    """One that was told before, with all that belongs to it."""


class Skip(Exception):
    """Why a test cannot run here."""


def verb(*words, env=None, input=None, timeout=120, prefix=()):
    """Run guestdeck; the result has returncode, stdout and stderr."""
    e = dict(os.environ, GUESTDECK_DIR=DIR)
    e.update(env or {})
    try:
        return subprocess.run([*prefix, GUESTDECK, *words], env=e,
                              input=input, stdin=None if input else
                              subprocess.DEVNULL, capture_output=True,
                              text=True, errors="replace", timeout=timeout)
    except subprocess.TimeoutExpired:
        raise Fail("guestdeck %s did not end in %d s" %
                   (" ".join(words), timeout)) from None


def begin(*words):
    """Start guestdeck beside us; a process whose stderr is a pipe."""
    return subprocess.Popen([GUESTDECK, *words],
                            env=dict(os.environ, GUESTDECK_DIR=DIR),
                            stdin=subprocess.DEVNULL, text=True,
                            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def ok(*words, **kw):
    """Run it; it has to succeed; returns its output."""
    r = verb(*words, **kw)
    if r.returncode:
        raise Fail("guestdeck %s: exit %d: %s" %
                   (" ".join(words), r.returncode,
                    (r.stderr or r.stdout).strip()))
    return r.stdout


def refused(*words, says=(), code=1, **kw):
    """The same, which has to fail with a message that says all of it."""
    r = verb(*words, **kw)
    what = "guestdeck " + " ".join(words)
    if r.returncode != code:
        raise Fail("%s: exit %d, not %d: %s" %
                   (what, r.returncode, code, r.stderr.strip()))
    for text in [says] if isinstance(says, str) else says:
        if text.lower() not in r.stderr.lower():
            raise Fail("%s: no '%s' in: %s" % (what, text, r.stderr.strip()))
    return r.stderr


def until(what, seconds, fn, pause=0.1):
    """Ask fn until its answer is true; returns it."""
    end = time.monotonic() + seconds
    while True:
        answer = fn()
        if answer:
            return answer
        if time.monotonic() > end:
            raise Fail("%s: not in %d s" % (what, seconds))
        time.sleep(pause)


def check(truth, what, *args):
    if not truth:
        raise Fail(what % args if args else what)


def file_text(path):
    try:
        with open(path, errors="replace") as f:
            return f.read()
    except OSError:
        return ""


def tail(path, lines):
    return file_text(path).splitlines()[-lines:]


class Guest:
    """One guest, from its definition to orders at its serial console."""

    tokens = itertools.count(1)
    every = []

    def __init__(self, name, text, define=True):
        self.name = name
        self.client = None
        self.buffer = b""
        self.path = "%s/%s.ini" % (RUN, name)
        with open(self.path, "w") as f:
            f.write("[guest]\nname = %s\n%s" % (name, text))
        Guest.every.append(self)
        if define:
            ok("define", self.path)

    # --- what the program says of it

    def info(self):
        return json.loads(ok("list", self.name, "--json"))[0]

    def show(self):
        shown = json.loads(ok("show", self.name, "--json"))
        return shown[0] if isinstance(shown, list) else shown

    def state(self):
        return self.info()["state"]

    def wait_state(self, state, seconds):
        last = []

        def there():
            last[:] = [self.info()]
            return last[0]["state"] == state
        try:
            until("", seconds, there)
        except Fail:
            raise Fail("%s is %s (%s), not %s after %d s" %
                       (self.name, last[0]["state"], last[0].get("why"),
                        state, seconds)) from None

    def log(self, kind=""):
        return file_text("%s/log/%s%s.log" %
                         (DIR, self.name, kind and "." + kind))

    def wait_serial(self, text, seconds, times=1):
        """Until the serial log has text so many times."""
        def there():
            if self.log("serial").count(text) >= times:
                return True
            if self.state() in ("off", "crashed"):
                if self.log("serial").count(text) >= times:
                    return True
                raise Fail("%s is %s before '%s'" %
                           (self.name, self.state(), text))
            return False
        until("%s: '%s' on the serial line" % (self.name, text), seconds,
              there, 0.2)

    # --- its life

    def start(self):
        self.detach()
        ok("start", self.name)
        return self

    def boot(self, seconds=BOOT_S, times=1):
        self.start()
        self.wait_serial("GD-READY", seconds, times)
        return self

    def kill(self):
        self.detach()
        if self.state() not in ("off", "defined", "crashed"):
            ok("kill", self.name)

    def forget(self):
        """Off, and out of the list; its logs are kept aside."""
        self.kill()
        ok("undefine", self.name)

    # --- its serial console

    def attach(self):
        if self.client:
            return
        self.client = subprocess.Popen(
            [GUESTDECK, "console", self.name], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0,
            env=dict(os.environ, GUESTDECK_DIR=DIR))
        self.buffer = b""

    def detach(self):
        if self.client:
            self.client.kill()
            self.client.wait()
            self.client.stdin.close()
            self.client.stdout.close()
            self.client = None

    def send(self, data):
        self.attach()
        self.client.stdin.write(data)

    def read_past(self, mark, seconds):
        """What comes before mark, a byte string; the rest is kept."""
        end = time.monotonic() + seconds
        while mark not in self.buffer:
            left = end - time.monotonic()
            ready = left > 0 and select.select([self.client.stdout], [], [],
                                               left)[0]
            data = ready and os.read(self.client.stdout.fileno(), 65536)
            if not data:
                raise Fail("%s: no '%s' in %d s, but: %s" %
                           (self.name, mark.decode(errors="replace").strip(),
                            seconds,
                            self.buffer[-300:].decode(errors="replace")))
            self.buffer += data
        before, self.buffer = self.buffer.split(mark, 1)
        return before.decode(errors="replace")

    def begin(self, order):
        """Give an order and return as soon as it has been read."""
        token = "t%d" % next(Guest.tokens)
        self.send(("%s %s\n" % (token, order)).encode())
        self.read_past(("@@%s\n" % token).encode(), 30)
        return token

    def end(self, token, seconds=30):
        """Its status and output."""
        out = self.read_past(("@@%s " % token).encode(), seconds)
        return int(self.read_past(b"\n", 10)), out.strip()

    def sh(self, order, seconds=30):
        """Run an order that has to succeed; returns its output."""
        status, out = self.end(self.begin(order), seconds)
        if status:
            raise Fail("in %s: %s: status %d: %s" %
                       (self.name, order, status, out[-300:]))
        return out

    def last_words(self):
        """For a report: the ends of its logs."""
        lines = []
        for kind, n in (("", 10), ("serial", 12), ("firmware", 4)):
            path = "%s/log/%s%s.log" % (DIR, self.name, kind and "." + kind)
            lines += ["%s %s| %s" % (self.name, kind, l)
                      for l in tail(path, n)]
        return lines + self.pulse() + kvm_timers()

    def pulse(self):
        """What its CPUs do within a second."""
        lines = []
        try:
            for _ in range(2):
                s = self.show()
                lines += ["%s %s cpu %d: %s" %
                          (self.name, s["state"], i, json.dumps(v))
                          for i, v in enumerate(s["vcpus"])]
                if s["state"] not in ("running", "stopping"):
                    break
                time.sleep(1)
        except (Fail, ValueError) as e:
            lines.append("%s: %s" % (self.name, e))
        return lines


def kvm_timers():
    """For a report: when KVM means to wake the guests of this kernel, and
    how it has shifted their time-stamp counters."""
    lines, timer = [], None
    for l in file_text("/proc/timer_list").split("\n"):
        if l.startswith("now at") or timer:
            lines.append("kvm timer| %s %s" % (timer or "", l.strip()))
            timer = None
        elif "apic_timer_fn" in l:
            timer = "apic_timer_fn"
    if not os.path.exists("/sys/kernel/debug/kvm"):
        subprocess.call(["mount", "-t", "debugfs", "none",
                         "/sys/kernel/debug"])
    for path in glob.glob("/sys/kernel/debug/kvm/*/vcpu*/*"):
        lines.append("kvm %s: %s" % ("/".join(path.split("/")[-2:]),
                                     file_text(path).strip()))
    return lines


def linux(kernel="vmlinux", run=None, mods="", memory="192M", cpus=1,
          more="", vga="no", extra=""):
    """A definition for direct boot of Debian's kernel with our initrd."""
    cmdline = CMDLINE + (" gd.mods=" + mods if mods else "") + \
        (" gd.run=" + run if run else "") + (" " + extra if extra else "")
    return """cpus = %d
memory = %s
firmware = none
%s
[linux]
kernel = %s/%s
initrd = %s/initrd.cpio
cmdline = %s
[display]
vnc = off
vga = %s
""" % (cpus, memory, "" if "[" in more else more, CONTENT, kernel, CONTENT,
       cmdline, vga) + (more if "[" in more else "")


def disk(name, mib, seed=None):
    """A raw image in the scratch folder; with a seed it has the pattern."""
    path = "%s/%s.raw" % (RUN, name)
    with open(path, "wb") as f:
        f.truncate(mib << 20)
    if seed is not None:
        subprocess.check_call([CONTENT + "/gdtool", "fill", path, str(seed),
                               str(mib << 20)])
    return path


def pattern_in(path, seed, size):
    """Does the file hold the pattern that gdtool made of seed?"""
    r = subprocess.run([CONTENT + "/gdtool", "check", path, str(seed),
                        str(size)], capture_output=True, text=True)
    check(r.returncode == 0, "host's view: %s", r.stderr.strip())


# --- running cases -----------------------------------------------------------

class Fixtures:
    """Guests that several cases share: made at first use. One that could not
    be made fails each case that wants it, with the same words."""

    def __init__(self):
        self.made = {}

    def get(self, make):
        if make not in self.made:
            try:
                self.made[make] = make()
            except Fail as e:
                self.made[make] = e
                raise
        if isinstance(self.made[make], Fail):
            raise Old("%s: %s" % (make.__name__, self.made[make]))
        return self.made[make]

    def guests(self):
        """All that some case may still ask for."""
        return [g for made in self.made.values()
                for g in (made if isinstance(made, tuple) else (made,))
                if isinstance(g, Guest)]


fixtures = Fixtures()


def clear_away(guests):
    """What a case that failed has left: the next ones count guests."""
    for g in guests:
        try:
            if g not in fixtures.guests():
                g.forget()
        except (Fail, ValueError, IndexError):
            pass  # it got no further than that


def run_case(case, prefix):
    name = prefix + case.__name__
    begin = time.monotonic()
    before = list(Guest.every)
    told = True
    faulthandler.dump_traceback_later(200)
    try:
        case()
        verdict = "ok %s" % name
    except Skip as e:
        verdict = "skip %s %s" % (name, e)
    except Fail as e:
        verdict = "not ok %s %s" % (name, " / ".join(str(e).splitlines()))
        told = isinstance(e, Old)
    except Exception as e:  # a mistake of the test's own
        verdict = "not ok %s %s: %s" % (name, type(e).__name__, e)
    print(verdict, "# %.1f s" % (time.monotonic() - begin), flush=True)
    if not told:
        for g in Guest.every:
            if g.name in verdict or g is Guest.every[-1]:
                for line in g.last_words():
                    print("#", line, flush=True)
    if verdict.startswith("not ok"):
        clear_away([g for g in Guest.every if g not in before])


def main(cases, prefix=""):
    """Run the cases in order. Words on the command line choose by name."""
    import sys
    shutil.rmtree(RUN, ignore_errors=True)
    os.makedirs(RUN)
    chosen = sys.argv[1:]
    for case in cases:
        if not chosen or any(w in case.__name__ for w in chosen):
            run_case(case, prefix)
    for g in Guest.every:
        g.detach()
    r = verb("server", "stop", "--force")
    if r.returncode:
        print("not ok %sserver_stops %s" % (prefix, r.stderr.strip()))
