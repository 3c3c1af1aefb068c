package conntrack

import (
	"fmt"
	"testing"
	"time"

	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/internal/hashtab"
	"bulkhead/dataplane/packet"
)

// Flags, short.
const (
	fin, syn, rst = packet.TCPFin, packet.TCPSyn, packet.TCPRst
	psh, ack, urg = packet.TCPPsh, packet.TCPAckFlag, packet.TCPUrg
)

// testSecret makes the tests repeatable; TestOutcomesDoNotDependOnTheSecret
// uses others.
var testSecret = hashtab.Secret{3, 0x9e3779b97f4a7c15, 0xbf58476d1ce4e5b9, 0x94d049bb133111eb, 0xd6e8feb86659fd93, 0xa0761d6478bd642f}

func newTable(t testing.TB, cfg Config) *Table {
	t.Helper()
	if cfg.Sessions == 0 {
		cfg.Sessions = 1000
	}
	if cfg.Secret == (hashtab.Secret{}) {
		cfg.Secret = testSecret
	}
	table, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := table.Close(); err != nil {
			t.Error(err)
		}
	})
	return table
}

// keyOf makes the n-th of many keys.
func keyOf(proto uint8, n int) packet.Key {
	return packet.Key{
		Src: packet.AddrFrom4([4]byte{10, 0, byte(n >> 16), byte(n >> 24)}), Dst: packet.AddrFrom4([4]byte{10, 1, 0, 1}),
		SrcPort: uint16(n), DstPort: 443, Zone: 1, Proto: proto,
	}
}

// frameOf makes a frame of a flow with so many bytes of payload.
func frameOf(k packet.Key, port packet.PortID, payload int) *packet.Frame {
	f := &packet.Frame{}
	f.Begin(make([]byte, 256), 0, 200, port)
	f.Headers.Key, f.Headers.L3, f.Headers.L4, f.Headers.Payload = k, 14, 34, 54
	f.Headers.PacketEnd = 54 + uint32(payload)
	return f
}

// seg is one TCP segment of a test: numbers count from the initial sequence
// numbers of both ends.
type seg struct {
	reply    bool
	flags    uint8
	seq, ack uint32
	win      uint16
	len      int
	scale    int // -1: not offered
}

// The initial sequence numbers of the tests: one wraps at once, one soon.
var (
	isnOriginal uint32 = 0xffff_ffff
	isnReply    uint32 = 0xffff_f000
)

func (g seg) frame(k packet.Key, port packet.PortID) *packet.Frame {
	from, to := isnOriginal, isnReply
	if g.reply {
		k, from, to = k.Reverse(), to, from
	}
	f := frameOf(k, port, g.len)
	h := &f.Headers
	h.TCPFlags, h.TCPSeq, h.TCPWindow = g.flags, from+g.seq, g.win
	if g.flags&ack != 0 {
		h.TCPAck = to + g.ack
	}
	if g.flags&syn != 0 && g.scale >= 0 {
		copy(f.Buf[54:], []byte{1, 3, 3, byte(g.scale)})
		h.Payload += 4
		h.PacketEnd += 4
	}
	return f
}

// put sends a frame through the table as the walk does, and asks Foretell
// beforehand what will become of it.
func put(t *Table, f *packet.Frame, now Time) (*Session, drop.Reason) {
	hash := t.Hash(&f.Headers.Key)
	s, d := t.Find(&f.Headers.Key, hash, now)
	if s != nil && t.Renews(s, d, f) {
		t.Remove(s)
		s = nil
	}
	if s == nil {
		return t.Open(f, hash, now)
	}
	before, stats := *s, t.stats
	foretold := t.Foretell(s, d, f)
	if *s != before || t.stats != stats {
		panic(fmt.Sprintf("Foretell made %+v of %+v", *s, before))
	}
	reason := t.Advance(s, d, f, now)
	if reason != foretold && reason != drop.SessionQuota {
		panic(fmt.Sprintf("Foretell says %s, Advance %s: flags %08b in state %s", foretold, reason, f.Headers.TCPFlags, before.state))
	}
	return s, reason
}

// find looks a key up.
func find(t *Table, k packet.Key, now Time) (*Session, Direction) {
	return t.Find(&k, t.Hash(&k), now)
}

const second = Time(time.Second)
