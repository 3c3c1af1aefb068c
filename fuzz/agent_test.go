package fuzz

import (
	"net"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"bulkhead/vswitch/agent/schema"
)

// FuzzAgentRecord: whatever a store holds, what is believed of it is bounded, speaks
// for its own key only, and is the same when it is written and read again.
func FuzzAgentRecord(f *testing.F) {
	for _, c := range [][2]string{
		{"cluster", `{"schema":1,"id":"000102030405060708090a0b0c0d0e0f"}`},
		{"hosts/h1", `{"schema":1,"name":"h1","vteps":["192.0.2.1","2001:db8::1"]}`},
		{"segments/s", `{"schema":1,"name":"s","vni":7,"gateways":["10.0.0.1/24"]}`},
		{"endpoints/h1/a/b", `{"schema":1,"name":"a/b","host":"h1","segment":"s","mac":"02:00:00:00:00:01","ips":["10.0.0.1"],"labels":{"app":"x"},"epoch":3,"ceded_to":"h2"}`},
		{"placements/a", `{"schema":1,"name":"a","host":"h1","epoch":1}`},
		{"grants/h1", `{"schema":1,"host":"h1","prefixes":["10.0.0.0/8"],"labels":["app=*"]}`},
		{"policy", `{"schema":1,"generation":1,"sha256":"00","size":1,"parts":1}`},
	} {
		f.Add(c[0], []byte(c[1]))
	}
	f.Fuzz(func(t *testing.T, key string, value []byte) {
		v, place, err := schema.Decode(schema.Prefix+key, value)
		if err != nil {
			return
		}
		again, _, err := schema.Decode(schema.Prefix+key, schema.Encode(v))
		if err != nil || !reflect.DeepEqual(v, again) && len(schema.Encode(again)) != len(schema.Encode(v)) {
			t.Fatalf("%+v is %+v when it is read again, %v", v, again, err)
		}
		switch r := v.(type) {
		case *schema.Host:
			if r.Name != place.Host || !strings.HasSuffix(key, "/"+r.Name) || len(r.VTEPs) > 2 {
				t.Fatalf("%s says %+v", key, r)
			}
		case *schema.Endpoint:
			if key != "endpoints/"+r.Host+"/"+r.Name || strings.Contains(r.Host, "/") || len(r.IPs) == 0 || len(r.IPs) > 32 || len(r.Labels) > 64 || r.Epoch == 0 {
				t.Fatalf("%s says %+v", key, r)
			}
			for _, ip := range r.IPs {
				if a := netip.MustParseAddr(ip); a.IsMulticast() || a.IsLoopback() || a.IsUnspecified() || a.Zone() != "" {
					t.Fatalf("%s has %s", key, ip)
				}
			}
			if mac, err := net.ParseMAC(r.MAC); err != nil || mac[0]&1 != 0 {
				t.Fatalf("%s has %s", key, r.MAC)
			}
			for k := range r.Labels {
				if strings.HasPrefix(k, "bulkhead/") {
					t.Fatalf("%s makes itself a host", key)
				}
			}
		case *schema.Segment:
			if key != "segments/"+r.Name || r.VNI == 0 || r.VNI >= 1<<24 || len(r.Gateways) > 8 {
				t.Fatalf("%s says %+v", key, r)
			}
		}
	})
}
