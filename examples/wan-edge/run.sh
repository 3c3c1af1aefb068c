#!/usr/bin/env bash
# A shop behind a switch that translates its addresses to the world, and not to the
# office. Shows who reaches whom, by which rule or why not, and who the other end
# sees. Needs root and nothing else; cleans up, also when interrupted.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
bin=${BIN:-$here/../../bin}
work=$(mktemp -d /tmp/bulkhead-edge.XXXXXX)
spaces=(bhw-web bhw-db bhw-router bhw-office bhw-world)
daemon=""
failures=0

[ "$(id -u)" = 0 ] || { echo "run.sh: needs root, for network namespaces and devices" >&2; exit 1; }

# empty ends what runs in the namespaces, and removes them.
empty() {
	local space
	for space in "${spaces[@]}"; do
		if ip netns pids "$space" >/dev/null 2>&1; then
			ip netns pids "$space" | xargs -r kill -9 2>/dev/null || true
		fi
	done
	for space in "${spaces[@]}"; do ip netns del "$space" 2>/dev/null || true; done
}

# sweep removes what a demo left that was killed: its daemon would open its
# ports again in the namespaces that we are about to make. Who holds the lock
# beside a control socket is that socket's daemon.
sweep() {
	local old pid
	for old in /tmp/bulkhead-edge.*; do
		[ "$old" != "$work" ] && [ -d "$old" ] || continue
		pid=$(cat "$old/pid" 2>/dev/null || true)
		if [ -n "$pid" ] && grep -qs run.sh "/proc/$pid/cmdline"; then
			echo "run.sh: another demo is running (pid $pid), with the same namespaces; wait for it" >&2
			rm -rf "$work"
			exit 1
		fi
		if [ -e "$old/vswitchd.sock.lock" ] && ! flock -n "$old/vswitchd.sock.lock" true; then
			pid=$(cat "$old/vswitchd.sock.lock")
			kill "$pid" 2>/dev/null || true
			flock -w 5 "$old/vswitchd.sock.lock" true || kill -9 "$pid" 2>/dev/null || true
		fi
		rm -rf "$old"
	done
	empty
}
sweep
echo $$ >"$work/pid"

cleanup() {
	trap - EXIT INT TERM
	if [ -n "$daemon" ]; then
		kill "$daemon" 2>/dev/null || true
		wait "$daemon" 2>/dev/null || true
	fi
	empty
	rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
vsctl() { "$bin/vsctl" --socket "$work/vswitchd.sock" "$@"; }

# --- the networks ------------------------------------------------------------
say "1. Compile the policy (its own tests run with it)"
cp "$here/policy.toml" "$here/bulkhead.toml" "$work/"
"$bin/policyc" build "$work/policy.toml" -o "$work/policy.bhp"

say "2. Make the namespaces, the router's links, start the switch"
for space in "${spaces[@]}"; do
	ip netns add "$space"
	ip -n "$space" link set lo up
done
inside() { local space=$1; shift; ip netns exec "$space" "$@"; }
join() { # NAMESPACE IPV4 IPV6 ROUTER-IPV4 ROUTER-IPV6 MTU: a network behind the router
	local name=${1#bhw-}
	ip link add eth0 netns "$1" type veth peer name "$name" netns bhw-router
	ip -n "$1" addr add "$2/24" dev eth0
	ip -n "$1" addr add "$3/64" dev eth0 nodad
	ip -n bhw-router addr add "$4/24" dev "$name"
	ip -n bhw-router addr add "$5/64" dev "$name" nodad
	ip -n bhw-router link set "$name" mtu "$6" up
	ip -n "$1" link set eth0 up
}
join bhw-office 172.20.0.9 fd20::9 172.20.0.1 fd20::1 1500
join bhw-world 198.51.100.9 2001:db8:9::9 198.51.100.1 2001:db8:9::1 1300
inside bhw-router sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
# The office knows the shop's own addresses; the world knows those outside alone.
ip -n bhw-office route add 10.79.0.0/16 via 172.20.0.1
ip -n bhw-office route add fd79::/16 via fd20::1
ip -n bhw-world route add 203.0.113.0/24 via 198.51.100.1
ip -n bhw-world route add 2001:db8:f::/64 via 2001:db8:9::1
"$bin/vswitchd" run -c "$work/bulkhead.toml" 2>"$work/log" &
daemon=$!
for _ in $(seq 100); do
	vsctl status >/dev/null 2>&1 && break
	kill -0 "$daemon" 2>/dev/null || { cat "$work/log" >&2; exit 1; }
	sleep 0.1
done
# The router sends what is for the shop, by either name, to the switch's gateway.
for prefix in 10.79.0.0/16 203.0.113.0/24; do ip -n bhw-router route add "$prefix" via 192.0.2.1; done
for prefix in fd79::/16 2001:db8:f::/64; do ip -n bhw-router route add "$prefix" via 2001:db8:e::1; done
vsctl status | grep -E '^(policy|ports|sessions|address)'

# --- servers -----------------------------------------------------------------
serve() { # NAMESPACE PORT: it notes who connects
	inside "$1" nc -lkv4n "$2" >/dev/null 2>>"$work/$1" </dev/null & disown
	inside "$1" nc -lkv6n "$2" >/dev/null 2>>"$work/$1" </dev/null & disown
}
serve bhw-world 443
serve bhw-web 8443
serve bhw-db 5432
for _ in $(seq 50); do # until the router has made sure of its address on each of its three links
	[ "$(ip -n bhw-router -6 addr show scope link -tentative | grep -c fe80)" = 3 ] && break
	sleep 0.1
done
sleep 0.3

# --- who reaches whom --------------------------------------------------------
connects() { # NAMESPACE ADDRESS PORT
	inside "$1" nc -zn -w 1 "$2" "$3" >/dev/null 2>&1 && echo yes || echo no
}
seen() { # NAMESPACE: who connected last
	sed -n 's/^Connection received on \([^ ]*\).*/\1/p' "$work/$1" 2>/dev/null | tail -1
}
wrong() { failures=$((failures + 1)); }
row() { # FROM SERVER ADDRESS PORT EXPECTED SEEN-AS
	local got who=- mark=ok
	: >"$work/bhw-$2"
	got=$(connects "bhw-$1" "$3" "$4")
	if [ "$got" = yes ]; then sleep 0.1; who=$(seen "bhw-$2"); fi
	if [ "$got" != "$5" ] || [ "$who" != "$6" ]; then mark=WRONG; wrong; fi
	printf '%-7s %-6s %-16s %-5s %-4s %-15s %s\n' "$1" "$2" "$3" "$4" "$got" "$who" "$mark"
}
say "3. Who reaches whom, and who the other end sees: real TCP connections"
printf '%-7s %-6s %-16s %-5s %-4s %-15s\n' FROM TO AT PORT "" "SEEN AS"
row web world 198.51.100.9 443 yes 203.0.113.7
row web world 2001:db8:9::9 443 yes 2001:db8:f::7
row db world 198.51.100.9 443 no -
row db world 2001:db8:9::9 443 no -
row world web 203.0.113.7 443 yes 198.51.100.9
row world web 2001:db8:f::7 443 yes 2001:db8:9::9
row world db 203.0.113.7 5432 no -
row world web 10.79.1.10 8443 no -
row office db 10.79.1.20 5432 yes 172.20.0.9
row office db fd79:1::20 5432 yes fd20::9
row office web 10.79.1.10 8443 yes 172.20.0.9
row db web 203.0.113.7 443 yes 10.79.1.20
row db web 2001:db8:f::7 443 yes fd79:1::20
vsctl trace --port web --to 198.51.100.9 --tcp 443 --summary
for to in 198.51.100.9 2001:db8:9::9; do
	inside bhw-web ping -n -c 1 -W 1 "$to" | sed -n 's/^[0-9]* bytes from/echo from/p' | grep . || { echo "WRONG: no echo from $to"; wrong; }
done

# --- path MTU ----------------------------------------------------------------
say "4. A link of 1300 bytes behind the router: its messages reach who sent too much"
head -c 2000000 /dev/zero >"$work/sent"
for to in 198.51.100.9 2001:db8:9::9; do
	inside bhw-world timeout 10 nc -ln "$to" 444 >"$work/received" </dev/null & receiver=$!
	sleep 0.2
	inside bhw-web timeout 10 nc -nN "$to" 444 <"$work/sent" >/dev/null 2>&1 || true
	wait "$receiver" || true
	printf '%-16s %s of 2000000 bytes arrived; path MTU known to web: %s\n' "$to" "$(wc -c <"$work/received")" \
		"$(ip -n bhw-web route get "$to" | grep -o 'mtu [0-9]*' || echo none)"
	cmp -s "$work/sent" "$work/received" || { echo "WRONG: not all of it"; wrong; }
done

# --- bounds ------------------------------------------------------------------
say "5. What is translated now, and how much may be"
vsctl status | grep -E '^(sessions|address)'
vsctl sessions --limit 6 | awk 'NF > 9 {printf "%-7s %-26s %-26s %-24s %s\n", $1, $2, $3, $4, $6}'

# --- speed -------------------------------------------------------------------
say "6. TCP throughput web -> world, translated, policy on"
inside bhw-world ip link set eth0 mtu 1500
ip -n bhw-router link set world mtu 1500
ip netns pids bhw-world | xargs -r kill
sleep 0.2
inside bhw-world iperf3 -s -1 -p 443 >/dev/null 2>&1 & disown
sleep 0.3
inside bhw-web iperf3 -c 198.51.100.9 -p 443 -t 2 -f g | awk '/receiver/ {print "   " $7, $8}'

say "7. What the switch dropped, by port and reason"
vsctl counters

if [ "$failures" -ne 0 ]; then
	say "$failures of the expectations above were not met"
	exit 1
fi
say "Every connection was allowed or denied, and translated, as policy and configuration say."
