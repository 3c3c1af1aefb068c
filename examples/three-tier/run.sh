#!/usr/bin/env bash
# A three-tier application on one host: containers (network namespaces) web,
# api, db and an intruder, behind one switch. Shows who reaches whom, by which
# rule or why not; then moves the database, then revokes a rule under an open
# connection. Needs root and nothing else; cleans up, also when interrupted.
set -euo pipefail

example=demo
spaces=(bh-web bh-api bh-db bh-intruder bh-spare)
. "$(dirname "$0")/../lib.sh"

vsctl() { "$bin/vsctl" --socket "$work/vswitchd.sock" "$@"; }

# --- the hosts ---------------------------------------------------------------
say "1. Compile the policy (its own tests run with it)"
cp "$here/policy.toml" "$here/bulkhead.toml" "$work/"
"$bin/policyc" build "$work/policy.toml" -o "$work/policy.bhp"

say "2. Make the namespaces, start the switch"
namespaces
up "$work/log" vsctl "$bin/vswitchd" run -c "$work/bulkhead.toml"
vsctl status

# --- servers -----------------------------------------------------------------
serve bh-api 8080
serve bh-db 5432
serve bh-db 23
sleep 0.3

# --- who reaches whom --------------------------------------------------------
declare -A v4=([web]=10.77.1.10 [api]=10.77.2.10 [db]=10.77.2.20 [intruder]=10.77.2.99)
declare -A v6=([web]=fd77:1::10 [api]=fd77:2::10 [db]=fd77:2::20 [intruder]=fd77:2::99)

connects() { # FROM ADDRESS PORT
	ip netns exec "bh-$1" nc -z -w 1 "$2" "$3" >/dev/null 2>&1 && echo yes || echo no
}
because() { # FROM ADDRESS PORT: the rule, or the reason and the nearest rule
	vsctl trace --port "$1" --to "$2" --tcp "$3" --summary
}
row() { # FROM TO PORT EXPECTED
	local four six
	four=$(connects "$1" "${v4[$2]}" "$3")
	six=$(connects "$1" "${v6[$2]}" "$3")
	local mark=ok
	if [ "$four" != "$4" ] || [ "$six" != "$4" ]; then mark=WRONG; miss; fi
	printf '%-9s %-4s %-5s %-5s %-5s %-6s %s\n' "$1" "$2" "$3" "$four" "$six" "$mark" "$(because "$1" "${v4[$2]}" "$3")"
}

say "3. Who reaches whom: real TCP connections, IPv4 and IPv6"
printf '%-9s %-4s %-5s %-5s %-5s %-6s %s\n' FROM TO PORT IPv4 IPv6 "" "BY WHICH RULE, OR WHY NOT"
row web api 8080 yes
row api db 5432 yes
row web db 5432 no
row api db 23 no
row db api 8080 no
row intruder api 8080 no
row intruder db 5432 no

# --- move --------------------------------------------------------------------
say "4. Move the database to another port: nothing is recompiled"
mac=$(ip netns exec bh-db cat /sys/class/net/eth0/address)
ip -n bh-db link set eth0 down
ip -n bh-spare link set eth0 down
ip -n bh-spare link set eth0 address "$mac"
ip -n bh-spare link set eth0 up
ip -n bh-spare addr add 10.77.2.20/24 dev eth0
ip -n bh-spare addr add fd77:2::20/64 dev eth0 nodad
ip -n bh-spare route add default via 10.77.2.1
ip -n bh-spare -6 route add default via fd77:2::1
serve bh-spare 5432
sleep 0.3
before=$(sha256sum <"$work/policy.bhp")
vsctl endpoint move db --to-port spare
printf 'policy file unchanged: %s\n' "$([ "$before" = "$(sha256sum <"$work/policy.bhp")" ] && echo yes || echo NO)"
row api db 5432 yes
row intruder db 5432 no

# --- revoke ------------------------------------------------------------------
say "5. Revoke api-to-db under an open connection: it is cut at its next packet"
ip netns exec bh-spare nc -l4 5433 </dev/null >"$work/received" & disown
cat >"$work/open.toml" <<'TOML'
version = 1
[services.api]
labels = { app = "shop", tier = "api" }
[services.db]
labels = { app = "shop", tier = "db" }
[[rules]]
name = "api-to-db"
allow = { from = ["api"], to = ["db"], ports = ["tcp/5432-5433"] }
TOML
sed 's/5432-5433/5432/' "$work/open.toml" >"$work/revoked.toml"
"$bin/policyc" build "$work/open.toml" -o "$work/open.bhp" >/dev/null
"$bin/policyc" build "$work/revoked.toml" -o "$work/revoked.bhp" >/dev/null
vsctl policy load "$work/open.bhp" >/dev/null
sleep 0.2
(for i in $(seq 1 40); do echo "line $i"; sleep 0.1; done) |
	ip netns exec bh-api timeout 5 nc -4 10.77.2.20 5433 >/dev/null 2>&1 & disown
sleep 1.5
got=$(wc -l <"$work/received")
vsctl policy load "$work/revoked.bhp" >/dev/null
sleep 0.1
at=$(wc -l <"$work/received")
sleep 1.5
after=$(wc -l <"$work/received")
printf 'lines received: %s before, %s at the revocation, %s after 1.5 s more\n' "$got" "$at" "$after"
if [ "$got" -lt 3 ] || [ "$after" != "$at" ]; then
	echo "WRONG: the connection was not cut"
	miss
fi
vsctl policy load "$work/policy.bhp" >/dev/null

# --- speed -------------------------------------------------------------------
say "6. TCP throughput api -> db through the switch, policy on"
ip netns pids bh-spare | xargs -r kill # the servers of step 4 hold the port
sleep 0.2
ip netns exec bh-spare iperf3 -s -1 -p 5432 >/dev/null 2>&1 & disown
sleep 0.3
ip netns exec bh-api iperf3 -c 10.77.2.20 -p 5432 -t 3 -f g | awk '/receiver/ {print "   " $7, $8}'

say "7. What the switch dropped, by port and reason"
vsctl counters

end "Every connection was allowed or denied as the policy says."
