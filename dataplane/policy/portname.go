package policy

import "fmt"

// String writes a port as the policy language does.
func (p Port) String() string {
	return p.dest() + p.source()
}

// source is how a port says which source ports it is of; nothing where it is of
// all of them.
func (p Port) source() string {
	switch {
	case p.SrcLo == 0 && p.SrcHi == 65535:
		return ""
	case p.SrcLo == p.SrcHi:
		return fmt.Sprintf(" from %d", p.SrcLo)
	}
	return fmt.Sprintf(" from %d-%d", p.SrcLo, p.SrcHi)
}

func (p Port) dest() string {
	switch p.Proto {
	case AnyProto:
		return "any"
	case 1:
		return p.icmpString("icmp4")
	case 58:
		return p.icmpString("icmp6")
	case 6:
		return p.rangeString("tcp")
	case 17:
		return p.rangeString("udp")
	case 132:
		return p.rangeString("sctp")
	}
	return fmt.Sprintf("ip/%d", p.Proto)
}

func (p Port) rangeString(name string) string {
	switch {
	case p.DstLo == 0 && p.DstHi == 65535:
		return name
	case p.DstLo == p.DstHi:
		return fmt.Sprintf("%s/%d", name, p.DstLo)
	}
	return fmt.Sprintf("%s/%d-%d", name, p.DstLo, p.DstHi)
}

// icmpString writes ICMP as its type, and its code where that is narrower.
func (p Port) icmpString(name string) string {
	low, high := p.DstLo>>8, p.DstHi>>8
	switch {
	case p.DstLo == 0 && p.DstHi == 65535:
		return name
	case p.DstLo == p.DstHi:
		return fmt.Sprintf("%s/%d/%d", name, low, p.DstLo&255)
	case low == high && p.DstLo&255 == 0 && p.DstHi&255 == 255:
		return fmt.Sprintf("%s/%d", name, low)
	}
	return fmt.Sprintf("%s/%d/%d to %d/%d", name, low, p.DstLo&255, high, p.DstHi&255)
}
