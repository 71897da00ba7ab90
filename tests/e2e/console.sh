#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The console in a real terminal (tmux): attach, start a guest, look at its
# page and its screen, lose the terminal, attach again, take the power away.
#
# GUESTDECK = the program. GUEST = an INI file whose guest shows a text screen
# or boots firmware; without it one with SeaBIOS and no disk is made. EXPECT =
# text that its screen must show in the end (default SeaBIOS).

cd "$(dirname "$0")/../.." || exit 2
GUESTDECK=$(realpath "${GUESTDECK:-./guestdeck}")
EXPECT=${EXPECT:-SeaBIOS}

skip() {
	echo "skip console $1"
	exit 77
}

[ -x "$GUESTDECK" ] || skip "no $GUESTDECK"
[ -w /dev/kvm ] || skip "no /dev/kvm to write to"
command -v tmux >/dev/null || skip "no tmux"

tmp=$(mktemp -d /tmp/gd-console.XXXXXX)
export GUESTDECK_DIR=$tmp/state LC_ALL=C.UTF-8
tm() { tmux -L "${tmp##*/}" -f /dev/null "$@"; }
trap 'tm kill-server 2>/dev/null; "$GUESTDECK" server stop --force >/dev/null 2>&1; rm -rf "$tmp"' EXIT

if [ -z "$GUEST" ]; then
	GUEST=$tmp/bios.ini
	printf '[guest]\nname = bios\ncpus = 1\nmemory = 64M\n' >"$GUEST"
fi

failed=0
ok() { echo "ok $1"; }
no() {
	echo "not ok $1 $2"
	failed=1
	tm capture-pane -p -t "${3:-a}" 2>/dev/null | sed 's/^/# /'
}

# until SECONDS COMMAND...: repeat it until it succeeds
until_ok() {
	local end=$((SECONDS + $1))
	shift
	while ! "$@"; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.1
	done
}
shows() { tm capture-pane -p -t "$1" | grep -q -- "$2"; }
lacks() { ! shows "$1" "$2"; }
state() { "$GUESTDECK" list --json "$name" | grep -q "\"state\": \"$1\""; }
# expect NAME SESSION TEXT [SECONDS]
expect() {
	if until_ok "${4:-60}" shows "$2" "$3"; then ok "$1"; else
		no "$1" "the screen never showed \"$3\"" "$2"
	fi
}
attach() { # SESSION TERM COLS ROWS; again where an old tmux is just leaving
	until_ok 30 tm new-session -d -s "$1" -x "$3" -y "$4" \
		"TERM=$2 '$GUESTDECK'; echo left with \$?; sleep 1000"
}

name=$("$GUESTDECK" define "$GUEST" | sed -n 's/ defined$//p')
[ -n "$name" ] && ok define || no define "no guest was defined"

attach a screen-256color 80 24
expect table a "NAME.*STATE"
expect guest-in-table a "$name.*defined"
tm send-keys -t a s
expect start a "$name.*running"
tm send-keys -t a Enter
expect page a "1 Overview"
tm send-keys -t a 2
expect page-cpus a "BUSY%"
tm send-keys -t a t
expect screen a "$EXPECT" 120
tm send-keys -t a 'C-]' q
expect back a "NAME.*STATE"

tm resize-window -t a -x 130 -y 40
expect resize a "VNC"

tm send-keys -t a ':' "sho" Tab
expect completion a "^:show"
tm send-keys -t a C-c
tm send-keys -t a '?'
expect help a "Table of guests"
tm send-keys -t a q

attach b vt100 90 30
expect second-terminal b "$name.*running"
tm send-keys -t b Enter
expect second-is-its-own b "1 Overview"
lacks a "1 Overview" && ok first-is-untouched ||
	no first-is-untouched "the other terminal's page is shown"

# both terminals go away without a word
tm kill-server
until_ok 60 state running && ok guest-outlives-the-terminal ||
	no guest-outlives-the-terminal "the guest does not run"

attach a screen-256color 80 24
expect attach-again a "$name.*running"
tm send-keys -t a K
expect question a "Cut the power of $name"
tm send-keys -t a Enter
until_ok 60 lacks a "Cut the power" && state running &&
	ok enter-means-no || no enter-means-no "the guest lost its power"
tm send-keys -t a K y
until_ok 60 state off && ok kill || no kill "the guest runs on"
expect kill-shown a "$name.*off"
tm send-keys -t a q
expect detach a "left with 0"

tm kill-session -t a
attach c no-such-terminal 80 24
expect unknown-terminal c "terminal type 'no-such-terminal' is not known"

"$GUESTDECK" </dev/null >"$tmp/out" 2>&1
grep -q "needs a terminal" "$tmp/out" && ok without-terminal ||
	no without-terminal "$(head -1 "$tmp/out")"

"$GUESTDECK" server stop >/dev/null && ! "$GUESTDECK" server status \
	>/dev/null 2>&1 && ok server-stop || no server-stop "it runs on"
exit $failed
