package config

import (
	"fmt"
	"net/netip"

	"bulkhead/dataplane/packet"
)

// What follows is asked of a workload wherever it is stated: in the
// configuration, or to the control API.

// HostMAC reads a MAC that a host can have.
func HostMAC(s string) (packet.MAC, error) {
	m, err := packet.ParseMAC(s)
	if err == nil && (m.IsMulticast() || m == packet.MAC{}) {
		err = fmt.Errorf("%s is no host's address; the first byte must be even, as in 02:00:00:00:00:01", s)
	}
	return m, err
}

// HostAddr reads an address that a host can have.
func HostAddr(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	switch {
	case err != nil:
		return a, fmt.Errorf("%q is no IP address; write it as 10.0.0.1 or fd00::1", s)
	case a.Zone() != "" || a.Is4In6():
		return a, fmt.Errorf("%q: write it without zone, and IPv4 as IPv4", s)
	case a.IsUnspecified() || a.IsMulticast() || a.IsLoopback() || a.IsLinkLocalUnicast() && a.Is6():
		return a, fmt.Errorf("%q is not an address that a workload can be reached at", s)
	}
	return a, nil
}

// Name checks what an endpoint is to be called.
func Name(s string) error {
	if !goodName(s) {
		return fmt.Errorf("%q is no name; letters, digits, '-', '_' and '.', at most %d", s, maxName)
	}
	return nil
}
