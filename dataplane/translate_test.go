package dataplane_test

import (
	"fmt"
	"testing"

	"bulkhead/dataplane"
	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
)

// edgeWorld is a VRF with a router to the outside, and translations.
const edgeWorld = `
segment shop 10.0.0.254/24 fd00::fe/64
segment edge 192.0.2.1/29 2001:db8:e::1/64
port p1 shop
port p2 edge
endpoint web p1 10.0.0.1 fd00::1
endpoint router p2 192.0.2.2 2001:db8:e::2 behind=0.0.0.0/0,::/0
route 0.0.0.0/0 via 192.0.2.2
route ::/0 via 2001:db8:e::2
outside
translate 10.0.0.0/24 to 203.0.113.7
translate fd00::/64 to 2001:db8:f::7
publish udp 203.0.113.7:53 at 10.0.0.1:5353
publish udp [2001:db8:f::7]:53 at [fd00::1]:5353
allow out: web -> outside tcp/443 udp/53 icmp/8 icmp6/128
allow in: outside -> web udp/5353
`

// Translation allocates nothing: of the first packet, of one of an open session,
// of an error, of what nobody is mapped to, each way.
func TestTranslationAllocatesNothing(t *testing.T) {
	for name, c := range map[string]allocationCase{
		"out_tcp4":   {"p1", "tcp 10.0.0.1:40000 > 198.51.100.9:443 syn seq=1", drop.None, 0},
		"out_udp6":   {"p1", "udp [fd00::1]:999 > [2001:db8:9::9]:53", drop.None, 0},
		"out_echo4":  {"p1", "icmp 10.0.0.1 > 198.51.100.9 echo id=7", drop.None, 0},
		"in_udp4":    {"p2", "udp 198.51.100.9:50000 > 203.0.113.7:53", drop.None, 0},
		"in_udp6":    {"p2", "udp [2001:db8:9::9]:50000 > [2001:db8:f::7]:53", drop.None, 0},
		"unmapped":   {"p2", "udp 198.51.100.9:50000 > 203.0.113.7:54", drop.NATUnmapped, 0},
		"too_big":    {"p2", "udp 198.51.100.9:50000 > 203.0.113.7:53 ttl=1", drop.TTLExceeded, 1},
		"error_in":   {"p2", "icmp 198.51.100.1 > 203.0.113.7 type=3 code=3 about udp 203.0.113.7:53 > 198.51.100.8:50000", drop.None, 0},
		"arp_for_it": {"p2", "arp who-has 203.0.113.7 tell 192.0.2.2", drop.None, 1},
	} {
		t.Run(name, func(t *testing.T) {
			r := newScriptRun(t)
			r.run(edgeWorld + "generation\nsend p2 udp 198.51.100.8:50000 > 203.0.113.7:53\nsend p1 udp 10.0.0.1:5353 > 198.51.100.8:50000\n")
			s, ingress := r.written(c.port, c.frame)
			buf := make([]byte, packet.Headroom+len(s.bytes)+packet.Headroom)
			run := func() {
				r.batch.Reset()
				copy(buf[packet.Headroom:], s.bytes)
				r.batch.Next().Begin(buf, packet.Headroom, uint32(packet.Headroom+len(s.bytes)), ingress)
				r.now += 2e6
				dataplane.Run(r.worker, r.snapshot, r.now, &r.batch)
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

// Who speaks to many has one name outside, and as many sessions; when all have
// ended the name is free.
func TestAMappingOutlivesNoSession(t *testing.T) {
	r := newScriptRun(t)
	r.run(edgeWorld + "generation\n")
	for i := range 50 {
		r.run(fmt.Sprintf("send p1 tcp 10.0.0.1:40000 > 198.51.100.%d:443 syn seq=1\n", i+1))
	}
	if n := r.worker.State.NAT.Stats().Mappings; n != 1 {
		t.Errorf("%d mappings of one inside end", n)
	}
	r.run("time 40s\n")
	if n := r.worker.State.NAT.Stats().Mappings; n != 0 {
		t.Errorf("%d mappings of no session", n)
	}
}
