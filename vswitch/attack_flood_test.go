package vswitch_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"bulkhead/dataplane/packet"
	"bulkhead/dataplane/packet/packettest"
)

// TestAttackFlood has mallory send as fast as it can, of each kind that makes a
// switch keep something, or answer: A01, A02, A09, A19 and A20 of the attack
// table. Meanwhile bob speaks with alice, and must not notice. Every day it is on
// TAPs; with the whole numbers on veths with AF_XDP, too.
func TestAttackFlood(t *testing.T) {
	root(t)
	if testing.Short() {
		t.Skip("floods take half a minute")
	}
	flood(t, "tap")
	if long() {
		flood(t, "xdp")
	}
}

// floodFrames is the memory for frames, in chunks of 4 KiB.
const floodFrames = 8192

func flood(t *testing.T, driver string) {
	s := stage(t, driver, fmt.Sprintf("sessions = 65536\nframes = %d", floodFrames))
	// alice's kernel says nothing to mallory: what is opened stays half open.
	in(t, s.alice, "nft add table inet quiet", "nft 'add chain inet quiet in { type filter hook input priority 0; }'",
		fmt.Sprintf("nft add rule inet quiet in ip saddr %s drop", sceneIP(mallory, 0)), fmt.Sprintf("nft add rule inet quiet in ip6 saddr %s drop", sceneIP(mallory, 1)))
	w := s.talk()
	defer w.end()
	if driver == "xdp" {
		w.untouched = floodFrames * 4096
	}
	w.during("A20", "nothing: bob alone, "+driver, nil)
	w.during("A01", "random headers, "+driver, randomHeaders(t))
	w.during("A02", "SYNs, "+driver, floodOf(t, 65535, func(p *packet.Spec, i int) {
		p.Proto, p.Payload, p.SrcPort, p.Seq = packet.ProtoTCP, nil, uint16(1+i), uint32(i)*2654435761
	}))
	w.during("A02", "datagrams of new flows, "+driver, floodOf(t, 65535, func(p *packet.Spec, i int) { p.SrcPort = uint16(1 + i) }))
	w.during("A09", "first fragments of nothing more, "+driver, partsOf(t, 0, 64))
	w.during("A09", "later fragments without a first, "+driver, partsOf(t, 64, 128))
	w.during("A19", "broadcast, "+driver, floodOf(t, 1, func(p *packet.Spec, _ int) {
		if p.Src.Is4() {
			p.DstMAC, p.Dst = packet.MAC{255, 255, 255, 255, 255, 255}, addr("10.93.0.255")
		} else {
			p.DstMAC, p.Dst = packet.MAC{0x33, 0x33, 0, 0, 0, 1}, addr("ff02::1")
		}
	}))
	w.amplifies("A19", "questions for the gateway's MAC, "+driver, func() [][]byte {
		return [][]byte{made(t, 0, func(p *packet.Spec) {
			p.ARP, p.DstMAC, p.Dst = packet.ARPRequest, packet.MAC{255, 255, 255, 255, 255, 255}, addr(sceneGateway4)
		})}
	}())
	w.amplifies("A19", "pings to the gateway, and packets whose time is up, "+driver, expiring(t))
	if n := s.port("alice").Drops["session-quota"] + s.port("bob").Drops["session-quota"]; n != 0 {
		t.Errorf("%d packets of alice and bob found no room", n)
	}
}

// floodOf makes n packets of each family.
func floodOf(t *testing.T, n int, edit func(p *packet.Spec, i int)) (all [][]byte) {
	for i := range n {
		for family := range 2 {
			all = append(all, made(t, family, func(p *packet.Spec) { edit(p, i) }))
		}
	}
	return all
}

// randomHeaders has any port, protocol and type there is.
func randomHeaders(t *testing.T) [][]byte {
	random := rand.New(rand.NewPCG(5, 6))
	return floodOf(t, 20_000, func(p *packet.Spec, _ int) {
		p.SrcPort, p.DstPort, p.TOS, p.TTL = uint16(random.Uint32()), uint16(random.Uint32()), uint8(random.Uint32()), uint8(2+random.IntN(250))
		p.Proto = []uint8{packet.ProtoUDP, packet.ProtoTCP, packet.ProtoSCTP, 47, 50, uint8(61 + random.IntN(60))}[random.IntN(6)]
		p.DstMAC = sceneMACs[1+random.IntN(2)]
		p.Dst = addr(sceneIP(alice, familyOf(p)))
		if p.DstMAC == sceneMACs[bob] {
			p.Dst = addr(sceneIP(bob, familyOf(p)))
		}
	})
}

// partsOf are parts of as many packets as there are numbers for.
func partsOf(t *testing.T, from, to int) (all [][]byte) {
	for family := range 2 {
		whole := made(t, family, func(p *packet.Spec) { p.Payload = packettest.Payload(300) })
		for id := range uint32(65536) {
			all = append(all, packettest.Part(whole, from, to, id))
		}
	}
	return all
}

// expiring calls for an answer of the switch, each.
func expiring(t *testing.T) [][]byte {
	return floodOf(t, 16, func(p *packet.Spec, i int) {
		p.DstMAC = sceneGateway
		if i%2 == 0 {
			p.TTL, p.SrcPort = 1, uint16(1000+i)
			return
		}
		family := familyOf(p)
		p.Dst = []packet.Addr{addr(sceneGateway4), addr(sceneGateway6)}[family]
		p.Proto, p.ICMPType = []uint8{packet.ProtoICMP, packet.ProtoICMPv6}[family], []uint8{packet.ICMPEchoRequest, packet.ICMPv6EchoRequest}[family]
	})
}

// talking is bob's conversation with alice.
type talking struct {
	*scene
	open   []net.Conn // established before all floods
	server net.Listener
	heard  *net.UDPConn
	got    atomic.Uint64
	// untouched is how much of the memory for frames nobody has used yet, at the most:
	// AF_XDP goes round all of it. It was reserved, and is no growth.
	untouched int
}

// talk opens connections that stay, and a server that answers what it is sent.
func (s *scene) talk() *talking {
	s.t.Helper()
	w := &talking{scene: s}
	within(s.t, s.alice, func() (err error) {
		if w.server, err = net.Listen("tcp", ":5101"); err == nil {
			w.heard, err = net.ListenUDP("udp", &net.UDPAddr{Port: 5102})
		}
		return err
	})
	go func() {
		for {
			c, err := w.server.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(c, c); c.Close() }()
		}
	}()
	_ = w.heard.SetReadBuffer(8 << 20)
	go func() {
		buf := make([]byte, 100)
		for {
			if _, err := w.heard.Read(buf); err != nil {
				return
			}
			w.got.Add(1)
		}
	}()
	for i := range 20 {
		c, err := w.dial(i % 2)
		if err != nil {
			s.t.Fatal(err)
		}
		w.open = append(w.open, c)
	}
	return w
}

func (w *talking) dial(family int) (c net.Conn, err error) {
	within(w.t, w.bob, func() error {
		c, err = net.DialTimeout("tcp", net.JoinHostPort(sceneIP(alice, family), "5101"), 5*time.Second)
		return nil
	})
	return c, err
}

// echoes tells whether what is said comes back.
func echoes(c net.Conn) bool {
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	said, heard := []byte("are you there?"), make([]byte, 14)
	if _, err := c.Write(said); err != nil {
		return false
	}
	_, err := io.ReadFull(c, heard)
	return err == nil && string(heard) == string(said)
}

// during has mallory send the frames again and again, while bob sends a
// thousand datagrams a second, opens connections, and speaks over those it has.
func (w *talking) during(id, what string, frames [][]byte) {
	w.t.Helper()
	before, memory, sent := w.port("mallory"), w.resident(), uint64(0)
	seen := w.watch(func(b []byte) bool {
		f := packet.NewFrame(b, 0)
		return packet.Parse(f) == 0 && f.Headers.Src == sceneMACs[mallory] && !mayReachAlice(b) && f.Headers.Kind != packet.KindFragment
	})
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		if len(frames) == 0 {
			return
		}
		gun := w.gun()
		for {
			for _, b := range frames {
				select {
				case <-stop:
					return
				default:
				}
				gun.fire(b)
				sent++
			}
		}
	}()
	lost, failed := w.speak(time.Duration(times(20, 3)) * time.Second)
	close(stop)
	<-done
	grown := w.resident() - memory
	after := w.port("mallory")
	row := attackRow{id: id, what: what, sent: sent, delivered: seen(), reasons: map[string]uint64{}}
	for reason, n := range after.Drops {
		if n -= before.Drops[reason]; n > 0 {
			row.reasons[reason] = n
		}
	}
	row.figures = fmt.Sprintf("bob lost %s, memory %+d KiB", lost, grown>>10)
	row.report(w.t)
	if failed != "" || row.delivered != 0 {
		w.t.Errorf("%s %s: %s, %d frames delivered", id, what, failed, row.delivered)
	}
	// What is said and asked of a flood is garbage, of which the collector leaves as much
	// as there is of the rest; the tables do not grow.
	if limit := 16<<20 + w.untouched; grown > limit {
		w.t.Errorf("%s %s: the daemon grew by %d KiB", id, what, grown>>10)
	}
	w.untouched = max(0, w.untouched-max(0, grown))
	for i, c := range w.open {
		if !echoes(c) {
			w.t.Errorf("%s %s: connection %d of bob's is broken", id, what, i)
		}
	}
}

// speak is what bob does for a while, and what was lost of it.
func (w *talking) speak(d time.Duration) (lost, failed string) {
	u := dialUDP(w.t, w.bob, sceneIP(alice, 0), 5102)
	defer u.Close()
	before, sent, opened, refused := w.got.Load(), uint64(0), 0, 0
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(d); time.Now().Before(end); {
		<-tick.C
		var b [8]byte
		binary.BigEndian.PutUint64(b[:], sent)
		if _, err := u.Write(b[:]); err == nil {
			sent++
		}
		if sent%20 != 0 {
			continue
		}
		c, err := w.dial(int(sent / 20 % 2))
		opened++
		if err != nil || !echoes(c) {
			refused++
		}
		if err == nil {
			c.Close()
		}
	}
	for range 100 {
		if w.got.Load()-before == sent {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	n := sent - (w.got.Load() - before)
	lost = fmt.Sprintf("%d of %d datagrams, %d of %d connections", n, sent, refused, opened)
	if n*1000 > sent || refused*1000 > opened {
		failed = "bob lost " + lost
	}
	return lost, failed
}

// amplifies has the switch answer as fast as it is asked, and holds the bytes of
// the answers against those of the questions.
func (w *talking) amplifies(id, what string, frames [][]byte) {
	w.t.Helper()
	var answers, octets atomic.Uint64
	end := capture(w.t, w.mallory, func(b []byte) { answers.Add(1); octets.Add(uint64(len(b))) })
	gun, asked, sent := w.gun(), 0, uint64(0)
	for until := time.Now().Add(time.Duration(times(10, 1)) * time.Second); time.Now().Before(until); {
		for _, b := range frames {
			gun.fire(b)
			asked, sent = asked+len(b), sent+1
		}
	}
	w.quiet("mallory")
	end()
	ratio := float64(octets.Load()) / float64(asked)
	attackRow{
		id: id, what: what, sent: sent, reasons: map[string]uint64{},
		figures: fmt.Sprintf("%d answers, %.3f bytes for each byte", answers.Load(), ratio),
	}.report(w.t)
	if ratio > 1 || answers.Load() == 0 {
		w.t.Errorf("%s %s: %d answers to %d questions, %.2f bytes for each", id, what, answers.Load(), sent, ratio)
	}
}

func (w *talking) end() {
	for _, c := range w.open {
		c.Close()
	}
	w.server.Close()
	w.heard.Close()
}
