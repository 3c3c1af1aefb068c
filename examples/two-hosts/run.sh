#!/usr/bin/env bash
# Two hosts with a switch each, joined by an underlay; frames between them go in
# VXLAN. Shows who reaches whom across the hosts, by which rule or why not; then
# the database moves from one host to the other, and nothing is recompiled.
# Needs root and nothing else; cleans up, also when interrupted.
set -euo pipefail

example=hosts
spaces=(bh2-east bh2-west bh2-web bh2-db bh2-intruder bh2-spare)
. "$(dirname "$0")/../lib.sh"

east() { "$bin/vsctl" --socket "$work/east.sock" "$@"; }
west() { "$bin/vsctl" --socket "$work/west.sock" "$@"; }

# --- the hosts ---------------------------------------------------------------
say "1. Compile the policy: once, for both hosts"
cp "$here"/*.toml "$work/"
"$bin/policyc" build "$work/policy.toml" -o "$work/policy.bhp"

say "2. Make the hosts and the underlay, start a switch on each"
namespaces
ip link add bh2-under-e netns bh2-east type veth peer name bh2-under-w netns bh2-west
for host in east west; do
	# The host's network, but not its /sys: what the switch pins there is to
	# outlive it.
	up "$work/$host.log" "$host" nsenter --net="/run/netns/bh2-$host" "$bin/vswitchd" run -c "$work/$host.toml"
	printf '%s: ' "$host"
	"$host" status | sed -n "s|^policy  *||p"
done

# --- servers -----------------------------------------------------------------
serve bh2-web 5432
serve bh2-db 5432
serve bh2-db 23
for _ in $(seq 50); do # until the underlay has a carrier and the hosts have met
	ip netns exec bh2-web ping -c 1 -W 0.2 10.78.2.20 >/dev/null 2>&1 && break
done

# --- who reaches whom --------------------------------------------------------
declare -A v4=([web]=10.78.1.10 [db]=10.78.2.20) v6=([web]=fd78:1::10 [db]=fd78:2::20)
declare -A at=([web]=east [db]=west [intruder]=west)

connects() { # NAMESPACE IPV4 IPV6 PORT: yes or no for each, tried at once
	local six
	ip netns exec "$1" nc -z -w 1 "$3" "$4" >/dev/null 2>&1 &
	six=$!
	ip netns exec "$1" nc -z -w 1 "$2" "$4" >/dev/null 2>&1 && printf 'yes ' || printf 'no '
	wait "$six" && echo yes || echo no
}
heading() { printf '%-9s %-5s %-4s %-5s %-5s %-5s %-6s %s\n' FROM AT TO PORT IPv4 IPv6 "" "BY WHICH RULE, OR WHY NOT"; }
row() { # FROM NAMESPACE SWITCH-PORT TO PORT EXPECTED
	local four six mark=ok
	read -r four six < <(connects "$2" "${v4[$4]}" "${v6[$4]}" "$5")
	if [ "$four" != "$6" ] || [ "$six" != "$6" ]; then mark=WRONG; miss; fi
	printf '%-9s %-5s %-4s %-5s %-5s %-5s %-6s %s\n' "$1" "${at[$1]}" "$4" "$5" "$four" "$six" "$mark" \
		"$("${at[$1]}" trace --port "$3" --to "${v4[$4]}" --tcp "$5" --summary)"
}

say "3. Who reaches whom across the hosts: real TCP connections, IPv4 and IPv6"
heading
row web bh2-web web db 5432 yes
row web bh2-web web db 23 no
row db bh2-db db web 5432 no
row intruder bh2-intruder intruder web 5432 no
row intruder bh2-intruder intruder db 5432 no

# --- move --------------------------------------------------------------------
say "4. The database moves from west to east: nothing is recompiled"
before=$(sha256sum <"$work/policy.bhp")
ip -n bh2-db link set eth0 down
ip -n bh2-spare link set eth0 down
ip -n bh2-spare link set eth0 address 02:78:02:00:00:14
ip -n bh2-spare link set eth0 up
ip -n bh2-spare addr add 10.78.2.20/24 dev eth0
ip -n bh2-spare addr add fd78:2::20/64 dev eth0 nodad
ip -n bh2-spare route add default via 10.78.2.1
ip -n bh2-spare -6 route add default via fd78:2::1
serve bh2-spare 5432
serve bh2-spare 23
sleep 0.3
east endpoint move db --to-port spare
west endpoint move db --to-peer east
at[db]=east
printf 'policy file unchanged: %s\n' "$([ "$before" = "$(sha256sum <"$work/policy.bhp")" ] && echo yes || echo NO)"
heading
row web bh2-web web db 5432 yes
row web bh2-web web db 23 no
row db bh2-spare spare web 5432 no
row intruder bh2-intruder intruder db 5432 no

# --- away and back -----------------------------------------------------------
say "5. The database is taken away, and added again, on both hosts"
east endpoint del db
west endpoint del db
heading
row web bh2-web web db 5432 no
labels=app=shop,tier=db
east endpoint add db --port spare --mac 02:78:02:00:00:14 --ip 10.78.2.20 --ip fd78:2::20 --label "$labels"
west endpoint add db --peer east --segment back --mac 02:78:02:00:00:14 --ip 10.78.2.20 --ip fd78:2::20 --label "$labels"
heading
row web bh2-web web db 5432 yes
row intruder bh2-intruder intruder db 5432 no

# --- speed -------------------------------------------------------------------
say "6. TCP throughput between the hosts, in VXLAN, policy on at both"
east endpoint move db --to-peer west
west endpoint move db --to-port db
ip -n bh2-spare link set eth0 down
ip -n bh2-db link set eth0 up
ip -n bh2-db route add default via 10.78.2.1
ip netns pids bh2-db | xargs -r kill # the servers of step 2 hold the port
sleep 0.2
ip netns exec bh2-db iperf3 -s -1 -p 5432 >/dev/null 2>&1 & disown
sleep 0.3
ip netns exec bh2-web iperf3 -c 10.78.2.20 -p 5432 -t 2 -f g | awk '/receiver/ {print "   " $7, $8}'

say "7. What the switches dropped, by port and reason"
for host in east west; do
	echo "$host:"
	"$host" counters
done

end "Every connection was allowed or denied as the policy says."
