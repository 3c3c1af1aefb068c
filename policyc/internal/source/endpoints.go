package source

import "bulkhead/policyc/internal/diag"

// Known is [endpoints.NAME]: an endpoint that questions and tests can name.
type Known struct {
	Name      Text
	Labels    Labels
	Addresses Texts
	Host      bool // it is a host
	Several   bool // it stands for several that are alike
	AtSeveral diag.Span
}

func (r *reader) known(e entry) Known {
	strange := r.keys(e.node, "an endpoint", "labels", "addresses", "host", "several")
	k := Known{Name: Text{Value: e.name, At: e.at}, Labels: Labels{Bad: strange}, Addresses: r.texts(e.node, "addresses", strange)}
	if l := e.node.get("labels"); l != nil {
		k.Labels = r.labels(l)
	}
	if h := e.node.get("host"); h != nil {
		k.Host = r.flagOf(h, &k)
	}
	if h := e.node.get("several"); h != nil {
		k.Several, k.AtSeveral = r.flagOf(h, &k), h.at
	}
	return k
}

// flagOf reads true or false. What is neither is reported, and the endpoint with
// it no further.
func (r *reader) flagOf(e *entry, k *Known) bool {
	is, known := e.node.scalar.(bool)
	if !known {
		r.list.Errorf(e.node.at, "%s must be true or false", e.name).With("%s = true", e.name)
		k.Labels.Bad = true
	}
	return is
}
