package identity

// Where the second pieces of IPv4 are few, or close together, the steps of their
// bytes are arrays: two loads and no comparisons, which is less than a node takes
// (BenchmarkOutside). Arrays of many pieces would be large, and most of them one
// line of use.
const maxBlocks = 1 << 10 // of 256 steps: 1 MiB

// blockStep takes a step by a byte. An answer stays, without a jump.
func (p *prefixes) blockStep(s step, b uint32) step {
	to := p.blocks[(uint32(s)+b)&^uint32(int32(s)>>31)]
	if s&answer != 0 {
		to = s
	}
	return to
}

// blocks counts the arrays that the ranges kept would be: one of a piece's first
// bytes, and one for each of these that is not of one step.
func (b *ranging) blocks() (n int) {
	n = 1 // so that there is a first step
	for _, list := range b.lists {
		n++
		last := uint32(1 << 8)
		for _, s := range list {
			if s.first&255 != 0 && s.first>>8 != last {
				last = s.first >> 8
				n++
			}
		}
	}
	return n
}

// block makes the arrays of a piece's ranges.
func (b *ranging) block(list []span) step {
	top := b.fresh()
	eachRange(list, func(first, last uint32, s step) {
		for x := first; x <= last; {
			end := min(last, x|255)
			switch {
			case x&255 == 0 && end&255 == 255:
				b.p.blocks[top+x>>8] = s
				x = end + 1
				continue
			case x&255 == 0:
				below := b.fresh()
				b.p.blocks[top+x>>8] = step(below)
			}
			for below := uint32(b.p.blocks[top+x>>8]); x <= end; x++ {
				b.p.blocks[below+x&255] = s
			}
		}
	})
	return step(top)
}

// fresh appends an array.
func (b *ranging) fresh() uint32 {
	at := len(b.p.blocks)
	b.p.blocks = append(b.p.blocks, make([]step, 1<<8)...)
	return uint32(at)
}
