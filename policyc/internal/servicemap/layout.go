package servicemap

import (
	"cmp"
	"slices"
)

// # How a map is laid out
//
// Whoever connects stands left of whom it connects to, as far as circles allow,
// so that the eye follows a request from the left to the right. That is the
// layered drawing of Sugiyama, Tagawa and Toda (1981), in four steps:
//
//  1. A walk in depth finds the lines that close a circle; they count as if
//     they went the other way.
//  2. Each end's column is the length of the longest way to it.
//  3. A line over several columns gets a bend in each. Ends and bends of a column
//     are put in the order of the mean place of their neighbours, to and fro some
//     times, which leaves few lines crossing. Ends of one scope stay together.
//  4. Each is moved towards the mean height of its neighbours, as far as those
//     above and below leave room.
//
// The steps are linear in ends and bends but for the sorting; a line has fewer
// bends than there are columns.

// spot is an end, or a bend of a line, in a column.
type spot struct {
	end    int // in Map.Ends; -1 is a bend
	scope  string
	column int
	y      float64 // of its middle
	high   float64
	before []int // spots of the column to the left that it is joined to
	after  []int // and to the right
}

// layout is where everything stands. Lines are the ways of Map.Lines: spots from
// From to To.
type layout struct {
	spots   []spot
	columns [][]int
	lines   [][]int
}

// What the drawing needs, in pixels.
const (
	boxHigh  = 24
	bendHigh = 8
	gap      = 14
	sweeps   = 12 // more change nothing that an eye sees
)

// place lays a map out.
func place(m *Map) *layout {
	l := &layout{}
	for i, e := range m.Ends {
		l.spots = append(l.spots, spot{end: i, scope: e.Scope(), high: boxHigh})
	}
	back := circles(m)
	l.chooseColumns(m, back)
	l.bend(m, back)
	for i := range l.spots {
		for len(l.columns) <= l.spots[i].column {
			l.columns = append(l.columns, nil)
		}
		l.columns[l.spots[i].column] = append(l.columns[l.spots[i].column], i)
	}
	for i := range sweeps {
		l.order(i%2 == 0)
	}
	l.stack()
	for i := range sweeps {
		l.settle(i%2 == 0)
	}
	return l
}

// circles are the lines that close a circle, by their place in Lines: those that
// lead to an end which the walk has not left yet. A line to itself is one.
func circles(m *Map) []bool {
	out := make([][]int, len(m.Ends))
	for i, l := range m.Lines {
		out[l.From] = append(out[l.From], i)
	}
	const (
		fresh = iota
		inside
		left
	)
	back, state := make([]bool, len(m.Lines)), make([]int, len(m.Ends))
	var walk func(end int)
	walk = func(end int) {
		state[end] = inside
		for _, i := range out[end] {
			switch to := m.Lines[i].To; state[to] {
			case inside:
				back[i] = true
			case fresh:
				walk(to)
			}
		}
		state[end] = left
	}
	for _, end := range byIncoming(m) {
		if state[end] == fresh {
			walk(end)
		}
	}
	return back
}

// byIncoming are the ends, those first that fewest connect to: a walk that begins
// at them turns the fewest lines round.
func byIncoming(m *Map) []int {
	count, out := make([]int, len(m.Ends)), make([]int, len(m.Ends))
	for _, l := range m.Lines {
		count[l.To]++
	}
	for i := range out {
		out[i] = i
	}
	slices.SortStableFunc(out, func(a, b int) int { return cmp.Compare(count[a], count[b]) })
	return out
}

// ways is a line's ends from left to right.
func ways(l Line, back bool) (from, to int) {
	if back {
		return l.To, l.From
	}
	return l.From, l.To
}

// chooseColumns puts each end behind the last of those before it: the ends are
// taken when all before them are.
func (l *layout) chooseColumns(m *Map, back []bool) {
	waits, next := make([]int, len(m.Ends)), make([][]int, len(m.Ends))
	for i, line := range m.Lines {
		if from, to := ways(line, back[i]); from != to {
			waits[to]++
			next[from] = append(next[from], to)
		}
	}
	var ready []int
	for i, n := range waits {
		if n == 0 {
			ready = append(ready, i)
		}
	}
	for len(ready) > 0 {
		end := ready[0]
		ready = ready[1:]
		for _, to := range next[end] {
			l.spots[to].column = max(l.spots[to].column, l.spots[end].column+1)
			if waits[to]--; waits[to] == 0 {
				ready = append(ready, to)
			}
		}
	}
}

// bend gives each line a spot in each column that it passes.
func (l *layout) bend(m *Map, back []bool) {
	for i, line := range m.Lines {
		from, to := ways(line, back[i])
		way := []int{from}
		for c := l.spots[from].column + 1; c < l.spots[to].column; c++ {
			l.spots = append(l.spots, spot{end: -1, scope: l.spots[from].scope, column: c, high: bendHigh})
			way = append(way, len(l.spots)-1)
		}
		if from != to {
			way = append(way, to)
		}
		for j := 1; j < len(way); j++ {
			a, b := way[j-1], way[j]
			l.spots[a].after = append(l.spots[a].after, b)
			l.spots[b].before = append(l.spots[b].before, a)
		}
		if back[i] {
			slices.Reverse(way)
		}
		l.lines = append(l.lines, way)
	}
}

// order sorts each column by the mean place of the neighbours in the one before
// it, from left to right or back. Those of one scope stand together, where the
// scope's mean is.
func (l *layout) order(right bool) {
	at := make([]float64, len(l.spots))
	for _, column := range l.columns {
		for i, s := range column {
			at[s] = float64(i)
		}
	}
	for c := range l.columns {
		if !right {
			c = len(l.columns) - 1 - c
		}
		column, want := l.columns[c], map[int]float64{}
		sum, count := map[string]float64{}, map[string]float64{}
		for _, s := range column {
			want[s] = mean(l.neighbours(s, right), at, at[s])
			sum[l.spots[s].scope] += want[s]
			count[l.spots[s].scope]++
		}
		slices.SortStableFunc(column, func(a, b int) int {
			sa, sb := l.spots[a].scope, l.spots[b].scope
			return cmp.Or(cmp.Compare(sum[sa]/count[sa], sum[sb]/count[sb]), cmp.Compare(sa, sb), cmp.Compare(want[a], want[b]))
		})
		for i, s := range column {
			at[s] = float64(i)
		}
	}
}

func (l *layout) neighbours(s int, left bool) []int {
	if left {
		return l.spots[s].before
	}
	return l.spots[s].after
}

// mean is the mean place of some spots; of none, what it is now.
func mean(spots []int, at []float64, now float64) float64 {
	if len(spots) == 0 {
		return now
	}
	sum := 0.0
	for _, s := range spots {
		sum += at[s]
	}
	return sum / float64(len(spots))
}

// stack gives each spot of a column its first height, one below the other.
func (l *layout) stack() {
	for _, column := range l.columns {
		y := 0.0
		for _, s := range column {
			l.spots[s].y = y + l.spots[s].high/2
			y += l.spots[s].high + gap
		}
	}
}

// settle moves each spot towards its neighbours' mean height. From the top each
// gets what it wants or the next room; then what stands too low is pushed up
// from the bottom, so that a column stays as short as its wishes allow.
func (l *layout) settle(right bool) {
	heights := make([]float64, len(l.spots))
	for i := range l.spots {
		heights[i] = l.spots[i].y
	}
	for _, column := range l.columns {
		want := make([]float64, len(column))
		for i, s := range column {
			want[i] = mean(l.neighbours(s, right), heights, heights[s])
		}
		down, up := slices.Clone(want), slices.Clone(want)
		for i := 1; i < len(column); i++ {
			down[i] = max(down[i], down[i-1]+l.apart(column[i-1], column[i]))
		}
		for i := len(column) - 2; i >= 0; i-- {
			up[i] = min(up[i], up[i+1]-l.apart(column[i], column[i+1]))
		}
		for i, s := range column {
			l.spots[s].y = (down[i] + up[i]) / 2
			heights[s] = l.spots[s].y
		}
	}
}

// apart is how far the middles of two neighbours of a column are apart at least.
func (l *layout) apart(a, b int) float64 { return (l.spots[a].high+l.spots[b].high)/2 + gap }
