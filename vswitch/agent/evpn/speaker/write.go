package speaker

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/osrg/gobgp/v4/pkg/apiutil"
	"github.com/osrg/gobgp/v4/pkg/packet/bgp"

	"bulkhead/vswitch/agent/evpn"
)

// write makes what neighbours are told of a route.
func write(r *evpn.Route) (*apiutil.Path, error) {
	rd, err := bgp.ParseRouteDistinguisher(r.RD)
	if err != nil {
		return nil, err
	}
	nlri, err := writeNLRI(r, rd)
	if err != nil {
		return nil, err
	}
	reach, err := bgp.NewPathAttributeMpReachNLRI(bgp.RF_EVPN, []bgp.PathNLRI{{NLRI: nlri}}, r.VTEP)
	if err != nil {
		return nil, err
	}
	extended, err := writeExtended(r)
	if err != nil {
		return nil, err
	}
	attrs := []bgp.PathAttributeInterface{bgp.NewPathAttributeOrigin(0), reach, bgp.NewPathAttributeExtendedCommunities(extended)}
	if len(r.Communities) > 0 {
		attrs = append(attrs, bgp.NewPathAttributeCommunities(r.Communities))
	}
	if r.Kind == evpn.Multicast {
		attrs = append(attrs, bgp.NewPathAttributePmsiTunnel(bgp.PMSI_TUNNEL_TYPE_INGRESS_REPL, false, r.VNI, &bgp.IngressReplTunnelID{Value: r.VTEP}))
	}
	return &apiutil.Path{Family: bgp.RF_EVPN, Nlri: nlri, Attrs: attrs}, nil
}

func writeNLRI(r *evpn.Route, rd bgp.RouteDistinguisherInterface) (*bgp.EVPNNLRI, error) {
	single := bgp.EthernetSegmentIdentifier{Value: make([]byte, 9)}
	switch r.Kind {
	case evpn.MACIP:
		labels := []uint32{r.VNI}
		if r.L3VNI != 0 {
			labels = append(labels, r.L3VNI)
		}
		nlri, err := bgp.NewEVPNMacIPAdvertisementRoute(rd, single, 0, r.MAC.String(), r.IP, labels)
		if err == nil && !r.IP.IsValid() {
			nlri.RouteTypeData.(*bgp.EVPNMacIPAdvertisementRoute).IPAddressLength = 0
		}
		return nlri, err
	case evpn.Multicast:
		return bgp.NewEVPNMulticastEthernetTagRoute(rd, 0, r.VTEP)
	case evpn.Prefix:
		none := netip.IPv4Unspecified()
		if r.Prefix.Addr().Is6() {
			none = netip.IPv6Unspecified()
		}
		return bgp.NewEVPNIPPrefixRoute(rd, single, 0, uint8(r.Prefix.Bits()), r.Prefix.Addr(), none, r.VNI)
	}
	return nil, fmt.Errorf("routes of type %d are not said", r.Kind)
}

func writeExtended(r *evpn.Route) (list []bgp.ExtendedCommunityInterface, err error) {
	for _, t := range r.Targets {
		e, err := writeTarget(t)
		if err != nil {
			return nil, err
		}
		list = append(list, e)
	}
	list = append(list, bgp.NewEncapExtended(bgp.TUNNEL_TYPE_VXLAN))
	if r.Kind == evpn.MACIP {
		list = append(list, bgp.NewMacMobilityExtended(r.Sequence, r.Sticky))
	}
	if r.RouterMAC != (evpn.MAC{}) {
		list = append(list, bgp.NewRoutersMacExtended(r.RouterMAC.String()))
	}
	return list, nil
}

func writeTarget(t evpn.Target) (bgp.ExtendedCommunityInterface, error) {
	switch t.Form {
	case evpn.AS2:
		return bgp.NewTwoOctetAsSpecificExtended(bgp.EC_SUBTYPE_ROUTE_TARGET, uint16(t.Admin), t.Number, true), nil
	case evpn.AS4:
		return bgp.NewFourOctetAsSpecificExtended(bgp.EC_SUBTYPE_ROUTE_TARGET, t.Admin, uint16(t.Number), true), nil
	}
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], t.Admin)
	return bgp.NewIPv4AddressSpecificExtended(bgp.EC_SUBTYPE_ROUTE_TARGET, netip.AddrFrom4(b), uint16(t.Number), true)
}
