#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# make demo without a terminal: three guests run, the table says so, each has
# a VNC server that is reached from here, and "stop" ends all of it.

cd "$(dirname "$0")/../.." || exit 2
demo=tests/bed/demo
trap '$demo stop' EXIT

check() { # NAME WHY COMMAND...
	local name=$1 why=$2
	shift 2
	if "$@"; then echo "ok $name"; else echo "not ok $name $why"; fi
}

busy() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
for port in 5901 5902 5903; do
	if busy $port; then
		echo "somebody uses port $port"
		exit 77
	fi
done

text=$($demo </dev/null 2>&1)
status=$?
if [ $status = 77 ]; then
	echo "$text"
	exit 77
fi
printf '# %s\n' "${text//$'\n'/$'\n'# }"
check demo_prints_and_returns "status $status" [ $status = 0 ]

running() { grep -qE "^$1 +running .* 127.0.0.1:$2\$" <<<"$text"; }
greets() { # the first bytes of a VNC server
	python3 -c 'import socket, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 5)
s.settimeout(30)
sys.exit(s.recv(8) != b"RFB 003.")' "$1"
}
port=5901
for guest in linux installer grub; do
	check "${guest}_runs" "not in the table" running $guest $port
	check "${guest}_greets_on_vnc" "no RFB on $port" greets $port
	port=$((port + 1))
done
check ways_to_reach_are_told "no vncviewer line" \
	grep -q "vncviewer 127.0.0.1:1" <<<"$text"

$demo stop
check stop_ends_it "port 5901 is still there" eval '! busy 5901'
