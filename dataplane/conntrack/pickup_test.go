package conntrack

import (
	"testing"

	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
)

// A connection that is taken up goes on in both directions, with what was on its
// way and with retransmissions, and ends as any other; what is far off is refused.
func TestPickedUpConnectionGoesOn(t *testing.T) {
	const ack, fin, rst, syn = packet.TCPAckFlag, packet.TCPFin | packet.TCPAckFlag, packet.TCPRst, packet.TCPSyn
	type move struct {
		what     string
		reply    bool
		flags    uint8
		seq, ack uint32
		size     int
		want     drop.Reason
	}
	for _, c := range []struct {
		name  string
		first move
		then  []move
		state State
	}{
		{"by who opened it", move{flags: ack, seq: 1000, ack: 5000, size: 100}, []move{
			{"the answer", true, ack, 5000, 1100, 1400, drop.None},
			{"data that was on its way", true, ack, 90000, 1100, 1400, drop.None},
			{"its acknowledgment", false, ack, 1100, 91400, 0, drop.None},
			{"a retransmission from before", false, ack, 200, 91400, 100, drop.None},
			{"an acknowledgment of more than was seen", true, ack, 91400, 60000, 0, drop.None},
			{"half the numbers away", true, ack, 91400 + 1<<31, 60000, 10, drop.TCPInvalid},
			{"an acknowledgment half the numbers away", false, ack, 1100, 91400 + 1<<31, 0, drop.TCPInvalid},
		}, StateEstablished},
		{"by the other end", move{reply: true, flags: ack, seq: 5000, ack: 1000, size: 1400}, []move{
			{"the answer", false, ack, 1000, 6400, 0, drop.None},
			{"the end", false, fin, 1000, 6400, 0, drop.None},
			{"its acknowledgment", true, ack, 6400, 1001, 0, drop.None},
			{"the other end", true, fin, 6400, 1001, 0, drop.None},
			{"the last", false, ack, 1001, 6401, 0, drop.None},
		}, StateTimeWait},
		{"by its end", move{flags: fin, seq: 1000, ack: 5000}, nil, StateFinWait},
		{"and reset where it is", move{flags: ack, seq: 1000, ack: 5000, size: 100}, []move{
			{"a reset in the window and not there", true, rst | ack, 6000, 1100, 0, drop.None},
			{"still open", true, ack, 5000, 1100, 10, drop.None},
			{"its acknowledgment", false, ack, 1100, 5010, 0, drop.None},
			{"a reset from before", true, rst | ack, 4000, 1100, 0, drop.TCPInvalid},
			{"a reset there", true, rst | ack, 5010, 1100, 0, drop.None},
		}, StateClosed},
	} {
		t.Run(c.name, func(t *testing.T) {
			table := newTable(t, Config{Sessions: 64})
			make := func(s move) *packet.Frame {
				return segOf(s.reply, s.flags, s.seq, s.ack, s.size).frame(keyOf(packet.ProtoTCP, 1), 1)
			}
			f := make(c.first)
			d := Original
			if c.first.reply {
				d = Reply
			}
			hash := table.Hash(&f.Headers.Key)
			s, reason := table.PickUp(f, d, hash, 1e9)
			if reason != drop.None || s.Embryonic() {
				t.Fatalf("not taken up: %s", reason)
			}
			for _, step := range c.then {
				f := make(step)
				found, d := table.Find(&f.Headers.Key, hash, 1e9)
				if found == nil || (d == Reply) != step.reply {
					t.Fatalf("%s: not found, or in another direction", step.what)
				}
				if reason := table.Advance(found, d, f, 1e9); reason != step.want {
					t.Errorf("%s: %s, want %s", step.what, reason, step.want)
				}
			}
			if s.State() != c.state {
				t.Errorf("it is %s, want %s", s.State(), c.state)
			}
		})
	}
	for _, flags := range []uint8{syn, syn | ack, rst, rst | ack, 0, fin | syn} {
		f := segOf(false, flags, 1, 1, 0).frame(keyOf(packet.ProtoTCP, 1), 1)
		table := newTable(t, Config{Sessions: 64})
		if _, reason := table.PickUp(f, Original, table.Hash(&f.Headers.Key), 1e9); reason != drop.TCPNoSession || table.Len() != 0 {
			t.Errorf("taken up by flags %#x: %s", flags, reason)
		}
	}
}
