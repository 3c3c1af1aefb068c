package analyze

import (
	"bulkhead/policyc/internal/check"
)

// expired reports a rule that will never speak again.
func expired(r *check.Rule, now int64) []Finding {
	if !r.Valid.Over(now) {
		return nil
	}
	return []Finding{{Kind: Expired, Name: r.Name, At: r.At, Text: "it has expired: it was valid " + r.Valid.String()}}
}

// oneWay reports a stateless allow some of whose replies nothing allows: where
// it decides, no stateless allow leads back from the port that was connected to,
// to one that it was connected from. Which of those ports are meant is not to be
// known from here, so any of them do.
func (l *linter) oneWay(i int, r *check.Rule) []Finding {
	if !r.Stateless || r.Dormant {
		return nil
	}
	for _, x := range l.rules[i].seen {
		for _, q := range x.cell.pieces {
			w, exists := l.s.packet(x.from, x.to, q.Span)
			if !exists || q.by[0] != r || l.comesBack(&w, q.Span) {
				continue
			}
			return []Finding{{Kind: OneWay, Name: r.Name, At: r.At, Witness: &w,
				Text: "it is stateless, and no stateless rule allows the way back: replies are denied"}}
		}
	}
	return nil
}

// comesBack tells whether a stateless rule allows some of the replies to a span.
// Theirs are the same ports with source and destination exchanged; what has no
// source ports may be answered by all of its protocol.
func (l *linter) comesBack(w *Packet, p Span) bool {
	reply := Span{p.Proto, p.SrcLo, p.SrcHi, p.Lo, p.Hi}
	if portless := p.Proto != 6 && p.Proto != 17 && p.Proto != 132; portless {
		reply = whole(p.Proto)
	}
	back := l.s.cellOf(l.s.know(w.To), l.s.know(w.From))
	for _, q := range back.pieces {
		if _, some := q.and(reply); some && q.allow[0] && q.by[0].Stateless {
			return true
		}
	}
	return false
}
