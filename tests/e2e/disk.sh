#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The disk verbs as an admin types them, against qemu-img and qemu-io in both
# directions: what they made we read, check and change, and what we made
# passes their check and compare. "disk.sh WORD..." runs cases with a WORD.

cd "$(dirname "$0")/../.." || exit 2
gd=${GUESTDECK:-$PWD/build/guestdeck}
for tool in qemu-img qemu-io; do
	command -v $tool >/dev/null || {
		echo "no $tool: install qemu-utils"
		exit 77
	}
done
dir=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null; rm -rf "$dir"' EXIT
cd "$dir" || exit 2
export GUESTDECK_DIR=$dir/deck

disk() { "$gd" disk "$@" 2>err >out </dev/null; }
fails() { # CODE TEXT COMMAND...
	local code=$1 text=$2 status
	shift 2
	"$@"
	status=$?
	[ $status = "$code" ] || { echo "exit code $status, not $code"; return 1; }
	cat out err | grep -qF -- "$text" || {
		echo "no '$text' in: $(cat out err | head -c 300)"
		return 1
	}
}
sound() { # IMAGE: qemu-img finds neither damage nor leaks
	qemu-img check -q "$1" >qout 2>&1 || { head -c 300 qout; return 1; }
}
same() { # A FORMAT B FORMAT, for both programs
	qemu-img compare -q -f "$2" -F "$4" "$1" "$3" >qout 2>&1 || {
		echo "qemu-img: $1 and $3 differ: $(head -c 300 qout)"
		return 1
	}
	disk compare -f "$2" -F "$4" "$1" "$3" || {
		echo "we: $1 and $3 differ: $(cat out err | head -c 300)"
		return 1
	}
}
json() { # EXPRESSION: of out
	python3 -c 'import json, sys
j = json.load(open("out"))
print(eval(sys.argv[1]))' "$1"
}
is() { # GOT WANTED
	[ "$1" = "$2" ] || { echo "got '$1', not '$2'"; return 1; }
}

big() { # big.raw takes a while to compress with -m 1, on any number of CPUs
	[ -e big.raw ] && return
	head -c 450M /dev/urandom | base64 -w 0 >big.raw
	truncate -s 3G big.raw
}

# A raw image of 12 MiB and a bit: data, holes, written zeros.
python3 - <<'PY'
import random
r = random.Random(7)
with open("src.raw", "wb") as f:
    f.truncate(12 * 2**20 + 3 * 512)
    for at, n in ((0, 70000), (1 << 20, 300000), (5 << 20, 1 << 20),
                  (9000 * 1024, 4096), (12 * 2**20, 3 * 512)):
        f.seek(at)
        f.write(r.randbytes(n))
    f.seek(7 << 20)
    f.write(bytes(1 << 20))
    f.seek(8 << 20)
    f.write(b"text that packs well " * 20000)
PY

# --- create and info ---------------------------------------------------------

create_makes_what_qemu_img_knows() {
	disk create -f qcow2 a.qcow2 100M && sound a.qcow2 &&
		is "$(qemu-img info --output=json a.qcow2 >out; json 'j["virtual-size"]')" 104857600
}

every_option_is_as_qemu_img_reads_it() {
	local o
	for o in compat=0.10 compat=1.1 cluster_size=512 cluster_size=2M \
		refcount_bits=1 refcount_bits=64 lazy_refcounts=on \
		extended_l2=on compression_type=zstd preallocation=metadata \
		preallocation=falloc preallocation=full \
		data_file=d.data data_file=d2.data,data_file_raw=on; do
		rm -f o.qcow2 d.data d2.data q.qcow2
		disk create -f qcow2 -o "$o" o.qcow2 20M ||
			{ echo "$o: $(cat err)"; return 1; }
		sound o.qcow2 || { echo "$o"; return 1; }
		qemu-img info --output=json o.qcow2 |
			sed '/actual-size/d; s/o.qcow2/X/; s/d2*.data/D/' >i1
		rm -f d.data d2.data
		qemu-img create -q -f qcow2 -o "$o" q.qcow2 20M
		qemu-img info --output=json q.qcow2 |
			sed '/actual-size/d; s/q.qcow2/X/; s/d2*.data/D/' >i2
		diff i1 i2 >qout || { echo "$o: $(head -5 qout | tr '\n' ' ')"; return 1; }
		disk info --json q.qcow2 || { echo "$o: $(cat err)"; return 1; }
	done
}

info_has_the_fields_of_qemu_img() {
	qemu-img create -q -f qcow2 -o lazy_refcounts=on b.qcow2 30M
	qemu-img create -q -f qcow2 -b b.qcow2 -F qcow2 t.qcow2
	qemu-img snapshot -c one t.qcow2
	disk info --json t.qcow2 && cp out ours &&
		qemu-img info --output=json t.qcow2 >theirs
	python3 - <<'PY' || return 1
import json
a, b = (json.load(open(f)) for f in ("ours", "theirs"))
for k in ("filename", "format", "virtual-size", "cluster-size", "dirty-flag",
          "backing-filename", "full-backing-filename",
          "backing-filename-format", "format-specific"):
    assert a[k] == b[k], (k, a[k], b[k])
mine, its = a["snapshots"][0], b["snapshots"][0]
its.pop("icount", 0)
assert mine["name"] == "one" and not its.items() - mine.items(), (mine, its)
PY
	disk info --backing-chain --json t.qcow2 && is "$(json 'len(j)')" 2
}

create_takes_the_size_of_what_backs_it() {
	disk create -f qcow2 -b src.raw -F raw over.qcow2 && sound over.qcow2 &&
		same over.qcow2 qcow2 src.raw raw
}

create_wants_the_format_of_what_backs_it() {
	fails 1 "-F" disk create -f qcow2 -b src.raw x.qcow2 && [ ! -e x.qcow2 ]
}

create_replaces_nothing_without_force() {
	echo precious >keep.raw
	fails 1 "--force" disk create keep.raw 1M &&
		is "$(cat keep.raw)" precious && disk create --force keep.raw 1M &&
		is "$(stat -c %s keep.raw)" 1048576
}

options_that_are_wrong_are_named() {
	fails 2 "compat" disk create -f qcow2 -o compat=7 x.qcow2 1M &&
		fails 2 "no such option" disk create -f qcow2 -o colour=red x.qcow2 1M &&
		fails 2 "no such option" disk create -f raw -o compat=1.1 x.raw 1M &&
		fails 2 "no image format" disk create -f qcow x.qcow2 1M &&
		fails 2 "no size" disk create -f qcow2 x.qcow2 much &&
		fails 2 "-U is refused" disk info -U src.raw &&
		fails 2 "no verb" disk frobnicate &&
		[ ! -e x.qcow2 ] && [ ! -e x.raw ]
}

# --- convert -----------------------------------------------------------------

convert_to_qcow2_and_back() {
	local o
	for o in cluster_size=64K cluster_size=512 cluster_size=2M \
		compat=0.10 extended_l2=on refcount_bits=1; do
		rm -f c.qcow2 c.raw
		disk convert -f raw -O qcow2 -o $o src.raw c.qcow2 ||
			{ echo "$o: $(cat err)"; return 1; }
		sound c.qcow2 && same src.raw raw c.qcow2 qcow2 ||
			{ echo "$o"; return 1; }
		disk convert -f qcow2 -O raw c.qcow2 c.raw && cmp src.raw c.raw ||
			return 1
	done
}

convert_keeps_holes() {
	disk convert -f raw -O raw src.raw c2.raw && cmp src.raw c2.raw &&
		[ "$(stat -c %b c2.raw)" -le "$(stat -c %b src.raw)" ]
}

convert_compresses() {
	local t
	for t in zlib zstd; do
		rm -f z.qcow2
		disk convert -c -f raw -O qcow2 -o compression_type=$t src.raw z.qcow2 &&
			sound z.qcow2 && same src.raw raw z.qcow2 qcow2 || return 1
		[ "$(stat -c %s z.qcow2)" -lt 1900000 ] ||
			{ echo "$t: $(stat -c %s z.qcow2) bytes"; return 1; }
	done
}

convert_reads_what_qemu_img_packed() {
	rm -f z.qcow2
	qemu-img convert -c -f raw -O qcow2 -o compression_type=zstd src.raw z.qcow2
	same src.raw raw z.qcow2 qcow2
}

convert_reads_other_formats() {
	local f
	for f in vmdk vdi vhdx; do
		qemu-img convert -f raw -O $f src.raw s.$f
		rm -f c3.raw
		disk convert -f $f -O raw s.$f c3.raw ||
			{ echo "$f: $(cat err)"; return 1; }
		cmp -n "$(stat -c %s src.raw)" src.raw c3.raw ||
			{ echo "$f"; return 1; }
	done
}

convert_writes_what_differs_from_a_backing_file() {
	rm -f base.qcow2 diff.qcow2
	cp src.raw changed.raw
	printf 'changed' | dd of=changed.raw bs=1 seek=2000000 conv=notrunc status=none
	disk convert -f raw -O qcow2 src.raw base.qcow2 &&
		disk convert -f raw -O qcow2 -B base.qcow2 -F qcow2 changed.raw diff.qcow2 &&
		sound diff.qcow2 && same diff.qcow2 qcow2 changed.raw raw &&
		[ "$(stat -c %s diff.qcow2)" -lt 600000 ]
}

convert_of_a_snapshot() {
	rm -f s.qcow2 s.raw
	qemu-img convert -O qcow2 src.raw s.qcow2
	qemu-img snapshot -c then s.qcow2
	qemu-io -c "write -P 9 0 2M" s.qcow2 >/dev/null
	disk convert -f qcow2 -l then -O raw s.qcow2 s.raw && cmp s.raw src.raw &&
		fails 1 "no snapshot" disk convert -f qcow2 -l never s.qcow2 s2.raw
}

convert_into_what_is_there() {
	rm -f n.qcow2
	qemu-img create -q -f qcow2 n.qcow2 20M
	qemu-io -c "write -P 3 0 20M" n.qcow2 >/dev/null
	disk convert -n -f raw -O qcow2 src.raw n.qcow2 && sound n.qcow2 &&
		qemu-img convert -O raw n.qcow2 n.raw &&
		cmp -n "$(stat -c %s src.raw)" n.raw src.raw &&
		fails 1 "make it larger" disk convert -n -f qcow2 -O raw n.qcow2 src2.raw
}
truncate -s 1M src2.raw

convert_takes_a_half_made_target_away() {
	big
	"$gd" disk convert -c -m 1 -f raw -O qcow2 big.raw half.qcow2 2>err &
	local pid=$!
	until [ -s half.qcow2 ]; do kill -0 $pid || break; done
	kill -INT $pid
	wait $pid
	is $? 1 && grep -q stopped err && [ ! -e half.qcow2 ] && [ -e big.raw ]
}

convert_says_when_there_is_no_space() {
	mkdir -p small
	mount -t tmpfs -o size=1M tmpfs small 2>/dev/null ||
		{ echo "skip: no mount here"; return 77; }
	fails 1 "no space left" disk convert -f raw -O raw src.raw small/x.raw
	local r=$?
	ls small | grep -q . && { echo "left: $(ls small)"; r=1; }
	umount small
	return $r
}

# --- check, snapshots, resize, rebase, commit ---------------------------------

check_finds_and_mends() {
	rm -f k.qcow2
	qemu-img convert -O qcow2 src.raw k.qcow2
	disk check k.qcow2 && grep -q "No errors" out || return 1
	# a leaked cluster: its count raised behind the last one in use
	python3 - <<'PY'
import struct
with open("k.qcow2", "r+b") as f:
    rt = struct.unpack(">Q", (f.seek(48), f.read(8))[1])[0]
    rb = struct.unpack(">Q", (f.seek(rt), f.read(8))[1])[0]
    f.seek(rb)
    counts = struct.unpack(">32768H", f.read(65536))
    n = max(i for i, c in enumerate(counts) if c)
    f.seek(rb + 2 * (n + 3))
    f.write(b"\0\1")
    f.truncate((n + 4) << 16)
PY
	fails 3 "leak" disk check k.qcow2 &&
		disk check --json k.qcow2
	is "$(json 'j["leaks"]')" 1 && disk check --repair leaks k.qcow2 &&
		sound k.qcow2 && same k.qcow2 qcow2 src.raw raw || return 1
	# a count that is too low
	python3 - <<'PY'
import struct
with open("k.qcow2", "r+b") as f:
    rt = struct.unpack(">Q", (f.seek(48), f.read(8))[1])[0]
    rb = struct.unpack(">Q", (f.seek(rt), f.read(8))[1])[0]
    f.seek(rb + 2 * 6)
    f.write(b"\0\0")
PY
	fails 1 "corruption" disk check k.qcow2 &&
		disk check -r all k.qcow2 && sound k.qcow2 &&
		same k.qcow2 qcow2 src.raw raw
}

snapshots_in_both_directions() {
	rm -f s.qcow2
	qemu-img convert -O qcow2 src.raw s.qcow2
	disk snapshot create s.qcow2 first && sound s.qcow2 || return 1
	qemu-io -c "write -P 1 0 3M" s.qcow2 >/dev/null
	qemu-img snapshot -c second s.qcow2
	qemu-io -c "write -P 2 1M 3M" -c "discard 8M 1M" s.qcow2 >/dev/null
	disk snapshot list --json s.qcow2 &&
		is "$(json '[s["name"] for s in j]')" "['first', 'second']" &&
		sound s.qcow2 &&
		disk snapshot revert s.qcow2 first && sound s.qcow2 &&
		same s.qcow2 qcow2 src.raw raw &&
		qemu-img snapshot -a second s.qcow2 && sound s.qcow2 &&
		disk snapshot delete s.qcow2 first && sound s.qcow2 &&
		disk snapshot delete s.qcow2 second && sound s.qcow2 &&
		fails 1 "first" disk snapshot delete s.qcow2 first &&
		disk snapshot list --json s.qcow2 && is "$(json 'len(j)')" 0
}

resize_up_and_down() {
	rm -f r.qcow2 r.raw
	qemu-img convert -O qcow2 src.raw r.qcow2
	disk resize r.qcow2 +20M && sound r.qcow2 &&
		is "$(qemu-img info --output=json r.qcow2 >out; json 'j["virtual-size"]')" \
			$((12 * 1048576 + 1536 + 20 * 1048576)) &&
		same r.qcow2 qcow2 src.raw raw &&
		fails 1 "--shrink" disk resize r.qcow2 -- -25M &&
		disk resize --shrink r.qcow2 -25M && sound r.qcow2 || return 1
	cp src.raw r.raw
	disk resize -f raw r.raw 20M && is "$(stat -c %s r.raw)" 20971520 &&
		disk resize -f raw --shrink r.raw 1M && is "$(stat -c %s r.raw)" 1048576
}

rebase_keeps_what_is_read() {
	rm -f b1.qcow2 b2.qcow2 o.qcow2
	qemu-img convert -O qcow2 src.raw b1.qcow2
	qemu-img create -q -f qcow2 b2.qcow2 12M
	qemu-io -c "write -P 5 0 8M" b2.qcow2 >/dev/null
	qemu-img create -q -f qcow2 -b b1.qcow2 -F qcow2 o.qcow2
	qemu-io -c "write -P 6 2M 1M" -c "write -z 5M 64k" o.qcow2 >/dev/null
	qemu-img convert -O raw o.qcow2 was.raw
	disk rebase -f qcow2 -b b2.qcow2 -F qcow2 o.qcow2 && sound o.qcow2 &&
		same o.qcow2 qcow2 was.raw raw &&
		is "$(qemu-img info --output=json o.qcow2 >out; json 'j["backing-filename"]')" b2.qcow2 &&
		disk rebase -f qcow2 -b "" o.qcow2 && sound o.qcow2 &&
		same o.qcow2 qcow2 was.raw raw &&
		fails 1 "no such" disk rebase -f qcow2 -b gone.qcow2 -F qcow2 o.qcow2 &&
		disk rebase -f qcow2 -u -b gone.qcow2 -F qcow2 o.qcow2 &&
		is "$(disk info --json o.qcow2; json 'j["backing-filename"]')" gone.qcow2
}

commit_writes_down_and_empties() {
	rm -f b1.qcow2 m.qcow2 o.qcow2
	qemu-img convert -O qcow2 src.raw b1.qcow2
	qemu-img create -q -f qcow2 -b b1.qcow2 -F qcow2 m.qcow2
	qemu-img create -q -f qcow2 -b m.qcow2 -F qcow2 o.qcow2 20M
	qemu-io -c "write -P 6 2M 1M" -c "write -z 5M 64k" m.qcow2 >/dev/null
	qemu-io -c "write -P 7 2560k 1M" -c "write -P 8 15M 1M" o.qcow2 >/dev/null
	qemu-img convert -O raw o.qcow2 was.raw
	disk commit -f qcow2 o.qcow2 && sound o.qcow2 && sound m.qcow2 &&
		same m.qcow2 qcow2 was.raw raw && same o.qcow2 qcow2 was.raw raw &&
		[ "$(qemu-img map --output=json o.qcow2 | grep -c '"depth": 0')" = 0 ] &&
		disk commit -f qcow2 -b b1.qcow2 o.qcow2 && sound b1.qcow2 &&
		same b1.qcow2 qcow2 was.raw raw &&
		fails 1 "does not back" disk commit -f qcow2 -b src.raw o.qcow2
}

clone_of_100_gib_is_small() {
	rm -f huge.qcow2 c.qcow2
	qemu-img create -q -f qcow2 huge.qcow2 100G
	disk clone huge.qcow2 c.qcow2 && sound c.qcow2 &&
		[ "$(stat -c %s c.qcow2)" -lt 400000 ] &&
		is "$(qemu-img info --output=json c.qcow2 >out; json '(j["virtual-size"], j["backing-filename"], j["backing-filename-format"])')" \
			"(107374182400, 'huge.qcow2', 'qcow2')" &&
		mkdir -p sub && disk clone huge.qcow2 sub/c.qcow2 && sound sub/c.qcow2
}

compare_tells_where() {
	cp src.raw d.raw
	printf 'X' | dd of=d.raw bs=1 seek=3000000 conv=notrunc status=none
	fails 1 "byte 3000000" disk compare -f raw -F raw src.raw d.raw &&
		truncate -s 40M d2.raw && truncate -s 30M d3.raw &&
		disk compare -f raw -F raw d2.raw d3.raw &&
		fails 1 "" disk compare -s -f raw -F raw d2.raw d3.raw
}

map_is_that_of_qemu_img() {
	rm -f b1.qcow2 o.qcow2
	qemu-img convert -O qcow2 src.raw b1.qcow2
	qemu-img create -q -f qcow2 -b b1.qcow2 -F qcow2 o.qcow2
	qemu-io -c "write -P 6 2M 1M" -c "write -z 5M 64k" o.qcow2 >/dev/null
	head -c 700000 src.raw >odd.raw
	truncate -s 1000001 odd.raw
	same_map qcow2 o.qcow2 && same_map raw odd.raw
}
same_map() { # FORMAT IMAGE
	disk map -f "$1" --json "$2" || return 1
	cp out ours
	qemu-img map --output=json -f "$1" "$2" >theirs
	python3 - <<'PY'
import json
a, b = (json.load(open(f)) for f in ("ours", "theirs"))
keys = ("start", "length", "depth", "present", "zero", "data", "offset")
a, b = ([tuple(x.get(k) for k in keys) for x in l] for l in (a, b))
assert a == b, (a, b)
PY
}

# --- locks, trust, speed -------------------------------------------------------

image_in_use_is_refused() {
	rm -f l.qcow2
	qemu-img create -q -f qcow2 l.qcow2 10M
	coproc IO { exec qemu-io l.qcow2 2>&1; }
	local io=$IO_PID got=
	echo "read 0 512" >&"${IO[1]}"
	while [[ $got != *ops* ]]; do read -r -t 20 -u "${IO[0]}" got || break; done
	fails 1 "in use" disk check --repair all l.qcow2 &&
		fails 1 "in use" disk resize l.qcow2 20M &&
		fails 1 "in use" disk create --force -f qcow2 l.qcow2 1M &&
		disk info l.qcow2
	local r=$?
	kill $io
	wait $io 2>/dev/null
	sound l.qcow2 && return $r
}

guess_is_not_trusted_with_other_files() {
	rm -f t.qcow2
	qemu-img create -q -f qcow2 -b src.raw -F raw t.qcow2
	fails 1 "not opened on a guess" disk convert -O raw t.qcow2 g.raw &&
		[ ! -e g.raw ] && disk convert -f qcow2 -O raw t.qcow2 g.raw &&
		cmp g.raw src.raw
}

bench_counts() {
	disk bench -f raw -c 1000 -d 8 --random --json src.raw &&
		is "$(json '(j["requests"], j["bytes"])')" "(1000, 4096000)" &&
		cp src.raw w.raw && disk bench -f raw -w --pattern 5 -c 100 --flush-interval 10 --json w.raw &&
		is "$(json 'j["requests"]')" 100 &&
		is "$(head -c 1 w.raw | od -An -tu1 | tr -d ' ')" 5
}

quiet_without_a_terminal() {
	rm -f q.qcow2
	disk convert -f raw -O qcow2 src.raw q.qcow2 && [ ! -s out ] && [ ! -s err ]
}

# --- a terminal, the shell, NBD -------------------------------------------------

# Run guestdeck on a terminal of its own; what it showed goes to pty, and when
# KEYS is set that is typed as soon as WHEN is shown. Its exit code.
on_a_terminal() {
	python3 - "$gd" "$@" <<'PY'
import os, pty, select, sys, time
keys, when = os.environ.get("KEYS", ""), os.environ.get("WHEN", "")
pid, fd = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], sys.argv[1:])
shown, end = b"", time.time() + 120
while time.time() < end:
    if not select.select([fd], [], [], 1)[0]:
        continue
    try:
        got = os.read(fd, 65536)
    except OSError:
        break
    if not got:
        break
    shown += got
    if keys and when.encode() in shown:
        os.write(fd, keys.encode().decode("unicode_escape").encode())
        keys = ""
open("pty", "wb").write(shown)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
PY
}

terminal_shows_rate_and_time_left_and_control_c_stops() {
	big
	local sum=$(stat -c %Y.%s big.raw)
	KEYS='\003' WHEN=left on_a_terminal disk convert -c -m 1 -f raw -O qcow2 big.raw half2.qcow2
	is $? 1 && grep -q 'disk convert \[#*\.*\] .* %.*/s .*left' <(tr -d '\033' <pty) &&
		grep -q 'stopped: half2.qcow2 is removed' pty &&
		[ ! -e half2.qcow2 ] && is "$(stat -c %Y.%s big.raw)" "$sum"
}

terminal_progress_is_off_when_quiet() {
	on_a_terminal disk convert -q -f raw -O qcow2 src.raw q2.qcow2 &&
		[ ! -s pty ]
}

control_c_in_the_shell_ends_the_verb_not_the_shell() {
	big
	cat >shell.py <<'PY'
import os, pty, select, sys, time
pid, fd = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], [sys.argv[1], "shell"])
shown, steps = b"", [
    (b"guestdeck> ", b"disk bench -c 100000000000 -f raw big.raw\r"),
    (b"left", b"\x03"),
    (b"big.raw: stopped", b"disk info -f raw big.raw\r"),
    (b"virtual size", b"exit\r")]
at, end = 0, time.time() + 60
while time.time() < end:
    if steps and steps[0][0] in shown[at:]:
        at = len(shown)
        os.write(fd, steps.pop(0)[1])
    if not select.select([fd], [], [], 1)[0]:
        continue
    try:
        got = os.read(fd, 65536)
    except OSError:
        break
    if not got:
        break
    shown += got
if steps:
    print("never shown:", steps[0][0], shown[-300:])
sys.exit(1 if steps else 0)
PY
	TERM=xterm python3 shell.py "$gd"
}

shell_runs_disk_verbs_from_a_script() {
	printf '# images\ndisk create -f qcow2 sh.qcow2 3M\ndisk info sh.qcow2\n' |
		"$gd" shell >out 2>err && grep -q '3M (3145728 bytes)' out &&
		sound sh.qcow2
}

help_of_the_group() {
	"$gd" help disk >out && grep -q 'disk convert' out && "$gd" disk >out2 &&
		cmp out out2 && "$gd" disk convert --help | grep -q -- --target-format &&
		"$gd" help disk check >out && grep -q 'Exit codes' out
}

convert_to_and_from_nbd() {
	command -v nbdkit >/dev/null || { echo "skip: no nbdkit"; return 77; }
	nbdkit -f -U nbd.sock memory 16M 2>/dev/null &
	local pid=$! uri="nbd+unix:///?socket=$PWD/nbd.sock" r
	until [ -S nbd.sock ]; do kill -0 $pid || return 1; sleep 0.05; done
	rm -f back.raw
	disk convert -n -f raw -O raw src.raw "$uri" &&
		disk info --json -f raw "$uri" && is "$(json 'j["virtual-size"]')" 16777216 &&
		disk convert -f raw -O raw "$uri" back.raw &&
		cmp -n "$(stat -c %s src.raw)" src.raw back.raw &&
		disk convert -O qcow2 -f raw src.raw "$uri" &&
		same "$uri" qcow2 src.raw raw
	r=$?
	kill $pid
	wait $pid 2>/dev/null
	return $r
}

certificates() { # FOLDER: of an authority of its own, for a server on localhost
	mkdir -p "$1"
	printf 'cn = Test authority\nca\ncert_signing_key\n' >ca.info
	printf 'cn = server\ndns_name = localhost\ntls_www_server\nsigning_key\n' >server.info
	for k in ca server; do
		certtool --generate-privkey --key-type=ecdsa --outfile "$1/$k-key.pem"
	done
	certtool --generate-self-signed --load-privkey "$1/ca-key.pem" \
		--template ca.info --outfile "$1/ca-cert.pem"
	certtool --generate-certificate --load-privkey "$1/server-key.pem" \
		--load-ca-privkey "$1/ca-key.pem" --load-ca-certificate "$1/ca-cert.pem" \
		--template server.info --outfile "$1/server-cert.pem"
}

nbds_by_the_keys_of_a_folder() {
	command -v nbdkit >/dev/null && command -v certtool >/dev/null ||
		{ echo "skip: no nbdkit or certtool"; return 77; }
	certificates pki >certs.log 2>&1 || { tail -n 2 certs.log; return 1; }
	local port pid uri r
	port=$(python3 -c 'import socket
s = socket.socket()
s.bind(("127.0.0.1", 0))
print(s.getsockname()[1])')
	nbdkit -f -i 127.0.0.1 -p "$port" -P nbdkit.pid --tls=require \
		--tls-certificates="$PWD/pki" memory 16M 2>nbdkit.log &
	pid=$! uri=nbds://localhost:$port/
	until [ -s nbdkit.pid ]; do kill -0 $pid || { cat nbdkit.log; return 1; }; sleep 0.05; done
	rm -f back.raw over.qcow2
	fails 1 "ertificate" disk info -f raw "$uri" &&
		disk convert --tls pki -n -f raw -O raw src.raw "$uri" &&
		disk convert --tls pki -f raw -O raw "$uri" back.raw &&
		cmp -n "$(stat -c %s src.raw)" src.raw back.raw &&
		disk create --tls pki -f qcow2 -b "$uri" -F raw over.qcow2 &&
		disk compare --tls pki -f qcow2 -F raw over.qcow2 src.raw &&
		disk rebase --tls pki -f qcow2 -b "" over.qcow2 &&
		same over.qcow2 qcow2 src.raw raw
	r=$?
	kill $pid
	wait $pid 2>/dev/null
	return $r
}

file_that_was_there_is_never_removed() {
	rm -f f.qcow2 f.data
	echo precious >f.data
	fails 1 "--force" disk create -f qcow2 -o data_file=f.data f.qcow2 1M &&
		is "$(cat f.data)" precious && [ ! -e f.qcow2 ] &&
		fails 1 "name another" disk convert --force -f raw -O qcow2 -o data_file=src.raw src.raw f.qcow2 &&
		fails 1 "name another" disk clone --force -f raw src.raw src.raw &&
		fails 1 "in use" disk clone --force -f qcow2 "$(qemu-img create -q -f qcow2 -b src.raw -F raw f2.qcow2 && echo f2.qcow2)" src.raw &&
		is "$(stat -c %s src.raw)" $((12 * 1048576 + 1536))
}

commit_past_a_layer_reads_the_same() {
	rm -f b1.qcow2 m.qcow2 o.qcow2
	qemu-img convert -O qcow2 src.raw b1.qcow2
	qemu-img create -q -f qcow2 -b b1.qcow2 -F qcow2 m.qcow2
	qemu-img create -q -f qcow2 -b m.qcow2 -F qcow2 o.qcow2
	qemu-io -c "write -P 6 2M 1M" m.qcow2 >/dev/null
	qemu-io -c "write -P 7 2560k 1M" o.qcow2 >/dev/null
	qemu-img convert -O raw o.qcow2 was.raw
	disk commit -f qcow2 -b b1.qcow2 o.qcow2 && sound o.qcow2 && sound b1.qcow2 &&
		same o.qcow2 qcow2 was.raw raw && same b1.qcow2 qcow2 was.raw raw
}

resize_fills_what_was_added() {
	rm -f r.qcow2
	qemu-img convert -O qcow2 src.raw r.qcow2
	disk resize --preallocation full r.qcow2 +8M && sound r.qcow2 &&
		same r.qcow2 qcow2 src.raw raw &&
		[ $(($(stat -c %b r.qcow2) * 512)) -gt 8388608 ]
}

raw_has_nothing_to_check() {
	fails 1 "a raw image has nothing to check" disk check -f raw src.raw &&
		fails 1 "a raw image has no snapshots" disk snapshot create -f raw src.raw x
}

console_shows_stops_and_completes() {
	command -v tmux >/dev/null || { echo "skip: no tmux"; return 77; }
	big
	local t="tmux -L gd-disk-$$ -f /dev/null" r=0
	shows() { # TEXT
		local end=$((SECONDS + 30))
		until $t capture-pane -p | grep -qF -- "$1"; do
			[ $SECONDS -lt $end ] || { echo "never shown: $1"; $t capture-pane -p | tail -3; return 1; }
			sleep 0.1
		done
	}
	$t new-session -d -x 100 -y 30 "TERM=screen LC_ALL=C.UTF-8 '$gd'; sleep 100"
	shows NAME && $t send-keys : 'disk convert -c -f raw -O qco' Tab 'big.r' Tab &&
		shows '-O qcow2 big.raw' && $t send-keys 'con.qcow2 -m 1' Enter &&
		shows '% disk convert -c -f raw' && shows '^C stops it' &&
		$t send-keys C-c && shows 'con.qcow2 is removed' &&
		[ ! -e con.qcow2 ] &&
		$t send-keys : 'disk info -f raw big.raw' Enter &&
		shows 'virtual size     3G' && $t send-keys q &&
		$t send-keys : 'disk convert -c -m 1 -f raw -O qcow2 big.raw con.qcow2' Enter &&
		shows '^C stops it'
	"$gd" server stop 2>err
	grep -q 'at work for a console' err && "$gd" server stop --force && [ ! -e con.qcow2 ] || r=1
	$t kill-server
	return $r
}

cases=$(declare -F | awk '{ print $3 }' |
	grep -vxE 'disk|fails|sound|same|same_map|json|is|big|certificates|on_a_terminal|shows')
[ $# -gt 0 ] && cases=$(echo "$cases" | grep -E "$(IFS='|'; echo "$*")")
for c in $cases; do
	text=$($c 2>&1)
	case $? in
	0) echo "ok $c" ;;
	77) echo "skip $c ${text#skip: }" ;;
	*) echo "not ok $c $(echo "$text" | tail -n 3 | tr '\n' ' ') $(head -c 200 err 2>/dev/null | tr '\n' ' ')" ;;
	esac
done
