#!/usr/bin/env bash
# A host with our switch in a fabric of two leaves that run FRR, a Linux bridge and the
# kernel's VXLAN. Shows that each side learns the other's workloads by BGP EVPN, who
# reaches whom, a database that moves from one leaf to the other, somebody with an address
# that is not his, and an agent and a bgpd that are killed. Needs root; cleans up, also when interrupted.
set -euo pipefail

example=evpn
spaces=(bh4-host bh4-under bh4-leaf1 bh4-leaf2 bh4-web bh4-db bh4-print bh4-thief)
. "$(dirname "$0")/../lib.sh"
frr=/usr/lib/frr
[ -x "$frr/bgpd" ] || { echo "run.sh: needs FRR: apt-get install frr" >&2; exit 1; }

sw() { "$bin/vsctl" --socket "$work/s.sock" "$@"; }
leaf() { nsenter --net="/run/netns/bh4-$1" vtysh --vty_socket "$work/$1" -c "$2"; }

# within WHAT COMMAND... waits at most 30 s for something to be so; check: it is so now.
within() {
	local what=$1 begun=$(date +%s%N) end=$((SECONDS + 30)); shift
	while [ "$SECONDS" -lt "$end" ]; do
		if "$@" >/dev/null 2>&1; then
			printf '   %-62s %6d ms\n' "$what" $((($(date +%s%N) - begun) / 1000000))
			return
		fi
		sleep 0.1
	done
	printf '   %-62s WRONG\n' "$what"; miss
}
check() {
	local what=$1; shift
	if "$@" >/dev/null 2>&1; then printf '   %-62s ok\n' "$what"; else printf '   %-62s WRONG\n' "$what"; miss; more; fi
}
not() { ! "$@"; }
tcp() { ip netns exec "$1" nc -z -w 2 "$2" "$3"; }
is() { sw status -o json | tr -d ' \n' | grep -q "$1"; }
has() { sw endpoints -o json | tr -d ' \n' | grep -q "$1"; }

# serve is that of lib.sh, but a connection whose end is lost, as the database moves, does
# not hold it up for ever: nc takes one at a time and keeps two waiting, then none.
serve() { # NAMESPACE PORT
	ip netns exec "$1" nc -lk4 -w 1 "$2" >/dev/null 2>&1 </dev/null & disown
	ip netns exec "$1" nc -lk6 -w 1 "$2" >/dev/null 2>&1 </dev/null & disown
}

# more says what there is to be said of what is WRONG.
more() {
	sw endpoints || true
	sw counters || true
	ip netns exec bh4-db ss -tan || true
}

# --- the fabric --------------------------------------------------------------
# leaf NAME: a bridge with the kernel's VXLAN, which learns nothing by itself; zebra
# and bgpd fill it. The bridge has an address, so that the kernel learns whose
# addresses are whose; FRR says what it knows.
makeleaf() { # NAME NUMBER OTHER
	local space=bh4-$1 dir=$work/$1
	install -d -o frr -g frr "$dir" # FRR gives up root
	ip -n "$space" link add br0 address "02:79:01:00:01:$2" type bridge
	ip -n "$space" link add vx type vxlan id 7901 local "192.0.2.$2" dstport 4789 nolearning
	ip -n "$space" link set vx addrgenmode none
	ip -n "$space" link set vx master br0
	ip netns exec "$space" bridge link set dev vx neigh_suppress on learning off
	ip -n "$space" addr add "10.79.1.2$2/24" dev br0
	ip -n "$space" addr add "fd79:1::2$2/64" dev br0 nodad
	ip -n "$space" link set br0 up
	ip -n "$space" link set vx up
	sed "s/LEAF/$1/; s/OTHERAS/650$3/; s/AS$/650$2/; s/ADDRESS/192.0.2.$2/; s/OTHER/192.0.2.$3/; s/SECRET/swordfish/" "$here/leaf.conf" >"$dir/frr.conf"
	: >"$dir/zebra.conf"
	startfrr "$1" zebra zebra.conf
	for _ in $(seq 50); do [ -S "$dir/zserv.api" ] && break; sleep 0.1; done
	startfrr "$1" bgpd frr.conf
}
startfrr() { # LEAF DAEMON CONFIG
	nsenter --net="/run/netns/bh4-$1" "$frr/$2" -d -u frr -g frr -f "$work/$1/$3" -i "$work/$1/$2.pid" -z "$work/$1/zserv.api" \
		--vty_socket "$work/$1" --log "file:$work/$1/$2.log" -P 0 >"$work/$1/$2.out" 2>&1 || { cat "$work/$1/$2.out" >&2; return 1; }
}

# attach SPACE LEAF MAC IP IP6: a workload on a leaf's bridge.
attach() {
	ip link add "$1" netns "bh4-$2" type veth peer name eth0 netns "$1"
	ip -n "bh4-$2" link set "$1" addrgenmode none
	ip -n "bh4-$2" link set "$1" master br0 up
	ip -n "$1" link set eth0 address "$3"
	ip -n "$1" link set eth0 up
	ip -n "$1" addr add "$4/24" dev eth0
	ip -n "$1" addr add "$5/64" dev eth0 nodad
}
# greet SPACE NUMBER: the workload speaks with its leaf, as with a gateway.
greet() {
	ip netns exec "$1" ping -c 1 -W 1 "10.79.1.2$2" && ip netns exec "$1" ping -c 1 -W 1 "fd79:1::2$2"
}

say "1. Compile the policy"
chmod 711 "$work"
cp "$here"/*.toml "$work/"
echo swordfish >"$work/bgp.secret"
"$bin/policyc" build "$work/policy.toml" -o "$work/policy.bhp"

say "2. Make the underlay, two leaves with FRR, and the host"
namespaces
ip -n bh4-under link add br0 type bridge
ip -n bh4-under link set br0 up
n=0
for at in host=1 leaf1=11 leaf2=12; do
	ip link add under netns "bh4-${at%=*}" mtu 1600 type veth peer name "p$n" netns bh4-under
	ip -n bh4-under link set "p$n" mtu 1600 master br0 up
	ip -n "bh4-${at%=*}" link set under up
	ip -n "bh4-${at%=*}" addr add "192.0.2.${at#*=}/24" dev under
	n=$((n + 1))
done
makeleaf leaf1 11 12
makeleaf leaf2 12 11
attach bh4-db leaf1 02:79:01:00:00:14 10.79.1.20 fd79:1::20
attach bh4-print leaf1 02:79:01:00:00:96 10.79.1.150 fd79:1::96
up "$work/switch.log" sw nsenter --net=/run/netns/bh4-host "$bin/vswitchd" run -c "$work/bulkhead.toml"
agent() {
	nsenter --net=/run/netns/bh4-host "$bin/vswitch-agent" evpn --config "$work/evpn.toml" --socket "$work/s.sock" 2>>"$work/agent.log" &
	agent=$!
	daemons+=("$agent")
}
agent
serve bh4-web 8080
serve bh4-web 22
serve bh4-db 5432
serve bh4-db 22
serve bh4-print 631

say "3. Each side learns the other's workloads (type 2) and VTEPs (type 3)"
leafknows() { ip netns exec "bh4-$1" bridge fdb show dev vx | grep -q "$2"; }
within "leaf1 greets its workloads" greet bh4-db 11
within "leaf1 greets the printer" greet bh4-print 11
within "the switch has the database, behind leaf1" has '"name":"evpn/7901/02-79-01-00-00-14","segment":"front","peer":"leaf1"'
within "with both addresses" has '"ips":\["10.79.1.20","fd79:1::20"\]'
within "and labels, by its community" has '"labels":{"app":"shop","tier":"db"}'
within "the switch has the printer, with both addresses" has '"ips":\["10.79.1.150","fd79:1::96"\]'
within "leaf1's kernel has web's MAC behind us, as one that stays" leafknows leaf1 '02:79:01:00:00:0a dst 192.0.2.1 .*sticky'
within "leaf2's kernel floods to us" leafknows leaf2 '00:00:00:00:00:00 dst 192.0.2.1'
within "leaf1's kernel has web's address" sh -c "ip -n bh4-leaf1 neigh show dev br0 | grep -q '10.79.1.10 lladdr 02:79:01:00:00:0a'"
within "the agent is current" is '"state":"current"'
echo "   leaf1 says of web:"
leaf leaf1 "show bgp l2vpn evpn route type macip" | grep -m1 -A3 '\[2\]:.*02:79:01:00:00:0a.*10.79.1.10' | sed 's/^/   /'

say "4. Who reaches whom: real TCP connections, both ways"
row() { # FROM TO PORT EXPECTED NAME
	local four=no six=no mark=ok
	tcp "$1" "$2" "$4" && four=yes
	tcp "$1" "$3" "$4" && six=yes
	if [ "$four$six" != "$5$5" ]; then mark=WRONG; miss; fi
	printf '   %-10s to %-18s %-6s %-4s %-4s %s\n' "${1#bh4-}" "$2" "tcp/$4" "$four" "$six" "$mark"
	[ "$mark" = ok ] || more
}
row bh4-web 10.79.1.20 fd79:1::20 5432 yes
row bh4-web 10.79.1.20 fd79:1::20 22 no
row bh4-db 10.79.1.10 fd79:1::10 8080 yes
row bh4-db 10.79.1.10 fd79:1::10 22 no
row bh4-web 10.79.1.150 fd79:1::96 631 yes
row bh4-print 10.79.1.10 fd79:1::10 8080 no
sw trace --port web --to 10.79.1.20 --tcp 5432 --summary


say "5. The database moves from leaf1 to leaf2"
ip -n bh4-leaf1 link set bh4-db netns bh4-leaf2
ip -n bh4-leaf2 link set bh4-db addrgenmode none
ip -n bh4-leaf2 link set bh4-db master br0 up
here2() { # a workload that speaks is found anew; one that is silent is not
	greet bh4-db 12
	has '"name":"evpn/7901/02-79-01-00-00-14","segment":"front","peer":"leaf2".*"tier":"db"'
}
within "the switch has it behind leaf2, with its labels" here2
leaf leaf2 "show bgp l2vpn evpn route type macip" | grep -A2 '02:79:01:00:00:14' | grep -m1 -o 'MM:[0-9]*' | sed 's/^/   its sequence number: /' || true
within "web reaches it there" tcp bh4-web 10.79.1.20 5432
row bh4-web 10.79.1.20 fd79:1::20 5432 yes
row bh4-web 10.79.1.20 fd79:1::20 22 no
row bh4-db 10.79.1.10 fd79:1::10 8080 yes

say "6. Somebody on leaf1 has the gateway's address, and leaf1 says so"
attach bh4-thief leaf1 02:79:01:00:00:66 10.79.1.1 fd79:1::1
within "leaf1 greets him" greet bh4-thief 11
within "the switch says that leaf1 states what is not its own" is 'leaf1.*states10.79.1.1,whichisthatofthegateway'
check "he is nobody here" not has '02:79:01:00:00:66'
check "he reaches nobody here" not tcp bh4-thief 10.79.1.10 8080
row bh4-web 10.79.1.20 fd79:1::20 5432 yes
ip netns del bh4-thief

say "7. The agent is killed, and a leaf's bgpd: what the switch was told stays"
stays() { has '"name":"evpn/7901/02-79-01-00-00-14","segment":"front","peer":"leaf2"'; }
{ kill -9 "$agent" && wait "$agent"; } 2>/dev/null || true
sleep 2
check "without an agent the database is where it was" stays
agent
within "another agent has spoken with both leaves" sh -c "[ \$(grep -c neighbour-up '$work/agent.log') -ge 4 ]"
within "FRR, which had dropped web at once, has it again" leafknows leaf2 '02:79:01:00:00:0a dst 192.0.2.1'
row bh4-web 10.79.1.20 fd79:1::20 5432 yes
row bh4-db 10.79.1.10 fd79:1::10 8080 yes
kill -9 "$(cat "$work/leaf2/bgpd.pid")"
within "the agent has lost leaf2" is '"state":"stale"'
check "the database is where it was" stays
sleep 2
check "and stays there" stays
startfrr leaf2 bgpd frr.conf
within "leaf2 is there again" is '"state":"current"'
within "and has web" leafknows leaf2 '02:79:01:00:00:0a dst 192.0.2.1'
row bh4-web 10.79.1.20 fd79:1::20 5432 yes
row bh4-db 10.79.1.10 fd79:1::10 8080 yes

say "8. What the switch dropped, by port and reason"
sw counters

end "Every connection was allowed or denied as the policy says."
