package packet_test

import (
	"reflect"
	"testing"

	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
)

// Begin forgets all that the last frame in this place was, but for its headers,
// which Parse writes anew.
func TestBeginForgets(t *testing.T) {
	old := packet.Frame{
		Buf: make([]byte, 9), Start: 7, End: 9, Chunk: 3, Ingress: 77, MaybePartial: true,
		Offload: packet.Offload{Checksum: packet.ChecksumBad, GSO: packet.GSOUDP6, ECN: true, CsumStart: 3, CsumOffset: 2, Size: 9, HeaderLen: 4},
		Reason:  drop.Denied, Egress: 7, Consumed: true, Rule: 5, Outer: 50, Copy: true,
	}
	for v, i := reflect.ValueOf(old), 0; i < v.NumField(); i++ {
		if name := v.Type().Field(i).Name; name != "Headers" && v.Field(i).IsZero() {
			t.Errorf("the old frame has no %s: the test would not see whether it is forgotten", name)
		}
	}
	buf := make([]byte, 200)
	old.Begin(buf, 128, 188, 5)
	want := packet.Frame{Buf: buf, Start: 128, End: 188, Ingress: 5, Egress: packet.NoPort}
	if !reflect.DeepEqual(old, want) {
		t.Errorf("%+v, want %+v", old, want)
	}
}
