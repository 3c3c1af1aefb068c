package world

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"bulkhead/vswitch/agent/schema"
)

// BenchmarkStep is what a change of one record costs a host, of so many endpoints on
// a hundred hosts.
func BenchmarkStep(b *testing.B) {
	for _, n := range []int{1000, 10000, 100000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			v := &View{Revision: 1, Entries: map[string]Entry{}}
			put := func(key string, r any) {
				v.Revision++
				v.Entries[key] = Entry{Value: schema.Encode(r), Create: v.Revision, Mod: v.Revision, Version: 1}
			}
			put(schema.SegmentKey("s"), &schema.Segment{Schema: 1, Name: "s", VNI: 7})
			for h := range 100 {
				put(schema.HostKey(fmt.Sprint("h", h)), &schema.Host{Schema: 1, Name: fmt.Sprint("h", h), VTEPs: []string{fmt.Sprint("192.0.2.", h+1)}})
			}
			for i := range n {
				h, name := fmt.Sprint("h", i%100), fmt.Sprint("e", i)
				put(schema.EndpointKey(h, name), &schema.Endpoint{
					Schema: 1, Name: name, Host: h, Segment: "s", MAC: fmt.Sprintf("02:00:00:%02x:%02x:%02x", i>>16, i>>8&255, i&255),
					IPs: []string{netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}).String()}, Labels: map[string]string{"app": "x"}, Epoch: 1,
				})
			}
			w, rd := World{Me: "me", Grace: time.Minute}, Reader{}
			w.Start(nil)
			local := Local{VTEPs: []netip.Addr{netip.MustParseAddr("192.0.2.200")}}
			w.Step(time.Unix(1, 0), rd.Read(v), local)
			for b.Loop() {
				if out := w.Step(time.Unix(1, 0), rd.Read(v), local); len(out.Endpoints) != n {
					b.Fatalf("%d endpoints, alarms %q", len(out.Endpoints), out.Alarms)
				}
			}
		})
	}
}
