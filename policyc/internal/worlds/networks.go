package worlds

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
)

// blocks lie in each other, beside each other, and at the ends of both
// families, so that their edges meet.
var blocks = []string{
	"10.0.0.0/24", "10.0.0.0/25", "10.0.0.128/25", "10.0.0.66/32", "10.0.0.0/8", "10.0.1.0/24", "0.0.0.0/0", "0.0.0.0/32", "255.255.255.255/32",
	"fd00::/16", "fd00::/64", "fd00:0:0:1::/64", "fd00::66/128", "::/0", "::/128", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128",
}

// drawNetwork draws a network of a few blocks, with exceptions. Beyond the first
// few there are more blocks to draw from.
func (w *World) drawNetwork(r *rand.Rand, i int) {
	if i >= len(blocks)/2 {
		w.blocks = append(w.blocks, fmt.Sprintf("10.%d.%d.0/24", 1+i>>8, i&255), fmt.Sprintf("10.%d.%d.128/26", 1+i>>8, i&255), fmt.Sprintf("fd00:%x::/48", 1+i))
	}
	cidrs := some(r, w.blocks)
	w.define(fmt.Sprintf("n%d", i), "", fmt.Sprintf("[networks.n%d]\ncidrs = [%s]\nexcept = [%s]\n", i, quoted(cidrs), quoted(w.inside(r, cidrs))))
}

// inside draws exceptions, which lie in the blocks.
func (w *World) inside(r *rand.Rand, cidrs []string) []string {
	var inside []string
	for _, b := range blocks {
		p := netip.MustParsePrefix(b)
		if slices.ContainsFunc(cidrs, func(c string) bool {
			q := netip.MustParsePrefix(c)
			return q.Bits() < p.Bits() && q.Contains(p.Addr())
		}) {
			inside = append(inside, b)
		}
	}
	if len(inside) == 0 || r.IntN(2) == 0 {
		return nil
	}
	return some(r, inside)
}

// Last is the last address of a prefix.
func Last(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < 8*len(b); i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}
