package source

import (
	"slices"
	"strings"

	"bulkhead/policyc/internal/diag"
	"bulkhead/vswitch/cli/nearest"
)

// Version is the version of the language that is read.
const Version = 1

// reader turns nodes into statements and reports what does not fit.
type reader struct {
	list    *diag.List
	room    []Text // for lists of texts
	clauses []Clause
}

func (r *reader) file(root *node, f *File) {
	r.version(root, f.Src)
	r.keys(root, "a policy file", "version", "include", "vars", "scope", "services", "networks", "endpoints", "tiers", "rules", "tests")
	r.texts(root, "include", false)
	f.Scope = r.scope(root)
	services := r.named(root, "services")
	f.Services = slices.Grow(f.Services, len(services))
	for _, e := range services {
		f.Services = append(f.Services, r.service(e))
	}
	for _, e := range r.named(root, "networks") {
		f.Networks = append(f.Networks, r.network(e))
	}
	for _, e := range r.named(root, "endpoints") {
		f.Endpoints = append(f.Endpoints, r.known(e))
	}
	for _, e := range r.named(root, "tiers") {
		strange := r.keys(e.node, "a tier", "default")
		f.Tiers = append(f.Tiers, Tier{Name: Text{Value: e.name, At: e.at}, Default: r.textOf(e.node, "default", strange)})
	}
	r.lists(root, f)
}

// lists reads the rules and the tests.
func (r *reader) lists(root *node, f *File) {
	rules := r.listed(root, "rules")
	f.Rules = make([]Rule, 0, len(rules)) // most of a large policy: grown, they would stand there twice
	for _, n := range rules {
		f.Rules = append(f.Rules, r.rule(n))
	}
	for _, n := range r.listed(root, "tests") {
		f.Tests = append(f.Tests, r.test(n))
	}
}

func (r *reader) version(root *node, src *diag.Source) {
	e := root.get("version")
	if e == nil {
		r.list.Errorf(src.Span(0, 0), "the file does not say which version of the language it is in").
			With("put version = %d on the first line", Version)
		return
	}
	if v, isInt := e.node.scalar.(int64); !isInt || v != Version {
		r.list.Errorf(e.node.at, "this policyc reads version %d of the language only", Version).
			With("version = %d, or use the policyc that the file was written for", Version)
	}
}

// keys reports the entries of a table that the language does not know, and
// tells whether there were any: one may have been meant for a key that is not
// there.
func (r *reader) keys(n *node, of string, known ...string) (strange bool) {
	for i := range n.entries {
		e := &n.entries[i]
		if slices.Contains(known, e.name) {
			continue
		}
		strange = true
		d := r.list.Errorf(e.at, "%s has no key %q", of, e.name).Meant(nearest.Name(e.name, known))
		if len(known) == 1 {
			d.With("its only key is %s", known[0])
			continue
		}
		d.With("its keys are %s", strings.Join(known, ", "))
	}
	return strange
}

// named is the entries of [section.NAME] tables.
func (r *reader) named(root *node, section string) []entry {
	e := root.get(section)
	if e == nil {
		return nil
	}
	if e.node.kind != tableNode {
		r.list.Errorf(e.at, "%s must be tables, each with a name", section).With("write [%s.NAME] with single brackets, and its keys below", section)
		return nil
	}
	var tables []entry
	for _, child := range e.node.entries {
		if child.node.kind != tableNode {
			r.list.Errorf(child.at, "%s.%s must be a table", section, child.name).With("write [%s.%s] and its keys below", section, child.name)
			continue
		}
		tables = append(tables, child)
	}
	return tables
}

// listed is the items of [[section]].
func (r *reader) listed(root *node, section string) []*node {
	e := root.get(section)
	if e == nil {
		return nil
	}
	if !isList(e.node) {
		r.list.Errorf(e.at, "%s is a list of tables", section).With("write [[%s]] with double brackets", section)
		return nil
	}
	var tables []*node
	for _, item := range e.node.items {
		if item.kind != tableNode {
			r.list.Errorf(item.at, "%s is a list of tables", section).With("write [[%s]] and the keys below", section)
			continue
		}
		tables = append(tables, item)
	}
	return tables
}

func (r *reader) scope(root *node) Scope {
	e := root.get("scope")
	if e == nil {
		return Scope{}
	}
	s := Scope{At: e.at, Set: true}
	if e.node.kind != tableNode {
		r.list.Errorf(e.node.at, "scope must be a table").With("write [scope] and its keys name and labels below")
		s.Bad = true
		return s
	}
	s.Bad = r.keys(e.node, "a scope", "name", "labels")
	s.Name, s.Labels = r.textOf(e.node, "name", s.Bad), r.labelsOf(e.node, s.Bad)
	return s
}

func (r *reader) service(e entry) Service {
	strange := r.keys(e.node, "a service", "labels", "match", "any", "services", "ports")
	return Service{
		Name: Text{Value: e.name, At: e.at}, Labels: r.labelsOf(e.node, strange), Match: r.texts(e.node, "match", strange),
		Any: r.choices(e.node), Services: r.texts(e.node, "services", false), Ports: r.namedPorts(e.node), Bad: strange,
	}
}

// namedPorts is the table of a service's names for ports.
func (r *reader) namedPorts(service *node) NamedPorts {
	e := service.get("ports")
	if e == nil {
		return NamedPorts{}
	}
	out := NamedPorts{At: e.node.at, Set: true}
	if e.node.kind != tableNode {
		r.list.Errorf(e.node.at, "the ports of a service must be a table of names").With(`ports = { http = "tcp/8080", dns = ["udp/53", "tcp/53"] }`)
		return out
	}
	for i := range e.node.entries {
		x := &e.node.entries[i]
		p := NamedPort{Name: Text{Value: x.name, At: x.at}}
		if x.node.kind == arrayNode {
			p.Ports = r.texts(e.node, x.name, false)
		} else {
			text := r.text(x)
			p.Ports = Texts{Items: []Text{text}, At: text.At, Set: true, Bad: text.Bad}
		}
		out.Items = append(out.Items, p)
	}
	return out
}

// choices is the alternatives of a service, a list of tables in either notation.
func (r *reader) choices(service *node) Choices {
	e := service.get("any")
	if e == nil {
		return Choices{}
	}
	c := Choices{At: e.node.at, Set: true}
	if !isList(e.node) {
		r.list.Errorf(e.node.at, "any must be a list of alternatives").With(`any = [{ labels = { app = "shop" } }, { match = ["exists team"] }]`)
		c.Bad = true
		return c
	}
	for _, item := range e.node.items {
		if item.kind != tableNode {
			r.list.Errorf(item.at, "an alternative must be a table").With(`{ labels = { app = "shop" } }`)
			c.Bad = true
			continue
		}
		strange := r.keys(item, "an alternative", "labels", "match")
		c.Items = append(c.Items, Choice{At: item.at, Labels: r.labelsOf(item, strange), Match: r.texts(item, "match", strange), Bad: strange})
	}
	return c
}

// labelsOf is the table under labels; if there is none, Bad says whether
// another key may have been meant for it.
func (r *reader) labelsOf(n *node, strange bool) Labels {
	if e := n.get("labels"); e != nil {
		return r.labels(e)
	}
	return Labels{Bad: strange}
}

func (r *reader) labels(e *entry) Labels {
	l := Labels{At: e.node.at, Set: true}
	if e.node.kind != tableNode {
		r.list.Errorf(e.node.at, "labels must be a table").With(`labels = { app = "shop", tier = "web" }`)
		l.Bad = true
		return l
	}
	for i := range e.node.entries {
		label := &e.node.entries[i]
		value := r.text(label)
		l.Items = append(l.Items, Label{Key: Text{Value: label.name, At: label.at}, Value: value})
		l.Bad = l.Bad || value.Bad
	}
	return l
}

func (r *reader) network(e entry) Network {
	strange := r.keys(e.node, "a network", "cidrs", "except")
	return Network{
		Name:  Text{Value: e.name, At: e.at},
		CIDRs: r.texts(e.node, "cidrs", strange), Except: r.texts(e.node, "except", strange),
	}
}

func (r *reader) rule(n *node) Rule {
	strange := r.keys(n, "a rule", "name", "owner", "reason", "tier", "priority", "direction", "log", "audit", "stateless", "valid", "allow", "deny", "pass")
	return Rule{
		At: n.at, Name: r.textOf(n, "name", strange), Marks: r.marks(n),
		Allow: r.clause(n, "allow"), Deny: r.clause(n, "deny"), Pass: r.clause(n, "pass"), Bad: strange,
	}
}

// unmarked is what most rules share.
var unmarked = &Marks{}

// marks is what a rule says beside its name and its verdict.
func (r *reader) marks(n *node) *Marks {
	if !slices.ContainsFunc(n.entries, func(e entry) bool { return !slices.Contains(mostly, e.name) }) {
		return unmarked
	}
	return &Marks{
		Tier: r.textOf(n, "tier", false), Priority: r.number(n, "priority"), Direction: r.textOf(n, "direction", false),
		Owner: r.textOf(n, "owner", false), Reason: r.textOf(n, "reason", false),
		Log: r.flag(n, "log"), Audit: r.flag(n, "audit"), Stateless: r.flag(n, "stateless"), Valid: r.valid(n),
	}
}

// mostly are the keys that most rules have, and no others.
var mostly = []string{"name", "allow", "deny", "pass"}

func (r *reader) clause(rule *node, key string) *Clause {
	e := rule.get(key)
	if e == nil {
		return nil
	}
	if len(r.clauses) == 0 {
		r.clauses = make([]Clause, 64)
	}
	c := &r.clauses[0]
	r.clauses = r.clauses[1:]
	c.At = e.at
	if e.node.kind != tableNode {
		r.list.Errorf(e.node.at, "%s must be a table", key).
			With(`%s = { from = ["web"], to = ["db"], ports = ["tcp/5432"] }`, key)
		c.From.Bad, c.To.Bad, c.Ports.Bad, c.Sources.Bad = true, true, true, true
		return c
	}
	strange := r.keys(e.node, key, "from", "to", "ports", "source_ports")
	c.From, c.To, c.Ports = r.texts(e.node, "from", strange), r.texts(e.node, "to", strange), r.texts(e.node, "ports", strange)
	c.Sources = r.texts(e.node, "source_ports", false)
	return c
}

func (r *reader) test(n *node) Test {
	strange := r.keys(n, "a test", "name", "from", "to", "port", "source_port", "at", "expect")
	return Test{
		At: n.at, Name: r.textOf(n, "name", strange),
		From: r.endpoint(n, "from", strange), To: r.endpoint(n, "to", strange),
		Port: r.textOf(n, "port", strange), Source: r.textOf(n, "source_port", false), Expect: r.textOf(n, "expect", strange), When: r.time(n, "at"),
	}
}

func (r *reader) endpoint(test *node, key string, strange bool) Endpoint {
	e := test.get(key)
	if e == nil {
		return Endpoint{Bad: strange}
	}
	end := Endpoint{At: e.node.at, Set: true}
	if e.node.kind != tableNode {
		end.Text = r.text(e)
		end.Bad = end.Text.Bad
		return end
	}
	end.Bad = r.keys(e.node, key, "labels")
	if l := e.node.get("labels"); l != nil {
		end.Labels = r.labels(l)
		end.Bad = end.Bad || end.Labels.Bad
	} else if !end.Bad {
		r.list.Errorf(e.node.at, "%s has no labels", key).With(`%s = { labels = { app = "shop" } }`, key)
		end.Bad = true
	}
	return end
}

// textOf is the string under a key; if there is none, Bad says whether another
// key may have been meant for it.
func (r *reader) textOf(n *node, key string, strange bool) Text {
	e := n.get(key)
	if e == nil {
		return Text{Bad: strange}
	}
	return r.text(e)
}

func (r *reader) number(n *node, key string) Number {
	e := n.get(key)
	if e == nil {
		return Number{}
	}
	v, isInt := e.node.scalar.(int64)
	if !isInt && !e.node.bad {
		r.list.Errorf(e.node.at, "%s must be a number", key).With("%s = 1", key)
	}
	return Number{Value: v, At: e.node.at, Set: true, Bad: !isInt || e.node.bad}
}

func (r *reader) text(e *entry) Text {
	n := e.node
	if !n.isText && !n.bad {
		r.list.Errorf(n.at, "%s must be a string", e.name).With(`%s = "..."`, e.name)
	}
	return Text{n.text, n.at, !n.isText || n.bad}
}

// texts is the list of strings under a key; as textOf if there is none.
func (r *reader) texts(n *node, key string, strange bool) Texts {
	e := n.get(key)
	if e == nil {
		return Texts{Bad: strange}
	}
	t := Texts{At: e.node.at, Set: true}
	if e.node.kind != arrayNode {
		r.list.Errorf(e.node.at, "%s must be a list of strings", key).With(`%s = ["...", "..."]`, key)
		t.Bad = true
		return t
	}
	t.Items = r.items(len(e.node.items))
	for _, item := range e.node.items {
		if item.bad {
			t.Bad = true
			continue
		}
		if !item.isText {
			r.list.Errorf(item.at, "%s must be a list of strings", key).With(`put each item in quotes`)
			t.Bad = true
			continue
		}
		t.Items = append(t.Items, Text{Value: item.text, At: item.at})
	}
	return t
}

// items is room for a list of so many texts. Most are of one: they stand side by
// side.
func (r *reader) items(n int) []Text {
	if len(r.room) < n {
		r.room = make([]Text, max(n, 256))
	}
	out := r.room[:0:n]
	r.room = r.room[n:]
	return out
}
