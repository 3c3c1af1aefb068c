package speaker

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/osrg/gobgp/v4/pkg/apiutil"
	"github.com/osrg/gobgp/v4/pkg/packet/bgp"

	"bulkhead/vswitch/agent/evpn"
)

// Bounds of what one route may carry that is looked at.
const (
	maxTargets     = 64
	maxCommunities = 64
)

// read makes a route of what a neighbour said. Ok is false for what is of no type that
// is spoken here; an error says what is wrong with one that is.
func read(p *apiutil.Path) (r evpn.Route, ok bool, err error) {
	nlri, is := p.Nlri.(*bgp.EVPNNLRI)
	if !is {
		return r, false, nil
	}
	switch t := nlri.RouteTypeData.(type) {
	case *bgp.EVPNMacIPAdvertisementRoute:
		err = readMACIP(&r, t)
	case *bgp.EVPNMulticastEthernetTagRoute:
		err = readMulticast(&r, t)
	case *bgp.EVPNIPPrefixRoute:
		err = readPrefix(&r, t)
	default:
		return r, false, nil
	}
	if err == nil {
		err = readAttributes(&r, p.Attrs)
	}
	if err != nil {
		return r, true, fmt.Errorf("a route of type %d: %w", nlri.RouteType, err)
	}
	return r, true, nil
}

func readMACIP(r *evpn.Route, t *bgp.EVPNMacIPAdvertisementRoute) error {
	if err := plain(t.ESI, t.ETag); err != nil {
		return err
	}
	if t.MacAddressLength != 48 || len(t.MacAddress) != 6 || len(t.Labels) == 0 || t.RD == nil {
		return fmt.Errorf("it has no MAC of 48 bits, no label or no distinguisher")
	}
	r.Kind, r.RD, r.VNI = evpn.MACIP, t.RD.String(), t.Labels[0]
	copy(r.MAC[:], t.MacAddress)
	if t.IPAddressLength != 0 {
		r.IP = t.IPAddress.Unmap()
	}
	if len(t.Labels) > 1 {
		r.L3VNI = t.Labels[1]
	}
	return nil
}

func readMulticast(r *evpn.Route, t *bgp.EVPNMulticastEthernetTagRoute) error {
	if err := plain(bgp.EthernetSegmentIdentifier{}, t.ETag); err != nil {
		return err
	}
	if t.RD == nil {
		return fmt.Errorf("it has no distinguisher")
	}
	r.Kind, r.RD = evpn.Multicast, t.RD.String()
	return nil
}

func readPrefix(r *evpn.Route, t *bgp.EVPNIPPrefixRoute) error {
	if err := plain(t.ESI, t.ETag); err != nil {
		return err
	}
	if t.GWIPAddress.IsValid() && !t.GWIPAddress.IsUnspecified() {
		return fmt.Errorf("its gateway is an address of the overlay, %s: only router MACs are known here (RFC 9136 4.4.1)", t.GWIPAddress)
	}
	prefix := netip.PrefixFrom(t.IPPrefix, int(t.IPPrefixLength))
	if !prefix.IsValid() || prefix != prefix.Masked() || t.RD == nil {
		return fmt.Errorf("%s is no prefix, or it has no distinguisher", prefix)
	}
	r.Kind, r.RD, r.VNI, r.Prefix = evpn.Prefix, t.RD.String(), t.Label, prefix
	return nil
}

// plain refuses what is of several segments of a line, or of several VLANs of a VNI.
func plain(esi bgp.EthernetSegmentIdentifier, tag uint32) error {
	for _, b := range esi.Value {
		if b != 0 {
			return fmt.Errorf("it is multihomed (ESI), which is not known here")
		}
	}
	if esi.Type != 0 || tag != 0 {
		return fmt.Errorf("it has an Ethernet segment or tag, which are not known here")
	}
	return nil
}

// readAttributes reads what is said of the route.
func readAttributes(r *evpn.Route, attrs []bgp.PathAttributeInterface) error {
	for _, a := range attrs {
		switch a := a.(type) {
		case *bgp.PathAttributeMpReachNLRI:
			r.VTEP = a.Nexthop.Unmap()
		case *bgp.PathAttributeCommunities:
			r.Communities = a.Value[:min(len(a.Value), maxCommunities)]
		case *bgp.PathAttributePmsiTunnel:
			if r.Kind == evpn.Multicast {
				if a.TunnelType != bgp.PMSI_TUNNEL_TYPE_INGRESS_REPL {
					return fmt.Errorf("it wants tunnels of type %d: only ingress replication is known here", a.TunnelType)
				}
				r.VNI = a.Label
			}
		case *bgp.PathAttributeExtendedCommunities:
			if err := readExtended(r, a.Value); err != nil {
				return err
			}
		}
	}
	switch {
	case !r.VTEP.IsValid() || r.VTEP.IsUnspecified() || r.VTEP.IsMulticast():
		return fmt.Errorf("it has no next hop")
	case r.VNI == 0:
		return fmt.Errorf("it has no VNI")
	}
	return nil
}

// readExtended reads extended communities. A route without an encapsulation is taken for
// VXLAN, as peers are configured to be (RFC 8365 5.1.3).
func readExtended(r *evpn.Route, list []bgp.ExtendedCommunityInterface) error {
	other, vxlan := false, false
	for _, e := range list {
		switch e := e.(type) {
		case *bgp.EncapExtended:
			vxlan = vxlan || e.TunnelType == bgp.TUNNEL_TYPE_VXLAN
			other = other || e.TunnelType != bgp.TUNNEL_TYPE_VXLAN
		case *bgp.MacMobilityExtended:
			r.Sequence, r.Sticky = e.Sequence, e.IsSticky
		case *bgp.RouterMacExtended:
			copy(r.RouterMAC[:], e.Mac)
		default:
			if t, is := readTarget(e); is && len(r.Targets) < maxTargets {
				r.Targets = append(r.Targets, t)
			}
		}
	}
	if other && !vxlan {
		return fmt.Errorf("its encapsulation is not VXLAN")
	}
	return nil
}

func readTarget(e bgp.ExtendedCommunityInterface) (evpn.Target, bool) {
	if _, sub := e.GetTypes(); sub != bgp.EC_SUBTYPE_ROUTE_TARGET {
		return evpn.Target{}, false
	}
	switch e := e.(type) {
	case *bgp.TwoOctetAsSpecificExtended:
		return evpn.Target{Form: evpn.AS2, Admin: uint32(e.AS), Number: e.LocalAdmin}, true
	case *bgp.FourOctetAsSpecificExtended:
		return evpn.Target{Form: evpn.AS4, Admin: e.AS, Number: uint32(e.LocalAdmin)}, true
	case *bgp.IPv4AddressSpecificExtended:
		if b := e.IPv4.AsSlice(); len(b) == 4 {
			return evpn.Target{Form: evpn.IPv4, Admin: binary.BigEndian.Uint32(b), Number: uint32(e.LocalAdmin)}, true
		}
	}
	return evpn.Target{}, false
}
