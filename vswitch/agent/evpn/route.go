package evpn

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Kind is a route's type (RFC 7432 7, RFC 9136 3).
type Kind uint8

// The types that are spoken. Others are not looked at.
const (
	MACIP     Kind = 2 // where a MAC is, and an address of it
	Multicast Kind = 3 // a VTEP wants what is flooded in a segment
	Prefix    Kind = 5 // a prefix is behind a VTEP, in a VRF
)

// MAC is a MAC.
type MAC [6]byte

// String is the MAC as 02:00:00:00:00:01.
func (m MAC) String() string {
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5])
}

// unicast tells whether a workload may have it.
func (m MAC) unicast() bool { return m != MAC{} && m[0]&1 == 0 }

// parseMAC reads a MAC as String writes it.
func parseMAC(s string) (m MAC, err error) {
	parts := strings.Split(s, ":")
	if len(parts) != 6 {
		return m, fmt.Errorf("%q is no MAC", s)
	}
	for i, p := range parts {
		b, err := strconv.ParseUint(p, 16, 8)
		if err != nil {
			return m, fmt.Errorf("%q is no MAC", s)
		}
		m[i] = byte(b)
	}
	return m, nil
}

// Route is a route of EVPN, as much of it as means something here. The speaker makes
// it of what a neighbour says, and of it what neighbours are told.
type Route struct {
	Kind        Kind
	RD          string     // the route distinguisher, as text
	VTEP        netip.Addr // the next hop: the outer destination
	VNI         uint32     // label 1; of a Prefix the VRF's
	L3VNI       uint32     // of MACIP: label 2, the VRF's; 0: none
	MAC         MAC        // of MACIP
	IP          netip.Addr // of MACIP; invalid: of the MAC alone
	Prefix      netip.Prefix
	RouterMAC   MAC // the VTEP's own, as the inner destination of what it is to route (RFC 9135 8.1); zero: none
	Sequence    uint32
	Sticky      bool // it does not move (RFC 7432 15.2)
	Targets     []Target
	Communities []uint32 // RFC 1997
}

// Key names a route among those of one neighbour.
func (r *Route) Key() string {
	return fmt.Sprintf("%d %s %s %s %s %s", r.Kind, r.RD, r.MAC, r.IP, r.Prefix, r.VTEP)
}

// same tells whether two routes say the same.
func (r *Route) same(o *Route) bool {
	return r.Key() == o.Key() && r.VNI == o.VNI && r.L3VNI == o.L3VNI && r.RouterMAC == o.RouterMAC && r.Sequence == o.Sequence &&
		r.Sticky == o.Sticky && slices.Equal(r.Targets, o.Targets) && slices.Equal(r.Communities, o.Communities)
}

// Diff is what is to be said anew, and what is to be taken back, so that what was said
// becomes what is wanted; both by Key.
func Diff(said map[string]Route, wanted []Route) (say, unsay []Route) {
	want := map[string]bool{}
	for _, r := range wanted {
		want[r.Key()] = true
		if was, is := said[r.Key()]; !is || !was.same(&r) {
			say = append(say, r)
		}
	}
	for key, r := range said {
		if !want[key] {
			unsay = append(unsay, r)
		}
	}
	slices.SortFunc(unsay, func(a, b Route) int { return cmp.Compare(a.Key(), b.Key()) })
	return say, unsay
}

// Form is how the administrator of a route target is written (RFC 4360 4, RFC 5668).
type Form uint8

// The forms, by the number that they have on the wire.
const (
	AS2  Form = 0 // an AS of two octets, and four of a number
	IPv4 Form = 1 // an address, and two
	AS4  Form = 2 // an AS of four octets, and two
)

// Target is a route target: which segments or VRFs a route is for.
type Target struct {
	Form   Form
	Admin  uint32
	Number uint32
}

// String is the target as 65000:7701, or 192.0.2.1:5.
func (t Target) String() string {
	if t.Form == IPv4 {
		a := netip.AddrFrom4([4]byte{byte(t.Admin >> 24), byte(t.Admin >> 16), byte(t.Admin >> 8), byte(t.Admin)})
		return fmt.Sprintf("%s:%d", a, t.Number)
	}
	return fmt.Sprintf("%d:%d", t.Admin, t.Number)
}

// ParseTarget reads a target as String writes it.
func ParseTarget(s string) (Target, error) {
	admin, number, cut := strings.Cut(s, ":")
	n, err := strconv.ParseUint(number, 10, 32)
	bad := fmt.Errorf("%.40q is no route target: 65000:7701, or 192.0.2.1:5", s)
	if !cut || err != nil {
		return Target{}, bad
	}
	if a, err := netip.ParseAddr(admin); err == nil && a.Is4() && n <= 0xffff {
		b := a.As4()
		return Target{IPv4, uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3]), uint32(n)}, nil
	}
	as, err := strconv.ParseUint(admin, 10, 32)
	switch {
	case err != nil:
		return Target{}, bad
	case as <= 0xffff:
		return Target{AS2, uint32(as), uint32(n)}, nil
	case n > 0xffff:
		return Target{}, fmt.Errorf("%s is no route target: behind an AS above 65535 the number is at most 65535", s)
	}
	return Target{AS4, uint32(as), uint32(n)}, nil
}

// derived is the target of a VNI where none is configured: the AS, of four octets its
// lower two, and the VNI (RFC 8365 5.1.2.1 without the type bits, as most fabrics do).
func derived(as, vni uint32) Target { return Target{AS2, as & 0xffff, vni} }

// isDerived tells whether a target is one that anybody derives of a VNI, whatever his
// AS is; RFC 8365's own form has the encapsulation in the upper bits.
func (t Target) isDerived(vni uint32) bool {
	const vxlan = 1 << 28
	return t.Form == AS2 && (t.Number == vni || t.Number == vxlan|vni)
}

// ParseCommunity reads 65000:17 (RFC 1997).
func ParseCommunity(s string) (uint32, error) {
	as, number, cut := strings.Cut(s, ":")
	a, err := strconv.ParseUint(as, 10, 16)
	n, err2 := strconv.ParseUint(number, 10, 16)
	if !cut || err != nil || err2 != nil {
		return 0, fmt.Errorf("%.40q is no community: 65000:17, both at most 65535", s)
	}
	return uint32(a<<16 | n), nil
}
