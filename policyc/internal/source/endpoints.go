package source

// Known is [endpoints.NAME]: an endpoint that questions and tests can name.
type Known struct {
	Name      Text
	Labels    Labels
	Addresses Texts
	Host      bool // it is a host
}

func (r *reader) known(e entry) Known {
	strange := r.keys(e.node, "an endpoint", "labels", "addresses", "host")
	k := Known{Name: Text{Value: e.name, At: e.at}, Labels: Labels{Bad: strange}, Addresses: r.texts(e.node, "addresses", strange)}
	if l := e.node.get("labels"); l != nil {
		k.Labels = r.labels(l)
	}
	if h := e.node.get("host"); h != nil {
		is, known := h.node.scalar.(bool)
		if !known {
			r.list.Errorf(h.node.at, "host must be true or false").With("host = true")
			k.Labels.Bad = true
		}
		k.Host = is
	}
	return k
}
