package dataplane_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"bulkhead/dataplane"
	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
)

// How frames end is told by the scripts (script_test.go). Here is what a
// script does not say.

// threeTier is a small network in which most situations can be made: web and
// db in one segment, api in another of the VRF, remote hosts behind a peer of
// each family, a segment that floods.
const threeTier = `
segment shop 10.0.0.254/24 fd00::fe/64 vni=100 mtu=1450
segment back 10.0.1.254/24 fd00:1::fe/64 mtu=1400
segment loud 10.0.2.254/24 fd00:2::fe/64 vni=102 mtu=1450 flood-broadcast flood-unknown learning
port p1 shop
port p2 shop
port p3 back
port l1 loud
port l2 loud
port l3 loud
port up uplink
underlay up 192.168.0.1/24 2001:db8:ff::1/64
peer host2 192.168.0.2 shop loud
peer host6 2001:db8:ff::2 shop loud
endpoint web p1 10.0.0.1 fd00::1
endpoint db  p2 10.0.0.2 fd00::2
endpoint api p3 10.0.1.3 fd00:1::3
endpoint away  host2 segment=shop 10.0.0.4 fd00::4
endpoint away6 host6 segment=shop 10.0.0.6 fd00::6
endpoint loud1 l1 10.0.2.1 fd00:2::1
deny  no-telnet: any -> any tcp/23 +log
allow calls: web,db,away,away6 -> web,db,api,away,away6 tcp/5432 udp/8053 icmp/8 icmp6/128
allow noise: loud1 -> any udp/8053
allow free: web,db -> web,db tcp/9000 udp/9000 +stateless +log
deny  suspect: web,db -> any udp/9000 tcp/5432 +audit
`

// newSwitch makes a switch with the threeTier network, its underlay resolved.
func newSwitch(t *testing.T) *scriptRun {
	t.Helper()
	r := newScriptRun(t)
	r.run(threeTier + `
generation
send p1 udp 10.0.0.1:9 > 10.0.0.4:8053
send up arp reply 192.168.0.2 > 192.168.0.1
send p1 udp 10.0.0.1:9 > 10.0.0.6:8053
send up nd advertisement 2001:db8:ff::2 > 2001:db8:ff::1 target=2001:db8:ff::2
`)
	return r
}

// written makes the frame that a script would send.
func (r *scriptRun) written(port, text string) (*sent, packet.PortID) {
	r.t.Helper()
	ingress, err := r.ingress(port)
	if err != nil {
		r.t.Fatal(err)
	}
	s, err := r.w.frameOf(port, text)
	if err != nil {
		r.t.Fatalf("%s: %v", text, err)
	}
	return &s, ingress
}

// Explain names the stages, and the rule that a denied frame came nearest to.
func TestExplainNamesTheNearestRule(t *testing.T) {
	r := newSwitch(t)
	s, ingress := r.written("p1", "tcp 10.0.0.1:40000 > 10.0.0.2:5433 syn")
	r.batch.Reset()
	s.frame(r.batch.Next(), ingress)
	rec := dataplane.Explain(r.worker, r.snapshot, r.now, &r.batch)
	stages := ""
	for _, step := range rec.Steps {
		stages += " " + step.Stage
	}
	if want := " parse identify known decide decide decide end"; stages != want {
		t.Errorf("stages%s, want%s", stages, want)
	}
	if !strings.HasPrefix(rec.Nearest, "calls") || rec.Rule != "" {
		t.Errorf("nearest rule %q, deciding rule %q", rec.Nearest, rec.Rule)
	}
}

// Explain moves nothing that a later frame could meet: Run ends as it would
// have without it. (That no counter moves is checked at each step of each
// script.)
func TestExplainChangesNothing(t *testing.T) {
	asked, unasked := newSwitch(t), newSwitch(t)
	for _, text := range []string{
		"tcp 10.0.0.1:40000 > 10.0.0.2:5432 syn seq=100",
		"tcp 10.0.0.1:40000 > 10.0.0.2:5432 rst seq=101",
		"udp 10.0.0.1:7 > 10.0.0.4:8053",
		"arp who-has 10.0.0.2 tell 10.0.0.1",
		"icmp 10.0.0.1 > 10.0.0.254 echo id=7",
	} {
		s, ingress := asked.written("p1", text)
		for range 300 {
			asked.explain(s, ingress)
		}
		if with, without := asked.send(s, ingress, 1), unasked.send(s, ingress, 1); !slices.Equal(with, without) {
			t.Errorf("%s: after Explain\n%s\nwithout\n%s", text, strings.Join(with, "\n"), strings.Join(without, "\n"))
		}
	}
}

// Frames of one batch are judged in order, as if each were a batch of its own.
func TestABatchIsItsFramesInOrder(t *testing.T) {
	together, apart := newSwitch(t), newSwitch(t)
	texts := []string{
		"p1 tcp 10.0.0.1:40000 > 10.0.0.2:5432 syn seq=100",
		"p2 tcp 10.0.0.2:5432 > 10.0.0.1:40000 syn,ack seq=500 ack=101",
		"p1 tcp 10.0.0.1:40000 > 10.0.0.2:5432 ack seq=101 ack=501",
		"p1 arp who-has 10.0.0.2 tell 10.0.0.1",
		"l1 udp 10.0.2.1:5 > 10.0.2.255:8053 to=all",
		"p1 tcp 10.0.0.1:40001 > 10.0.0.2:23 syn",
		"p2 udp 10.0.0.2:8053 > 10.0.0.1:9",
		"up vxlan 192.168.0.2 > 192.168.0.1 vni=100 : udp 10.0.0.4:1 > 10.0.0.1:8053",
		"p1 udp 10.0.0.1:8053 > 10.0.0.4:1",
	}
	var want []ending
	together.batch.Reset()
	for _, text := range texts {
		port, frame, _ := strings.Cut(text, " ")
		s, ingress := together.written(port, frame)
		s.frame(together.batch.Next(), ingress)
		apart.send(s, ingress, 1)
		want = append(want, endingOf(apart.batch.Frame(0)))
	}
	dataplane.Run(together.worker, together.snapshot, together.now, &together.batch)
	for i := range texts {
		if got := endingOf(together.batch.Frame(i)); got != want[i] {
			t.Errorf("%s: %+v in a batch, %+v alone", texts[i], got, want[i])
		}
	}
}

// Copies that leave in one batch lie in memory of their own, however many
// there are; those beyond are lost, and booked.
func TestCopiesShareNoMemory(t *testing.T) {
	const ports = packet.BatchCopies + 30
	text := "segment loud 10.0.0.254/24 flood-broadcast\n"
	for i := range ports {
		text += fmt.Sprintf("port p%d loud\n", i)
	}
	r := newScriptRun(t)
	r.run(text + "endpoint a p0 10.0.0.1\nallow all: any -> any any\n")
	if err := r.link(); err != nil {
		t.Fatal(err)
	}
	s, ingress := r.written("p0", "udp 10.0.0.1:1 > 10.0.0.255:8053 to=all")
	r.send(s, ingress, 1)
	at := map[*byte]bool{}
	for i := range r.batch.Len() {
		at[&r.batch.Frame(i).Bytes()[0]] = true
	}
	if n := r.batch.Len(); len(at) != n || n != 1+packet.BatchCopies {
		t.Errorf("%d frames in %d places, want %d", n, len(at), 1+packet.BatchCopies)
	}
	if n := r.worker.Counters.Ports[ingress].Drops[drop.FloodFull]; n != ports-2-packet.BatchCopies {
		t.Errorf("%d copies lost, want %d", n, ports-2-packet.BatchCopies)
	}
}
