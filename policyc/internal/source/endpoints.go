package source

// Known is [endpoints.NAME]: an endpoint that questions and tests can name.
type Known struct {
	Name      Text
	Labels    Labels
	Addresses Texts
}

func (r *reader) known(e entry) Known {
	strange := r.keys(e.node, "an endpoint", "labels", "addresses")
	k := Known{Name: Text{Value: e.name, At: e.at}, Labels: Labels{Bad: strange}, Addresses: r.texts(e.node, "addresses", strange)}
	if l := e.node.get("labels"); l != nil {
		k.Labels = r.labels(l)
	}
	return k
}
