package source

import (
	"strings"

	"bulkhead/internal/nearest"
	"bulkhead/policyc/internal/diag"
)

// Version is the version of the language that is read.
const Version = 1

// reader turns nodes into statements and reports what does not fit.
type reader struct{ list *diag.List }

func (r *reader) file(root *node, f *File) {
	r.version(root, f.Src)
	r.keys(root, "a policy file", "version", "services", "networks", "rules", "tests")
	for _, e := range r.named(root, "services") {
		f.Services = append(f.Services, r.service(e))
	}
	for _, e := range r.named(root, "networks") {
		f.Networks = append(f.Networks, r.network(e))
	}
	for _, n := range r.listed(root, "rules") {
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
			With("put   version = %d   on the first line", Version)
		return
	}
	if v, isInt := e.node.scalar.(int64); !isInt || v != Version {
		r.list.Errorf(e.node.at, "this policyc reads version %d of the language only", Version).
			With("version = %d, or use the policyc that the file was written for", Version)
	}
}

// keys reports the entries of a table that the language does not know.
func (r *reader) keys(n *node, of string, known ...string) {
	for i := range n.entries {
		e := &n.entries[i]
		if contains(known, e.name) {
			continue
		}
		r.list.Errorf(e.at, "%s has no key %q", of, e.name).
			Meant(nearest.Name(e.name, known)).
			With("the keys of %s are %s", of, strings.Join(known, ", "))
	}
}

func contains(list []string, s string) bool {
	for _, l := range list {
		if l == s {
			return true
		}
	}
	return false
}

// named is the entries of [section.NAME] tables.
func (r *reader) named(root *node, section string) []entry {
	e := root.get(section)
	if e == nil {
		return nil
	}
	if e.node.kind != tableNode {
		r.list.Errorf(e.at, "%s is not a list", section).With("write   [%s.NAME]   with single brackets", section)
		return nil
	}
	var tables []entry
	for _, child := range e.node.entries {
		if child.node.kind != tableNode {
			r.list.Errorf(child.at, "%s.%s must be a table", section, child.name).With("write   [%s.%s]   and its keys below", section, child.name)
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
		r.list.Errorf(e.at, "%s is a list of tables", section).With("write   [[%s]]   with double brackets", section)
		return nil
	}
	var tables []*node
	for _, item := range e.node.items {
		if item.kind != tableNode {
			r.list.Errorf(item.at, "%s is a list of tables", section).With("write   [[%s]]   and the keys below", section)
			continue
		}
		tables = append(tables, item)
	}
	return tables
}

func (r *reader) service(e entry) Service {
	r.keys(e.node, "a service", "labels")
	s := Service{Name: Text{e.name, e.at}}
	if l := e.node.get("labels"); l != nil {
		s.Labels = r.labels(l)
	}
	return s
}

func (r *reader) labels(e *entry) Labels {
	l := Labels{At: e.node.at, Set: true}
	if e.node.kind != tableNode {
		r.list.Errorf(e.node.at, "labels must be a table").With(`labels = { app = "shop", tier = "web" }`)
		return l
	}
	for i := range e.node.entries {
		label := &e.node.entries[i]
		l.Items = append(l.Items, Label{Key: Text{label.name, label.at}, Value: r.text(label)})
	}
	return l
}

func (r *reader) network(e entry) Network {
	r.keys(e.node, "a network", "cidrs", "except")
	return Network{Name: Text{e.name, e.at}, CIDRs: r.texts(e.node, "cidrs"), Except: r.texts(e.node, "except")}
}

func (r *reader) rule(n *node) Rule {
	r.keys(n, "a rule", "name", "allow", "deny")
	return Rule{At: n.at, Name: r.textOf(n, "name"), Allow: r.clause(n, "allow"), Deny: r.clause(n, "deny")}
}

func (r *reader) clause(rule *node, key string) *Clause {
	e := rule.get(key)
	if e == nil {
		return nil
	}
	c := &Clause{At: e.at}
	if e.node.kind != tableNode {
		r.list.Errorf(e.node.at, "%s must be a table", key).
			With(`%s = { from = ["web"], to = ["db"], ports = ["tcp/5432"] }`, key)
		c.From.Set, c.To.Set, c.Ports.Set = true, true, true
		return c
	}
	r.keys(e.node, key, "from", "to", "ports")
	c.From, c.To, c.Ports = r.texts(e.node, "from"), r.texts(e.node, "to"), r.texts(e.node, "ports")
	return c
}

func (r *reader) test(n *node) Test {
	r.keys(n, "a test", "name", "from", "to", "port", "expect")
	return Test{
		At: n.at, Name: r.textOf(n, "name"),
		From: r.endpoint(n, "from"), To: r.endpoint(n, "to"),
		Port: r.textOf(n, "port"), Expect: r.textOf(n, "expect"),
	}
}

func (r *reader) endpoint(test *node, key string) Endpoint {
	e := test.get(key)
	if e == nil {
		return Endpoint{}
	}
	end := Endpoint{At: e.node.at, Set: true}
	if e.node.kind != tableNode {
		end.Text = r.text(e)
		return end
	}
	r.keys(e.node, key, "labels")
	if l := e.node.get("labels"); l != nil {
		end.Labels = r.labels(l)
		return end
	}
	r.list.Errorf(e.at, "%s has no labels", key).With(`%s = { labels = { app = "shop" } }`, key)
	return end
}

// textOf is the string under a key, the zero Text if the key is missing.
func (r *reader) textOf(n *node, key string) Text {
	e := n.get(key)
	if e == nil {
		return Text{}
	}
	return r.text(e)
}

func (r *reader) text(e *entry) Text {
	s, isString := e.node.scalar.(string)
	if !isString {
		r.list.Errorf(e.node.at, "%s must be a string", e.name).With(`%s = "..."`, e.name)
	}
	return Text{s, e.node.at}
}

func (r *reader) texts(n *node, key string) Texts {
	e := n.get(key)
	if e == nil {
		return Texts{}
	}
	t := Texts{At: e.node.at, Set: true}
	if e.node.kind != arrayNode {
		r.list.Errorf(e.node.at, "%s must be a list of strings", key).With(`%s = ["...", "..."]`, key)
		return t
	}
	t.Items = make([]Text, 0, len(e.node.items))
	for _, item := range e.node.items {
		s, isString := item.scalar.(string)
		if !isString {
			r.list.Errorf(item.at, "%s must be a list of strings", key).With(`put each item in quotes`)
			continue
		}
		t.Items = append(t.Items, Text{s, item.at})
	}
	return t
}
