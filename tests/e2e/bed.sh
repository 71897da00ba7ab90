#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# The bed itself: status, streams, root and scratch folder, KVM, a forwarded
# port, a terminal. One run of the bed does most of it, as each costs seconds.

cd "$(dirname "$0")/../.." || exit 2
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export BED_SCRATCH=$scratch
mark=/tmp/inside-mark-$$
bed="tests/bed/bed --timeout 120"

ok() { echo "ok $1"; }
is() { # NAME GOT WANTED
	if [ "$2" = "$3" ]; then
		ok "$1"
	else
		echo "not ok $1 got '$2', not '$3'" | tr '\n' ' '
		echo
	fi
}

free_port() {
	python3 -c 'import socket; s = socket.socket()
s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# what the command inside finds; one "name value" a line
cat >"$scratch/inside.sh" <<'EOS'
say() { echo "$*" >>"$BED_SCRATCH/found"; }
say folder "$PWD"
say user "$(id -u)"
say given "$GIVEN"
say input "$(cat)"
touch /etc/bed-was-here 2>/dev/null && say root written || say root read-only
echo inside >"$MARK" && say tmp "$(cat "$MARK")"
say kvm "$(python3 -c 'import fcntl
print(fcntl.ioctl(open("/dev/kvm", "rb+", 0), 0xAE00))')"
say flags "$(grep -wo svm /proc/cpuinfo | head -n 1)"
say tolerance "$(cat /sys/module/kvm/parameters/tsc_tolerance_ppm)"
say socket "$(python3 -c 'import socket
s = socket.socket(socket.AF_UNIX); s.bind("/run/s"); print("bound")')"
say modprobe "$(modprobe tun && echo loaded)"
echo to-stdout
echo to-stderr >&2
exit 42
EOS

found() { sed -n "s/^$1 //p" "$scratch/found"; }

echo some input | $bed --env GIVEN='a b' --env "MARK=$mark" sh "$scratch/inside.sh" \
	>"$scratch/out" 2>"$scratch/err"
status=$?
if [ $status = 77 ]; then
	cat "$scratch/err"
	exit 77
fi
is exit_status_comes_back $status 42
is stdout_is_clean "$(cat "$scratch/out")" to-stdout
is stderr_is_apart "$(cat "$scratch/err")" to-stderr
is stdin_goes_in "$(found input)" "some input"
is folder_is_kept "$(found folder)" "$PWD"
is command_is_root "$(found user)" 0
is env_is_given "$(found given)" "a b"
is root_is_read_only "$(found root)" read-only
is tmp_is_writable_inside "$(found tmp)" inside
is tmp_is_untouched_outside "$(ls "$mark" 2>/dev/null)" ""
is kvm_answers_api_12 "$(found kvm)" 12
is kvm_takes_what_the_tsc_was_measured_as "$(found tolerance)" 100000
is cpu_has_svm "$(found flags)" svm
is unix_socket_binds_in_run "$(found socket)" bound
is modules_load "$(found modprobe)" loaded

# a port, and a signal that goes to the command
port=$(free_port)
$bed --forward "$port:5901" python3 -c '
import signal, socket, sys
signal.signal(signal.SIGTERM, lambda *a: sys.exit(9))
s = socket.socket()
s.bind(("127.0.0.1", 5901))
s.listen()
while True:
    c, _ = s.accept()
    c.sendall(b"hello " + c.recv(100))
    c.close()' 2>"$scratch/err" &
pid=$!
answer=$(python3 -c '
import socket, sys, time
for i in range(600):
    try:
        c = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
        c.sendall(b"viewer")
        data = c.recv(100)
        if data:
            print(data.decode())
            break
    except OSError:
        pass
    time.sleep(0.1)' "$port")
is forwarded_port_reaches_loopback "$answer" "hello viewer"
kill -TERM $pid
wait $pid
is signal_reaches_the_command $? 9

# a port that is taken is told before anything starts
coproc { exec python3 -c 'import socket, time; s = socket.socket()
s.bind(("127.0.0.1", 0)); s.listen(); print(s.getsockname()[1], flush=True)
time.sleep(600)'; }
holder=$!
read -r taken <&"${COPROC[0]}"
is busy_port_is_told "$($bed --forward "$taken" true 2>&1)" \
	"bed: cannot forward port $taken: Address already in use"
kill $holder

$bed --timeout 6 sleep 60 2>"$scratch/err"
is timeout_is_124 $? 124

# a terminal with a size that changes, and ^C
python3 - "$scratch" >"$scratch/tty" 2>&1 <<'EOP'
import fcntl, os, pty, select, struct, sys, termios, time
def size(fd, rows, cols):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))
pid, fd = pty.fork()
if not pid:
    size(0, 33, 99)
    os.environ["TERM"] = "xterm-256color"
    os.execv("tests/bed/bed", ["bed", "--timeout", "120", "bash", "-c",
        "trap 'stty size; echo B' WINCH;"
        "trap 'echo; echo interrupted; exit 5' INT;"
        "stty size; echo term $TERM; echo A; while :; do sleep 0.1; done"])
text = b""
def until(mark):
    global text
    end = time.time() + 100
    while mark not in text and time.time() < end:
        if select.select([fd], [], [], 1)[0]:
            try:
                text += os.read(fd, 4096)
            except OSError:
                break
until(b"A\r\n")
size(fd, 20, 70)
until(b"B\r\n")
os.write(fd, b"\x03")
until(b"interrupted")
status = os.waitpid(pid, 0)[1]
lines = text.decode().split("\r\n")
print("first", lines[0])
print("term", next((l[5:] for l in lines if l.startswith("term ")), ""))
print("second", "20 70" if "20 70" in lines else text)
print("status", os.waitstatus_to_exitcode(status))
EOP
tty_found() { sed -n "s/^$1 //p" "$scratch/tty"; }
is terminal_has_our_size "$(tty_found first)" "33 99"
is terminal_has_our_type "$(tty_found term)" xterm-256color
is terminal_follows_a_resize "$(tty_found second)" "20 70"
is interrupt_key_goes_to_the_command "$(tty_found status)" 5

# two at once
$bed sh -c 'echo one' >"$scratch/one" 2>&1 &
pid=$!
$bed sh -c 'echo two' >"$scratch/two" 2>&1
wait $pid
is two_run_at_once "$(cat "$scratch/one" "$scratch/two")" "one
two"

# a QEMU of ours has the scratch folder among its words
left_over() {
	local pid
	for pid in /proc/[0-9]*; do
		[[ $(readlink "$pid/exe") == *qemu* ]] &&
			grep -qs -- "$scratch" "$pid/cmdline" && echo "$pid"
	done
}
for _ in {1..50}; do
	[ -z "$(left_over)" ] && break
	sleep 0.1
done
is nothing_is_left_running "$(left_over)" ""
