# What the examples share. A script sets `example` to its name and, if it runs
# switches, `spaces` to its network namespaces, and sources this file.
#
#   here      the script's folder          bin       the commands
#   work      a folder that goes with the script; what a killed one left, goes first
#   failures  how many expectations were not met (`miss`), which `end` tells

here=$(cd "$(dirname "$0")" && pwd)
bin=${BIN:-$here/../../bin}
spaces=(${spaces[@]+"${spaces[@]}"})
daemons=()
failures=0

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
miss() { failures=$((failures + 1)); }

# end TEXT: the script's last line, if all was as expected.
end() {
	if [ "$failures" -ne 0 ]; then
		say "$failures of the expectations above were not met"
		exit 1
	fi
	say "$1"
}

# empty ends what runs in the namespaces, and removes them.
empty() {
	local space
	for space in ${spaces[@]+"${spaces[@]}"}; do
		if ip netns pids "$space" >/dev/null 2>&1; then
			ip netns pids "$space" | xargs -r kill -9 2>/dev/null || true
		fi
	done
	for space in ${spaces[@]+"${spaces[@]}"}; do ip netns del "$space" 2>/dev/null || true; done
}

# sweep removes what a script left that was killed: its daemon would open its
# ports again in the namespaces that we are about to make. Who holds the lock
# beside a control socket is that socket's daemon.
sweep() {
	local old lock pid
	for old in "/tmp/bulkhead-$example".*; do
		[ "$old" != "$work" ] && [ -d "$old" ] || continue
		pid=$(cat "$old/pid" 2>/dev/null || true)
		if [ -n "$pid" ] && grep -qs run.sh "/proc/$pid/cmdline"; then
			echo "run.sh: another one is running (pid $pid), with the same namespaces; wait for it" >&2
			rm -rf "$work"
			exit 1
		fi
		for lock in "$old"/*.sock.lock; do
			if [ -e "$lock" ] && ! flock -n "$lock" true; then
				pid=$(cat "$lock")
				kill "$pid" 2>/dev/null || true
				flock -w 5 "$lock" true || kill -9 "$pid" 2>/dev/null || true
			fi
		done
		rm -rf "$old"
	done
	empty
}

cleanup() {
	trap - EXIT INT TERM
	local daemon
	for daemon in ${daemons[@]+"${daemons[@]}"}; do
		kill "$daemon" 2>/dev/null || true
		wait "$daemon" 2>/dev/null || true
	done
	empty
	rm -rf "$work"
}

work=$(mktemp -d "/tmp/bulkhead-$example.XXXXXX")
if [ "${#spaces[@]}" -ne 0 ]; then
	[ "$(id -u)" = 0 ] || { rm -rf "$work"; echo "run.sh: needs root, for network namespaces and devices" >&2; exit 1; }
	sweep
	echo $$ >"$work/pid"
fi
trap cleanup EXIT
trap 'exit 130' INT TERM

# namespaces makes them all.
namespaces() {
	local space
	for space in "${spaces[@]}"; do
		ip netns add "$space"
		ip -n "$space" link set lo up
	done
}

# up LOG VSCTL COMMAND...: starts a switch in the background, and waits until the
# function VSCTL gets an answer from it.
up() {
	local log=$1 ask=$2
	"${@:3}" 2>"$log" &
	daemons+=($!)
	for _ in $(seq 100); do
		"$ask" status >/dev/null 2>&1 && return
		kill -0 "${daemons[-1]}" 2>/dev/null || { cat "$log" >&2; exit 1; }
		sleep 0.1
	done
}

# serve NAMESPACE PORT: somebody who takes every connection.
serve() {
	ip netns exec "$1" nc -lk4 "$2" >/dev/null 2>&1 </dev/null & disown
	ip netns exec "$1" nc -lk6 "$2" >/dev/null 2>&1 </dev/null & disown
}
