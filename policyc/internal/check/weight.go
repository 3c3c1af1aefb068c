package check

// A group is read again wherever another names it: by the interpreter, which
// asks each member in turn, and by the compiler, which writes out each of its
// alternatives. So groups in groups can come to much more than what is written:
// forty lines, each of two groups that both name the two before, are 2^40
// services, and a chain of 10,000 groups is 50 million. Whoever may write a
// policy could stop the build of everybody's; so the sum has a bound.

// maxWeight bounds what the groups of a policy come to, in alternatives of
// services, each counted wherever it is reached. A hundred groups of ten thousand
// services each are half of it.
const maxWeight = 1 << 21

// weigh reports groups that come to too much. They are not in a circle.
func (c *checker) weigh() {
	weights := map[*Service]uint64{}
	var sum, most uint64
	var heaviest *Service
	for _, s := range c.p.Services {
		if len(s.Services) == 0 {
			continue
		}
		w := weight(s, weights)
		sum += w
		if w > most || w == most && s.Name < heaviest.Name {
			most, heaviest = w, s
		}
	}
	if sum > maxWeight {
		c.list.Errorf(heaviest.At, "groups come to more than %d services, each counted wherever a group reaches it; %q is the largest", maxWeight, heaviest.Name).
			With("name services, or fewer groups, in groups")
	}
}

// weight is what a service comes to, itself if it is a group. It stops counting
// above the bound, so that no sum of it overflows.
func weight(s *Service, known map[*Service]uint64) uint64 {
	if w, found := known[s]; found {
		return w
	}
	w := uint64(max(1, len(s.Any)))
	for _, m := range s.Services {
		w = min(w+weight(m, known), maxWeight+1)
	}
	known[s] = w
	return w
}
