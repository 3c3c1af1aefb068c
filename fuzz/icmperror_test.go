package fuzz

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"bulkhead/dataplane"
	"bulkhead/dataplane/conntrack"
	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
)

// FuzzICMPError has A and B speak, over TCP, UDP and ICMP, and then sends ICMP errors
// that quote what was said, changed or not, from either. What is let through quotes a
// packet that its receiver did send, of what is open now, from whom the error is for,
// and in TCP's case between what was acknowledged and what was sent (RFC 5927 4); the
// reader finds the quote, and a list says what was sent. An error that quotes truly
// always passes. None changes the session that it is about.
//
// which is the quote's number, whether it is turned, and who sends it; size is how
// much of it there is.
func FuzzICMPError(f *testing.F) {
	for which := range byte(8) {
		for _, side := range []byte{0, 0x80} {
			f.Add(which|side, byte(28), []byte{})
			f.Add(which|side, byte(255), []byte{})
			f.Add(which|side, byte(7), []byte{})
			f.Add(which|side|0x40, byte(255), []byte{})
			for at := which; at < 60; at += 8 {
				f.Add(which|side, byte(60), []byte{at, 1})
			}
		}
	}
	m := newMachine(f)
	f.Fuzz(func(t *testing.T, which, size byte, edits []byte) {
		if len(edits) > 16 {
			return
		}
		m.reset(t)
		said := m.converse()
		s := &said[int(which&0x3f)%len(said)]
		quote := slices.Clone(s.frame[14:])
		if which&0x40 != 0 {
			quote = turned(quote, s.family)
		}
		quote = quote[:min(len(quote), 8+int(size))]
		for i := 0; i+1 < len(edits); i += 2 {
			if at := int(edits[i]); at < len(quote) {
				quote[at] ^= edits[i+1]
			}
		}
		from := s.to // who got the packet complains about it
		if which&0x80 != 0 {
			from = s.from
		}
		m.complain(said, from, s, quote)
	})
}

// turned is the packet that would be the answer: addresses and ports change places.
func turned(ip []byte, family int) []byte {
	at, n, l4 := 12, 4, 20
	if family == 1 {
		at, n, l4 = 8, 16, 40
	}
	swap := func(at, n int) {
		for i := range n {
			ip[at+i], ip[at+n+i] = ip[at+n+i], ip[at+i]
		}
	}
	if swap(at, n); ip[[]int{9, 6}[family]] == packet.ProtoUDP || ip[[]int{9, 6}[family]] == packet.ProtoTCP {
		swap(l4, 2)
	}
	return ip
}

// uttered is a packet that was said, from a host to another, by number.
type uttered struct {
	from, to int
	family   int
	frame    []byte
}

// converse has A and B speak, and returns what they may hear errors about: of TCP,
// the last segment that is not acknowledged.
func (m *machine) converse() (said []uttered) {
	say := func(from, to, family int, edit func(*packet.Spec)) {
		b := spec(from, to, family, edit)
		m.batch.Reset()
		*m.batch.Next() = *packet.NewFrame(b, hosts(0)[from].port)
		dataplane.Run(m.worker, m.snapshot, m.now, &m.batch)
		if out := m.batch.Frame(0); out.Reason != drop.None {
			m.Fatalf("%s: %x", out.Reason, b)
		}
		said = append(said, uttered{from, to, family, b})
	}
	for family := range 2 {
		say(a, b, family, tcp(1024, 443, syn, 0xffff_ff00, 0, 0))
		say(b, a, family, tcp(443, 1024, syn|ack, 500, 0xffff_ff01, 0))
		say(a, b, family, tcp(1024, 443, ack, 0xffff_ff01, 501, 0))
		said = said[:len(said)-3]
		say(a, b, family, tcp(1024, 443, ack, 0xffff_ff01, 501, 300))
		say(b, a, family, tcp(443, 1024, ack, 501, 0xffff_ff01, 70))
		say(a, b, family, udp(1024, 2049, 30))
		say(a, b, family, func(s *packet.Spec) {
			s.Proto, s.ICMPType, s.ICMPID = []uint8{packet.ProtoICMP, packet.ProtoICMPv6}[family], []uint8{packet.ICMPEchoRequest, packet.ICMPv6EchoRequest}[family], 9
		})
	}
	return said
}

// complain sends the error, and holds what becomes of it to what was said.
func (m *machine) complain(said []uttered, from int, about *uttered, quote []byte) {
	all := hosts(0)
	to := a + b - from
	e := packet.Spec{SrcMAC: all[from].mac, DstMAC: all[to].mac, Src: all[from].addrs[about.family], Dst: all[to].addrs[about.family],
		Proto: packet.ProtoICMP, ICMPType: packet.ICMPUnreachable, ICMPCode: 3, Payload: quote}
	if about.family == 1 {
		e.Proto, e.ICMPType, e.ICMPCode = packet.ProtoICMPv6, packet.ICMPv6Unreachable, 4
	}
	frame, err := packet.Build(e)
	if err != nil {
		m.Fatal(err)
	}
	before := m.sessions()
	m.batch.Reset()
	*m.batch.Next() = *packet.NewFrame(frame, all[from].port)
	dataplane.Run(m.worker, m.snapshot, m.now, &m.batch)
	out := m.batch.Frame(0)
	if after := m.sessions(); !slices.Equal(after, before) {
		m.Fatalf("%x: the error changes what is open:\n%+v\n%+v", frame, before, after)
	}
	q := read(frame).about
	passes := out.Reason == drop.None && !out.Consumed
	if mayHear := q != nil && heard(said, to, q); mayHear != passes {
		m.Fatalf("%x: quotes %+v, which %d may hear of: %v; it ends as %s", frame, q, to, mayHear, outcome(out))
	}
	if passes && (out.Egress != all[to].port || m.batch.Len() != 1) {
		m.Fatalf("%x: leaves by port %d", frame, out.Egress)
	}
}

// sessions is what is open, without its counters of traffic and silence.
func (m *machine) sessions() (open []string) {
	m.worker.State.Sessions.Each(func(t *conntrack.Table) {
		t.Range(0, 1<<20, m.now, func(s *conntrack.Session, left conntrack.Time) {
			n0, b0 := s.Traffic(conntrack.Original)
			n1, b1 := s.Traffic(conntrack.Reply)
			open = append(open, fmt.Sprintf("%+v %s, %d %d %d %d, %d s left", s.Key, s.State(), n0, b0, n1, b1, left/1e9))
		})
	})
	slices.Sort(open)
	return open
}

// heard tells whether a host may hear an error about a packet: that it has sent, from
// and to the same ends; in TCP's case one between the first byte that is not
// acknowledged and the next that it will send.
func heard(said []uttered, host int, q *facts) bool {
	return slices.ContainsFunc(said, func(s uttered) bool {
		was := read(s.frame)
		if s.from != host || was.from != q.from || was.to != q.to || was.proto != q.proto || was.sport != q.sport || was.dport != q.dport {
			return false
		}
		switch was.proto {
		case packet.ProtoTCP:
			next := was.seq + uint32(len(was.transport)) - 20
			seq := binary.BigEndian.Uint32(q.transport[4:])
			return seq-was.seq <= next-was.seq
		case packet.ProtoICMP, packet.ProtoICMPv6:
			return q.kind == was.kind
		}
		return true
	})
}
