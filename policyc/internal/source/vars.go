package source

import (
	"slices"
	"strings"
	"sync/atomic"

	"bulkhead/policyc/internal/diag"
	"bulkhead/vswitch/cli/nearest"
)

// variables are what ${NAME} stands for in strings, by scope: those of files
// without a scope hold everywhere, those of a scope in its files, and there they
// come first. It is the rule that names follow.
type variables struct {
	list *diag.List
	by   map[string]map[string]*variable
	lost map[string]bool // the scopes whose vars are no table: what they define is not known
	bad  *atomic.Bool    // the labels of a scope are not known: no use to go on
}

type variable struct {
	value string
	at    diag.Span
	used  atomic.Bool
	bad   bool // what it says is not known, which has been reported: a string with it is bad, too
}

// to are the same variables, whose findings go to another list: parts of a text are
// read side by side.
func (v *variables) to(list *diag.List) *variables { return &variables{list, v.by, v.lost, v.bad} }

// scopeName is the scope that a file says it is of, "" for none.
func scopeName(root *node) string {
	if e := root.get("scope"); e != nil && e.node.kind == tableNode {
		if name := e.node.get("name"); name != nil {
			return name.node.text
		}
	}
	return ""
}

func (v *variables) define(root *node) {
	e := root.get("vars")
	if e == nil {
		return
	}
	scope := scopeName(root)
	if e.node.kind != tableNode {
		v.list.Errorf(e.node.at, "vars must be a table").With("write [vars] and NAME = \"...\" below")
		v.lost[scope] = true
		return
	}
	if v.by[scope] == nil {
		v.by[scope] = map[string]*variable{}
	}
	for i := range e.node.entries {
		v.one(v.by[scope], &e.node.entries[i])
	}
}

// one defines a variable. A wrong one is defined, too, so that what is wrong is said
// once, and not of each string that uses it.
func (v *variables) one(known map[string]*variable, e *entry) {
	value := (&reader{list: v.list}).text(e)
	if first := known[e.name]; first != nil {
		v.list.Errorf(e.at, "variable %q is already defined", e.name).With("a variable has one value: choose another name").Note(first.at, "first defined here")
		first.bad = true // which of the two is meant?
		return
	}
	x := &variable{value: value.Value, at: e.at, bad: value.Bad}
	switch {
	case strings.ContainsAny(e.name, "{}$ ") || e.name == "":
		v.list.Errorf(e.at, "%q is no name of a variable", e.name).With("letters, digits, '_', '-' and '.'")
		x.bad = true
	case strings.Contains(value.Value, "${"):
		v.list.Errorf(value.At, "variable %q uses another", e.name).With("write the value out: what a variable says is read once")
		x.bad = true
	}
	known[e.name] = x
}

// replace puts values for names in every string of a file, but for those that
// are read before it: its variables, its includes and the name of its scope. A string
// that cannot be read is bad, and the others are checked, but where a label of the
// scope is: that is in every service.
func (v *variables) replace(root *node) {
	scope := scopeName(root)
	for i := range root.entries {
		e := &root.entries[i]
		if e.name == "vars" || e.name == "include" {
			continue
		}
		if e.name != "scope" || e.node.kind != tableNode {
			v.in(e.node, scope)
			continue
		}
		for k := range e.node.entries {
			if e.node.entries[k].name != "name" && !v.in(e.node.entries[k].node, scope) {
				v.bad.Store(true)
			}
		}
	}
}

// in puts values into the strings of a node, and tells whether all have one.
func (v *variables) in(n *node, scope string) (fine bool) {
	fine = true
	for i := range n.entries {
		fine = v.in(n.entries[i].node, scope) && fine
	}
	for _, item := range n.items {
		fine = v.in(item, scope) && fine
	}
	if strings.Contains(n.text, "${") {
		text, known := v.expand(n.text, scope, n.at)
		n.setText(text)
		n.bad, fine = !known, fine && known
	}
	return fine
}

// expand replaces ${NAME}; $${ is the two characters ${. false: not all of it could
// be, and that is in the list.
func (v *variables) expand(text, scope string, at diag.Span) (string, bool) {
	var out strings.Builder
	fine := true
	for {
		before, rest, found := strings.Cut(text, "${")
		if !found {
			out.WriteString(text)
			return out.String(), fine
		}
		if literal, escaped := strings.CutSuffix(before, "$"); escaped {
			out.WriteString(literal + "${")
			text = rest
			continue
		}
		name, rest, closed := strings.Cut(rest, "}")
		if !closed {
			v.list.Errorf(at, "a variable in %q is not closed", text).With("write ${name}; $${ stands for the two characters")
			return out.String() + text, false
		}
		value, known := v.value(name, scope, at)
		out.WriteString(before + value)
		text, fine = rest, fine && known
	}
}

// value is what a variable says; false: that is not known, and in the list.
func (v *variables) value(name, scope string, at diag.Span) (string, bool) {
	var names []string
	for _, s := range []string{scope, ""} {
		if x := v.by[s][name]; x != nil {
			x.used.Store(true)
			return x.value, !x.bad
		}
		if v.lost[s] {
			return "${" + name + "}", false // it may have been there
		}
		for known := range v.by[s] {
			names = append(names, known)
		}
	}
	v.list.Errorf(at, "no variable is called %q", name).With("[vars] with %s = \"...\" below", name).Meant(nearest.Name(name, names))
	return "${" + name + "}", false
}

// unused warns of what no string uses; where something is wrong it may be just
// that a name is.
func (v *variables) unused() {
	if v.list.Failed() {
		return
	}
	var names []string
	at := map[string]diag.Span{}
	for scope, known := range v.by {
		for name, x := range known {
			if !x.used.Load() {
				names = append(names, scope+"/"+name)
				at[scope+"/"+name] = x.at
			}
		}
	}
	slices.Sort(names)
	for _, full := range names {
		_, name, _ := strings.Cut(full, "/")
		v.list.Warnf(at[full], "no string uses variable %q", name).NotUsed("${" + name + "}")
	}
}
