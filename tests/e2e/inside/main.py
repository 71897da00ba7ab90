#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""One Linux guest with everything in it, booted by PVH with two CPUs, and
what can be asked of a guest that runs."""
import hashlib
import http.server
import os
import re
import socket
import socketserver
import subprocess
import threading
import time

from gd import (RUN, Guest, check, disk, fixtures, linux, main, ok,
                pattern_in, refused, until)

MIB = 1 << 20
FORWARD = 4022
DISKS = """[disk data]
path = %(data)s
queues = 2
[disk ro]
path = %(ro)s
readonly = yes
[disk given]
path = %(given)s
[disk sata]
path = %(sata)s
bus = sata
[disk sataro]
path = %(sataro)s
bus = sata
readonly = yes
[net lan]
mode = user
forward = tcp:127.0.0.1:%(port)d-4022
"""


def guest():
    """The guest of this file."""
    disks = DISKS % {
        "data": disk("data", 64), "ro": disk("ro", 8, seed=11),
        "given": disk("given", 16, seed=12), "sata": disk("sata", 32),
        "sataro": disk("sataro", 8, seed=13), "port": FORWARD}
    text = linux(mods="blk,net,rng,con,input,sata,button", cpus=2,
                 memory="384M", more=disks)
    g = Guest("main", "console = yes\n" + text)
    return g.boot()


def the_guest():
    return fixtures.get(guest)


def pvh_boots_debian():
    g = the_guest()
    check(g.state() == "running", "state is %s", g.state())
    out = g.sh("uname -r")
    check(out.endswith("-amd64"), "uname says %s", out)


def two_cpus_are_online():
    g = the_guest()
    check(g.sh("nproc") == "2", "nproc says %s", g.sh("nproc"))
    on = g.sh("cat /sys/devices/system/cpu/online")
    check(on == "0-1", "online: %s", on)
    ids = g.sh("grep -h . /sys/devices/system/cpu/cpu?/topology/core_id")
    check(ids.split() == ["0", "1"], "core ids: %s", ids)


def both_cpus_work():
    """A thread on each: both clocks and both timers run."""
    g = the_guest()
    out = g.sh("for c in 0 1; do taskset $((c + 1)) sh -c "
               "'usleep 50000; echo on $(cut -d\" \" -f39 /proc/self/stat)' "
               "& done; wait")
    check(sorted(out.splitlines()) == ["on 0", "on 1"], "it says %s", out)


def kernel_does_not_complain():
    """Nothing of level error or worse, no WARNING in its log. (One is the
    bed's: its emulated CPU does not tell KVM of XSETBV; QEMU's guests see
    it there too.)"""
    g = the_guest()
    out = g.sh("dmesg -r | grep -e '^<[0-3]>' -e WARNING: -e BUG: || true")
    lines = [l for l in out.splitlines()
             if "fpu__init_system_xstate" not in l]
    check(not lines, "%s", " | ".join(lines))


def kernel_uses_kvm_clock_and_x2apic():
    g = the_guest()
    out = g.sh("cat /sys/devices/system/clocksource/clocksource0/"
               "current_clocksource")
    check(out in ("kvm-clock", "tsc"), "clock source is %s", out)
    out = g.sh("dmesg")
    check("x2apic" in out, "no x2apic in dmesg")
    check("kvm-clock" in out, "no kvm-clock in dmesg")


def clock_is_right():
    g = the_guest()
    guest_s = float(g.sh("date +%s"))
    check(abs(guest_s - time.time()) < 20, "guest's clock is %d s off",
          guest_s - time.time())


def pci_devices_have_msix():
    g = the_guest()
    out = g.sh("cat /proc/interrupts")
    check(out.count("PCI-MSI") >= 8, "few MSI lines: %s", out)
    check("data" not in out and "virtio" in out, "no virtio interrupts")


def disk_is_what_the_guest_wrote():
    g = the_guest()
    g.sh("gdtool fill /dev/vda 21 %d 4" % (16 * MIB), 120)
    pattern_in(RUN + "/data.raw", 21, 16 * MIB)


def disk_reads_back_what_was_written():
    the_guest().sh("gdtool check /dev/vda 21 %d 4" % (16 * MIB), 120)


def guest_reads_what_the_host_wrote():
    the_guest().sh("gdtool check /dev/vdc 12 %d 2" % (16 * MIB), 120)


def disk_has_two_queues_and_both_are_used():
    g = the_guest()
    out = g.sh("ls /sys/block/vda/mq").split()
    check(out == ["0", "1"], "queues: %s", out)
    g.sh("for cpu in 1 2; do taskset $cpu dd if=/dev/vda of=/dev/null bs=4k "
         "count=1 iflag=direct 2>/dev/null || exit; done")
    out = g.sh("grep virtio.*-req /proc/interrupts")
    rows = [l.split() for l in out.splitlines()]
    vda = [r for r in rows if r[-1].startswith(
        g.sh("basename $(readlink -f /sys/block/vda/device)"))]
    check(len(vda) == 2, "interrupts: %s", out)
    for r in vda:
        check(int(r[1]) + int(r[2]) > 0, "a queue without interrupt: %s", r)


def disk_has_its_size_and_serial():
    g = the_guest()
    check(int(g.sh("cat /sys/block/vda/size")) == 64 * MIB // 512, "size")
    serial = g.sh("cat /sys/block/vda/serial")
    check(serial == "data", "serial number is '%s'", serial)


def discard_gives_space_back():
    g = the_guest()
    path = RUN + "/data.raw"
    before = os.stat(path).st_blocks
    check(before >= 16 * MIB // 512, "only %d blocks used", before)
    g.sh("blkdiscard -o %d -l %d /dev/vda" % (4 * MIB, 8 * MIB))
    after = os.stat(path).st_blocks
    check(before - after >= 8 * MIB // 512 - 64, "%d blocks before, %d after",
          before, after)
    g.sh("cmp -n %d /dev/zero /dev/vda 0 %d" % (8 * MIB, 4 * MIB), 60)
    until("the discard is counted", 20,
          lambda: int(g.show()["disks"][0]["discard"]["ops"]) > 0)


def readonly_disk_refuses_writes():
    g = the_guest()
    check(g.sh("cat /sys/block/vdb/ro") == "1", "vdb is not read-only")
    status, _ = g.end(g.begin("dd if=/dev/zero of=/dev/vdb bs=4k count=1 "
                              "conv=fsync oflag=direct"))
    check(status != 0, "a write to a read-only disk went through")
    g.sh("gdtool check /dev/vdb 11 %d" % (8 * MIB), 60)
    pattern_in(RUN + "/ro.raw", 11, 8 * MIB)


def sata_names(g):
    """Device of each SATA disk, by size in MiB."""
    out = g.sh("for d in /sys/block/sd*; do "
               "echo $(($(cat $d/size) / 2048)) ${d##*/}; done")
    return {int(a): b for a, b in (l.split() for l in out.splitlines())}


def sata_disk_is_what_the_guest_wrote():
    g = the_guest()
    dev = sata_names(g).get(32)
    check(dev, "no SATA disk of 32 MiB")
    g.sh("gdtool fill /dev/%s 31 %d 2" % (dev, 8 * MIB), 120)
    pattern_in(RUN + "/sata.raw", 31, 8 * MIB)
    g.sh("gdtool check /dev/%s 31 %d 2" % (dev, 8 * MIB), 120)


def readonly_sata_disk_refuses_writes():
    g = the_guest()
    dev = sata_names(g).get(8)
    check(dev, "no SATA disk of 8 MiB")
    g.sh("gdtool check /dev/%s 13 %d" % (dev, 8 * MIB), 60)
    status, _ = g.end(g.begin("dd if=/dev/zero of=/dev/%s bs=4k count=1 "
                              "conv=fsync oflag=direct" % dev), 90)
    check(status != 0, "a write to a read-only disk went through")
    pattern_in(RUN + "/sataro.raw", 13, 8 * MIB)


# --- network -----------------------------------------------------------------

BLOB = os.urandom(3 * MIB)


def digest(data):
    return hashlib.sha256(data).hexdigest()


class Blob(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(BLOB)))
        self.end_headers()
        self.wfile.write(BLOB)

    def log_message(self, *args):
        pass


class Names(socketserver.BaseRequestHandler):
    """A name server that knows one name: everything is 192.0.2.7."""

    def handle(self):
        query, sock = self.request
        end = query.index(b"\0", 12) + 5
        is_a = query[end - 4:end - 2] == b"\0\1"
        head = query[:2] + b"\x81\x80\0\1" + (b"\0\1" if is_a else b"\0\0")
        answer = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\x07"
        sock.sendto(head + b"\0\0\0\0" + query[12:end] +
                    (answer if is_a else b""), self.client_address)


def serve(server):
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def guest_gets_its_address_by_dhcp():
    g = the_guest()
    g.sh("ip link set lo up; ip link set eth0 up; "
         "udhcpc -i eth0 -n -q -s /lease -t 5 -T 2", 40)
    out = g.sh("ip -4 addr show dev eth0")
    check("10.0.2.15/24" in out, "address: %s", out)
    mac = g.sh("cat /sys/class/net/eth0/address")
    check(mac.startswith("52:54:00:"), "hardware address %s", mac)


def guest_fetches_by_http():
    g = the_guest()
    server = serve(http.server.ThreadingHTTPServer(("127.0.0.1", 8080), Blob))
    out = g.sh("wget -q -O - http://10.0.2.2:8080/blob | sha256sum", 90)
    server.shutdown()
    check(out.split()[0] == digest(BLOB), "not what was served: %s", out)


def guest_uploads():
    g = the_guest()
    got = {}
    listener = socket.create_server(("127.0.0.1", 8081))
    listener.settimeout(60)

    def take():
        conn, _ = listener.accept()
        with conn, conn.makefile("rb") as f:
            got["data"] = f.read()
    t = threading.Thread(target=take)
    t.start()
    out = g.sh("dd if=/dev/urandom of=/tmp/up bs=64k count=32 2>/dev/null; "
               "nc -w 10 10.0.2.2 8081 </tmp/up; sha256sum /tmp/up", 90)
    t.join(60)
    listener.close()
    check(len(got.get("data", b"")) == 2 * MIB, "%d bytes came",
          len(got.get("data", b"")))
    check(digest(got["data"]) == out.split()[0], "other bytes came")


def forward_reaches_the_guest():
    g = the_guest()
    data = BLOB[:MIB]
    # it listens, on port 4022, when this returns
    g.sh("nc -l -p 4022 >/tmp/in & echo $! >/tmp/nc; "
         "until grep -qs ':0FB6 .* 0A ' /proc/net/tcp /proc/net/tcp6; do "
         "kill -0 $! || exit; usleep 50000; done")
    with socket.create_connection(("127.0.0.1", FORWARD), 30) as s:
        s.settimeout(60)
        s.sendall(data)
        s.shutdown(socket.SHUT_WR)
        check(s.recv(1) == b"", "the guest says something")
    out = g.sh("while kill -0 $(cat /tmp/nc) 2>/dev/null; do usleep 50000; "
               "done; sha256sum /tmp/in", 60)
    check(out.split()[0] == digest(data), "other bytes came: %s", out)


def guest_resolves_names():
    """Through 10.0.2.3, to the name server that the bed has now."""
    g = the_guest()
    conf = RUN + "/resolv.conf"
    with open(conf, "w") as f:
        f.write("nameserver 127.0.0.1\n")
    subprocess.check_call(["mount", "--bind", conf, "/etc/resolv.conf"])
    server = serve(socketserver.UDPServer(("127.0.0.1", 53), Names))
    try:
        out = g.sh("nslookup deck.example 10.0.2.3", 40)
    finally:
        server.shutdown()
        subprocess.check_call(["umount", "/etc/resolv.conf"])
    check("192.0.2.7" in out, "answer: %s", out)


# --- other devices -----------------------------------------------------------

def rng_gives_bytes():
    g = the_guest()
    cur = g.sh("cat /sys/class/misc/hw_random/rng_current")
    check(cur.startswith("virtio_rng"), "rng_current is %s", cur)
    a, b = (g.sh("dd if=/dev/hwrng bs=256 count=4 2>/dev/null | sha256sum; "
                 "dd if=/dev/hwrng bs=256 count=4 2>/dev/null | wc -c")
            .split()[::2] for _ in range(2))
    check(a != b and a[1] == "1024", "%s then %s", a, b)


def virtio_console_writes_to_its_log():
    g = the_guest()
    g.sh("echo GD-HVC-$((40 + 2)) >/dev/hvc0")
    until("GD-HVC-42 in the log of hvc0", 10,
          lambda: "GD-HVC-42" in g.log("hvc0"))


def input_devices_are_there():
    g = the_guest()
    out = g.sh("grep -h ^N: /proc/bus/input/devices")
    for want in ("AT ", "keyboard", "Power Button", "Mouse"):
        check(want.lower() in out.lower(), "no '%s' in: %s", want, out)


def serial_line_carries_bulk():
    """20 KiB out of the guest, nothing lost."""
    g = the_guest()
    out = g.sh("i=0; while [ $i -lt 400 ]; do "
               "echo $i-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa;"
               "i=$((i+1)); done", 90)
    lines = out.splitlines()
    check(len(lines) == 400, "%d lines came", len(lines))
    bad = [l for i, l in enumerate(lines) if l != "%d-%s" % (i, "a" * 50)]
    check(not bad, "%d damaged lines: %s", len(bad), bad[:2])


def serial_line_takes_long_input():
    g = the_guest()
    text = "x" * 3000
    out = g.sh("echo %s | wc -c" % text)
    check(out == "3001", "%s of 3001 bytes arrived", out)


# --- figures -----------------------------------------------------------------

def cpu_figure_moves():
    g = the_guest()
    until("an idle guest under 50 %", 20,
          lambda: g.info()["cpu_percent"] < 50, 0.5)
    g.sh("while :; do :; done & echo $! >/tmp/spin")
    try:
        until("a spinning guest over 50 %", 20,
              lambda: g.info()["cpu_percent"] > 50, 0.5)
    finally:
        g.sh("kill $(cat /tmp/spin)")


def disk_figures_count_bytes():
    """As the guest's kernel counts them, which may read on its own."""
    g = the_guest()
    g.sh("sync")

    def ours():
        i = g.info()
        return i["disk_read_bytes"], i["disk_write_bytes"]

    def guests():
        stats = [line.split() for line in
                 g.sh("cat /sys/block/[vs]*/stat").splitlines()]
        return tuple(512 * sum(int(s[k]) for s in stats) for k in (2, 6))

    def settled():
        """Of one moment: figures are up to a second old, so nothing may
        have moved for longer."""
        last = ours(), guests()
        for _ in range(10):
            time.sleep(1.5)
            now = ours(), guests()
            if now == last:
                return now
            last = now
        check(False, "an idle guest's disks go on: %s", last)

    before, guest_before = settled()
    g.sh("dd if=/dev/zero of=/dev/vda bs=64k count=48 oflag=direct "
         "conv=fsync 2>/dev/null")
    g.sh("dd if=/dev/vdc of=/dev/null bs=64k count=16 iflag=direct "
         "2>/dev/null")

    def moved():
        after, guest_after = settled()
        read, wrote = (a - b for a, b in zip(after, before))
        return (read >= MIB and wrote >= 3 * MIB and (read, wrote) ==
                tuple(a - b for a, b in zip(guest_after, guest_before)))
    until("our figures are the guest's", 20, moved)
    d = g.show()["disks"][0]
    check(d["flush"]["ops"] > 0, "no flush counted: %s", d)
    check(d["write"]["latency_p99_us"] > 0, "no latency: %s", d)


def net_figures_move():
    g = the_guest()
    until("3 MiB in and 2 MiB out are counted", 20, lambda:
          (i := g.info())["net_rx_bytes"] > 3 * MIB and
          i["net_tx_bytes"] > 2 * MIB)


def resident_figure_grows():
    g = the_guest()
    before = g.info()["memory_resident_bytes"]
    seen = []

    def grown():
        seen.append(g.info()["memory_resident_bytes"])
        return seen[-1] - before > 40 * MIB
    try:
        g.sh("dd if=/dev/zero of=/tmp/fill bs=1M count=110 2>/dev/null", 60)
        until("from %d by 40 MiB" % before, 20, grown, 0.5)
    finally:
        g.sh("rm -f /tmp/fill")
    check(seen[-1] < 400 * MIB, "%d resident of 384 MiB", seen[-1])


def show_tells_of_every_vcpu():
    s = the_guest().show()
    check(len(s["vcpus"]) == 2, "vcpus: %s", s["vcpus"])
    for v in s["vcpus"]:
        check(v["guest_ns"] > 0 and v["cpu_ns"] > 0, "no time: %s", v)
        check(sum(v["exits"].values()) > 0, "no exits: %s", v)


def list_is_a_table_too():
    out = ok("list")
    check(re.search(r"^main\s.*running", out, re.M), "%s", out)


# --- people ------------------------------------------------------------------

def pause_holds_and_resume_goes_on():
    g = the_guest()
    g.sh("(while :; do echo tick; usleep 50000; done) >/dev/hvc0 & "
         "echo $! >/tmp/tick")
    ticks = lambda: g.log("hvc0").count("tick")
    until("ticks", 15, lambda: ticks() > 3)
    ok("pause", "main")
    check(g.state() == "paused", "state is %s", g.state())
    settled = []

    def still():
        settled.append(ticks())
        return len(settled) > 3 and len(set(settled[-4:])) == 1
    until("ticks stop", 10, still, 0.3)
    refused("pause", "main", says="paused")
    ok("resume", "main")
    check(g.state() == "running", "state is %s", g.state())
    until("ticks again", 15, lambda: ticks() > settled[-1] + 3)
    g.sh("kill $(cat /tmp/tick)")


def client_killed_leaves_the_guest():
    g = the_guest()
    g.attach()
    client = g.client.pid
    os.kill(client, 9)
    g.client.wait()
    g.detach()
    check(g.state() == "running", "state is %s", g.state())
    check(g.sh("echo alive") == "alive", "no answer")


def server_refuses_to_stop_over_guests():
    the_guest()
    refused("server", "stop", says=("main", "--force"))
    check("1 of" in ok("server", "status"), "%s", ok("server", "status"))


def running_guest_is_not_undefined_or_replaced():
    g = the_guest()
    refused("undefine", "main", says="running")
    refused("define", g.path, says="defined already")
    refused("define", g.path, "--replace", says="running")
    refused("start", "main", says="running")


def console_log_tells_what_was():
    the_guest()
    out = ok("console", "main", "--log")
    check("@@t" in out, "no orders in: %s", out[-200:])


def disk_in_use_is_refused_to_another():
    the_guest()
    other = Guest("thief", linux(more="[disk d]\npath = %s/data.raw\n" % RUN))
    refused("start", "thief", says=(RUN + "/data.raw", "in use"))
    other.forget()


def busy_forward_is_named():
    the_guest()
    other = Guest("second", linux(more="[net n]\nforward = "
                                  "tcp:127.0.0.1:%d-22\n" % FORWARD))
    refused("start", "second", says=("127.0.0.1", str(FORWARD)))
    check(other.state() in ("off", "defined"), "state is %s", other.state())
    other.forget()


def power_button_turns_it_off():
    g = the_guest()
    g.detach()
    begin = time.monotonic()
    ok("stop", "main", "--timeout", "60")
    check(g.state() == "off", "state is %s after %.0f s", g.state(),
          time.monotonic() - begin)


def data_is_there_after_the_end():
    the_guest()
    pattern_in(RUN + "/ro.raw", 11, 8 * MIB)
    pattern_in(RUN + "/sata.raw", 31, 8 * MIB)


main([v for v in list(globals().values())
      if callable(v) and getattr(v, "__module__", "") == "__main__" and
      v not in (guest, the_guest, sata_names, digest, serve) and
      not isinstance(v, type)], "main: ")
