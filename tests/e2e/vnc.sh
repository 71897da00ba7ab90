#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Real VNC viewers against the viewer process, with a screen that has no
# guest behind it: gvnccapture (RFB 3.8, gtk-vnc) and vncsnapshot (RFB 3.3)
# must get red, green and blue where they are, with and without passwords.

demo=$BUILD/vncserver_demo
for tool in gvnccapture vncsnapshot python3; do
	command -v "$tool" >/dev/null || {
		echo "skip: $tool is not installed"
		exit 77
	}
done
[ -x "$demo" ] || { echo "not ok demo $demo did not build"; exit 1; }

tmp=$(mktemp -d)
export HOME=$tmp
pid=
stop() {
	[ -n "$pid" ] && echo quit >&7 && wait "$pid"
	pid=
	exec 7>&-
}
trap 'stop 2>/dev/null; rm -rf "$tmp"' EXIT

# Start the demo on a free port of loopback; sets $display. ARGS: passwords
start() {
	rm -f "$tmp/in" "$tmp/out"
	mkfifo "$tmp/in"
	"$demo" 127.0.0.1:0 "$@" <"$tmp/in" >"$tmp/out" 2>"$tmp/err" &
	pid=$!
	exec 7>"$tmp/in"
	until grep -q '^listening' "$tmp/out"; do
		kill -0 "$pid" 2>/dev/null || { cat "$tmp/err"; return 1; }
		read -rt 0.02 <> <(:) || :
	done
	port=$(sed -n 's/^listening .*:\([0-9]*\)$/\1/p' "$tmp/out")
	# viewers count displays from port 5900
	display=127.0.0.1:$((port - 5900))
}

ok() { echo "ok $1"; }
fail() { echo "not ok $1 $2"; }

# Is pixel X Y of PNG near RRGGBB (JPEG blurs)? python3 has zlib, no more.
pixel() { # PNG X Y RRGGBB
	python3 - "$@" <<'PY'
import struct, sys, zlib
path, x, y, want = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
d, at, idat = open(path, 'rb').read(), 8, b''
while at < len(d):
    n, kind = struct.unpack('>I4s', d[at:at + 8])
    if kind == b'IHDR':
        w, h, depth, colour = struct.unpack('>IIBB', d[at + 8:at + 18])
    if kind == b'IDAT':
        idat += d[at + 8:at + 8 + n]
    at += 12 + n
bpp = {2: 3, 6: 4}[colour]
raw, prev, rows = zlib.decompress(idat), bytearray(w * bpp), []
for r in range(h):
    f, line = raw[r * (w * bpp + 1)], bytearray(raw[r * (w * bpp + 1) + 1:(r + 1) * (w * bpp + 1)])
    for i in range(len(line)):
        a = line[i - bpp] if i >= bpp else 0
        b = prev[i]
        c = prev[i - bpp] if i >= bpp else 0
        p = a + b - c
        pa, pb, pc = abs(p - a), abs(p - b), abs(p - c)
        line[i] = (line[i] + [0, a, b, (a + b) // 2,
            a if pa <= pb and pa <= pc else b if pb <= pc else c][f]) & 255
    rows.append(line)
    prev = line
got = rows[y][x * bpp:x * bpp + 3].hex()
sys.exit(0 if got == want else f"{path} {x},{y} is {got}, not {want}")
PY
}

boxes() { # PNG
	pixel "$1" 100 100 ff0000 && pixel "$1" 250 100 00ff00 &&
		pixel "$1" 400 100 0000ff && pixel "$1" 10 10 808080
}

start || { fail start "$(cat "$tmp/err")"; exit 1; }

if timeout 60 gvnccapture "$display" "$tmp/g.png" >"$tmp/log" 2>&1 &&
	boxes "$tmp/g.png" 2>>"$tmp/log"; then
	ok gvnccapture_sees_the_colours
else
	fail gvnccapture_sees_the_colours "$(tail -1 "$tmp/log")"
fi

if timeout 60 vncsnapshot -quiet "$display" "$tmp/v.jpg" >"$tmp/log" 2>&1 &&
	[ -s "$tmp/v.jpg" ]; then
	ok vncsnapshot_gets_a_picture
else
	fail vncsnapshot_gets_a_picture "$(tail -1 "$tmp/log")"
fi

echo "shot $tmp/own.png" >&7
until grep -q '^shot' "$tmp/out"; do read -rt 0.02 <> <(:) || :; done
if boxes "$tmp/own.png" 2>"$tmp/log"; then
	ok screenshot_has_the_same_pixels
else
	fail screenshot_has_the_same_pixels "$(tail -1 "$tmp/log")"
fi

# a change is there for whoever comes next, in another mode
echo "mode 800 600" >&7
echo "box 700 500 50 50 ff00ff" >&7
echo stats >&7
until grep -q '^stats' "$tmp/out"; do read -rt 0.02 <> <(:) || :; done
if timeout 60 gvnccapture "$display" "$tmp/m.png" >"$tmp/log" 2>&1 &&
	boxes "$tmp/m.png" 2>>"$tmp/log" &&
	pixel "$tmp/m.png" 720 520 ff00ff 2>>"$tmp/log"; then
	ok a_new_mode_is_seen_at_once
else
	fail a_new_mode_is_seen_at_once "$(tail -1 "$tmp/log")"
fi
stop

# vncsnapshot wants its password scrambled as vncpasswd(1) does: by a cipher
# with a fixed key, here for "secret" and "look" and "wrong"
umask 077
echo secret >"$tmp/full"
echo look >"$tmp/look"
start "$tmp/full" "$tmp/look" || { fail start "$(cat "$tmp/err")"; exit 1; }
scramble() { # PASSWORD
	python3 -c '
import subprocess, sys
key = bytes(int(f"{b:08b}"[::-1], 2) for b in bytes([23,82,107,6,35,78,88,7]))
pw = sys.argv[1].encode()[:8].ljust(8, b"\0")
out = subprocess.run(["openssl", "enc", "-des-ecb", "-nopad", "-K", key.hex(),
    "-provider", "legacy", "-provider", "default"], input=pw,
    stdout=subprocess.PIPE, check=True).stdout
sys.stdout.buffer.write(out)' "$1"
}
for p in secret look wrong; do
	if ! scramble $p >"$tmp/$p.pw" 2>/dev/null; then
		echo "skip password_$p openssl has no DES here"
		continue
	fi
	rm -f "$tmp/p.jpg"
	timeout 60 vncsnapshot -quiet -passwd "$tmp/$p.pw" "$display" \
		"$tmp/p.jpg" >"$tmp/log" 2>&1
	if [ -s "$tmp/p.jpg" ] && [ $p != wrong ]; then
		ok "password_$p"
	elif [ ! -e "$tmp/p.jpg" ] && [ $p = wrong ]; then
		ok "password_$p"
	else
		fail "password_$p" "$(tail -1 "$tmp/log")"
	fi
done
stop
