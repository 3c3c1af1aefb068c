package speaker

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/osrg/gobgp/v4/pkg/apiutil"
	"github.com/osrg/gobgp/v4/pkg/packet/bgp"

	"bulkhead/vswitch/agent/evpn"
)

// overWire is a route as a neighbour reads it: written, put into an UPDATE's bytes, and
// decoded.
func overWire(t *testing.T, r *evpn.Route) (*apiutil.Path, []byte) {
	t.Helper()
	p, err := write(r)
	if err != nil {
		t.Fatal(err)
	}
	attrs := append(p.Attrs, bgp.NewPathAttributeAsPath(nil))
	wire, err := bgp.NewBGPUpdateMessage(nil, attrs, nil).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return decode(t, wire), wire
}

func decode(t *testing.T, wire []byte) *apiutil.Path {
	t.Helper()
	m, err := bgp.ParseBGPMessage(wire)
	if err != nil {
		t.Fatal(err)
	}
	attrs := m.Body.(*bgp.BGPUpdate).PathAttributes
	for _, a := range attrs {
		if reach, is := a.(*bgp.PathAttributeMpReachNLRI); is {
			return &apiutil.Path{Nlri: reach.Value[0].NLRI, Attrs: attrs}
		}
	}
	t.Fatal("no route in the message")
	return nil
}

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

var mac = evpn.MAC{2, 0xaa, 0, 0, 0, 1}

// What is said is what is heard, for each type, family and form of target.
func TestRoundTrip(t *testing.T) {
	targets := []evpn.Target{{Form: evpn.AS2, Admin: 65000, Number: 70000}, {Form: evpn.AS4, Admin: 4200000000, Number: 7}, {Form: evpn.IPv4, Admin: 0xc0000209, Number: 5}}
	for name, r := range map[string]evpn.Route{
		"mac":          {Kind: evpn.MACIP, RD: "192.0.2.1:7701", VTEP: addr("192.0.2.1"), VNI: 7701, MAC: mac, Targets: targets[:1]},
		"mac_ip4":      {Kind: evpn.MACIP, RD: "192.0.2.1:7701", VTEP: addr("192.0.2.1"), VNI: 1<<24 - 1, MAC: mac, IP: addr("10.0.0.1"), Sequence: 1<<32 - 1, Sticky: true, Targets: targets},
		"mac_ip6_l3":   {Kind: evpn.MACIP, RD: "192.0.2.1:7701", VTEP: addr("2001:db8::1"), VNI: 7701, L3VNI: 9, MAC: mac, IP: addr("fd00::1"), Targets: targets[1:2], RouterMAC: mac, Communities: []uint32{1, 2}},
		"multicast":    {Kind: evpn.Multicast, RD: "192.0.2.1:7701", VTEP: addr("192.0.2.1"), VNI: 7701, Targets: targets},
		"multicast_v6": {Kind: evpn.Multicast, RD: "192.0.2.1:7701", VTEP: addr("2001:db8::1"), VNI: 7701, Targets: targets},
		"prefix4":      {Kind: evpn.Prefix, RD: "192.0.2.1:9", VTEP: addr("192.0.2.1"), VNI: 9, Prefix: netip.MustParsePrefix("10.8.0.0/16"), RouterMAC: mac, Targets: targets},
		"prefix6":      {Kind: evpn.Prefix, RD: "192.0.2.1:9", VTEP: addr("192.0.2.1"), VNI: 9, Prefix: netip.MustParsePrefix("::/0"), RouterMAC: mac, Targets: targets},
	} {
		t.Run(name, func(t *testing.T) {
			p, _ := overWire(t, &r)
			got, known, err := read(p)
			if err != nil || !known || !reflect.DeepEqual(got, r) {
				t.Errorf("%+v, %v, %v; said was %+v", got, known, err, r)
			}
		})
	}
}

// What is known here in no other way is refused, and says why.
func TestRefused(t *testing.T) {
	base := evpn.Route{Kind: evpn.MACIP, RD: "1:1", VTEP: addr("192.0.2.1"), VNI: 7, MAC: mac, IP: addr("10.0.0.1"), Targets: []evpn.Target{{Admin: 1, Number: 7}}}
	for name, change := range map[string]func(*apiutil.Path){
		"multihomed": func(p *apiutil.Path) {
			macIP(p).ESI = bgp.EthernetSegmentIdentifier{Type: bgp.ESI_ARBITRARY, Value: []byte{1, 2, 3, 4, 5, 6, 7, 8, 9}}
		},
		"tagged":    func(p *apiutil.Path) { macIP(p).ETag = 5 },
		"no_vni":    func(p *apiutil.Path) { macIP(p).Labels = []uint32{0} },
		"no_label":  func(p *apiutil.Path) { macIP(p).Labels = nil },
		"short_mac": func(p *apiutil.Path) { macIP(p).MacAddressLength = 40 },
		"no_rd":     func(p *apiutil.Path) { macIP(p).RD = nil },
		"no_next":   func(p *apiutil.Path) { p.Attrs = p.Attrs[:1] },
		"other_encap": func(p *apiutil.Path) {
			p.Attrs = append(p.Attrs, bgp.NewPathAttributeExtendedCommunities([]bgp.ExtendedCommunityInterface{bgp.NewEncapExtended(bgp.TUNNEL_TYPE_GENEVE)}))
			p.Attrs[2] = p.Attrs[0]
		},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := write(&base)
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := read(p); err != nil {
				t.Fatalf("unchanged: %v", err)
			}
			change(p)
			if r, known, err := read(p); err == nil || !known {
				t.Errorf("%+v, %v, %v", r, known, err)
			}
		})
	}
}

func macIP(p *apiutil.Path) *bgp.EVPNMacIPAdvertisementRoute {
	return p.Nlri.(*bgp.EVPNNLRI).RouteTypeData.(*bgp.EVPNMacIPAdvertisementRoute)
}

// Whatever bytes a neighbour sends, they are read or refused; what is read can be said
// again and is then the same.
func TestReadAnyBytes(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	r := evpn.Route{Kind: evpn.MACIP, RD: "192.0.2.1:7701", VTEP: addr("192.0.2.1"), VNI: 7701, L3VNI: 9, MAC: mac, IP: addr("fd00::1"), Targets: []evpn.Target{{Admin: 1, Number: 7}}, RouterMAC: mac, Communities: []uint32{1}}
	_, first := overWire(t, &r)
	r.Kind, r.Prefix, r.IP, r.MAC, r.L3VNI = evpn.Prefix, netip.MustParsePrefix("10.8.0.0/16"), netip.Addr{}, evpn.MAC{}, 0
	_, second := overWire(t, &r)
	read1 := 0
	for range 20000 {
		wire := bytes.Clone(first)
		if rnd.IntN(2) == 0 {
			wire = bytes.Clone(second)
		}
		for range 1 + rnd.IntN(4) {
			wire[19+rnd.IntN(len(wire)-19)] = byte(rnd.Uint32()) // behind the header: its length is right
		}
		m, err := bgp.ParseBGPMessage(wire)
		if err != nil {
			continue
		}
		u, is := m.Body.(*bgp.BGPUpdate)
		if !is {
			continue
		}
		for _, a := range u.PathAttributes {
			reach, is := a.(*bgp.PathAttributeMpReachNLRI)
			if !is {
				continue
			}
			for _, n := range reach.Value {
				got, known, err := read(&apiutil.Path{Nlri: n.NLRI, Attrs: u.PathAttributes})
				if err != nil || !known {
					continue
				}
				read1++
				if !got.VTEP.IsValid() || got.VNI == 0 || got.VNI >= 1<<24 || got.RD == "" {
					t.Fatalf("%+v was read", got)
				}
			}
		}
	}
	if read1 == 0 {
		t.Error("none was read: the test tests nothing")
	}
}

// A neighbour that was lost while it was read, whether it came back or not, has said
// nothing that counts.
func TestDropLost(t *testing.T) {
	began := time.Unix(1000, 0)
	side := func(a string, up bool, since time.Time) evpn.Status {
		return evpn.Status{Address: addr(a), Up: up, Since: since, Routes: make([]evpn.Route, 1)}
	}
	now := []evpn.Status{side("192.0.2.1", true, began), side("192.0.2.2", true, began), side("192.0.2.3", true, began), side("192.0.2.4", false, began)}
	after := []evpn.Status{side("192.0.2.1", true, began), side("192.0.2.2", false, began), side("192.0.2.3", true, began.Add(1)), side("192.0.2.4", true, began)}
	lost := dropLost(now, after)
	if !slices.Equal(lost, []netip.Addr{addr("192.0.2.2"), addr("192.0.2.3")}) || !now[0].Up || now[1].Up || now[2].Up || now[1].Routes != nil {
		t.Errorf("%v, %+v", lost, now)
	}
}
