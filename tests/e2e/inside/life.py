#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens to guests: reset, reboot, power-off, crash, several at once,
and starts that have to fail with a reason."""
import os
import shutil
import signal
import socket
import subprocess
import time

import gd
from gd import (BOOT_S, CONTENT, DIR, GUESTDECK, RUN, Fail, Guest, Skip,
                check, disk, file_text, fixtures, linux, main, ok, refused,
                until, verb)

NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")


def crash_text(more=""):
    return """memory = 16M
firmware = none
[linux]
kernel = %s/crash.elf
[display]
vnc = off
vga = no
""" % CONTENT + more


def reboots_ten_times_by_itself():
    g = Guest("reboots", linux(mods="blk", run="reboots",
                               more="[disk d]\npath = %s\n" %
                               disk("count", 1)))
    g.start()
    g.wait_serial("GD-BOOT 10", 250)
    g.wait_serial("GD-READY", 20)
    i = g.info()
    check(i["state"] == "running", "state is %s", i["state"])
    check(i["reboots"] == 10, "%d reboots are counted", i["reboots"])
    check(i["uptime_s"] > 5, "uptime is %s", i["uptime_s"])
    seen = [l for l in g.log("serial").split() if l.isdigit()]
    check([str(n) for n in range(11)] == [n for n in seen if int(n) < 11],
          "boots: %s", seen)
    g.forget()


def two_guests():
    a = Guest("alpha", linux(run="deaf", mods="blk"))
    b = Guest("beta", crash_text())
    a.start()
    b.start()
    b.wait_serial("GD-READY", 20)
    a.wait_serial("GD-READY", BOOT_S)
    return a, b


def two_guests_run_at_once():
    a, b = fixtures.get(two_guests)
    check(a.sh("echo $((6 * 7))") == "42", "alpha does not answer")
    b.send(b"xyz")
    b.read_past(b"xyz", 10)
    out = ok("server", "status")
    check("2 of" in out, "%s", out)


def triple_fault_crashes_only_its_guest():
    a, b = fixtures.get(two_guests)
    b.send(b"t")
    b.wait_state("crashed", 10)
    why = b.info()["why"]
    check("triple fault" in why.lower(), "why: '%s'", why)
    until("the end of the report", 10, lambda: "crashed" in b.log())
    log = b.log()
    for want in ("triple fault", "rip", "cr0", "idt", "rbx"):
        check(want in log.lower(), "no '%s' in the log: %s", want,
              log[-600:])
    # KVM on AMD resets the registers before it tells
    check("feedbeef" in log or "after a reset" in log, "rbx in the log: %s",
          log[-600:])
    check(a.state() == "running", "alpha is %s", a.state())
    check(a.sh("echo $((6 * 8))") == "48", "alpha does not answer")


def crashed_guest_says_so_and_starts_again():
    a, b = fixtures.get(two_guests)
    out = ok("list")
    check("crashed" in out, "%s", out)
    refused("stop", "beta", says="crashed")
    b.detach()
    b.start()
    b.wait_serial("GD-READY", 20, times=2)
    check(b.state() == "running" and not b.info()["why"], "%s", b.info())
    b.send(b"q")
    b.read_past(b"q", 10)
    b.forget()


def guest_that_ignores_the_button_goes_on():
    a, _ = fixtures.get(two_guests)
    begin = time.monotonic()
    refused("stop", "alpha", "--timeout", "2",
            says=("alpha", "did not power off", "kill"))
    check(time.monotonic() - begin < 20, "took %d s",
          time.monotonic() - begin)
    check(a.state() == "running", "state is %s", a.state())
    check(a.sh("echo on") == "on", "no answer")


def reset_boots_again():
    a, _ = fixtures.get(two_guests)
    up = a.info()["uptime_s"]
    a.attach()
    ok("reset", "alpha")
    a.wait_serial("GD-READY", BOOT_S, times=2)
    i = a.info()
    check(i["state"] == "running", "state is %s", i["state"])
    check(i["uptime_s"] > up, "uptime went back: %s, %s", up, i["uptime_s"])
    # the same client is still attached
    check(a.sh("echo again") == "again", "no answer after the reset")


def reset_while_paused_stays_paused():
    a, _ = fixtures.get(two_guests)
    ok("pause", "alpha")
    ok("reset", "alpha")
    check(a.state() == "paused", "state is %s", a.state())
    ok("resume", "alpha")
    a.wait_serial("GD-READY", BOOT_S, times=3)


def guest_powers_itself_off():
    a, _ = fixtures.get(two_guests)
    a.send(b"t0 poweroff -f\n")
    a.wait_state("off", 20)
    until("client ends with the guest", 10,
          lambda: a.client.poll() is not None)
    check(a.client.returncode == 0, "client: exit %s", a.client.returncode)
    a.detach()
    check(a.info()["uptime_s"] == 0, "uptime of a guest that is off")
    refused("stop", "alpha", says="off")
    refused("console", "alpha", says=("off", "--log"))
    check("GD-READY" in ok("console", "alpha", "--log"), "log is gone")


def undefine_forgets():
    a, _ = fixtures.get(two_guests)
    ok("undefine", "alpha")
    refused("show", "alpha", says="alpha")
    check(not os.path.exists(DIR + "/guests/alpha.ini"), "file is there")


# --- kernels -----------------------------------------------------------------

def bzimage_boots_with_four_cpus():
    g = fixtures.get(big_guest)
    check(g.sh("nproc") == "4", "nproc: %s", g.sh("nproc"))
    on = g.sh("cat /sys/devices/system/cpu/online")
    check(on == "0-3", "online: %s", on)


def memory_above_four_gib_is_there():
    g = fixtures.get(big_guest)
    kib = int(g.sh("sed -n 's/MemTotal: *\\([0-9]*\\) kB/\\1/p' "
                   "/proc/meminfo"))
    check(4.6 * 2**20 < kib < 5 * 2**20, "%d KiB", kib)
    out = g.sh("grep 'System RAM' /proc/iomem | tail -n 1")
    low, high = (int(x, 16) for x in out.split()[0].split("-"))
    check(low == 1 << 32 and high >= 5 << 30, "last RAM is %s", out)


def devices_reach_high_memory():
    """Page cache of a 5 GiB guest lies high: the disk's DMA goes there."""
    g = fixtures.get(big_guest)
    g.sh("gdtool fill /dev/vda 5 %d 4" % (4 << 20), 90)
    g.sh("gdtool check /dev/vda 5 %d 4" % (4 << 20), 90)
    gd.pattern_in(RUN + "/big.raw", 5, 4 << 20)


def big_guest():
    g = Guest("big", linux(kernel="vmlinuz", memory="5G", cpus=4, mods="blk",
                           run="deaf", more="[disk d]\npath = %s\n" %
                           disk("big", 8)))
    return g.boot()


def big_guest_ends():
    fixtures.get(big_guest).forget()


# --- network -----------------------------------------------------------------

def need_tun():
    subprocess.run(["modprobe", "tun"], stderr=subprocess.DEVNULL)
    if not os.path.exists("/dev/net/tun"):
        raise Skip("no /dev/net/tun")


def tap_carries_packets():
    need_tun()
    tap = "gdtap0"
    for words in ("tuntap add %s mode tap", "addr add 10.77.0.1/24 dev %s",
                  "link set %s up"):
        subprocess.check_call(["ip"] + (words % tap).split())
    g = Guest("tapped", linux(mods="net", run="deaf", more="[net n]\n"
                              "mode = tap\ntap = %s\n" % tap))
    g.boot()
    g.sh("ip addr add 10.77.0.2/24 dev eth0; ip link set eth0 up")
    g.sh("ping -c 3 -A -W 5 10.77.0.1", 30)
    g.sh("ping -c 3 -A -W 5 -s 1400 10.77.0.1", 30)
    got = socket.create_server(("10.77.0.1", 7000))
    got.settimeout(30)
    token = g.begin("dd if=/dev/zero bs=64k count=32 2>/dev/null | "
                    "nc 10.77.0.1 7000")
    conn, _ = got.accept()
    n = 0
    while (data := conn.recv(65536)):
        n += len(data)
    conn.close()
    got.close()
    check(n == 2 << 20, "%d bytes came", n)
    check(g.end(token)[0] == 0, "nc failed")
    end = time.monotonic() + 20  # figures are a second old at most
    while (counted := g.info()["net_tx_bytes"]) <= 2 << 20:
        check(time.monotonic() < end, "counted %d", counted)
        time.sleep(0.2)
    g.forget()
    check(os.path.exists("/sys/class/net/" + tap), "the interface is gone")


# --- starts that fail --------------------------------------------------------

def start_fails(name, text, *says):
    g = Guest(name, text)
    refused("start", name, says=(name,) + says)
    i = g.info()
    check(i["state"] in ("off", "defined"), "state is %s", i["state"])
    check(says[0].lower() in i["why"].lower(), "why: '%s'", i["why"])
    ok("undefine", name)


def missing_kernel_is_named():
    start_fails("nokernel", linux(kernel="no-such"),
                CONTENT + "/no-such", "No such file")


def damaged_kernel_is_named():
    data = open(CONTENT + "/vmlinuz", "rb").read()
    for n, (what, bad) in enumerate((
            ("text", b"This is no kernel.\n" * 100),
            ("cut", data[:8000]),
            ("cut elf", open(CONTENT + "/vmlinux", "rb").read(4096)),
            ("empty", b""))):
        path = "%s/bad%d" % (RUN, n)
        with open(path, "wb") as f:
            f.write(bad)
        try:
            start_fails("badkernel%d" % n, linux().replace(
                CONTENT + "/vmlinux", path), path)
        except Fail as e:
            raise Fail("%s: %s" % (what, e)) from None


def missing_initrd_is_named():
    start_fails("noinitrd", linux().replace("initrd.cpio", "no-initrd"),
                CONTENT + "/no-initrd", "No such file")


def too_big_initrd_is_named():
    path = RUN + "/huge-initrd"
    with open(path, "wb") as f:
        f.truncate(300 << 20)
    start_fails("hugeinitrd", linux().replace(
        CONTENT + "/initrd.cpio", path), "initrd", "memory")


def missing_disk_is_named():
    start_fails("nodisk", linux(more="[disk d]\npath = %s/none.raw\n" % RUN),
                RUN + "/none.raw", "No such file")


def folder_as_disk_is_named():
    start_fails("dirdisk", linux(more="[disk d]\npath = %s\n" % RUN), RUN)


def qcow2(name, *options):
    path = "%s/%s.qcow2" % (RUN, name)
    subprocess.check_call(["qemu-img", "create", "-q", "-f", "qcow2",
                           *options, path, "8M"])
    return path


def image_fails(name, path, *says, fmt="qcow2"):
    start_fails(name, linux(more="[disk d]\npath = %s\nformat = %s\n" %
                            (path, fmt)), path, *says)


def missing_backing_file_is_named():
    path = qcow2("orphan", "-u", "-b", "gone.raw", "-F", "raw")
    image_fails("orphan", path, RUN + "/gone.raw", "No such file")


def backing_files_in_a_circle_are_refused():
    path = qcow2("circle", "-u", "-b", "circle2.qcow2", "-F", "qcow2")
    qcow2("circle2", "-u", "-b", "circle.qcow2", "-F", "qcow2")
    image_fails("circle", path, "circle", "disk rebase")


def wrong_format_is_named():
    path = disk("notqcow2", 1, seed=3)
    image_fails("wrong", path, "not a qcow2 image", "format")


def nbd_server_that_is_not_there_is_named():
    image_fails("nonbd", "nbd+unix:///?socket=%s/no.sock" % RUN,
                "NBD server", "is the server running", fmt="raw")


def image_in_use_by_qemu_is_refused():
    path = qcow2("busy")
    other = subprocess.Popen(["qemu-io", "-f", "qcow2", path],
                             stdin=subprocess.PIPE,
                             stdout=subprocess.DEVNULL)
    try:
        until("qemu-io to have it open", 20, lambda: subprocess.run(
            ["qemu-img", "info", path], capture_output=True).returncode)
        image_fails("busy", path, "in use", "stop that first")
    finally:
        other.communicate(b"quit\n", 20)


def interface_that_is_no_tap_is_named():
    need_tun()
    # "lo" is there and no tap
    start_fails("notap", linux(more="[net n]\nmode = tap\ntap = lo\n"),
                "lo:")


def damaged_image_gives_no_boot_but_no_harm():
    """SeaBIOS over a disk of noise: it says so and the guest runs."""
    path = RUN + "/noise.raw"
    with open(path, "wb") as f:
        f.write(os.urandom(1 << 20))
    g = Guest("noise", "memory = 64M\n[disk d]\npath = %s\n[display]\n"
              "vnc = off\nvga = no\n" % path)
    g.start()
    until("SeaBIOS gives up", 60,
          lambda: "No bootable device" in g.log("firmware") or
          g.state() != "running")
    check(g.state() == "running", "state is %s: %s", g.state(), g.info())
    g.forget()


def unknown_key_names_the_nearest():
    path = RUN + "/typo.ini"
    for text, says in (
            ("[guest]\nname = t\nmemroy = 1G\n", ("typo.ini:3", "memory")),
            ("[guset]\nname = t\n", ("typo.ini:1", "guest")),
            ("[guest]\nname = t\ncpus = 65\n", ("typo.ini:3", "64")),
            ("[guest]\nname = t\nfirmware = none\n", ("typo.ini", "kernel")),
            ("[guest]\nname = t\n[display]\nvnc = 0.0.0.0:1\n",
             ("typo.ini:4", "password-file"))):
        with open(path, "w") as f:
            f.write(text)
        refused("define", path, says=says)


def usage_errors_are_two():
    refused("strat", "x", code=2, says="start")
    refused("start", code=2, says="usage")
    refused("list", "--jsno", code=2, says="--jsno")
    refused("start", "nobody-there", code=1, says="nobody-there")


def public_path():
    """The program where everybody can run it."""
    path = "/run/guestdeck-copy"
    if not os.path.exists(path):
        shutil.copy(GUESTDECK, path)
        os.chmod(path, 0o755)
    return path


def as_nobody(*words):
    e = dict(os.environ, GUESTDECK_DIR="/run/nobody/deck", HOME="/run/nobody")
    return subprocess.run([*NOBODY, public_path(), *words], env=e,
                          stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=60)


def without_rights_to_kvm_the_mend_is_told():
    os.makedirs("/run/nobody", exist_ok=True)
    os.chown("/run/nobody", 65534, 65534)
    os.chmod("/dev/kvm", 0o600)
    path = "/run/nobody/n.ini"
    with open(path, "w") as f:
        f.write("[guest]\nname = n\nmemory = 16M\n[display]\nvnc = off\n"
                "vga = no\n")
    r = as_nobody("define", path)
    check(r.returncode == 0, "define: %s", r.stderr)
    r = as_nobody("start", "n")
    check(r.returncode == 1, "start: exit %d", r.returncode)
    for want in ("/dev/kvm", "may not be opened", "group kvm"):
        check(want in r.stderr.lower(), "no '%s' in: %s", want, r.stderr)
    r = as_nobody("doctor")
    check("/dev/kvm" in r.stdout and r.returncode == 1,
          "doctor: exit %d: %s", r.returncode, r.stdout)


def without_rights_to_a_disk_it_is_named():
    os.chmod("/dev/kvm", 0o666)
    path = RUN + "/secret.raw"
    disk("secret", 1)
    os.chmod(RUN, 0o755)
    os.chmod(path, 0o600)
    ini = "/run/nobody/d.ini"
    with open(ini, "w") as f:
        f.write("[guest]\nname = d\nmemory = 16M\n[disk x]\npath = %s\n"
                "[display]\nvnc = off\nvga = no\n" % path)
    check(as_nobody("define", ini).returncode == 0, "define failed")
    r = as_nobody("start", "d")
    check(r.returncode == 1, "start: exit %d", r.returncode)
    for want in (path, "permission denied"):
        check(want in r.stderr.lower(), "no '%s' in: %s", want, r.stderr)


def users_run_guests_too():
    """With the right to /dev/kvm nothing else is needed."""
    r = as_nobody("start", "n")
    check(r.returncode == 0, "start: %s", r.stderr)
    r = as_nobody("list")
    check("running" in r.stdout, "list: %s", r.stdout)
    r = as_nobody("server", "stop", "--force")
    check(r.returncode == 0, "server stop: %s", r.stderr)


# --- in the foreground, and the server's end ---------------------------------

def run_is_a_guest_in_the_foreground():
    text = linux(mods="button", run="orders")
    g = Guest("front", text, define=False)
    p = subprocess.Popen([GUESTDECK, "run", g.path], stdin=subprocess.DEVNULL,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                         env=dict(os.environ, GUESTDECK_DIR=RUN + "/other"))
    Guest.every.remove(g)
    try:
        os.set_blocking(p.stdout.fileno(), False)
        seen = [b""]

        def there():
            seen[0] += p.stdout.read() or b""
            check(p.poll() is None, "ended: %s", p.stderr.read()
                  if p.poll() is not None else "")
            return b"GD-READY" in seen[0]
        until("a shell on standard output", BOOT_S, there)
        p.send_signal(signal.SIGTERM)
        until("power-off after SIGTERM", 30, lambda: p.poll() is not None)
        check(p.returncode == 0, "exit %d: %s", p.returncode,
              p.stderr.read())
    finally:
        p.kill()
        p.wait()


def server_killed_takes_no_disk_lock_along():
    """After kill -9 of the server a new one runs the same guest."""
    g = Guest("again", linux(run="deaf", mods="blk", more="[disk d]\n"
                             "path = %s\n" % disk("again", 1)))
    g.boot()
    g.detach()
    pid = int(file_text(DIR + "/run/server.lock").split()[0])
    os.kill(pid, signal.SIGKILL)
    until("the server to be gone", 10,
          lambda: not os.path.exists("/proc/%d" % pid))
    check(g.state() in ("defined", "off"), "state is %s", g.state())
    g.boot(times=2)
    g.forget()


def server_ends_when_asked():
    ok("server", "stop")
    r = verb("server", "status")
    check(r.returncode != 0 or "no server" in r.stdout.lower(),
          "status: %s", r.stdout)


main([reboots_ten_times_by_itself, two_guests_run_at_once,
      triple_fault_crashes_only_its_guest,
      crashed_guest_says_so_and_starts_again,
      guest_that_ignores_the_button_goes_on, reset_boots_again,
      reset_while_paused_stays_paused, guest_powers_itself_off,
      undefine_forgets, bzimage_boots_with_four_cpus,
      memory_above_four_gib_is_there, devices_reach_high_memory,
      big_guest_ends, tap_carries_packets, missing_kernel_is_named,
      damaged_kernel_is_named, missing_initrd_is_named,
      too_big_initrd_is_named, missing_disk_is_named,
      folder_as_disk_is_named, missing_backing_file_is_named,
      backing_files_in_a_circle_are_refused, wrong_format_is_named,
      nbd_server_that_is_not_there_is_named, image_in_use_by_qemu_is_refused,
      interface_that_is_no_tap_is_named, damaged_image_gives_no_boot_but_no_harm,
      unknown_key_names_the_nearest, usage_errors_are_two,
      without_rights_to_kvm_the_mend_is_told,
      without_rights_to_a_disk_it_is_named, users_run_guests_too,
      run_is_a_guest_in_the_foreground,
      server_killed_takes_no_disk_lock_along, server_ends_when_asked],
     "life: ")
