#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Guests on images of every kind: what they wrote is what qemu-img finds, and
what goes wrong out here (a kill, a full disk, a server that goes away) costs
nothing that was synced."""
import hashlib
import os
import signal
import subprocess

from gd import (CONTENT, DIR, RUN, Fail, Guest, Skip, begin, check, disk,
                file_text, fixtures, linux, main, ok, pattern_in, until)

MIB = 1 << 20
DIRECT = "/run/e2e-direct"  # a file system that knows O_DIRECT


def run(*words, codes=(0,)):
    """A program of the host's that has to succeed; returns its output."""
    r = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True,
                       text=True, timeout=120)
    if r.returncode not in codes:
        raise Fail("%s: exit %d: %s" % (" ".join(words), r.returncode,
                                        (r.stderr + r.stdout).strip()[-300:]))
    return r.stdout


def qcow2(path, size, *options):
    run("qemu-img", "create", "-q", "-f", "qcow2", *options, path,
        *([size] if size else []))
    return path


def overlay(path, base, fmt):
    return qcow2(path, None, "-b", base, "-F", fmt)


def sound(path, leaks=False):
    """qemu-img finds no damage in it; leaks only where they may be."""
    run("qemu-img", "check", "-q", "-f", "qcow2", path,
        codes=(0, 3) if leaks else (0,))


def same(path, raw):
    run("qemu-img", "compare", "-q", "-f", "qcow2", "-F", "raw", path, raw)


def holds(path, seed, size):
    """Does the image begin with the pattern of seed?"""
    if path.endswith(".raw"):
        pattern_in(path, seed, size)
        return
    run("qemu-img", "convert", "-f", "qcow2", "-O", "raw", path,
        RUN + "/out.raw")
    pattern_in(RUN + "/out.raw", seed, size)
    os.unlink(RUN + "/out.raw")


def fill(path, seed, size):
    run(CONTENT + "/gdtool", "fill", path, str(seed), str(size))


def digest(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


def used(path):
    return os.stat(path).st_blocks * 512


def disks(*parts):
    """Sections of disks: (name, path, more lines...)."""
    return "".join("[disk %s]\npath = %s\n%s" %
                   (name, path, "".join(l + "\n" for l in more))
                   for name, path, *more in parts)


def figures(g, name):
    return [d for d in g.show()["disks"] if d["name"] == name][0]


def power_off(g):
    g.send(b"t0 poweroff -f\n")
    g.wait_state("off", 30)
    g.detach()


# --- what a guest writes is what qemu-img finds ------------------------------

def direct_folder():
    """tmpfs of the bed's kernel has no O_DIRECT; ext4 has."""
    image = disk("direct", 96)
    os.makedirs(DIRECT, exist_ok=True)
    try:
        run("modprobe", "loop", codes=(0, 1))
        run("mkfs.ext4", "-q", "-O", "^has_journal", image)
        run("mount", "-o", "loop", image, DIRECT)
    except (Fail, OSError) as e:
        raise Skip("no file system on a loop device: %s" % e) from None


QCOW = "format = qcow2"


def formats():
    """A guest with a disk of each kind, and what they were before."""
    direct_folder()
    base = disk("base", 16, seed=41)
    run("qemu-img", "convert", "-q", "-c", "-f", "raw", "-O", "qcow2", base,
        DIRECT + "/packed.qcow2")
    was = [digest(base), digest(DIRECT + "/packed.qcow2")]
    g = Guest("formats", linux(mods="blk,sata", cpus=2, more=disks(
        ("over", overlay(RUN + "/over.qcow2", base, "raw"), QCOW),
        ("deep", overlay(DIRECT + "/deep.qcow2", DIRECT + "/packed.qcow2",
                         "qcow2"), QCOW, "cache = none"),
        ("through", qcow2(RUN + "/through.qcow2", "24M", "-o",
                          "extended_l2=on,cluster_size=128k"), QCOW,
         "cache = writethrough"),
        ("plain", disk_at(DIRECT + "/plain.raw", 12), "cache = none",
         "aio = threads"),
        ("found", qcow2(RUN + "/found.qcow2", "8M"), "format = auto"),
        ("sata", overlay(RUN + "/sata.qcow2", base, "raw"), QCOW,
         "bus = sata"))))
    return g.boot(), was, set()


def disk_at(path, mib):
    with open(path, "wb") as f:
        f.truncate(mib * MIB)
    return path


def overlay_shows_what_backs_it():
    g, _, _ = fixtures.get(formats)
    g.sh("gdtool check /dev/vda 41 %d 2" % (16 * MIB), 60)


def compressed_base_is_read_with_cache_none():
    g, _, _ = fixtures.get(formats)
    g.sh("gdtool check /dev/vdb 41 %d 2" % (16 * MIB), 60)


def qcow2_takes_writes():
    """Of 512 bytes to 256 KiB, from two queues, over what backs it."""
    g, _, filled = fixtures.get(formats)
    for i, dev in enumerate(("vda", "vdb", "vdc", "vdd", "sda")):
        filled.add(i)
        g.sh("gdtool fill /dev/%s %d %d 2" % (dev, 51 + i, 5 * MIB), 90)
        g.sh("gdtool check /dev/%s %d %d 2" % (dev, 51 + i, 5 * MIB), 60)


def show_tells_format_cache_and_aio():
    g, _, _ = fixtures.get(formats)
    want = {"over": ("qcow2", "writeback"), "deep": ("qcow2", "none"),
            "through": ("qcow2", "writethrough"), "plain": ("raw", "none"),
            "found": ("auto", "writeback")}
    for d in g.show()["disks"]:
        if d["name"] in want:
            check((d["format"], d["cache"]) == want[d["name"]], "%s", d)
            in_use = "qcow2" if d["format"] == "auto" else d["format"]
            check(d["format_in_use"] == in_use, "%s", d)
            check(d["aio_in_use"] in ("io_uring", "threads"), "%s", d)
        if d["name"] == "plain":
            check(d["aio"] == d["aio_in_use"] == "threads", "%s", d)
    text = ok("show", "formats")
    for words in ("virtio, qcow2, cache none", "virtio, raw, cache none, "
                  "aio threads"):
        check(words in text, "no '%s' in: %s", words, text)


def guest_knows_the_clusters():
    g, _, _ = fixtures.get(formats)
    block = os.stat(DIRECT + "/plain.raw").st_blksize
    for dev, size, grain in (("vda", 65536, 65536), ("vdc", 131072, 131072),
                             ("vdd", 0, block)):
        got = g.sh("cd /sys/block/%s/queue; cat optimal_io_size "
                   "discard_granularity" % dev).split()
        check(got == [str(size), str(grain)], "%s: %s", dev, got)


def discard_gives_qcow2_space_back():
    g, _, _ = fixtures.get(formats)
    path = RUN + "/through.qcow2"
    g.sh("dd if=/dev/urandom of=/dev/vdc bs=1M seek=8 count=12 oflag=direct "
         "2>/dev/null", 60)
    before = used(path)
    # what is given up is free when no table on the disk names it any more
    g.sh("blkdiscard -o %d -l %d /dev/vdc" % (8 * MIB, 12 * MIB))
    g.sh("dd if=/dev/null of=/dev/vdc bs=512 count=0 conv=fsync,notrunc "
         "2>/dev/null")
    after = used(path)
    check(before - after >= 11 * MIB, "%d bytes before, %d after", before,
          after)
    g.sh("cmp -n %d /dev/zero /dev/vdc 0 %d" % (12 * MIB, 8 * MIB), 60)


def trim_of_a_sata_disk_hides_what_backs_it():
    g, _, filled = fixtures.get(formats)
    filled.add("trim")
    g.sh("blkdiscard -o %d -l %d /dev/sda" % (8 * MIB, 4 * MIB))
    g.sh("cmp -n %d /dev/zero /dev/sda 0 %d" % (4 * MIB, 8 * MIB), 60)


def images_are_what_the_guest_wrote():
    g, was, filled = fixtures.get(formats)
    power_off(g)
    g.forget()
    want = disk("want", 16)
    for i, path in enumerate((RUN + "/over.qcow2", DIRECT + "/deep.qcow2",
                              RUN + "/through.qcow2", DIRECT + "/plain.raw",
                              RUN + "/sata.qcow2")):
        if path.endswith(".qcow2"):
            sound(path)
        if i in (2, 3):
            if i in filled:
                holds(path, 51 + i, 5 * MIB)
            continue
        fill(want, 41, 16 * MIB)
        if i in filled:
            fill(want, 51 + i, 5 * MIB)
        if i == 4 and "trim" in filled:
            with open(want, "r+b") as f:
                f.seek(8 * MIB)
                f.write(bytes(4 * MIB))
        same(path, want)
    now = [digest(RUN + "/base.raw"), digest(DIRECT + "/packed.qcow2")]
    check(now == was, "a base has changed")
    run("umount", DIRECT)


# --- limits ------------------------------------------------------------------

def limits_hold_and_a_group_shares_them():
    """Four disks written at once: one free, one held to a rate, two held to
    the same rate together. What they got is compared with each other."""
    rate, group = "bps-write = 64K", "throttle-group = both"
    g = Guest("held", linux(mods="blk", more=disks(
        ("free", disk("free", 8)), ("own", disk("own", 8), rate),
        ("one", disk("one", 8), rate, group),
        ("two", disk("two", 8), rate, group))))
    g.boot()
    g.sh("for d in vda vdb vdc vdd; do dd if=/dev/zero of=/dev/$d bs=32k "
         "oflag=direct 2>/dev/null & p=\"$p $!\"; done; sleep 6; "
         "kill $p 2>/dev/null; wait", 60)
    out = g.sh("cut -c1-80 /sys/block/vd[abcd]/stat")
    free, own, one, two = (int(l.split()[6]) * 512
                           for l in out.splitlines())
    got = "free %d, own %d, group %d + %d" % (free, own, one, two)
    check(own and one and two, "nothing was written: %s", got)
    check(free > 3 * own, "no limit: %s", got)
    check(one + two < 1.6 * own, "not shared: %s", got)
    ours = figures(g, "own")["write"]["bytes"]
    check(ours <= own, "we counted %d of %d", ours, own)
    g.forget()


# --- an NBD server that goes away --------------------------------------------

def nbd_server(sock, path):
    if os.path.exists(sock):
        os.unlink(sock)
    p = subprocess.Popen(["nbdkit", "-f", "-U", sock, "--filter=delay",
                          "file", path, "wdelay=25ms"],
                         stdin=subprocess.DEVNULL)
    until("nbdkit to listen", 20, lambda: os.path.exists(sock))
    return p


def on_nbd(name, sock):
    """A guest that is up, with a disk of its name."""
    return Guest(name, linux(mods="blk", more=disks(
        (name, "nbd+unix:///?socket=" + sock)))).boot()


def begin_to_fill(g, path, seed):
    """It writes 6 MiB, one of which is at the server by now."""
    token = g.begin("gdtool fill /dev/vda %d %d 2" % (seed, 6 * MIB))
    until("a MiB at the server", 60, lambda: used(path) > MIB, 0.02)
    return token


def nbd_server_may_go_and_come_back():
    sock, path = RUN + "/nbd.sock", disk("served", 16)
    server = nbd_server(sock, path)
    try:
        g = on_nbd("far", sock)
        check(figures(g, "far")["aio_in_use"] == "nbd", "%s",
              figures(g, "far"))
        token = begin_to_fill(g, path, 61)
        server.kill()
        server.wait()
        check(used(path) < 5 * MIB, "the guest was done too early")
        until("the loss in the log", 20, lambda: "nbd" in g.log().lower() and
              "lost" in g.log().lower())
        server = nbd_server(sock, path)
        status, out = g.end(token, 90)
        check(status == 0, "the guest's writes failed: %s", out)
        g.sh("gdtool check /dev/vda 61 %d 2" % (6 * MIB), 60)
        g.forget()
        pattern_in(path, 61, 6 * MIB)
    finally:
        server.kill()
        server.wait()


def kill_does_not_wait_for_a_server_that_is_gone():
    """A request is held for a minute; the kill is done while it would be."""
    sock, path = RUN + "/gone.sock", disk("gone", 16)
    server = nbd_server(sock, path)
    try:
        g = on_nbd("gone", sock)
        token = begin_to_fill(g, path, 62)
        server.kill()
        server.wait()
        until("the loss in the log", 20, lambda: "lost" in g.log().lower())
        g.kill()
        check("commands failed" in g.log(), "nothing was held: %s",
              g.log()[-300:])
        check("after 60 s" not in g.log(), "%s", g.log()[-300:])
        del token
        g.forget()
    finally:
        server.kill()
        server.wait()


def silent_server_holds_up_its_own_guest_alone():
    """One that is there and says nothing, while its guest is to stand still:
    other guests are started and ended, a kill is done, and when the server
    goes on so does what waited."""
    sock, path = RUN + "/mute.sock", disk("mute", 16)
    server = nbd_server(sock, path)
    other = Guest("other", linux())
    try:
        g = on_nbd("mute", sock)
        token = begin_to_fill(g, path, 63)
        server.send_signal(signal.SIGSTOP)
        until("a request in flight", 20,
              lambda: figures(g, "mute")["in_flight"] > 0)
        pause = begin("pause", "mute")
        until("its note", 20, lambda: "disk \"mute\"" in g.info()["why"])
        other.start()
        ok("pause", "other")
        ok("resume", "other")
        other.kill()
        check(pause.poll() is None, "the pause did not wait")
        server.send_signal(signal.SIGCONT)
        check(pause.wait(30) == 0, "the pause failed")
        check(g.state() == "paused" and not g.info()["why"], "%s", g.info())
        ok("resume", "mute")
        status, out = g.end(token, 90)
        check(status == 0, "the guest's writes failed: %s", out)
        g.sh("gdtool check /dev/vda 63 %d 2" % (6 * MIB), 60)
        token = g.begin("gdtool fill /dev/vda 64 %d 2" % (6 * MIB))
        server.send_signal(signal.SIGSTOP)
        until("a request in flight", 20,
              lambda: figures(g, "mute")["in_flight"] > 0)
        reset = begin("reset", "mute")
        until("its note", 20, lambda: "disk \"mute\"" in g.info()["why"])
        g.kill()
        said = reset.communicate(timeout=30)[1]
        check(reset.returncode == 1 and "went off" in said, "%s", said)
        check(g.state() == "off" and not g.info()["why"], "%s", g.info())
        del token
        g.forget()
        other.forget()
    finally:
        server.kill()
        server.wait()


# --- a host without room -----------------------------------------------------

def full_host_costs_no_image():
    small = RUN + "/small"
    os.makedirs(small)
    run("mount", "-t", "tmpfs", "-o", "size=6M", "small", small)
    path = qcow2(small + "/d.qcow2", "32M")
    g = Guest("full", linux(mods="blk", more=disks(("d", path, QCOW))))
    g.boot()
    g.sh("gdtool fill /dev/vda 71 %d" % (2 * MIB), 60)
    status, _ = g.end(g.begin("dd if=/dev/urandom of=/dev/vda bs=256k seek=8 "
                              "count=48 oflag=direct"), 60)
    check(status != 0, "12 MiB went into 4")
    check(g.state() == "running", "state is %s", g.state())
    check("no space left" in g.log().lower(), "not in the log: %s",
          g.log()[-300:])
    g.sh("gdtool check /dev/vda 71 %d" % (2 * MIB), 60)
    run("mount", "-o", "remount,size=48M", small)
    g.sh("gdtool fill /dev/vda 72 %d" % (12 * MIB), 60)
    g.sh("gdtool check /dev/vda 72 %d" % (12 * MIB), 60)
    power_off(g)
    g.forget()
    sound(path)
    holds(path, 72, 12 * MIB)
    run("umount", small)


# --- ends in the middle of writes --------------------------------------------

STORM = "(i=0; while :; do i=$((i + 1)); dd if=/dev/urandom of=/dev/vda " \
    "bs=32k seek=$((128 + i * 37 % 380)) count=3 oflag=direct; " \
    "[ $((i % 5)) = 0 ] && sync; done) >/dev/null 2>&1 &"


def storm(g, seed):
    """4 MiB that are synced, and then writes without end."""
    g.sh("gdtool fill /dev/vda %d %d" % (seed, 4 * MIB), 60)
    before = used(RUN + "/storm.qcow2")
    g.sh(STORM)
    until("the storm to be on", 30,
          lambda: used(RUN + "/storm.qcow2") > before + MIB, 0.02)


def stormy():
    base = disk("stormbase", 16, seed=80)
    return Guest("storm", linux(mods="blk", run="deaf", more=disks(
        ("d", overlay(RUN + "/storm.qcow2", base, "raw"), QCOW))))


def kill_in_the_middle_of_writes_loses_nothing_synced():
    g = fixtures.get(stormy)
    g.boot()
    storm(g, 81)
    g.kill()
    sound(RUN + "/storm.qcow2", leaks=True)
    holds(RUN + "/storm.qcow2", 81, 4 * MIB)


def server_killed_in_the_middle_of_writes_loses_nothing_synced():
    """And the next server goes on with the image."""
    g = fixtures.get(stormy)
    overlay(RUN + "/storm.qcow2", RUN + "/stormbase.raw", "raw")
    g.boot(times=g.log("serial").count("GD-READY") + 1)
    storm(g, 82)
    g.detach()
    pid = int(file_text(DIR + "/run/server.lock").split()[0])
    os.kill(pid, signal.SIGKILL)
    until("the server to be gone", 10,
          lambda: not os.path.exists("/proc/%d" % pid))
    sound(RUN + "/storm.qcow2", leaks=True)
    holds(RUN + "/storm.qcow2", 82, 4 * MIB)
    g.boot(times=g.log("serial").count("GD-READY") + 1)
    g.sh("gdtool check /dev/vda 82 %d" % (4 * MIB), 60)
    g.sh("gdtool fill /dev/vda 83 %d" % (6 * MIB), 60)
    power_off(g)
    g.forget()
    sound(RUN + "/storm.qcow2", leaks=True)
    holds(RUN + "/storm.qcow2", 83, 6 * MIB)


main([overlay_shows_what_backs_it, compressed_base_is_read_with_cache_none,
      qcow2_takes_writes, show_tells_format_cache_and_aio,
      guest_knows_the_clusters, discard_gives_qcow2_space_back,
      trim_of_a_sata_disk_hides_what_backs_it, images_are_what_the_guest_wrote,
      limits_hold_and_a_group_shares_them, nbd_server_may_go_and_come_back,
      kill_does_not_wait_for_a_server_that_is_gone,
      silent_server_holds_up_its_own_guest_alone, full_host_costs_no_image,
      kill_in_the_middle_of_writes_loses_nothing_synced,
      server_killed_in_the_middle_of_writes_loses_nothing_synced], "disks: ")
