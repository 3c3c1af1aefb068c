package packet

import (
	"fmt"
	"net/netip"
)

// String writes the address as people write it.
func (m MAC) String() string {
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5])
}

// ParseMAC reads an address as aa:bb:cc:dd:ee:ff, and in no other form.
func ParseMAC(s string) (MAC, error) {
	var m MAC
	if len(s) != 17 {
		return m, badMAC(s)
	}
	for i := range m {
		high, okHigh := hexDigit(s[i*3])
		low, okLow := hexDigit(s[i*3+1])
		if !okHigh || !okLow || i < 5 && s[i*3+2] != ':' {
			return MAC{}, badMAC(s)
		}
		m[i] = high<<4 | low
	}
	return m, nil
}

func badMAC(s string) error {
	return fmt.Errorf("%q is no MAC address; write it as 02:00:00:00:00:01", s)
}

func hexDigit(c byte) (v byte, found bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

// AddrFrom returns the Addr of an address; its zone is left out.
func AddrFrom(a netip.Addr) Addr { return Addr(a.As16()) }

// Netip returns the address as a netip.Addr, of IPv4 where it is one.
func (a Addr) Netip() netip.Addr { return netip.AddrFrom16(a).Unmap() }

// String writes the address as people write it.
func (a Addr) String() string { return a.Netip().String() }
