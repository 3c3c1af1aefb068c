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
	bad  *atomic.Bool // a string says something that nobody meant: no use to go on
}

type variable struct {
	value string
	at    diag.Span
	used  atomic.Bool
}

// to are the same variables, whose findings go to another list: parts of a text are
// read side by side.
func (v *variables) to(list *diag.List) *variables { return &variables{list, v.by, v.bad} }

// scopeName is the scope that a file says it is of, "" for none.
func scopeName(root *node) string {
	if e := root.get("scope"); e != nil && e.node.kind == tableNode {
		if name := e.node.get("name"); name != nil {
			return name.node.text
		}
	}
	return ""
}

func (v *variables) errorf(at diag.Span, format string, args ...any) *diag.Diagnostic {
	v.bad.Store(true)
	return v.list.Errorf(at, format, args...)
}

func (v *variables) define(root *node) {
	e := root.get("vars")
	if e == nil {
		return
	}
	if e.node.kind != tableNode {
		v.errorf(e.node.at, "vars must be a table").With("write [vars] and NAME = \"...\" below")
		return
	}
	scope := scopeName(root)
	if v.by[scope] == nil {
		v.by[scope] = map[string]*variable{}
	}
	for i := range e.node.entries {
		v.one(v.by[scope], &e.node.entries[i])
	}
}

func (v *variables) one(known map[string]*variable, e *entry) {
	value := (&reader{list: v.list}).text(e)
	switch first := known[e.name]; {
	case strings.ContainsAny(e.name, "{}$ ") || e.name == "":
		v.errorf(e.at, "%q is no name of a variable", e.name).With("letters, digits, '_', '-' and '.'")
	case first != nil:
		v.errorf(e.at, "variable %q is already defined", e.name).With("a variable has one value: choose another name").Note(first.at, "first defined here")
	case strings.Contains(value.Value, "${"):
		v.errorf(value.At, "variable %q uses another", e.name).With("write the value out: what a variable says is read once")
		fallthrough
	default:
		x := &variable{value: value.Value, at: e.at}
		x.used.Store(value.Bad || strings.Contains(value.Value, "${"))
		known[e.name] = x
	}
}

// replace puts values for names in every string of a file, but for those that
// are read before it: its variables, its includes and the name of its scope.
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
			if e.node.entries[k].name != "name" {
				v.in(e.node.entries[k].node, scope)
			}
		}
	}
}

func (v *variables) in(n *node, scope string) {
	for i := range n.entries {
		v.in(n.entries[i].node, scope)
	}
	for _, item := range n.items {
		v.in(item, scope)
	}
	if strings.Contains(n.text, "${") {
		n.setText(v.expand(n.text, scope, n.at))
	}
}

// expand replaces ${NAME}; $${ is the two characters ${.
func (v *variables) expand(text, scope string, at diag.Span) string {
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(text, "${")
		if !found {
			out.WriteString(text)
			return out.String()
		}
		if literal, escaped := strings.CutSuffix(before, "$"); escaped {
			out.WriteString(literal + "${")
			text = rest
			continue
		}
		name, rest, closed := strings.Cut(rest, "}")
		if !closed {
			v.errorf(at, "a variable in %q is not closed", text).With("write ${name}; $${ stands for the two characters")
			return out.String() + text
		}
		out.WriteString(before + v.value(name, scope, at))
		text = rest
	}
}

func (v *variables) value(name, scope string, at diag.Span) string {
	for _, s := range []string{scope, ""} {
		if x := v.by[s][name]; x != nil {
			x.used.Store(true)
			return x.value
		}
	}
	var names []string
	for _, s := range []string{scope, ""} {
		for known := range v.by[s] {
			names = append(names, known)
		}
	}
	v.errorf(at, "no variable is called %q", name).With("[vars] with %s = \"...\" below", name).Meant(nearest.Name(name, names))
	return "${" + name + "}"
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
