package conntrack

import (
	"sync/atomic"

	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/internal/hashtab"
	"bulkhead/dataplane/internal/hugemem"
	"bulkhead/dataplane/packet"
)

// Sessions can outlive the process: their rows, tags and seals lie in memory that is
// given (Config.Memory), and another process that has it visits what is left there
// ([Survivors]) and takes it into a table of its own ([Table.Adopt]). Nothing else of a
// table is kept, neither index nor wheel nor lists nor accounts: they are made anew, as
// of new sessions, so there is no order of writes between rows that could be broken.
//
// # What a kill leaves
//
// A process can be killed between any two stores, so of each row it must be known
// whether it is whole. A row has a seal, four bytes in an array of their own: a keyed
// sum of what never changes of a session, its key and its owner. It is the last store of
// who opens a session, and it is taken off by the first of who ends it, or rewrites it: a
// SYN into a session that is there begins its windows anew. Both are atomic, so no store
// crosses them. A row whose seal is not right is no session.
//
// A sealed session is changed by each of its packets, and of these changes a kill may
// leave any part. Each is a word, written whole, so what can be mixed is words from
// before and after one legal packet:
//
//   - of a window, the four only grow by a legal segment. Each bound of the window check
//     compares what is on the wire with one or two of them, so a mixture is, bound by
//     bound, at most what one end had offered and the other used by then. No byte that
//     the other end has not offered room for passes.
//   - state, flags and deadline: Adopt takes a state only with the protocol that it is
//     of, and a deadline that is no later than the state's own from now.
//   - a tag is believed by nobody who has not compared it with what it stands for.
//   - what the policy has said is not believed at all: Generation is 0 when it is
//     adopted, which is nobody's, so the session's next packet is judged again.
//
// Whoever could write into the memory, a switch that has been taken over, can leave
// sessions there that never were. They, too, are judged by the policy of who adopts
// them, before a packet of theirs passes.

// MemorySize returns how much memory so many sessions take that are to be kept.
func MemorySize(sessions uint32) int {
	n := int(sessions)
	return hugemem.Size[Session](n) + 2*hugemem.Size[uint32](n)
}

// reserveKept maps what can be kept: sessions, tags and seals.
func (t *Table) reserveKept(n int, memory []byte) (err error) {
	if memory != nil {
		if t.sessions, t.tagged, t.sealed, err = tablesIn(memory, n); err != nil {
			return err
		}
		t.seals = t.sealed.Rows
		t.stats.Bytes += t.sealed.Bytes()
	} else if t.sessions, err = hugemem.Make[Session](n); err != nil {
		return err
	} else if t.ended != nil {
		if t.tagged, err = hugemem.Make[uint32](n); err != nil {
			return err
		}
	}
	if t.ended != nil {
		t.tags = t.tagged.Rows
		t.stats.Bytes += t.tagged.Bytes()
	}
	return nil
}

func tablesIn(memory []byte, n int) (rows *hugemem.Table[Session], tags, seals *hugemem.Table[uint32], err error) {
	if rows, memory, err = hugemem.Over[Session](memory, n); err != nil {
		return nil, nil, nil, err
	}
	if tags, memory, err = hugemem.Over[uint32](memory, n); err != nil {
		return nil, nil, nil, err
	}
	seals, _, err = hugemem.Over[uint32](memory, n)
	return rows, tags, seals, err
}

func populateWords(t *hugemem.Table[uint32]) error {
	if t == nil {
		return nil
	}
	return t.Populate()
}

// sealOf is the seal of a whole session; never zero.
func sealOf(secret *hashtab.Secret, s *Session) uint32 {
	k := &s.Key
	from := secret.Addr((*[16]byte)(&k.Src), uint64(k.SrcPort)<<32|uint64(k.Zone)<<16|uint64(k.Proto)<<8|uint64(k.Query))
	to := secret.Addr((*[16]byte)(&k.Dst), uint64(k.DstPort)<<16|uint64(s.owner))
	return uint32(secret.Pair(from, to)) | 1
}

// sealRow says that a row is whole.
func (t *Table) sealRow(row uint32) {
	if t.seals != nil {
		atomic.StoreUint32(&t.seals[row], sealOf(&t.seal, &t.rows[row]))
	}
}

// unsealRow says that it is not, from now on.
func (t *Table) unsealRow(row uint32) {
	if t.seals != nil {
		atomic.StoreUint32(&t.seals[row], 0)
	}
}

// advanceSYN is advanceTCP for a SYN, which may write more of a session than a packet's
// words: it may begin a window, or all of it, anew.
func (t *Table) advanceSYN(s *Session, d Direction, f *packet.Frame, now Time) drop.Reason {
	if t.seals == nil {
		return t.advanceTCP(s, d, f, now)
	}
	row := t.index.Row(s.place)
	t.unsealRow(row)
	reason := t.advanceTCP(s, d, f, now)
	if s.state != StateNone {
		t.sealRow(row)
	}
	return reason
}

// Survivors visits the sessions that a table of so many has left in its memory, and
// returns how many rows were in use and not whole. A visitor may keep neither the
// session, which is a copy, nor change the memory. Whatever the memory holds, what it
// is shown is for Adopt to refuse.
func Survivors(memory []byte, sessions uint32, seal hashtab.Secret, visit func(s *Session, tag uint32)) (torn int, err error) {
	rows, tags, seals, err := tablesIn(memory, int(sessions))
	if err != nil {
		return 0, err
	}
	for i := range rows.Rows {
		sealed := seals.Rows[i]
		if sealed == 0 && rows.Rows[i].state == StateNone {
			continue
		}
		s, tag := rows.Rows[i], uint32(0)
		if sealed != sealOf(&seal, &s) || s.state == StateNone {
			torn++
			continue
		}
		if s.flags&flagTagged != 0 {
			tag = tags.Rows[i]
		}
		visit(&s, tag)
	}
	return torn, nil
}

// Adopt takes a session of another table in, under the key and the owner that it has
// by now: hash is the key's. It is charged to its owner as an old one, and at the owner's
// bounds, or the table's, it is refused as a new one is. Generation and Rule are 0, it has
// no tag. Reasons are session-quota and session-full, and tcp-invalid for what no table
// of this version holds, or whose time is over.
func (t *Table) Adopt(old *Session, key packet.Key, owner packet.PortID, hash uint64, now Time) (*Session, drop.Reason) {
	t.own.Enter()
	defer t.own.Leave()
	tick := tickOf(now)
	if !old.plausible() || int32(old.deadline-tick) <= 0 {
		return nil, drop.TCPInvalid
	}
	if s, _ := t.Find(&key, hash, now); s != nil {
		return nil, drop.TCPInvalid
	}
	row, at, reason := t.admit(owner, hash, now)
	if reason != drop.None {
		return nil, reason
	}
	s := &t.rows[row]
	*s = *old
	s.Key, s.Generation, s.Rule, s.owner, s.place, s.queued = key, 0, 0, owner, at, 0
	s.flags &^= flagEmbryonic | flagTagged
	if most := tick + t.timeouts[s.state]; int32(s.deadline-most) > 0 {
		s.deadline = most
	}
	t.hold(row, s.deadline)
	t.charge(row)
	if old.flags&flagEmbryonic == 0 {
		t.hatch(row)
	}
	t.sealRow(row)
	return s, drop.None
}

// plausible tells whether a session is in a state that its protocol has.
func (s *Session) plausible() bool {
	switch {
	case s.state == StateNone || s.state >= stateCount:
		return false
	case s.scales&15 > maxScale || s.scales>>4 > maxScale:
		return false
	case s.Key.Proto == packet.ProtoTCP:
		return s.state < tcpStates && (s.aux <= maxScale || s.aux == noScale)
	case s.Key.Proto == packet.ProtoICMP || s.Key.Proto == packet.ProtoICMPv6:
		_, asks := answerTo(s.Key.Proto, s.aux)
		return s.state == StateEcho && asks
	}
	return s.state == StateUnanswered || s.state == StateAnswered
}
