#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Screens of real guests: what SeaBIOS, GRUB, Linux and Debian's installer
show, the same in a screenshot and in viewers, and keys and pointer on their
way in. PICTURES=FOLDER keeps the pictures."""
import os
import re
import time

from gd import (BOOT_S, CONTENT, Fail, Guest, Skip, check, fixtures, linux,
                main, ok, refused, until)
from picture import Picture, Vnc, same_for_all, shot, wait_text

GRUB_ISO = "/usr/lib/grub-rescue/grub-rescue-cdrom.iso"


def bios():
    g = Guest("bios", "memory = 64M\n[display]\nvnc = 127.0.0.1:11\n")
    g.start()
    return g


def seabios_shows_its_text():
    g = fixtures.get(bios)
    p = wait_text(g, "No bootable device", 60)
    check(p.size() == "720x400", "size %s", p.size())
    check(any("SeaBIOS (version" in l for l in p.text()), "%s", p.text())


def seabios_looks_the_same_to_all():
    p = same_for_all(fixtures.get(bios), keep="seabios")
    check(p.colours() >= 2, "one colour")


def bios_ends():
    fixtures.get(bios).forget()


# --- GRUB: text mode, the PS/2 keyboard --------------------------------------

def grub():
    g = Guest("grub", "memory = 128M\n[disk cd]\npath = %s\nbus = sata\n"
              "cdrom = yes\n[display]\nvnc = 127.0.0.1:12\n" % GRUB_ISO)
    g.start()
    wait_text(g, "GNU GRUB", 90)
    ok("sendkey", "grub", "c")
    wait_text(g, "grub>", 30)
    return g


def grub_looks_the_same_to_all():
    p = same_for_all(fixtures.get(grub), keep="grub")
    check(any("GNU GRUB" in l for l in p.text()), "%s", p.text())


def sendkey_types_to_grub():
    g = fixtures.get(grub)
    ok("sendkey", "grub", *"echo", "spc", *"over", "shift-1", "shift-2", "ret")
    until("the words, typed and echoed", 30, lambda: len(
        [l for l in shot(g).text() if "over!@" in l]) == 2)
    refused("sendkey", "grub", "no-such-key", says="no-such-key")


def type_line(g, vnc, line):
    """Not faster than the 15 keys that a BIOS remembers."""
    for at in range(0, len(line), 10):
        vnc.type(line[at:at + 10])
        if line[at:at + 10].strip():
            wait_text(g, line[:at + 10].rstrip(), 20)
    vnc.type("\n")


def vnc_types_to_grub():
    g = fixtures.get(grub)
    vnc = Vnc(g.info()["vnc"])
    check("grub" in vnc.name, "the desktop's name is '%s'", vnc.name)
    words = "VNC [42] +A,b= ~!@%^*() :?/"
    type_line(g, vnc, "echo '%s'" % words)
    until("its echo", 20, lambda: len(
        [l for l in shot(g).text() if words in l]) == 2)
    vnc.close()


def viewers_are_counted():
    g = fixtures.get(grub)
    a, b = Vnc(g.info()["vnc"]), Vnc(g.info()["vnc"])
    a.update(0)
    b.update(0)
    until("two viewers", 10, lambda: g.info()["viewers"] == 2, 0.3)
    a.close()
    b.close()
    until("none", 15, lambda: g.info()["viewers"] == 0, 0.3)


def rubbish_costs_its_sender_the_connection():
    g = fixtures.get(grub)
    good = Vnc(g.info()["vnc"])
    bad = Vnc(g.info()["vnc"])
    bad.sock.sendall(b"\xee" * 4000)
    try:
        until("hang-up", 15, lambda: bad.sock.recv(65536) == b"", 0)
    except ConnectionResetError:
        pass
    good.update(0)
    good.close()
    check(g.state() == "running", "state is %s", g.state())


def in_mode(g, vnc, line, size, keep):
    """Look at the test picture that GRUB draws in a graphical mode."""
    type_line(g, vnc, line)

    def drawn():
        p = shot(g)
        same = p == last[0]
        last[0] = p
        return same and p.size() == size and p.colours() > 4
    last = [shot(g)]
    until("%s after '%s'" % (size, line), 120, drawn, 1)

    def resized():
        vnc.update(0)
        return "%dx%d" % (vnc.width, vnc.height) == size
    until("the viewer has the new size", 20, resized)
    p = same_for_all(g, keep=keep)
    vnc.type("x")
    wait_text(g, "grub>", 120)
    return p


def grub_draws_in_planar_vga():
    """Each pixel is an exit: this takes a minute in the bed."""
    if not os.environ.get("GUESTDECK_LONG"):
        raise Skip("only with GUESTDECK_LONG=1")
    g = fixtures.get(grub)
    vnc = Vnc(g.info()["vnc"])
    type_line(g, vnc, "insmod vga")
    p = in_mode(g, vnc, "videotest", "640x480", "grub-vga")
    check(p.colours() <= 16, "%d colours", p.colours())
    vnc.close()


def grub_draws_in_a_vbe_mode():
    g = fixtures.get(grub)
    vnc = Vnc(g.info()["vnc"])
    type_line(g, vnc, "insmod vbe")
    in_mode(g, vnc, "videotest 800x600", "800x600", "grub-vbe")
    vnc.close()


def grub_ends():
    fixtures.get(grub).forget()


# --- Linux: bochs-drm, virtio input ------------------------------------------

def screen():
    g = Guest("screen", linux(mods="input,bochs,button", vga="yes").replace(
        "vnc = off", "vnc = unix"))
    return g.boot()


def event_device(g, name):
    out = g.sh("grep -l '%s' /sys/class/input/event*/device/name" % name)
    return "/dev/input/" + out.split("/")[4]


def linux_has_a_framebuffer():
    g = fixtures.get(screen)
    check("bochs" in g.sh("cat /proc/fb"), "%s", g.sh("cat /proc/fb"))
    p = shot(g)
    check(p.size() == "1280x800", "size %s", p.size())


def framebuffer_shows_what_was_written():
    """A program's bytes as rows 400 to 600. (Whole blocks: the kernel shows
    nothing of a write that ends with the row it began in.)"""
    g = fixtures.get(screen)
    g.sh("dd if=/bin/busybox of=/dev/fb0 bs=%d seek=2 count=1 2>/dev/null" %
         (200 * 5120))
    with open("/bin/busybox", "rb") as f:
        f.seek(100 * 5120)
        line = f.read(5120)

    want = bytearray(3840)
    want[0::3], want[1::3], want[2::3] = line[2::4], line[1::4], line[0::4]

    def rows(p):
        return [p.rgb[y * 3840:(y + 1) * 3840] for y in range(800)]

    def drawn():
        r = rows(shot(g, keep="framebuffer"))
        return any(r[590]) and r[500] == bytes(want) and r
    r = until("the rows on the screen", 20, drawn)
    check(not any(r[390]) and not any(r[700]), "not black around it")
    vnc = Vnc(g.info()["vnc"])
    until("a viewer sees them too", 20,  # and the same of a blinking cursor
          lambda: (p := vnc.picture()) == shot(g) and
          rows(p)[500] == bytes(want))
    vnc.close()


def quiet_screen_sends_nothing():
    g = fixtures.get(screen)
    g.sh("for f in /sys/class/graphics/fbcon/cursor_blink; do "
         "[ ! -e $f ] || echo 0 >$f; done")
    vnc = Vnc(g.info()["vnc"])
    vnc.update(0)
    until("the last blink", 10, lambda: not vnc.changes_within(1))
    quiet = not vnc.changes_within(1.5)
    vnc.close()
    check(quiet, "an update of an unchanged screen")


def change_reaches_a_viewer():
    g = fixtures.get(screen)
    vnc = Vnc(g.info()["vnc"])
    vnc.update(0)
    check(not any(vnc.pixels[150 * 5120:151 * 5120]), "row 150 is not black")
    token = g.begin("usleep 300000; dd if=/bin/busybox of=/dev/fb0 "
                    "bs=102400 seek=7 count=1 2>/dev/null")
    until("row 150 at the viewer", 20, lambda: vnc.changes_within(20) and
          any(vnc.pixels[150 * 5120:151 * 5120]))
    g.end(token)
    vnc.close()


def keys_reach_linux():
    g = fixtures.get(screen)
    devs = g.sh("echo /dev/input/event*")
    token = g.begin("gdtool events 20 6 %s" % devs)
    g.read_past(b"listening", 20)
    ok("sendkey", "screen", "ctrl-alt-x")
    status, out = g.end(token, 40)
    check(status == 0, "events: %s", out)
    got = [(int(c), int(v)) for c, v in
           re.findall(r"type 1 code (\d+) value (\d)", out)]
    ctrl, alt, x = 29, 56, 45
    check(got == [(ctrl, 1), (alt, 1), (x, 1), (x, 0), (alt, 0), (ctrl, 0)],
          "events: %s", out)


def pointer_reaches_linux():
    g = fixtures.get(screen)
    tablet = event_device(g, "[Tt]ablet")
    vnc = Vnc(g.info()["vnc"])
    vnc.update(0)
    token = g.begin("gdtool events 20 6 %s" % tablet)
    g.read_past(b"listening", 20)
    vnc.pointer(320, 200)
    vnc.pointer(1279, 799, 1)
    vnc.pointer(1279, 799, 0)
    status, out = g.end(token, 40)
    vnc.close()
    check(status == 0, "events: %s", out)
    places = {c: [int(v) for v in re.findall(
        r"type 3 code %d value (\d+)" % c, out)] for c in (0, 1)}
    for axis, size, where in ((0, 1280, 320), (1, 800, 200)):
        check(places[axis] and
              abs(places[axis][0] / 32768 * size - where) < 2,
              "axis %d: %s", axis, out)
        check(places[axis][-1] / 32767 > 0.998, "far end of axis %d: %s",
              axis, out)
    buttons = re.findall(r"type 1 code (\d+) value (\d)", out)
    check(buttons == [("272", "1"), ("272", "0")], "buttons: %s", out)


def reset_takes_the_viewer_along():
    g = fixtures.get(screen)
    vnc = Vnc(g.info()["vnc"])
    vnc.update(0)
    ok("reset", "screen")
    g.wait_serial("GD-READY", BOOT_S, times=2)
    until("the viewer has Linux's size again", 20,
          lambda: vnc.picture().size() == "1280x800")
    vnc.close()


def screen_ends():
    fixtures.get(screen).forget()


def ps2_keyboard_and_mouse_work_without_tablet():
    g = Guest("ps2", "tablet = no\n" + linux(mods="input", vga="yes").replace(
        "vnc = off", "vnc = unix"))
    g.boot()
    devs = g.sh("echo /dev/input/event*")
    token = g.begin("gdtool events 20 2 %s" % devs)
    g.read_past(b"listening", 20)
    ok("sendkey", "ps2", "a")
    status, out = g.end(token, 40)
    check(status == 0 and "code 30 value 1" in out and "code 30 value 0" in
          out, "keyboard: %s", out)
    vnc = Vnc(g.info()["vnc"])
    vnc.update(0)
    vnc.pointer(100, 100)
    token = g.begin("gdtool events 20 4 %s" % devs)
    g.read_past(b"listening", 20)
    vnc.pointer(110, 105)
    vnc.pointer(110, 105, 1)
    vnc.pointer(110, 105, 0)
    status, out = g.end(token, 40)
    vnc.close()
    check(status == 0, "mouse: %s", out)
    check("type 2 code 0 value" in out and "type 2 code 1 value" in out,
          "no movement: %s", out)
    check("type 1 code 272 value 1" in out, "no button: %s", out)
    g.forget()


# --- the installer -----------------------------------------------------------

def installer():
    g = Guest("installer", """memory = 1G
firmware = none
[linux]
kernel = %s/installer.kernel
initrd = %s/installer.initrd
cmdline = vga=788 quiet mitigations=off nokaslr audit=0 cryptomgr.notests
[display]
vnc = 127.0.0.1:13
""" % (CONTENT, CONTENT))
    g.start()
    last = [shot(g)]

    def settled():
        """A page with a list under the banner, the same twice."""
        time.sleep(3)
        p = shot(g)
        same = p == last[0]
        last[0] = p
        page = Picture(p.width, p.height - 100, p.rgb[100 * 3 * p.width:])
        return same and p.size() == "1280x800" and page.colours() > 60
    until("the installer's first page", 400, settled, 1)
    return g


def installer_looks_the_same_to_all():
    p = same_for_all(fixtures.get(installer), keep="installer")
    check(p.size() == "1280x800", "size %s", p.size())


def pointer_and_keys_move_the_installer():
    g = fixtures.get(installer)
    vnc = Vnc(g.info()["vnc"])
    vnc.update(0)
    before = shot(g)

    def changes(before, what, fit):
        """The screen becomes another, is drawn to the end, and the rows that
        changed fit; the picture."""
        seen = [before, []]

        def done():
            time.sleep(0.5)
            p, last = shot(g), seen[0]
            seen[:] = [p, [y for y in range(100, 800) if
                           p.rgb[y * 3840:(y + 1) * 3840] !=
                           before.rgb[y * 3840:(y + 1) * 3840]]]
            return p == last and fit(seen[1])
        try:
            until(what, 40, done)
        except Fail as e:
            raise Fail("%s: rows that changed: %s" % (e, seen[1])) from None
        return seen[0]
    # the arrow, from where it is to a place in the empty right part
    vnc.pointer(900, 600)
    p = changes(before, "the arrow moves",
                lambda rows: any(598 < y < 625 for y in rows))
    # the chosen line of the list, one down
    vnc.key(0xff54, 1)
    vnc.key(0xff54, 0)
    p = changes(p, "the chosen line moves",
                lambda rows: 20 <= len(rows) <= 120)
    # another line by a click
    vnc.pointer(100, 300, 1)
    vnc.pointer(100, 300, 0)
    changes(p, "the line under the pointer is chosen",
            lambda rows: any(290 < y < 310 for y in rows))
    shot(g, keep="installer-clicked")
    vnc.close()


def installer_ends():
    fixtures.get(installer).forget()


main([seabios_shows_its_text, seabios_looks_the_same_to_all, bios_ends,
      grub_looks_the_same_to_all, sendkey_types_to_grub, vnc_types_to_grub,
      viewers_are_counted, rubbish_costs_its_sender_the_connection,
      grub_draws_in_planar_vga, grub_draws_in_a_vbe_mode, grub_ends,
      linux_has_a_framebuffer,
      framebuffer_shows_what_was_written, quiet_screen_sends_nothing,
      change_reaches_a_viewer, keys_reach_linux, pointer_reaches_linux,
      reset_takes_the_viewer_along, screen_ends,
      ps2_keyboard_and_mouse_work_without_tablet,
      installer_looks_the_same_to_all, pointer_and_keys_move_the_installer,
      installer_ends], "screen: ")
