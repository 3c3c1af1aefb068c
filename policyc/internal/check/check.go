package check

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"unicode"

	"bulkhead/dataplane/policy"
	"bulkhead/policyc/internal/diag"
	"bulkhead/policyc/internal/source"
)

// Files checks the statements of all files together: names are of the policy,
// not of a file.
func Files(files []*source.File, list *diag.List) *Policy {
	c := &checker{p: &Policy{named: map[string]Set{}, Asked: map[string]bool{}}, list: list, places: map[string]diag.Span{}, used: map[string]bool{}, holders: map[netip.Addr]holding{}, ranges: map[[2]uint16]bool{}, alone: map[Set][]Set{}, words: map[string][]policy.Port{}}
	c.scopesOf(files)
	var services []*source.Service
	for _, f := range files {
		c.enter(f)
		for i := range f.Services {
			c.service(&f.Services[i])
			services = append(services, &f.Services[i])
		}
		for i := range f.Networks {
			c.network(&f.Networks[i])
		}
		for i := range f.Endpoints {
			c.known(&f.Endpoints[i])
		}
	}
	c.groups(services)
	rules := 0
	for _, f := range files {
		rules += len(f.Rules)
	}
	c.p.Rules = make([]*Rule, 0, rules)
	names := make(map[string]diag.Span, rules)
	for _, f := range files {
		if c.enter(f); c.scope != nil {
			c.noTiers(f)
			continue
		}
		for i := range f.Tiers {
			c.tier(&f.Tiers[i], names)
		}
	}
	for _, f := range files {
		c.enter(f)
		for i := range f.Rules {
			c.rule(&f.Rules[i], names)
		}
		f.Rules = nil // they are most of a large policy, and read
	}
	for _, f := range files {
		c.enter(f)
		for i := range f.Tests {
			c.test(&f.Tests[i])
		}
	}
	c.bound()
	c.unused()
	return c.p
}

type checker struct {
	near    map[string]string // by wrong name: the right one
	p       *Policy
	list    *diag.List
	holders map[netip.Addr]holding // of the addresses of endpoints
	places  map[string]diag.Span
	used    map[string]bool
	scopes  map[*source.File]*Service
	scope   *Service           // of the file in hand
	ranges  map[[2]uint16]bool // of source ports
	room    []Rule             // for rules: they stand side by side
	alone   map[Set][]Set      // the list of that set alone, which most sides are
	words   map[string][]policy.Port
}

// define notes a name, if it can be one and is free.
func (c *checker) define(name source.Text, s Set) {
	full := c.qualified(name.Value)
	switch first, taken := c.places[full]; {
	case BuiltIn(name.Value) != "":
		c.list.Errorf(name.At, "%q is a built-in name", name.Value).With("choose another name")
	case !goodName(name.Value):
		c.list.Errorf(name.At, "%q is no name", name.Value).With("begin with a letter; letters, digits, '_', '-' and '.' after that, at most %d in all", maxName)
	case taken:
		c.list.Errorf(name.At, "%q is already defined", name.Value).With("services and networks share their names: choose another").Note(first, "first defined here")
	default:
		c.places[full] = name.At
		c.p.named[full] = s
	}
}

// maxName bounds a name, in bytes.
const maxName = 128

func goodName(s string) bool {
	for i, r := range s {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		if !letter && (i == 0 || !(r >= '0' && r <= '9' || r == '_' || r == '-' || r == '.')) {
			return false
		}
	}
	return s != "" && len(s) <= maxName
}

// goodRuleName tells whether a name can stand in a line of a table or a log.
func goodRuleName(s string) bool {
	notPrinted := func(r rune) bool { return !unicode.IsPrint(r) }
	return len(s) <= maxName && strings.TrimSpace(s) == s && !strings.ContainsFunc(s, notPrinted)
}

// unused warns of what no rule and no test names. Where something is wrong it
// may be just that a name is.
func (c *checker) unused() {
	if c.list.Failed() {
		return
	}
	names := make([]string, 0, len(c.places))
	for name := range c.places {
		if !c.used[name] {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, cmp.Compare[string])
	for _, name := range names {
		c.list.Warnf(c.places[name], "no rule names %q", name).NotUsed(name)
	}
}
