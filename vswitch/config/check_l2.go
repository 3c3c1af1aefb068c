package config

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// maxVID is the highest identifier of a VLAN (IEEE 802.1Q 9.6): 4095 is
// reserved, and 0 names none.
const maxVID = 4094

// l2 checks what a port has beside: tags, and how much may pass.
func (c *checker) l2(key func(string) string, f *filePort) PortL2 {
	return PortL2{
		VLANs:           c.vlans(key("vlans"), f),
		Provider:        c.word(key("vlan_type"), f.VLANType) == "802.1ad",
		LoopRetry:       c.number(key("loop_retry"), f.LoopRetry),
		MulticastRouter: f.MulticastRouter,
		PriorityTags:    f.PriorityTags,
		StormBroadcast:  c.bound(key("storm_broadcast"), f.StormBroadcast),
		StormMulticast:  c.bound(key("storm_multicast"), f.StormMulticast),
		StormUnknown:    c.bound(key("storm_unknown"), f.StormUnknown),
		RateIn:          c.bound(key("rate_in"), f.RateIn),
		RateOut:         c.bound(key("rate_out"), f.RateOut),
	}
}

// vlans reads the list of a trunk: each segment has one entry at the most, so
// that its frames leave in one way.
func (c *checker) vlans(key string, f *filePort) (out []VLAN) {
	at := map[string]string{}
	if f.Segment != "" {
		at[f.Segment] = "the port's segment, whose frames have no tag"
	}
	for _, text := range slices.Sorted(maps.Keys(f.VLANs)) {
		path, name := under(key, text), f.VLANs[text]
		v, good := vlanOf(text)
		if !good {
			c.wrong(path, fmt.Sprintf(`1 to %d, or two of them, the outer one first, as "100.20"`, maxVID), "%s is no VLAN", short(text))
			continue
		}
		if _, known := c.segments.index[name]; !known && !c.silent[path] {
			c.wrong(path, meant(name, c.segments.all), "no segment is called %s", short(name))
			continue
		}
		if other, taken := at[name]; taken {
			c.wrong(path, "a segment has one VLAN on a port", "segment %q is also %s", name, other)
			continue
		}
		at[name] = "VLAN " + text
		v.Segment = name
		out = append(out, v)
	}
	if len(f.VLANs) > maxVID {
		c.wrong(key, fmt.Sprintf("at most %d", maxVID), "%d VLANs on one port", len(f.VLANs))
	}
	if typed := strings.TrimSuffix(key, "vlans") + "vlan_type"; c.set[typed] && !c.set[key] && f.Role != RoleUplink {
		c.wrong(typed, "add vlans, or take it away", "a port without vlans has no tag to be of a type")
	}
	if len(f.VLANs) == 0 && c.set[key] && !c.silent[key] {
		c.wrong(key, "name some, or take the key away", "a trunk without a VLAN carries nothing")
	}
	return out
}

// vlanOf reads "100" or "100.20".
func vlanOf(text string) (v VLAN, good bool) {
	outer, inner, double := strings.Cut(text, ".")
	good = vid(outer, &v.Outer)
	if double {
		good = vid(inner, &v.Inner) && good
	}
	return v, good
}

func vid(text string, out *uint16) bool {
	n, err := strconv.ParseUint(text, 10, 16)
	*out = uint16(n)
	return err == nil && n >= 1 && n <= maxVID && text == strconv.FormatUint(n, 10)
}

// Bounds of what may pass in a second.
const (
	maxFrames = 1_000_000_000
	minBits   = 8_000 // a superframe is then a minute's worth
	maxBits   = 400_000_000_000
)

const rateForm = "at most one of each: 1pps to 1000Mpps, 8kbps to 400Gbps"

// bound reads how much may pass: frames, bits, or both.
func (c *checker) bound(key string, texts []string) (b Bound) {
	for i, text := range texts {
		at := fmt.Sprintf("%s[%d]", key, i)
		n, bits, good := rateOf(text)
		field := &b.Frames
		if bits {
			field = &b.Bits
		}
		switch {
		case !good, bits && (n < minBits || n > maxBits), !bits && (n < 1 || n > maxFrames):
			c.wrong(at, rateForm, "%s is no rate", short(text))
		case *field != 0:
			c.wrong(at, rateForm, "there is a rate of that kind already")
		default:
			*field = n
		}
	}
	return b
}

// String writes a bound as the configuration has it; empty for none.
func (b Bound) String() string {
	var words []string
	if b.Frames != 0 {
		words = append(words, withUnit(b.Frames, "pps"))
	}
	if b.Bits != 0 {
		words = append(words, withUnit(b.Bits, "bps"))
	}
	return strings.Join(words, " ")
}

func withUnit(n uint64, unit string) string {
	prefix := ""
	for _, p := range []string{"k", "M", "G"} {
		if n%1000 != 0 || unit == "pps" && p == "G" {
			break
		}
		n, prefix = n/1000, p
	}
	return fmt.Sprint(n) + prefix + unit
}

// rateOf reads a whole number and its unit: 500pps, 10kpps, 8Mbps, 1Gbps.
func rateOf(text string) (n uint64, bits, good bool) {
	digits := strings.TrimRight(text, "bpskMG")
	n, err := strconv.ParseUint(digits, 10, 48)
	times := map[string]uint64{"": 1, "k": 1000, "M": 1_000_000, "G": 1_000_000_000}
	unit, isBits := strings.CutSuffix(text[len(digits):], "bps")
	if !isBits {
		var isFrames bool
		if unit, isFrames = strings.CutSuffix(text[len(digits):], "pps"); !isFrames || unit == "G" {
			return 0, false, false
		}
	}
	scale, known := times[unit]
	if err != nil || !known || n > maxBits/scale {
		return 0, isBits, false
	}
	return n * scale, isBits, true
}
