package fuzz

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"
	"time"

	"bulkhead/dataplane"
	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
)

// FuzzFragments sends parts of datagrams, overlapping or not, in any order, with
// identifications that repeat, and puts together what leaves as receivers do: one
// that keeps what came first, one that keeps what came last. Whatever was sent,
//
//   - a receiver of either kind never gets a datagram that the policy denies;
//   - both get the same bytes (RFC 1858 4, RFC 3128, RFC 5722: who judges and who
//     receives must not read two things);
//   - a datagram that is allowed and cut without a trick arrives whole.
//
// A program is steps of five bytes: a datagram, its identification and whether it
// is in the way of time, from where, how much, and whether it claims to be last.
func FuzzFragments(f *testing.F) {
	m := newMachine(f)
	grams := fragmentGrams()
	cut := func(gram, id byte, parts ...[3]byte) (p []byte) {
		for _, at := range parts {
			p = append(p, gram, id, at[0], at[1], at[2])
		}
		return p
	}
	for i := range byte(len(grams)) {
		f.Add(cut(i, 1, [3]byte{0, 9, 0}, [3]byte{9, 9, 0}, [3]byte{18, 30, 0}))                          // in order
		f.Add(cut(i, 1, [3]byte{18, 30, 0}, [3]byte{9, 9, 0}, [3]byte{0, 9, 0}))                          // backwards
		f.Add(cut(i, 1, [3]byte{0, 1, 0}, [3]byte{0, 2, 0}, [3]byte{1, 40, 0}))                           // overlap at the header
		f.Add(slices.Concat(cut(i, 1, [3]byte{0, 9, 0}), cut(1, 1, [3]byte{0, 9, 0}, [3]byte{9, 40, 0}))) // two firsts
		f.Add(slices.Concat(cut(i, 1, [3]byte{0, 9, 0}), cut(i, 0x81, [3]byte{9, 40, 0})))                // too late
		f.Add(cut(i, 1, [3]byte{0, 9, 0}, [3]byte{9, 4, 1}, [3]byte{13, 40, 0}))                          // two lasts
	}
	f.Fuzz(func(t *testing.T, program []byte) {
		if len(program) > 400 {
			return
		}
		m.reset(t)
		at := []*assembler{{first: true, parts: map[fragmentID][]arrived{}}, {parts: map[fragmentID][]arrived{}}}
		for ; len(program) >= 5; program = program[5:] {
			m.sendPart(&grams[int(program[0])%len(grams)], program[1:5], at)
		}
		for i := range grams {
			m.arrivesWhole(&grams[i], uint32(1000+i), at)
		}
	})
}

// gram is a datagram from A to B, without its Ethernet and IP headers.
type gram struct {
	frame   []byte // whole
	head    int    // bytes before the transport
	v6      bool
	allowed bool
}

// fragmentGrams are of each family: two that are allowed, with other bytes, one
// that is not, and a question that is.
func fragmentGrams() (all []gram) {
	for family := range 2 {
		fill := func(v byte, edit func(*packet.Spec)) []byte {
			return spec(a, b, family, func(s *packet.Spec) { edit(s); s.Payload = bytes.Repeat([]byte{v}, 192) })
		}
		echo := func(s *packet.Spec) {
			s.Proto, s.ICMPType, s.ICMPID = []uint8{packet.ProtoICMP, packet.ProtoICMPv6}[family], []uint8{packet.ICMPEchoRequest, packet.ICMPv6EchoRequest}[family], 9
		}
		head := 14 + []int{20, 40}[family]
		all = append(all, gram{fill(1, udp(1024, 2049, 0)), head, family == 1, true}, gram{fill(2, udp(1024, 23, 0)), head, family == 1, false},
			gram{fill(3, udp(1024, 2049, 0)), head, family == 1, true}, gram{fill(4, echo), head, family == 1, true})
	}
	return all
}

// part cuts one part out of a datagram, as RFC 791 3.2 and RFC 8200 4.5 say.
func (g *gram) part(from, to int, last bool, id uint32) []byte {
	body := g.frame[g.head:][from:to]
	out := slices.Clone(g.frame[:g.head])
	more := uint16(1)
	if last {
		more = 0
	}
	if g.v6 {
		fragment := []byte{out[14+6], 0, 0, 0, 0, 0, 0, 0}
		binary.BigEndian.PutUint16(fragment[2:], uint16(from)|more)
		binary.BigEndian.PutUint32(fragment[4:], id)
		out[14+6] = 44
		binary.BigEndian.PutUint16(out[14+4:], uint16(8+len(body)))
		return append(append(out, fragment...), body...)
	}
	ip := out[14:]
	binary.BigEndian.PutUint16(ip[2:], uint16(20+len(body)))
	binary.BigEndian.PutUint16(ip[4:], uint16(id))
	binary.BigEndian.PutUint16(ip[6:], more<<13|uint16(from/8))
	ip[10], ip[11] = 0, 0
	binary.BigEndian.PutUint16(ip[10:], ^uint16(ones(0, ip[:20])))
	return append(out, body...)
}

// sendPart sends a part that a program names.
func (m *machine) sendPart(g *gram, how []byte, at []*assembler) {
	if how[0]&0x80 != 0 {
		m.now += int64(how[1]%8) * int64(time.Second)
	}
	size := len(g.frame) - g.head
	from := int(how[1]) % 32 * 8 % size
	to := min(from+(1+int(how[2])%64)*8, size)
	m.deliver(g.part(from, to, (to == size) != (how[3]&1 != 0), uint32(how[0]%4)), at)
}

// deliver sends a frame from A and hands what comes to B to the receivers.
func (m *machine) deliver(b []byte, at []*assembler) {
	m.batch.Reset()
	*m.batch.Next() = *packet.NewFrame(b, portA)
	dataplane.Run(m.worker, m.snapshot, m.now, &m.batch)
	for i := range m.batch.Len() {
		out := m.batch.Frame(i)
		if out.Reason != drop.None || out.Consumed || out.Egress != portB {
			continue
		}
		said := read(out.Bytes())
		if said.refused != "" {
			m.Fatalf("what leaves is refused: %s: %x", said.refused, out.Bytes())
		}
		if !said.part { // a part that is all of it is no part
			if err := allowedWhole(m, said, said.transport); err != nil {
				m.Fatalf("%v: %x", err, out.Bytes())
			}
			continue
		}
		for _, r := range at {
			r.take(m, said)
		}
	}
	if !at[0].late && !slices.EqualFunc(at[0].whole, at[1].whole, bytes.Equal) {
		m.Fatalf("two receivers read\n%x\n%x", at[0].whole, at[1].whole)
	}
}

// arrivesWhole sends a datagram cut without a trick, the last part first.
func (m *machine) arrivesWhole(g *gram, id uint32, at []*assembler) {
	m.now += int64(time.Minute) // who has sent too many may send again
	before := len(at[0].whole)
	m.deliver(g.part(160, len(g.frame)-g.head, true, id), at)
	m.deliver(g.part(0, 80, false, id), at)
	m.deliver(g.part(80, 160, false, id), at)
	got := at[0].whole[before:]
	if g.allowed != (len(got) == 1) || g.allowed && !bytes.Equal(got[0], g.frame[g.head:]) {
		m.Fatalf("a datagram, allowed: %v, arrives as %x", g.allowed, got)
	}
}

type fragmentID struct {
	from  string
	id    uint32
	proto uint8
}

type arrived struct {
	from int
	body []byte
	last bool
	at   int64
}

// assembler is a receiver: a list of what came, put together anew each time.
type assembler struct {
	first bool // what came first stays
	late  bool // parts came that the switch no longer holds against each other
	parts map[fragmentID][]arrived
	whole [][]byte
}

// take takes a part in. A receiver waits for 30 s (Linux; RFC 8200 says 60).
func (r *assembler) take(m *machine, said *facts) {
	k := fragmentID{said.from.String(), said.partID, said.proto}
	list := append(r.parts[k], arrived{said.partOffset, slices.Clone(said.transport), !said.partMore, m.now})
	list = slices.DeleteFunc(list, func(p arrived) bool { return m.now-p.at > int64(30*time.Second) })
	r.parts[k] = list
	r.late = r.late || slices.ContainsFunc(list, func(p arrived) bool { return m.now-p.at >= int64(5*time.Second) })
	if b, complete := r.put(list); complete {
		delete(r.parts, k)
		r.whole = append(r.whole, b)
		if err := allowedWhole(m, said, b); err != nil {
			m.Fatalf("%v: %x", err, b)
		}
	}
}

// put lays the parts over each other, in the order of their coming or against it.
func (r *assembler) put(list []arrived) (b []byte, complete bool) {
	order, end := slices.Clone(list), -1
	if r.first {
		slices.Reverse(order)
	}
	bytesAt := map[int]byte{}
	for _, p := range order {
		for i, v := range p.body {
			bytesAt[p.from+i] = v
		}
		if p.last {
			end = p.from + len(p.body)
		}
	}
	for i := range end {
		v, there := bytesAt[i]
		if !there {
			return nil, false
		}
		b = append(b, v)
	}
	return b, end > 0
}

// allowedWhole asks the policy about a datagram as it was received.
func allowedWhole(m *machine, said *facts, b []byte) error {
	key := packet.Key{Src: addrOf(said.from), Dst: addrOf(said.to), Proto: said.proto}
	dport := binary.BigEndian.Uint16(b[2:])
	if said.proto == packet.ProtoICMP || said.proto == packet.ProtoICMPv6 {
		dport = uint16(b[0])<<8 | uint16(b[1])
	} else {
		key.SrcPort = binary.BigEndian.Uint16(b)
	}
	if !m.change.allows(&key, dport) {
		return fmt.Errorf("received, and no rule allows port %d", dport)
	}
	return nil
}
