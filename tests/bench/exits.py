# SPDX-License-Identifier: GPL-3.0-or-later
"""Exits a second: guest/exits.c, which runs unchanged in both."""
import os

from benchlib import (Program, Row, guestdeck_run, ini, median, progress,
                      qemu, spread)

TICKS = 357954 / 3579545  # seconds of the line "clock"
KINDS = {
    "port-write": "exits/s: port write (0x80)",
    "port-read": "exits/s: port read (ACPI timer)",
    "mmio-write": "exits/s: MMIO write (a virtio register)",
    "mmio-nothing": "exits/s: MMIO write (no device there)",
    "kick": "ioeventfd kicks/s (virtio-rng, nothing queued)",
}


def rates(words):
    """Exits a second by kind, several of each."""
    with Program(words) as p:
        p.wait_for(b"done")
        text = p.text.decode(errors="replace")
        p.wait()
    hz, out = None, {}
    for line in text.splitlines():
        w = line.split()
        if len(w) == 2 and w[0] == "clock":
            hz = int(w[1], 16) / TICKS
        elif len(w) == 3 and w[0] in KINDS:
            out.setdefault(w[0], []).append(int(w[1], 16) * hz
                                            / int(w[2], 16))
    if sorted(out) != sorted(KINDS):
        p.fail("no figures")
    return out


def run(env):
    path = ini(os.path.join(env.work, "exits.ini"), "exits", env.exits,
               memory="64M", rng=True)
    contestants = {
        "ours": guestdeck_run(path),
        "theirs": qemu("q35", env.exits, memory=64, more=[
            "-device", "virtio-rng-pci,disable-legacy=on"])}
    all_rates = {who: {k: [] for k in KINDS} for who in contestants}
    for i in range(env.rounds):
        for who, words in contestants.items():
            for kind, values in rates(words).items():
                all_rates[who][kind] += values
        progress(f"exits: round {i + 1} of {env.rounds}")
    rows = []
    for kind, name in KINDS.items():
        a, b = (all_rates[who][kind] for who in ("ours", "theirs"))
        rows.append(Row(name, "/s", median(a), median(b), better="more",
                        note=f"{spread(a)}, QEMU {spread(b)}"))
    return rows
