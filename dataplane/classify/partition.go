package classify

// partition puts elements that nothing tells apart into one class: all of them
// at first, then every take moves the elements named since begin out of the
// classes they share with others (partition refinement: exact, without hashes,
// in a step an element named).
type partition struct {
	class  []uint32 // by element
	size   []uint32 // by class
	target []uint32 // by class: where its named elements go
	stamp  []uint32 // by class: the naming that target is of
	unused []uint32 // classes that became empty
	tick   uint32
}

func newPartition(elements int) *partition {
	return &partition{class: make([]uint32, elements), size: []uint32{uint32(elements)}, target: []uint32{0}, stamp: []uint32{0}}
}

// begin begins a naming.
func (p *partition) begin() { p.tick++ }

// take names an element; none twice in a naming.
func (p *partition) take(element uint32) {
	old := p.class[element]
	if p.stamp[old] != p.tick {
		p.stamp[old] = p.tick
		p.target[old] = p.fresh()
	}
	to := p.target[old]
	p.class[element] = to
	p.size[to]++
	if p.size[old]--; p.size[old] == 0 {
		p.unused = append(p.unused, old)
	}
}

func (p *partition) fresh() uint32 {
	if n := len(p.unused); n > 0 {
		c := p.unused[n-1]
		p.unused = p.unused[:n-1]
		return c
	}
	p.size = append(p.size, 0)
	p.target = append(p.target, 0)
	p.stamp = append(p.stamp, 0)
	return uint32(len(p.size) - 1)
}

// number numbers the classes in the order of their first elements, so that
// neighbours are neighbours, and returns how many there are.
func (p *partition) number() uint32 {
	names := make([]uint32, len(p.size))
	n := uint32(0)
	for i, c := range p.class {
		if names[c] == 0 {
			n++
			names[c] = n
		}
		p.class[i] = names[c] - 1
	}
	return n
}
