package dataplane_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"bulkhead/dataplane"
	"bulkhead/dataplane/packet"
)

// What was found out about a pair of ends changes no verdict: frames drawn from a few
// ends, true and forged, whole and in parts, in one family and the other, end as they
// do on a switch that has forgotten every pair before each of them; and so they do
// after endpoints have moved.
func TestRecentPairsChangeNoVerdict(t *testing.T) {
	const seed = 7
	t.Logf("seed %d", seed)
	d := drawnFrames{rand.New(rand.NewPCG(seed, seed))}
	keeps, forgets := newSwitch(t), newSwitch(t)
	ends := map[string]int{}
	for i := range 20_000 {
		if i%2000 == 1999 {
			where := []string{"p2", "host6", "host2"}[i/2000%3]
			for _, r := range []*scriptRun{keeps, forgets} {
				r.run("move away " + where + "\ngeneration\n")
			}
		}
		port, text := d.draw()
		s, ingress := keeps.written(port, text)
		for _, r := range []*scriptRun{keeps, forgets} {
			r.now += 100_000
			r.batch.Reset()
			s.frame(r.batch.Next(), ingress)
		}
		another := *forgets.snapshot
		dataplane.Run(keeps.worker, keeps.snapshot, keeps.now, &keeps.batch)
		dataplane.Run(forgets.worker, &another, forgets.now, &forgets.batch)
		if keeps.batch.Len() != forgets.batch.Len() {
			t.Fatalf("%s: %s: %d frames, and %d without what was kept", port, text, keeps.batch.Len(), forgets.batch.Len())
		}
		for j := range keeps.batch.Len() {
			a, b := keeps.batch.Frame(j), forgets.batch.Frame(j)
			if endingOf(a) != endingOf(b) || !bytes.Equal(a.Bytes(), b.Bytes()) {
				t.Fatalf("%s: %s: frame %d ends as %+v, and as %+v without what was kept", port, text, j, endingOf(a), endingOf(b))
			}
		}
		f := keeps.batch.Frame(0)
		ends[fmt.Sprint(f.Reason, f.Egress == packet.NoPort)]++
	}
	if len(ends) < 12 {
		t.Errorf("the frames end in so few ways that nothing is shown: %v", ends)
	}
}

// drawnFrames draws frames as scripts write them.
type drawnFrames struct{ *rand.Rand }

func (d drawnFrames) of(choices ...string) string { return choices[d.IntN(len(choices))] }

func (d drawnFrames) draw() (port, text string) {
	src, dst := d.of("1", "1", "2", "4", "9"), d.of("1", "2", "2", "4", "6", "9", "254")
	from, to := "10.0.0."+src, "10.0.0."+dst
	if d.IntN(20) == 0 {
		to = d.of("10.0.1.3", "10.0.0.255", "224.0.0.251", "127.0.0.1", "10.0.2.1")
	}
	if d.IntN(3) == 0 {
		from, to = "[fd00::"+src+"]", "[fd00::"+dst+"]"
	}
	switch d.IntN(6) {
	case 0:
		text = fmt.Sprintf("tcp %s:%d > %s:5432 %s", from, 1000+d.IntN(4), to, d.of("syn", "ack ack=7", "rst"))
	case 1:
		text = fmt.Sprintf("udp %s:8053 > %s:%d", from, to, 1+d.IntN(3))
	case 2:
		text = fmt.Sprintf("udp %s:%s > %s:%s", from, d.of("67", "68", "547", "9"), to, d.of("67", "68", "546", "8053"))
	case 3:
		text = fmt.Sprintf("udp %s:9 > %s:8053 data=2000 part=%s of=%d", from, to, d.of("0-1200", "1200-2008"), d.IntN(3))
	default:
		text = fmt.Sprintf("udp %s:%d > %s:8053", from, 1+d.IntN(3), to)
	}
	switch d.IntN(12) {
	case 0:
		text += " to=gateway"
	case 1:
		text += " to=02:09:09:09:09:09"
	case 2:
		text += " from=02:00:00:00:00:02"
	case 3:
		text += " ttl=1 to=gateway"
	}
	return d.of("p1", "p1", "p2", "l1"), text
}
