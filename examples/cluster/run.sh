#!/usr/bin/env bash
# Three hosts that know of each other by etcd alone, a switch and an agent on each.
# Shows the mesh, a database that moves with its connections open, a host that is
# killed, one that is cut off, and a store that is away: what that changes, and what
# it does not. Needs root and nothing else; cleans up, also when interrupted.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
bin=${BIN:-$here/../../bin}
work=$(mktemp -d /tmp/bulkhead-cluster.XXXXXX)
spaces=(bh3-h1 bh3-h2 bh3-h3 bh3-under bh3-w1 bh3-w2 bh3-w3 bh3-db)
declare -A daemon=() agent=()
failures=0

[ "$(id -u)" = 0 ] || { echo "run.sh: needs root, for network namespaces and devices" >&2; exit 1; }

# empty ends what runs in the namespaces, waits for it, and removes them.
empty() {
	local space pids
	for space in "${spaces[@]}"; do
		for _ in $(seq 50); do
			pids=$(ip netns pids "$space" 2>/dev/null || true)
			[ -n "$pids" ] || break
			kill -9 $pids 2>/dev/null || true
			sleep 0.05
		done
	done
	for space in "${spaces[@]}"; do ip netns del "$space" 2>/dev/null || true; done
}

# sweep removes what a run left that was killed. Its switches and agents run in the
# hosts' namespaces, and write into its directory until they are ended.
sweep() {
	local old pid left=()
	for old in /tmp/bulkhead-cluster.*; do
		[ "$old" != "$work" ] && [ -d "$old" ] || continue
		left+=("$old")
		pid=$(cat "$old/pid" 2>/dev/null || true)
		if [ -n "$pid" ] && grep -qs run.sh "/proc/$pid/cmdline"; then
			echo "run.sh: another one is running (pid $pid), with the same namespaces; wait for it" >&2
			rm -rf "$work"
			exit 1
		fi
	done
	empty
	rm -rf "${left[@]}"
}
sweep
echo $$ >"$work/pid"

cleanup() {
	trap - EXIT INT TERM
	local pid
	for pid in "${agent[@]}" "${daemon[@]}"; do
		kill "$pid" 2>/dev/null || true
		wait "$pid" 2>/dev/null || true
	done
	empty
	rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
on() { local host=$1; shift; "$bin/vsctl" --socket "$work/$host/s.sock" "$@"; }
admin() { nsenter --net=/run/netns/bh3-h3 "$bin/vswitch-agent" --store http://192.0.2.3:2379,http://192.0.2.2:2379 "$@"; }

# check WHAT COMMAND... says whether something is so, and counts what is not.
check() {
	local what=$1; shift
	if "$@" >/dev/null 2>&1; then printf '   %-66s ok\n' "$what"; else
		printf '   %-66s WRONG\n' "$what"; failures=$((failures + 1)); fi
}
not() { ! "$@"; }
# until COMMAND... waits at most 30 s, and says how long it took.
within() {
	local what=$1 begun=$(date +%s%N); shift
	for _ in $(seq 600); do
		if "$@" >/dev/null 2>&1; then
			printf '   %-66s %d ms\n' "$what" $((($(date +%s%N) - begun) / 1000000))
			return
		fi
		sleep 0.05
	done
	printf '   %-66s WRONG: not in 30 s\n' "$what"
	failures=$((failures + 1))
}

begin() { # HOST
	nsenter --net="/run/netns/bh3-$1" "$bin/vswitchd" run -c "$work/$1/bulkhead.toml" 2>>"$work/$1/switch.log" &
	daemon[$1]=$!
	for _ in $(seq 100); do
		on "$1" status >/dev/null 2>&1 && return
		kill -0 "${daemon[$1]}" 2>/dev/null || { cat "$work/$1/switch.log" >&2; exit 1; }
		sleep 0.1
	done
}
join() { # HOST
	local n=${1#h}
	nsenter --net="/run/netns/bh3-$1" "$bin/vswitch-agent" run --host "$1" --socket "$work/$1/s.sock" --dir "$work/$1/agent" --ttl 3s \
		--embedded-store --store-client "http://192.0.2.$n:2379" --store-peer "http://192.0.2.$n:2380" \
		--store-members h1=http://192.0.2.1:2380,h2=http://192.0.2.2:2380,h3=http://192.0.2.3:2380 2>>"$work/$1/agent.log" &
	agent[$1]=$!
}

# --- the hosts ---------------------------------------------------------------
say "1. Compile the policy, and sign it"
"$bin/policyc" build "$here/policy.toml" -o "$work/policy.bhp" --generation 1
"$bin/policyc" keygen "$work/key" >/dev/null
"$bin/policyc" sign "$work/policy.bhp" --key "$work/key"

say "2. Make three hosts on an underlay, a switch and an agent on each"
for space in "${spaces[@]}"; do
	ip netns add "$space"
	ip -n "$space" link set lo up
done
ip -n bh3-under link add br0 type bridge
ip -n bh3-under link set br0 up
for n in 1 2 3; do
	ip link add "bh3-u$n" netns bh3-under type veth peer name under netns "bh3-h$n"
	ip -n bh3-under link set "bh3-u$n" master br0 up
	ip -n "bh3-h$n" addr add "192.0.2.$n/24" dev under
	ip -n "bh3-h$n" link set under up
	mkdir -p "$work/h$n/agent"
	cp "$here/h$n.toml" "$work/h$n/bulkhead.toml"
	cp "$work/key.pub" "$work/h$n/"
done
for n in 1 2 3; do begin "h$n"; join "h$n"; done
for _ in $(seq 100); do admin init >/dev/null 2>&1 && break; sleep 0.2; done
admin init
admin segment front --vni 7801 --gateway 10.79.1.1/24 --gateway fd79:1::1/64
admin segment back --vni 7802 --gateway 10.79.2.1/24 --gateway fd79:2::1/64
admin policy "$work/policy.bhp"

say "3. Full mesh: ping and TCP, IPv4 and IPv6"
declare -A v4=([w1]=10.79.1.11 [w2]=10.79.1.12 [w3]=10.79.1.13 [db]=10.79.2.20) v6=([w1]=fd79:1::11 [w2]=fd79:1::12 [w3]=fd79:1::13 [db]=fd79:2::20)
for w in w1 w2 w3 db; do
	ip netns exec "bh3-$w" nc -lk4 7001 >/dev/null 2>&1 </dev/null & disown
	ip netns exec "bh3-$w" nc -lk6 7001 >/dev/null 2>&1 </dev/null & disown
done
ip netns exec bh3-db sh -c "exec nc -l4 7000 >'$work/received' 2>/dev/null" & disown
pings() { ip netns exec "bh3-$1" ping -c 1 -W 1 "$2"; }
connects() { ip netns exec "bh3-$1" nc -z -w 2 "$2" "$3"; }
reaches() { # FROM TO: all four ways
	pings "$1" "${v4[$2]}" && pings "$1" "${v6[$2]}" && connects "$1" "${v4[$2]}" 7001 && connects "$1" "${v6[$2]}" 7001
}
everywhere() { for h in "$@"; do [ "$(on "$h" endpoints | grep -cE '^(w1|w2|w3|db) ')" = 4 ] || return 1; done; }
mesh() { # HOSTS' WORKLOADS...
	local from to
	for from in "$@"; do for to in "$@"; do
		[ "$from" = "$to" ] || [ "$from" = db ] || check "$from reaches $to" reaches "$from" "$to"
	done; done
}
within "each host knows all four workloads" everywhere h1 h2 h3
within "the policy is in force on all" sh -c "for h in h1 h2 h3; do '$bin/vsctl' --socket '$work'/\$h/s.sock status | grep -q 'signed by' || exit 1; done"
within "the first ping is through" pings w3 "${v4[db]}"
mesh w1 w2 w3 db
check "no rule lets w1 reach w2 on tcp/7000" sh -c "'$bin/vsctl' --socket '$work/h1/s.sock' trace --port w1 --to ${v4[w2]} --tcp 7000 | grep -q no-rule"
check "h3 has no port in segment back, and routes into it" sh -c "! grep -q back '$work/h3/bulkhead.toml'"

# --- move --------------------------------------------------------------------
say "4. The database moves from h1 to h2, with a connection of w3 open"
ip netns exec bh3-w3 sh -c "i=0; while sleep 0.05; do i=\$((i + 1)); echo \$i; done | nc ${v4[db]} 7000" >/dev/null 2>&1 & disown
sleep 1
lines() { wc -l <"$work/received"; }
check "the connection carries data" test "$(lines)" -gt 5
ip netns exec bh3-w2 ping -i 0.05 -w 6 -D "${v4[db]}" >"$work/pings" 2>/dev/null & pinging=$!
on h2 endpoint move db --to-port spare
check "prepared, and still at h1" sh -c "'$bin/vsctl' --socket '$work/h3/s.sock' endpoints | grep '^db ' | grep -q h1"
# What a migration of a machine does in an instant: the workload's device is at h2 now.
ip -n bh3-db link set eth0 down
ip -n bh3-db addr flush dev eth0
ip -n bh3-db link set eth1 down
ip -n bh3-db link set eth1 address 02:79:02:00:00:14
ip -n bh3-db link set eth1 up
ip -n bh3-db addr add 10.79.2.20/24 dev eth1
ip -n bh3-db addr add fd79:2::20/64 dev eth1 nodad
ip -n bh3-db route add default via 10.79.2.1
ip -n bh3-db -6 route add default via fd79:2::1
admin place db h2
within "a ping reaches it at the new host" pings w3 "${v4[db]}"
moved=$(lines)
grown() { [ "$(lines)" -gt "$((moved + 10))" ]; }
within "the open connection goes on" grown
check "not a byte is missing or twice" sh -c "seq \$(wc -l <'$work/received') | cmp - '$work/received'"
check "every host has it at h2, and none at h1" sh -c "'$bin/vsctl' --socket '$work/h3/s.sock' endpoints | grep '^db ' | grep -q h2 && '$bin/vsctl' --socket '$work/h1/s.sock' endpoints | grep '^db ' | grep -q h2"
within "h1 says that it still has a port for it" sh -c "'$bin/vsctl' --socket '$work/h1/s.sock' status | grep -q 'endpoint db has gone to host h2'"
wait "$pinging" || true
awk -F'[][ =]+' '/icmp_seq/ { for (i = 1; i < NF; i++) if ($i == "icmp_seq") { s = $(i + 1); if (last && s > last + 1 && s - last > most) most = s - last; last = s } }
	END { printf "   from w2, at 20 pings a second, it did not answer for %d ms\n", (most > 0 ? most - 1 : 0) * 50 }' "$work/pings"

# --- a host dies ---------------------------------------------------------------
say "5. Host h1 is killed: switch and agent, by kill -9"
kill -9 "${agent[h1]}" "${daemon[h1]}"
wait "${agent[h1]}" "${daemon[h1]}" 2>/dev/null || true
mesh w2 w3 db
within "its lease runs out, and the others say so" sh -c "'$bin/vsctl' --socket '$work/h3/s.sock' status | grep -q 'host h1 is lost'"
check "nothing passes to it" not pings w3 "${v4[w1]}"
begin h1
# Its configuration still has the database's device; the database is not behind it.
ip -n bh3-db link set eth0 down
ip -n bh3-db addr flush dev eth0
ip -n bh3-db route replace default via 10.79.2.1 dev eth1
ip -n bh3-db -6 route replace default via fd79:2::1 dev eth1
join h1
within "it is back, and w1 reached" pings w3 "${v4[w1]}"
within "h1 knows that db is at h2" sh -c "'$bin/vsctl' --socket '$work/h1/s.sock' endpoints | grep '^db ' | grep -q h2"
ip netns exec bh3-w1 nc -lk4 7001 >/dev/null 2>&1 </dev/null & disown
ip netns exec bh3-w1 nc -lk6 7001 >/dev/null 2>&1 </dev/null & disown

# --- a host is cut off -----------------------------------------------------------
say "6. Host h3 is cut off from the others, and comes back"
ip -n bh3-under link set bh3-u3 down
within "its own status says that the store is away" sh -c "'$bin/vsctl' --socket '$work/h3/s.sock' status | grep -q 'ago stays in force'"
within "the others say that it is lost" sh -c "'$bin/vsctl' --socket '$work/h1/s.sock' status | grep -q 'host h3 is lost'"
mesh w1 w2 db
ip -n bh3-under link set bh3-u3 up
within "it is reached again" pings w1 "${v4[w3]}"
within "no host is lost any more" sh -c "! '$bin/vsctl' --socket '$work/h1/s.sock' status | grep -q 'is lost'"

# --- the store is away ---------------------------------------------------------
say "7. The store is away, on all hosts: nothing changes"
for n in 1 2 3; do
	ip netns exec "bh3-h$n" nft -f - <<-'RULES'
		table inet away {
			chain in { type filter hook input priority 0; tcp dport { 2379, 2380 } drop; tcp sport { 2379, 2380 } drop; }
		}
	RULES
done
within "every status says so" sh -c "for h in h1 h2 h3; do '$bin/vsctl' --socket '$work'/\$h/s.sock status | grep -q 'ago stays in force' || exit 1; done"
mesh w1 w2 w3 db
kill -9 "${agent[h2]}"
wait "${agent[h2]}" 2>/dev/null || true
check "an agent is killed, too: w1 reaches db" reaches w1 db
for n in 1 2 3; do ip netns exec "bh3-h$n" nft delete table inet away; done
join h2
within "the store is back" sh -c "for h in h1 h2 h3; do '$bin/vsctl' --socket '$work'/\$h/s.sock status -o json | grep -q '\"state\": \"current\"' || exit 1; done"
mesh w1 w2 w3 db

if [ "$failures" -ne 0 ]; then
	say "$failures of the expectations above were not met"
	[ -z "${KEEP_LOGS:-}" ] || tail -n 20 "$work"/h?/*.log
	exit 1
fi
say "All as it should be."
