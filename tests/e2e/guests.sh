#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Real guests in the bed: each file of inside/ is one run of the bed, as its
# boot costs seconds, with many cases. "guests.sh FILE CASE..." runs those
# cases of one file whose name has one of the words.

cd "$(dirname "$0")/../.." || exit 2
BUILD=${BUILD:-$PWD/build}
export GUESTDECK=${GUESTDECK:-$BUILD/guestdeck}
content=$BUILD/e2e
files=${1:-main life boot}
[ $# -gt 0 ] && shift

tests/e2e/mkguest "$content" || exit 1
out=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null; rm -rf "$out"' EXIT

run_file() { # NAME CASE...
	local name=$1 status
	shift
	BED_SCRATCH=$out/$name tests/bed/bed --no-tty --log "$out/$name.log" \
		--timeout 450 --env GUESTDECK="$GUESTDECK" \
		--env CONTENT="$content" \
		python3 -B "tests/e2e/inside/$name.py" "$@" </dev/null
	status=$?
	[ $status = 0 ] || echo "not ok $name: the bed ended with status $status"
	[ $status = 0 ] || tail -n 20 "$out/$name.log"
	return $status
}

if [ "$(echo $files | wc -w)" = 1 ]; then
	run_file "$files" "$@"
	exit
fi
# two at a time: what is told comes out in order, as each has ended
pids= skipped=0 status=0
for name in $files; do
	run_file "$name" >"$out/$name.out" 2>&1 &
	pids="$pids $!"
	if [ "$(jobs -pr | wc -l)" -ge 2 ]; then
		wait -n
	fi
done
for pid in $pids; do
	wait "$pid"
	status=$?
	[ $status = 77 ] && skipped=77
done
for name in $files; do
	cat "$out/$name.out"
done
exit $skipped
