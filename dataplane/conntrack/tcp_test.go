package conntrack

import (
	"fmt"
	"testing"

	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
)

// step is a segment, what becomes of it, and of the connection.
type step struct {
	seg
	want  drop.Reason
	state State
}

// o is a segment of the end that opens, r of the other one.
func o(flags uint8, seq, ack uint32, len int) seg {
	return segOf(false, flags, seq, ack, len)
}
func r(flags uint8, seq, ack uint32, len int) seg {
	return segOf(true, flags, seq, ack, len)
}
func segOf(reply bool, flags uint8, seq, ack uint32, len int) seg {
	return seg{reply: reply, flags: flags, seq: seq, ack: ack, len: len, win: 1000, scale: -1}
}
func (g seg) window(win uint16) seg { g.win = win; return g }
func (g seg) scaled(scale int) seg  { g.scale = scale; return g }

const (
	pass    = drop.None
	invalid = drop.TCPInvalid
	nobody  = drop.TCPNoSession
)

// handshake opens a connection: both ends have sent one byte, their SYN.
var handshake = []step{
	{o(syn, 0, 0, 0), pass, sSS},
	{r(syn|ack, 0, 1, 0), pass, sSR},
	{o(ack, 1, 1, 0), pass, sES},
}

// established returns a handshake and what comes after it.
func established(more ...step) []step { return append(append([]step{}, handshake...), more...) }

// halfClosed returns a connection whose opener has said FIN.
func halfClosed(more ...step) []step {
	return established(append([]step{
		{o(fin|ack, 1, 1, 0), pass, sFW},
		{r(ack, 1, 2, 0), pass, sCW},
	}, more...)...)
}

// finished returns a connection that has ended well.
func finished(more ...step) []step {
	return halfClosed(append([]step{
		{r(fin|ack, 1, 2, 0), pass, sLA},
		{o(ack, 2, 2, 0), pass, sTW},
	}, more...)...)
}

var tcpCases = []struct {
	name  string
	steps []step
}{
	{"handshake_and_data", established(
		step{o(ack|psh, 1, 1, 500), pass, sES},
		step{r(ack, 1, 501, 700), pass, sES},
		step{o(ack, 501, 701, 0), pass, sES},
	)},
	{"ack_without_session", []step{{o(ack, 1, 1, 0), nobody, sNO}}},
	{"syn_ack_without_session", []step{{o(syn|ack, 0, 1, 0), nobody, sNO}}},
	{"fin_without_session", []step{{o(fin|ack, 1, 1, 0), nobody, sNO}}},
	{"rst_without_session", []step{{o(rst, 1, 0, 0), nobody, sNO}}},
	{"syn_fin_never", []step{{o(syn|fin, 0, 0, 0), invalid, sNO}}},
	{"syn_rst_never", []step{{o(syn|rst, 0, 0, 0), invalid, sNO}}},
	{"syn_urg_is_not_clean", []step{{o(syn|urg, 0, 0, 0), invalid, sNO}}},
	{"null_scan", []step{{o(0, 1, 0, 0), invalid, sNO}}},
	{"fin_scan", []step{{o(fin, 1, 0, 0), invalid, sNO}}},
	{"xmas_scan", []step{{o(fin|psh|urg, 1, 0, 0), invalid, sNO}}},
	{"xmas_in_open_connection", established(step{o(fin|psh|urg, 1, 0, 0), invalid, sES})},
	{"syn_sent_again", []step{
		{o(syn, 0, 0, 0), pass, sSS},
		{o(syn, 0, 0, 0), pass, sSS},
		{r(syn|ack, 0, 1, 0), pass, sSR},
		{o(syn, 0, 0, 0), pass, sSR},
		{r(syn|ack, 0, 1, 0), pass, sSR},
		{o(ack, 1, 1, 0), pass, sES},
	}},
	{"new_syn_before_an_answer", []step{
		{o(syn, 0, 0, 0), pass, sSS},
		{o(syn, 5000, 0, 0), pass, sSS},
		{r(syn|ack, 0, 5001, 0), pass, sSR},
		{o(ack, 5001, 1, 0), pass, sES},
	}},
	{"syn_ack_sent_again_after_the_ack", established(
		step{r(syn|ack, 0, 1, 0), pass, sES},
		step{o(ack, 1, 1, 0), pass, sES},
		step{o(ack, 1, 1, 10), pass, sES},
	)},
	{"syn_ack_for_another_syn", []step{
		{o(syn, 0, 0, 0), pass, sSS},
		{r(syn|ack, 0, 70_000, 0), invalid, sSS},
		{r(syn|ack, 0, 1, 0), pass, sSR},
	}},
	{"data_in_the_syn_fast_open", []step{
		{o(syn, 0, 0, 300), pass, sSS},
		{r(syn|ack, 0, 301, 0), pass, sSR},
		{o(ack, 301, 1, 0), pass, sES},
	}},
	{"split_handshake", []step{ // SYN, SYN of the server, SYN-ACK of the client
		{o(syn, 0, 0, 0), pass, sSS},
		{r(syn, 0, 0, 0), pass, sS2},
		{o(syn|ack, 0, 1, 0), pass, sSR},
		{r(ack, 1, 1, 0), pass, sSR},
		{o(ack, 1, 1, 0), pass, sES},
	}},
	{"simultaneous_open", []step{
		{o(syn, 0, 0, 0), pass, sSS},
		{r(syn, 0, 0, 0), pass, sS2},
		{o(syn|ack, 0, 1, 0), pass, sSR},
		{r(syn|ack, 0, 1, 0), pass, sSR},
		{o(ack, 1, 1, 0), pass, sES},
	}},
	{"half_close_server_goes_on", halfClosed(
		step{r(ack, 1, 2, 900), pass, sCW},
		step{o(ack, 2, 901, 0), pass, sCW},
		step{r(fin|ack, 901, 2, 0), pass, sLA},
		step{o(ack, 2, 902, 0), pass, sTW},
	)},
	{"server_closes_first", established(
		step{r(fin|ack, 1, 1, 0), pass, sFW},
		step{o(ack, 1, 2, 0), pass, sCW},
		step{o(fin|ack, 1, 2, 0), pass, sLA},
		step{r(ack, 2, 2, 0), pass, sTW},
	)},
	{"both_close_at_once", established(
		step{o(fin|ack, 1, 1, 0), pass, sFW},
		step{r(fin|ack, 1, 1, 0), pass, sLA},
		step{o(ack, 2, 2, 0), pass, sTW},
		step{r(ack, 2, 2, 0), pass, sTW},
	)},
	{"last_ack_sent_again", finished(step{o(ack, 2, 2, 0), pass, sTW})},
	{"refused", []step{
		{o(syn, 0, 0, 0), pass, sSS},
		{r(rst|ack, ^uint32(isnReply)+1, 1, 0), pass, sCL},
	}},
	{"refusal_without_ack", []step{
		{o(syn, 0, 0, 0), pass, sSS},
		{r(rst, 0, 0, 0), invalid, sSS},
	}},
	{"refusal_of_another_syn", []step{
		{o(syn, 0, 0, 0), pass, sSS},
		{r(rst|ack, 0, 2, 0), invalid, sSS},
	}},
	{"nothing_to_say_where_one_has_refused", []step{
		{o(syn, 0, 0, 0), pass, sSS},
		{r(rst|ack, 0, 1, 0), pass, sCL},
		{r(ack, 1, 1, 100), invalid, sCL},
		{r(fin|ack, 1, 1, 0), invalid, sCL},
		{o(ack, 1, 1, 0), invalid, sCL},
		{o(rst, 1, 0, 0), pass, sCL},
	}},
	{"refused_and_tried_again", []step{
		{o(syn, 0, 0, 0), pass, sSS},
		{r(rst|ack, 0, 1, 0), pass, sCL},
		{o(syn, 90_000, 0, 0), pass, sSS},
		{r(syn|ack, 0, 90_001, 0), pass, sSR},
		{o(ack, 90_001, 1, 0), pass, sES},
	}},
	{"reset_where_it_is_expected", established(step{r(rst|ack, 1, 1, 0), pass, sCL})},
	{"reset_after_data", established(
		step{r(ack, 1, 1, 100), pass, sES},
		step{r(rst|ack, 101, 1, 0), pass, sCL},
	)},
	{"blind_reset_in_the_window_is_challenged", established(
		step{r(rst, 600, 0, 0), pass, sES},
		step{r(rst, 600, 0, 0), pass, sES}, // the first has not paved the way
		step{o(ack, 1, 1, 0), pass, sES},
		step{r(rst, 1, 0, 0), pass, sCL},
	)},
	{"blind_reset_above_the_window", established(step{r(rst, 1002, 0, 0), invalid, sES})},
	{"blind_reset_below_the_window", established(step{r(rst, 0, 0, 0), invalid, sES})},
	{"data_after_a_reset_passes_but_does_not_revive", established(
		step{o(rst, 1, 0, 0), pass, sCL},
		step{r(ack, 1, 1, 10), pass, sCL},
	)},
	{"data_above_the_window", established(
		step{o(ack, 1001, 1, 100), pass, sES}, // a probe at its very edge
		step{o(ack, 1003, 1, 100), invalid, sES},
		step{o(ack, 1<<31, 1, 100), invalid, sES},
	)},
	{"data_older_than_the_window", established(
		step{o(ack, 1, 1, 1000), pass, sES},
		step{r(ack, 1, 1001, 0), pass, sES},
		step{o(ack, 1001, 1, 1000), pass, sES},
		step{o(ack, 1, 1, 1000), pass, sES},   // a whole window back: sent again
		step{o(ack, 1, 1, 999), invalid, sES}, // one byte more
	)},
	{"ack_of_what_was_never_sent", established(step{o(ack, 1, 2, 0), invalid, sES})},
	{"ack_too_old", established(
		step{r(ack, 1, 1, 1000), pass, sES},
		step{o(ack, 1, 1<<32+1001-ackWindow, 0), pass, sES},
		step{o(ack, 1, 1<<32+1000-ackWindow, 0), invalid, sES},
	)},
	{"keep_alive_one_below", established(
		step{o(ack, 0, 1, 0), pass, sES},
		step{r(ack, 1, 1, 0), pass, sES},
	)},
	{"closed_window_is_probed_with_one_byte", established(
		step{r(ack, 1, 1, 0).window(0), pass, sES},
		step{o(ack, 1, 1, 1), pass, sES},
	)},
	{"scaled_windows", []step{
		{o(syn, 0, 0, 0).scaled(7), pass, sSS},
		{r(syn|ack, 0, 1, 0).scaled(10), pass, sSR},
		{o(ack, 1, 1, 0), pass, sES},          // offers 1000 << 7
		{r(ack, 128_002, 1, 1), invalid, sES}, // above it
		{r(ack, 128_001, 1, 1), pass, sES},
		{r(ack, 1, 1, 0), pass, sES}, // offers 1000 << 10
		{o(ack, 1_024_001, 1, 1), pass, sES},
	}},
	{"scale_of_one_end_is_none", []step{
		{o(syn, 0, 0, 0).scaled(7), pass, sSS},
		{r(syn|ack, 0, 1, 0), pass, sSR},
		{o(ack, 1, 1, 0), pass, sES},
		{r(ack, 1002, 1, 1), invalid, sES},
	}},
	{"superframes", []step{
		{o(syn, 0, 0, 0).scaled(9), pass, sSS},
		{r(syn|ack, 0, 1, 0).scaled(9), pass, sSR},
		{o(ack, 1, 1, 0), pass, sES},
		{r(ack, 1, 1, 0), pass, sES},
		{o(ack, 1, 1, 65160), pass, sES},
		{o(ack, 65161, 1, 65160), pass, sES},
		{o(ack, 130321, 1, 65160), pass, sES},
		{r(ack, 1, 195481, 0), pass, sES},
	}},
	{"syn_in_an_open_connection_is_challenged", established(
		step{o(syn, 777_777, 0, 0), pass, sES},
		step{r(ack, 1, 1, 0), pass, sES}, // the challenge
		step{o(ack, 1, 1, 10), pass, sES},
	)},
	{"client_forgot_server_forgot_too", established(
		step{o(syn, 777_777, 0, 0).scaled(2), pass, sES},
		step{r(syn|ack, 888_888, 777_778, 0).scaled(3), pass, sSR},
		step{o(ack, 777_778, 888_889, 0), pass, sES},
		step{r(ack, 888_889+4000, 777_778, 1), pass, sES},
		step{r(ack, 888_889+4002, 777_778, 1), invalid, sES},
	)},
	{"syn_ack_for_no_late_syn_changes_nothing", established(
		step{o(syn, 777_777, 0, 0), pass, sES},
		step{r(syn|ack, 888_888, 777_779, 0), pass, sES},
		step{o(ack, 777_778, 888_889, 0), invalid, sES},
		step{o(ack, 1, 1, 0), pass, sES},
	)},
	{"challenge_ack_acknowledges_no_fin", halfClosed(
		step{r(fin|ack, 1, 2, 0), pass, sLA},
		step{o(syn, 777_777, 0, 0), pass, sLA},
		step{r(ack, 2, 2, 0), pass, sLA},
		step{o(ack, 2, 2, 0), pass, sTW},
	)},
	{"syn_of_the_server_in_an_open_connection", established(step{r(syn, 5000, 0, 0), invalid, sES})},
	{"syn_ack_of_the_client", established(step{o(syn|ack, 1, 1, 0), invalid, sES})},
	{"challenge_to_a_syn_from_an_older_life", []step{
		{o(syn, 0, 0, 0), pass, sSS},
		{r(ack, 44_444, 99_999, 0), pass, sSS},
		{r(syn|ack, 0, 1, 0), pass, sSR},
	}},
	{"tuple_used_again_in_time_wait", finished(
		step{o(syn, 100_000, 0, 0), pass, sSS},
		step{r(syn|ack, 200_000, 100_001, 0), pass, sSR},
		step{o(ack, 100_001, 200_001, 0), pass, sES},
	)},
	{"data_before_the_handshake_is_complete", []step{
		{o(syn, 0, 0, 0), pass, sSS},
		{o(ack, 1, 1, 10), invalid, sSS},
		{o(fin|ack, 1, 1, 0), invalid, sSS},
	}},
	{"fin_with_the_handshakes_ack", []step{
		{o(syn, 0, 0, 0), pass, sSS},
		{r(syn|ack, 0, 1, 0), pass, sSR},
		{o(fin|ack, 1, 1, 20), pass, sFW},
	}},
	{"ece_and_cwr_are_no_matter", []step{
		{o(syn|packet.TCPEce|packet.TCPCwr, 0, 0, 0), pass, sSS},
		{r(syn|ack|packet.TCPEce, 0, 1, 0), pass, sSR},
		{o(ack|packet.TCPCwr, 1, 1, 0), pass, sES},
	}},
}

func TestTCP(t *testing.T) {
	for _, c := range tcpCases {
		t.Run(c.name, func(t *testing.T) {
			table := newTable(t, Config{})
			k := keyOf(packet.ProtoTCP, 1)
			for i, step := range c.steps {
				before := snapshot(table, k)
				s, reason := put(table, step.frame(k, 1), second)
				got := State(StateNone)
				if s != nil {
					got = s.State()
				}
				if reason != step.want || got != step.state {
					t.Fatalf("step %d %s: %v, %v; want %v, %v", i+1, step.seg, reason, got, step.want, step.state)
				}
				if after := snapshot(table, k); reason != drop.None && after != before {
					t.Errorf("step %d %s: refused, but changed the session\nfrom %+v\nto   %+v", i+1, step.seg, before, after)
				}
			}
		})
	}
}

// snapshot returns the session of a key, or a zero one.
func snapshot(t *Table, k packet.Key) Session {
	if s, _ := find(t, k, second); s != nil {
		return *s
	}
	return Session{}
}

func (g seg) String() string {
	who := "original"
	if g.reply {
		who = "reply"
	}
	return fmt.Sprintf("%s flags %06b seq %d ack %d len %d", who, g.flags, g.seq, g.ack, g.len)
}

// A SYN of the other end after the end of a connection is a stranger: the
// policy is asked, the port it comes in by is charged, the direction is turned.
func TestServerReopensAsAStranger(t *testing.T) {
	table := newTable(t, Config{})
	k := keyOf(packet.ProtoTCP, 1)
	for _, step := range finished() {
		put(table, step.frame(k, 1), second)
	}
	f := r(syn, 300_000, 0, 0).frame(k, 2)
	s, d := find(table, k.Reverse(), second)
	if d != Reply || !table.Renews(s, d, f) {
		t.Fatalf("the SYN is taken for one of the finished connection")
	}
	s, reason := put(table, f, second)
	if reason != drop.None || s.Owner() != 2 || s.Key != k.Reverse() {
		t.Errorf("opened %v: owner %d", reason, s.Owner())
	}
}

// Who does not ask Renews loses the SYN, not the connection: sent again it
// opens.
func TestServerReopensWithoutRenews(t *testing.T) {
	table := newTable(t, Config{})
	k := keyOf(packet.ProtoTCP, 1)
	for _, step := range finished() {
		put(table, step.frame(k, 1), second)
	}
	f := r(syn, 300_000, 0, 0).frame(k, 2)
	s, d := find(table, k.Reverse(), second)
	if reason := table.Advance(s, d, f, second); reason != drop.TCPNoSession || table.Len() != 0 {
		t.Fatalf("%v, %d sessions", reason, table.Len())
	}
	if _, reason := put(table, f, second); reason != drop.None {
		t.Errorf("sent again: %v", reason)
	}
}

// Every combination of flags that is no segment is refused in every state and
// direction and changes nothing; the table of states is total.
func TestIllegalFlagsInEveryState(t *testing.T) {
	legal := map[uint8]bool{syn: true, syn | ack: true, fin | ack: true, fin | ack | urg: true, ack: true, ack | urg: true, rst: true, rst | ack: true}
	reach := [][]step{handshake[:1], handshake[:2], handshake, established(step{o(fin|ack, 1, 1, 0), pass, sFW}),
		halfClosed(), halfClosed(step{r(fin|ack, 1, 2, 0), pass, sLA}), finished(), established(step{o(rst, 1, 0, 0), pass, sCL}),
		{{o(syn, 0, 0, 0), pass, sSS}, {r(syn, 0, 0, 0), pass, sS2}}}
	tried := 0
	for _, steps := range reach {
		for flags := range 512 {
			table := newTable(t, Config{Sessions: 8, Ports: 4})
			k := keyOf(packet.ProtoTCP, 1)
			for _, step := range steps {
				put(table, step.frame(k, 1), second)
			}
			if legal[uint8(flags)&63&^psh] {
				continue
			}
			before := snapshot(table, k)
			_, reason := put(table, segOf(flags > 255, uint8(flags), 1, 1, 0).frame(k, 1), second)
			if after := snapshot(table, k); reason != drop.TCPInvalid || after != before {
				t.Errorf("state %v, flags %08b: %v", before.State(), uint8(flags), reason)
			}
			tried++
			table.Close()
		}
	}
	if want := len(reach) * 2 * 4 * (64 - 16); tried != want {
		t.Errorf("%d cases tried, want %d", tried, want)
	}
}
