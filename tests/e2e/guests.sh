#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Real guests in the bed: each file of inside/ is one run of the bed, as its
# boot costs seconds, with many cases; "console" is console.sh with a guest of
# GRUB. "guests.sh FILE CASE..." runs those cases of one file whose name has
# one of the words. PICTURES=FOLDER keeps what the screens showed.

cd "$(dirname "$0")/../.." || exit 2
BUILD=${BUILD:-$PWD/build}
export GUESTDECK=${GUESTDECK:-$BUILD/guestdeck}
export CONTENT=$BUILD/e2e
all="screen main life disks boot console"

tests/e2e/mkguest "$CONTENT" || exit 1
out=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null; rm -rf "$out"' EXIT

# The command of one file, run in the bed.
command_of() { # FILE CASE...
	local file=$1
	shift
	if [ "$file" = console ]; then
		echo tests/e2e/console.sh
	else
		echo python3 -B "tests/e2e/inside/$file.py" "$@"
	fi
}

# GRUB's menu is looked for by a line in its middle: of 25 rows a terminal of
# 24 shows 23, around the cursor.
grub_guest() {
	cat <<-INI
		[guest]
		name = grub
		memory = 64M
		[disk cd]
		path = /usr/lib/grub-rescue/grub-rescue-cdrom.iso
		bus = sata
		cdrom = yes
	INI
}

run_file() { # FILE CASE...
	local scratch=$out/$1 log=$out/$1.log status
	mkdir -p "$scratch"
	grub_guest >"$scratch/grub.ini"
	# shellcheck disable=SC2046
	BED_SCRATCH=$scratch tests/bed/bed --no-tty --log "$log" \
		--timeout 900 --env GUESTDECK="$GUESTDECK" \
		--env CONTENT="$CONTENT" --env PICTURES="${PICTURES:+$scratch}" \
		--env GUESTDECK_LONG="$GUESTDECK_LONG" \
		--env GUEST="$scratch/grub.ini" --env EXPECT=Memtest86 \
		$(command_of "$@") </dev/null
	status=$?
	[ -z "$PICTURES" ] || cp "$scratch"/*.png "$PICTURES" 2>/dev/null
	case $status in
	0 | 77) ;;
	*)
		echo "not ok $1: the bed ended with status $status"
		tail -n 20 "$log"
		;;
	esac
	return $status
}

if [ $# -gt 0 ]; then
	run_file "$@"
	exit
fi

# Two beds at a time, each on a CPU of its own; what they told comes out in
# order.
mkdir "$out/todo" || exit 1
for file in $all; do
	: >"$out/todo/$file"
done

# Run what nobody has begun yet; a rename that works makes it ours.
some_files() { # CPU
	local file
	for file in $all; do
		mv "$out/todo/$file" "$out/$file.begun" 2>/dev/null || continue
		BED_CPU=$1 run_file "$file" >"$out/$file.out" 2>&1
		echo $? >"$out/$file.status"
	done
}
some_files 0 &
some_files 1 &
wait

# An emulated machine that shares two cores with another one is slow by
# chance. A file in which something failed beside the others is tried again by
# itself, at most twice: all of it, as cases stand on earlier ones. Only the
# last answers count; the others stay in the log.
once_more() { # FILE
	grep -q '^not ok ' "$out/$1.out" || return
	sed -i 's/^not ok /# tried again: &/; s/^ok /# &/; s/^skip /# &/' \
		"$out/$1.out"
	run_file "$1" >>"$out/$1.out" 2>&1
	echo $? >"$out/$1.status"
}

result=77
for file in $all; do
	once_more "$file"
	once_more "$file"
	cat "$out/$file.out"
	[ "$(cat "$out/$file.status")" = 77 ] || result=0
done
exit $result
