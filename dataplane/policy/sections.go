package policy

// Section is a part of an artifact, for people who ask where its bytes go.
type Section struct {
	Name  string
	Count int // of what it has
	Bytes int
}

// Sections returns the parts of an artifact that Decode takes: the head with
// the table of sections, the sections, and the zeros between.
func Sections(artifact []byte) ([]Section, error) {
	if _, err := Decode(artifact); err != nil {
		return nil, err
	}
	bodies, counts, err := sectionsOf(artifact)
	if err != nil {
		return nil, err
	}
	out := []Section{{"header", 1, headerSize + sectionSize*len(bodies)}}
	left := len(artifact) - out[0].Bytes
	for i, name := range [len(bodies)]string{"sets", "rules"} {
		out = append(out, Section{name, int(counts[i]), len(bodies[i])})
		left -= len(bodies[i])
	}
	return append(out, Section{"padding", 1, left}), nil
}
