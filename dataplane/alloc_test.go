package dataplane_test

import (
	"fmt"
	"slices"
	"testing"

	"bulkhead/dataplane"
	"bulkhead/dataplane/classify"
	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
)

// Run allocates nothing, whatever the frame, whichever way it goes and however
// it ends: TCP, UDP and ICMP over IPv4 and IPv6, into a tunnel over either
// family, out of it, bridged, routed, flooded, answered and dropped at every
// stage. Each case says how its frame must end, so that none measures another
// way than it says. With mirrors it is the same.
func TestRunAllocatesNothing(t *testing.T) { runAllocatesNothing(t, nil) }

func TestRunWithMirrorsAllocatesNothing(t *testing.T) {
	runAllocatesNothing(t, func(r *scriptRun) { r.showAll() })
}

// Nor with a candidate beside the policy, which here is of no rule and so differs in
// all that is allowed.
func TestRunWithAShadowAllocatesNothing(t *testing.T) {
	var found []*dataplane.Differences
	runAllocatesNothing(t, func(r *scriptRun) {
		none := *r.snapshot.Rules
		none.Rules = nil
		linker, err := classify.NewLinker(&none, r.snapshot.Identity.AllSets())
		if err != nil {
			t.Fatal(err)
		}
		r.snapshot.Shadow = &dataplane.Shadow{Identity: r.snapshot.Identity, Policy: linker.Engine(), Rules: &none}
		d := dataplane.NewDifferences(0)
		r.worker.Differences = d
		found = append(found, d)
	})
	if !slices.ContainsFunc(found, func(d *dataplane.Differences) bool { return d.Denied[0] > 0 }) {
		t.Error("no frame asked the candidate")
	}
}

func runAllocatesNothing(t *testing.T, more func(*scriptRun)) {
	for name, c := range allocationCases() {
		t.Run(name, func(t *testing.T) {
			r := newSwitch(t)
			if more != nil {
				more(r)
			}
			s, ingress := r.written(c.port, c.frame)
			buf := make([]byte, packet.Headroom+len(s.bytes)+packet.Headroom)
			run := func() {
				r.batch.Reset()
				copy(buf[packet.Headroom:], s.bytes)
				f := r.batch.Next()
				f.Begin(buf, packet.Headroom, uint32(packet.Headroom+len(s.bytes)), ingress)
				f.Offload = s.offload
				r.now += 2e6 // a token of the answers' bucket comes back
				dataplane.Run(r.worker, r.snapshot, r.now, &r.batch)
				r.worker.Mirrored.Settle()
			}
			run()
			if got := c.ended(&r.batch); got != "" {
				t.Fatalf("%s: %s", c.frame, got)
			}
			if n := testing.AllocsPerRun(100, run); n != 0 {
				t.Errorf("%v allocations a frame", n)
			}
		})
	}
}

// allocationCase is a frame, and how it ends: dropped for a reason, or with
// none, so many copies made.
type allocationCase struct {
	port, frame string
	reason      drop.Reason
	copies      int
}

// ended says how the frame ended if that is not how it should.
func (c *allocationCase) ended(b *packet.Batch) string {
	if f := b.Frame(0); f.Reason != c.reason || b.Len()-1 != c.copies {
		return fmt.Sprintf("ended as %s with %d copies, want %s with %d", f.Reason, b.Len()-1, c.reason, c.copies)
	}
	return ""
}

func allocationCases() map[string]allocationCase {
	cases := map[string]allocationCase{
		"routed_tcp4":        {"p1", "tcp 10.0.0.1:40000 > 10.0.1.3:5432 syn", drop.None, 0},
		"routed_udp6":        {"p1", "udp [fd00::1]:7 > [fd00:1::3]:8053", drop.None, 0},
		"stateless_tcp4":     {"p1", "tcp 10.0.0.1:40000 > 10.0.0.2:9000 ack", drop.None, 0},
		"stateless_udp6":     {"p1", "udp [fd00::1]:7 > [fd00::2]:9000", drop.None, 0},
		"denied_logged":      {"p1", "tcp 10.0.0.1:40000 > 10.0.0.2:23 syn", drop.Denied, 0},
		"superframe":         {"p1", "udp 10.0.0.1:7 > 10.0.0.2:8053 data=4000 gso=1000", drop.None, 0},
		"superframe_tunnel":  {"p1", "udp 10.0.0.1:7 > 10.0.0.4:8053 data=4000 gso=1000", drop.None, 0},
		"ttl4":               {"p1", "udp 10.0.0.1:7 > 10.0.1.3:8053 ttl=1", drop.TTLExceeded, 1},
		"ttl6":               {"p1", "udp [fd00::1]:7 > [fd00:1::3]:8053 ttl=1", drop.TTLExceeded, 1},
		"too_big4":           {"p1", "udp 10.0.0.1:7 > 10.0.1.3:8053 data=1400", drop.TooBig, 1},
		"arp":                {"p1", "arp who-has 10.0.0.2 tell 10.0.0.1", drop.None, 1},
		"nd":                 {"p1", "nd solicitation fd00::1 > ff02::1:ff00:2 target=fd00::2", drop.None, 1},
		"dhcp4":              {"p1", "dhcp discover id=web", drop.None, 1},
		"dhcp6":              {"p1", "dhcp6 solicit", drop.None, 1},
		"router_solicited":   {"p1", "nd router-solicitation fe80::ff:fe00:1 > ff02::2", drop.None, 1},
		"gateway_echo4":      {"p1", "icmp 10.0.0.1 > 10.0.0.254 echo id=7", drop.None, 1},
		"gateway_echo6":      {"p1", "icmp6 fd00::1 > fd00::fe echo id=7", drop.None, 1},
		"flood_broadcast4":   {"l1", "udp 10.0.2.1:7 > 10.0.2.255:8053 to=all", drop.None, 3},
		"flood_multicast6":   {"l1", "udp [fd00:2::1]:7 > [ff02::1]:8053", drop.None, 3},
		"flood_unknown":      {"l1", "udp 10.0.2.1:7 > 10.0.2.9:8053 to=02:09:09:09:09:09", drop.None, 3},
		"flood_arp":          {"l1", "arp who-has 10.0.2.9 tell 10.0.2.1", drop.None, 3},
		"flood_off":          {"p1", "udp 10.0.0.1:7 > 224.0.0.1:8053", drop.FloodOff, 0},
		"learned":            {"up", "vxlan 192.168.0.2 > 192.168.0.1 vni=102 : udp 10.0.2.9:7 > 10.0.2.1:8053 from=02:09:09:09:09:09", drop.NoRule, 0},
		"unparsable":         {"p1", "seed ipv6_routing_header_0", drop.IPv6Extension, 0},
		"spoofed_ip4":        {"p1", "tcp 10.0.0.9:1 > 10.0.0.2:5432 syn", drop.SpoofedIP, 0},
		"spoofed_ip6":        {"p1", "tcp [fd00::9]:1 > [fd00::2]:5432 syn", drop.SpoofedIP, 0},
		"spoofed_arp":        {"p1", "arp who-has 10.0.0.254 tell 10.0.0.2 from=web", drop.SpoofedARP, 0},
		"no_session4":        {"p1", "tcp 10.0.0.1:40000 > 10.0.0.2:5432 ack", drop.TCPNoSession, 0},
		"icmp_error_of_none": {"p2", "icmp 10.0.0.2 > 10.0.0.1 type=3 code=3 about udp 10.0.0.1:7 > 10.0.0.2:8053", drop.ICMPUnmatched, 0},
		"no_route":           {"p1", "udp 10.0.0.1:7 > 192.0.2.1:8053", drop.NoRoute, 0},
		"unknown_vni":        {"up", "vxlan 192.168.0.2 > 192.168.0.1 vni=999 : udp 10.0.0.4:1 > 10.0.0.1:8053", drop.UnknownVNI, 0},
		"unknown_peer":       {"up", "vxlan 192.168.0.9 > 192.168.0.1 vni=100 : udp 10.0.0.4:1 > 10.0.0.1:8053", drop.UnknownPeer, 0},
	}
	addTransports(cases)
	return cases
}

// addTransports adds each transport over each family, bridged, into a tunnel
// over each family, out of it, denied, and with a wrong checksum.
func addTransports(cases map[string]allocationCase) {
	for _, v := range []struct{ name, web, near, away, away6, icmp string }{
		{"4", "10.0.0.1", "10.0.0.2", "10.0.0.4", "10.0.0.6", "icmp"},
		{"6", "[fd00::1]", "[fd00::2]", "[fd00::4]", "[fd00::6]", "icmp6"},
	} {
		for _, p := range []struct{ name, kind, sport, dport, denied, more string }{
			{"tcp", "tcp", ":40000", ":5432", ":23", " syn seq=100"},
			{"udp", "udp", ":7", ":8053", ":8054", " data=8"},
			{"icmp", v.icmp, ":0", ":0", "", " echo id=7"},
		} {
			frame := func(src, dst, dport string) string {
				return p.kind + " " + src + p.sport + " > " + dst + dport + p.more
			}
			from4, from6 := "vxlan 192.168.0.2 > 192.168.0.1 vni=100 : ", "vxlan 2001:db8:ff::2 > 2001:db8:ff::1 vni=100 : "
			name := p.name + v.name
			cases[name] = allocationCase{"p1", frame(v.web, v.near, p.dport), drop.None, 0}
			cases[name+"_encap4"] = allocationCase{"p1", frame(v.web, v.away, p.dport), drop.None, 0}
			cases[name+"_encap6"] = allocationCase{"p1", frame(v.web, v.away6, p.dport), drop.None, 0}
			cases[name+"_decap4"] = allocationCase{"up", from4 + frame(v.away, v.web, p.dport), drop.None, 0}
			cases[name+"_decap6"] = allocationCase{"up", from6 + frame(v.away6, v.web, p.dport), drop.None, 0}
			cases[name+"_bad_checksum"] = allocationCase{"p1", frame(v.web, v.near, p.dport) + " sum=bad", drop.BadChecksum, 0}
			if p.denied != "" {
				reason := map[string]drop.Reason{"tcp": drop.Denied, "udp": drop.NoRule}[p.name]
				cases[name+"_denied"] = allocationCase{"p1", frame(v.web, v.near, p.denied), reason, 0}
			}
		}
	}
}
