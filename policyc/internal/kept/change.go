package kept

import (
	"bytes"
	"sync"
	"sync/atomic"

	"bulkhead/policyc/internal/diag"
	"bulkhead/policyc/internal/source"
)

// Change is a file of a kept build as it is now. Of its parts those at the beginning
// and those at the end that are as they were stay; what is between is compiled.
type Change struct {
	Text []byte // to be compiled: the head, and what has changed

	file   int
	now    file
	head   int // lines, as all that follows
	before int // of the parts behind the head that stay
	gone   int // of what stood between those and the parts at the end
	came   int // of what stands there now
	vars   bool
	moved  int      // bytes from where what has changed stands in Text to where it does in the file
	beside []string // sets that rules of the parts that stay name beside any
}

// Changes finds what has changed since the build, a change for each source, in their
// order. false: more than parts of rules and tests has.
func (b *Build) Changes(sources []*diag.Source) ([]Change, bool) {
	numbers := make(map[string]int, len(b.Files))
	for i := range b.Files {
		numbers[b.Files[i].Name] = i
	}
	var out []Change
	for _, src := range sources {
		i, known := numbers[src.Name]
		if !known {
			return nil, false
		}
		delete(numbers, src.Name)
		c, fine := b.Files[i].change(src, b.Size)
		if !fine {
			return nil, false
		}
		c.file = i
		out = append(out, c)
	}
	return out, len(numbers) == 0
}

// change finds what has changed in a file.
func (f *file) change(src *diag.Source, size int) (c Change, fine bool) {
	text := src.Text
	if len(text) < f.Head.Size || !f.Head.is(text[:f.Head.Size]) {
		return c, false
	}
	first, last := f.same(text)
	from, to := f.Head.Size, len(text)
	for _, p := range f.Rest[:first] {
		from, c.before = from+p.Size, c.before+p.Lines
	}
	for _, p := range f.Rest[last:] {
		to -= p.Size
	}
	for _, p := range f.Rest[first:last] {
		c.gone, c.vars = c.gone+p.Lines, c.vars || p.Vars
		if p.Tests {
			return c, false // it may have been the last to ask about somebody
		}
	}
	starts, fine := between(src, from, to, size)
	if !fine {
		return c, false
	}
	for _, stays := range [2][]part{f.Rest[:first], f.Rest[last:]} {
		for _, p := range stays {
			c.beside = append(c.beside, p.Beside...)
		}
	}
	c.moved = from - f.Head.Size
	c.head, c.came = f.Head.Lines, bytes.Count(text[from:to], []byte("\n"))
	c.Text = append(append(make([]byte, 0, f.Head.Size+to-from), text[:f.Head.Size]...), text[from:to]...)
	c.now = file{Name: f.Name, Head: f.Head}
	c.now.Rest = append(append(append(c.now.Rest, f.Rest[:first]...), partsOf(text[:to], starts)...), f.Rest[last:]...)
	return c, true
}

// same finds how many parts at the beginning of a file are as they were, and from
// which on those at the end are. The two are looked for side by side, and meet where
// nothing has changed: most of the work is to hash the text.
func (f *file) same(text []byte) (first, last int) {
	var begun atomic.Int32
	var ahead sync.WaitGroup
	ahead.Go(func() {
		for from := f.Head.Size; first < len(f.Rest) && f.Rest[first].at(text, from); first++ {
			from += f.Rest[first].Size
			begun.Store(int32(first + 1))
		}
	})
	last = len(f.Rest)
	for to := len(text); last > int(begun.Load()); last-- {
		size := f.Rest[last-1].Size
		if to-size < f.Head.Size || !f.Rest[last-1].at(text, to-size) {
			break
		}
		to -= size
	}
	ahead.Wait()
	return first, f.apart(text, first, last)
}

// apart has the parts at the end begin behind those at the beginning, and no byte be
// of both: a text may have become shorter.
func (f *file) apart(text []byte, first, last int) int {
	room := len(text) - f.Head.Size
	for _, p := range f.Rest[:first] {
		room -= p.Size
	}
	last = max(first, last)
	for _, p := range f.Rest[last:] {
		room -= p.Size
	}
	for ; room < 0; last++ {
		room += f.Rest[last].Size
	}
	return last
}

// at tells whether a part stands in a text at an offset.
func (p *part) at(text []byte, from int) bool {
	return len(text)-from >= p.Size && p.is(text[from:from+p.Size])
}

// between finds the parts of what stands between two that stay. false: it does not
// begin and end where lines do, or is not of rules and tests alone.
func between(src *diag.Source, from, to, size int) (starts []int, fine bool) {
	lineEnds := func(at int) bool { return at == 0 || at == len(src.Text) || src.Text[at-1] == '\n' }
	if from == to {
		return nil, lineEnds(from)
	}
	part := &diag.Source{Name: src.Name, Text: src.Text[:to]}
	starts = source.PartsFrom(part, from, size)
	return starts, lineEnds(from) && lineEnds(to) && len(starts) > 0 && starts[0] == from && source.ItemsOnly(part, starts)
}
