package vswitch_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bulkhead/dataplane/packet"
	"bulkhead/vswitch/control/api"
)

// F14 and F16, control and data: an endpoint comes and goes, moves and comes back,
// and one policy follows the other, thousands of times, while bob speaks to alice
// and mallory to whom it may not. bob loses nothing; mallory gets nothing through.
// The endpoint, ghost, is on mallory's port and is taken for bob: while it is there
// its datagram must arrive, and after the call that deletes it has been answered
// not one of the same flow may, though its session was open.
func TestFaultChurn(t *testing.T) {
	root(t)
	for _, driver := range []string{"tap", "packet"} {
		t.Run(driver, func(t *testing.T) { churn(t, driver) })
	}
}

func churn(t *testing.T, driver string) {
	s := stage(t, driver, "")
	s.policies()
	good := s.steady(bob, alice, 5100, "good", time.Millisecond)
	bad := s.steady(mallory, bob, 5100, "bad", 2*time.Millisecond)
	ghost := newGhost(s, mallory, bob)
	for range 40 { // until memory has found its level
		ghost.lives()
	}
	before, changes, slowest := s.held(), 0, time.Duration(0)
	begun := time.Now()
	for i := range times(3000, 60) {
		at := time.Now()
		changes += ghost.lives()
		slowest = max(slowest, time.Since(at))
		if i%4 == 0 {
			s.load([]string{"other.bhp", "policy.bhp"}[i/4%2])
			changes++
		}
	}
	took, after := time.Since(begun), s.held()
	sent, lost := good.ends()
	_, denied := bad.ends()
	leaked := ghost.leaked + len(bad.sent) - denied
	faultRow{
		id: "F14", what: "endpoints and policies change, " + driver, events: changes, sent: sent, lost: lost, leaked: leaked,
		figures: fmt.Sprintf("%.0f changes a second, slowest round %v; %v, then %v", float64(changes)/took.Seconds(), slowest.Round(time.Millisecond), before, after),
	}.report(t, 0)
	// What goes up with the changes is a leak; a thread or two are the runtime's.
	if after.files > before.files || after.threads > before.threads+4 || after.bytes > before.bytes+before.bytes/4+16<<20 {
		t.Errorf("F16 %s: the daemon had %v, and after %d changes %v", driver, before, changes, after)
	}
	if len(bad.sent) == 0 {
		t.Error("mallory sent nothing: that nothing leaked says nothing")
	}
}

// policies writes a second policy beside the scene's: the same answers for those who
// are watched, of other rules.
func (s *scene) policies() {
	s.t.Helper()
	other := strings.Replace(scenePolicy, `name = "bob-to-alice"`, `name = "bob-to-alice-again"`, 1) +
		"[services.more]\nlabels = { who = \"more\" }\n[[rules]]\nname = \"more\"\nallow = { from = [\"more\"], to = [\"alice\"], ports = [\"tcp/1-1000\"] }\n"
	write(s.t, filepath.Join(filepath.Dir(s.config), "other.bhp"), buildPolicy(s.t, other))
}

func (s *scene) load(file string) {
	s.t.Helper()
	err := s.client.Post(context.Background(), "/v1/policy", &api.PolicyLoad{File: filepath.Join(filepath.Dir(s.config), file)}, &api.Done{})
	if err != nil {
		s.t.Fatalf("load %s: %v", file, err)
	}
}

// ghost is an endpoint that comes and goes: at home, from where it speaks, and away.
type ghost struct {
	s      *scene
	home   int
	away   int
	gun    *gun
	end    func()    // of the capture
	seen   chan byte // the life of each datagram that came to alice
	life   byte
	leaked int
}

var ghostMAC = packet.MAC{2, 0x93, 0, 0, 0, 0x77}

const (
	ghostIP   = "10.93.0.77"
	ghostMark = "who goes there?"
)

func newGhost(s *scene, home, away int) *ghost {
	g := &ghost{s: s, home: home, away: away, gun: gunIn(s.t, s.space(home)), seen: make(chan byte, 1024)}
	g.end = capture(s.t, s.alice, func(b []byte) {
		if at := 14 + 20 + 8; len(b) > at+len(ghostMark)+1 && string(b[at:at+len(ghostMark)]) == ghostMark {
			g.seen <- b[at+len(ghostMark)] ^ b[at+len(ghostMark)+1]<<7
		}
	})
	s.t.Cleanup(g.end)
	return g
}

// speak sends a datagram of this life: alive, or one that must not arrive.
func (g *ghost) speak(alive bool) {
	dead := byte(1)
	if alive {
		dead = 0
	}
	g.gun.fire(frameOf(g.s.t, packet.Spec{
		SrcMAC: ghostMAC, DstMAC: sceneMACs[alice], Src: addr(ghostIP), Dst: addr(sceneIP(alice, 0)),
		Proto: packet.ProtoUDP, SrcPort: 4000, DstPort: 5100, Payload: append([]byte(ghostMark), g.life&0x7f, dead),
	}))
}

// lives is one life: added, heard, moved away and so not heard from home, moved back,
// heard, deleted, not heard. It returns the changes made.
func (g *ghost) lives() int {
	g.s.t.Helper()
	g.life++
	g.change(&api.EndpointChange{Op: api.EndpointAdd, Name: "ghost", Port: sceneNames[g.home], MAC: ghostMAC.String(), IPs: []string{ghostIP}, Labels: map[string]string{"who": "bob"}})
	g.heard()
	g.change(&api.EndpointChange{Op: api.EndpointMove, Name: "ghost", Port: sceneNames[g.away]})
	g.refused()
	g.change(&api.EndpointChange{Op: api.EndpointMove, Name: "ghost", Port: sceneNames[g.home]})
	g.heard()
	g.change(&api.EndpointChange{Op: api.EndpointDel, Name: "ghost"})
	g.refused()
	return 4
}

// heard speaks and waits until that has come to alice.
func (g *ghost) heard() {
	g.s.t.Helper()
	g.speak(true)
	late := time.After(5 * time.Second)
	for {
		select {
		case is := <-g.seen:
			if is&0x80 != 0 {
				g.leaked++
			} else if is == g.life&0x7f {
				return
			}
		case <-late:
			g.s.t.Fatalf("life %d: what the ghost may say does not arrive; %s's port: %v", g.life, sceneNames[g.home], g.s.drops(sceneNames[g.home]))
		}
	}
}

// refused speaks for a ghost that is not there, and waits until the switch has
// dropped that: else it might be judged after the next change, by which it may pass.
func (g *ghost) refused() {
	g.s.t.Helper()
	before := spoofed(g.s.drops(sceneNames[g.home]))
	g.speak(false)
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); {
		if spoofed(g.s.drops(sceneNames[g.home])) > before {
			return
		}
		select {
		case is := <-g.seen:
			if is&0x80 != 0 {
				g.leaked++
				return
			}
		default:
		}
	}
	g.s.t.Fatalf("life %d: a ghost that is gone is neither refused nor let through: %v", g.life, g.s.drops(sceneNames[g.home]))
}

// spoofed counts the frames of somebody who is not on the port.
func spoofed(drops map[string]uint64) (n uint64) {
	for reason, frames := range drops {
		if strings.HasPrefix(reason, "spoofed") {
			n += frames
		}
	}
	return n
}

func (g *ghost) change(c *api.EndpointChange) {
	g.s.t.Helper()
	if err := g.s.client.Post(context.Background(), "/v1/endpoint", c, &api.Done{}); err != nil {
		g.s.t.Fatalf("%s %s: %v", c.Op, c.Name, err)
	}
}
