package dataplane_test

import (
	"bytes"
	"fmt"
	"slices"

	"bulkhead/dataplane"
	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/erspan"
	"bulkhead/dataplane/packet"
)

// mirror is a mirror that a script declares.
type mirror struct {
	dataplane.Mirror
	of, for_ []string // services and networks; nil: everybody
	marks    uint32
	to       string
}

// declareMirror reads "mirror NAME PORT in|out|both of=SERVICE,.. for=SERVICE,..
// marks=N ports=PORT,.. drops=REASON,.. replies snap=N rate=10pps erspan=2|3
// session=N": marks are of whom a frame is, too. The port is declared as "port NAME
// mirror".
func (w *world) declareMirror(l *line) {
	l.word()
	m := mirror{to: "", marks: uint32(l.number("marks", 0))}
	m.Name = l.word()
	m.State = new(dataplane.MirrorState)
	m.to = l.word()
	m.of, m.for_ = l.list("of"), l.list("for")
	m.Replies = l.flag("replies")
	m.Snap = uint32(l.number("snap", 1518))
	m.Rate = bound(l, "rate")
	m.Tunnel, m.Session = erspan.Type(l.number("erspan", 0)), uint16(l.number("session", 0))
	if ports := l.list("ports"); ports != nil {
		m.Ports = new(dataplane.PortSet)
		for _, name := range ports {
			m.Ports.Add(w.portID(l, name))
		}
	}
	if reasons := l.list("drops"); reasons != nil {
		m.Drops = new([drop.Count]bool)
		for _, name := range reasons {
			reason, known := drop.Parse(name)
			if !known {
				l.fail("%q is no reason", name)
			}
			m.Drops[reason] = true
		}
	}
	switch way := l.word(); way {
	case "in":
		m.In = true
	case "out":
		m.Out = true
	case "both":
		m.In, m.Out = true, true
	default:
		l.fail("a mirror is of what comes in, goes out, or both, not %q", way)
	}
	w.mirrors = replace(w.mirrors, m, func(x mirror) bool { return x.Name == m.Name })
}

// mirrorsOf makes a snapshot's mirrors.
func (w *world) linkMirrors(s *dataplane.Snapshot) error {
	l := new(line)
	for _, m := range w.mirrors {
		m.To = w.portID(l, m.to)
		if m.of != nil || m.marks != 0 {
			m.Of = &dataplane.Who{Sets: numbers(setsNamed(s.Rules, m.of)), Marks: m.marks}
		}
		if m.for_ != nil {
			m.For = &dataplane.Who{Sets: numbers(setsNamed(s.Rules, m.for_))}
		}
		s.Mirrors = append(s.Mirrors, m.Mirror)
	}
	s.Collectors = w.collectors
	return l.err
}

// mirrored writes what mirrors show, and settles it. What is shown of a frame as it
// came in is held to be a piece of the bytes that were sent, from its end if it was
// not cut.
func (r *scriptRun) mirrored(s *sent) (lines []string) {
	all := &r.worker.Mirrored
	for i := range all.Len() {
		f := all.Frame(i)
		text, b := "", f.Bytes()
		if h, frame, is := erspan.Get(b); is {
			text = fmt.Sprintf(" erspan %d session %d seq %d", h.Type, h.Session, h.Sequence)
			if h.Type == erspan.II {
				text += fmt.Sprintf(" index %d", h.Index)
			} else {
				text += fmt.Sprintf(" time %d ms", h.Time/1e6)
			}
			for word, is := range map[string]bool{" out": h.Out} {
				if is {
					text += word
				}
			}
			if h.Tagged {
				text += fmt.Sprintf(" vlan %d", h.VLAN)
			}
			if h.Cut {
				text += " cut"
			}
			b = frame
		}
		if s != nil && !s.veth && s.offload.Checksum != packet.ChecksumPartial && !bytes.Contains(s.bytes, b) {
			text += " changed"
		}
		shown := packet.NewFrame(slices.Clone(b), f.Ingress)
		if reason := packet.Parse(shown); reason != drop.None {
			text += fmt.Sprintf(": %d bytes, %s, %x", len(b), reason, b[:min(len(b), 24)])
		} else {
			text += fmt.Sprintf(": %d bytes, %s", len(b), r.describeFrame(shown, s != nil && s.wrong))
		}
		lines = append(lines, "shown by "+r.w.portName(f.Egress)+text)
	}
	all.Settle()
	return lines
}

// mirrorCounters reads the mirrors' accounts, which must add up.
func (r *scriptRun) mirrorCounters(c counters) {
	for _, m := range r.w.mirrors {
		s, of := m.State, "mirror "+m.Name
		c[of+" selected"], c[of+" limited"], c[of+" full"] = s.Selected.Load(), s.Limited.Load(), s.Full.Load()
		c[of+" lost"], c[of+" sent"], c[of+" bytes"], c[of+" cut"] = s.Lost.Load(), s.Sent.Load(), s.Bytes.Load(), s.Cut.Load()
		if sum := s.Limited.Load() + s.Full.Load() + s.Lost.Load() + s.Sent.Load(); sum != s.Selected.Load() {
			r.t.Errorf("mirror %s selected %d frames, and accounts for %d", m.Name, s.Selected.Load(), sum)
		}
	}
}
