package check

import (
	"maps"
	"slices"
	"strings"

	"bulkhead/dataplane/policy"
	"bulkhead/policyc/internal/source"
	"bulkhead/vswitch/cli/nearest"
)

// scopeSign stands between a scope and a name in it.
const scopeSign = "/"

// enter makes the scope of a file the one that statements are read in; nil is
// none. What several files say of one scope must be the same.
func (c *checker) enter(f *source.File) { c.scope = c.scopes[f] }

// scopesOf finds the scopes of all files. A scope is a service, too: every
// endpoint with its labels.
func (c *checker) scopesOf(files []*source.File) {
	c.scopes = map[*source.File]*Service{}
	known := map[string]*Service{}
	for _, f := range files {
		if !f.Scope.Set || f.Scope.Bad && f.Scope.Name.Value == "" {
			continue // it has been reported
		}
		c.scopes[f] = c.scopeOf(&f.Scope, known)
	}
	for i, s := range c.p.Scopes {
		for _, earlier := range c.p.Scopes[:i] {
			if !apart(earlier, s) {
				c.list.Errorf(s.At, "an endpoint could be of scope %q and of scope %q", s.Name, earlier.Name).
					With("ask for one label in both, with two values: a scope speaks for its endpoints, and nobody else does").Note(earlier.At, "the other")
			}
		}
	}
}

// apart tells whether no endpoint can be of two scopes: they want a label to
// have two values.
func apart(a, b *Service) bool {
	for key, value := range a.Labels {
		if other, found := b.Labels[key]; found && other != value {
			return true
		}
	}
	return false
}

func (c *checker) scopeOf(s *source.Scope, known map[string]*Service) *Service {
	out := &Service{Name: s.Name.Value, Labels: c.labelsOf(&s.Labels), At: or(s.Name.At, s.At)}
	out.Scope = out
	c.notReserved(&s.Labels)
	first := known[out.Name]
	switch {
	case s.Name.Value == "" && !s.Name.Bad:
		c.list.Errorf(s.At, "the scope has no name").With("name = \"shop\": it is what others name its services by, as shop/web")
	case len(s.Labels.Items) == 0 && !s.Labels.Bad:
		c.list.Errorf(or(s.Name.At, s.At), "scope %q has no labels, so nobody is in it", s.Name.Value).With("labels = { tenant = \"shop\" }")
	case first != nil && !maps.Equal(first.Labels, out.Labels):
		c.list.Errorf(or(s.Labels.At, s.At), "scope %q has other labels elsewhere", s.Name.Value).With("the files of a scope state the same labels").Note(first.At, "elsewhere")
	case first == nil:
		known[out.Name] = out
		c.define(s.Name, Set{Service: out})
		c.used[out.Name] = true
		c.p.Scopes = append(c.p.Scopes, out)
	}
	if first != nil {
		return first
	}
	return out
}

// qualified is a name as it is called from outside the scope in hand.
func (c *checker) qualified(name string) string { return qualify(c.scope, name) }

func qualify(scope *Service, name string) string {
	if scope == nil || name == "" {
		return name
	}
	return scope.Name + scopeSign + name
}

// scoped adds to the labels of a service or endpoint of a scope those of the scope.
func (c *checker) scoped(own map[string]string, labels *source.Labels) {
	if c.scope == nil {
		return
	}
	for key, value := range c.scope.Labels {
		if other, stated := own[key]; stated && other != value {
			c.list.Errorf(labels.At, "label %q is the scope's, which says %q", key, value).With("leave the label out: the scope adds it")
			continue
		}
		own[key] = value
	}
}

// in finds a name as a scope's file uses it: its own first, then the names of
// files without a scope, and those of other scopes by SCOPE/NAME.
func (p *Policy) in(scope *Service, name string) (Set, bool) {
	if s, found := p.named[qualify(scope, name)]; found && scope != nil && BuiltIn(name) == "" {
		return s, true
	}
	return p.Lookup(name)
}

// meant is the name that was probably meant by one that there is not: the same
// in a scope, else the nearest.
func (p *Policy) meant(scope *Service, name string) string {
	names := p.Names()
	slices.Sort(names)
	for _, n := range names {
		if strings.HasSuffix(n, scopeSign+name) {
			return n
		}
	}
	if scope != nil {
		for _, n := range names {
			if own, found := strings.CutPrefix(n, scope.Name+scopeSign); found {
				names = append(names, own)
			}
		}
	}
	return nearest.Name(name, names)
}

// speaks holds a rule of a scope against what such a rule can say: it speaks
// for the scope's own ends, and in the tiers that are not above it. Whose ends are not
// all known may name one of its own.
func (c *checker) speaks(out *Rule, r *source.Rule, known bool) {
	out.Scope = c.scope
	if c.scope == nil {
		return
	}
	if out.Tier < applicationTier {
		c.list.Errorf(r.Tier.At, "a rule of a scope cannot be of tier %q", TierNames[out.Tier]).With("application or baseline: the others are of files without a scope")
	}
	own := func(end policy.Direction, sets []Set) bool {
		for _, s := range sets {
			if out.Direction.SpeaksAt(end) && (s.Any || s.Service != nil && s.Service.Scope == c.scope) {
				return true
			}
		}
		return false
	}
	if known && len(out.From) > 0 && len(out.To) > 0 && !own(policy.Egress, out.From) && !own(policy.Ingress, out.To) {
		c.list.Errorf(r.At, "rule %q speaks for nobody in scope %q", r.Name.Value, c.scope.Name).
			With("name a service of the scope: in from where it speaks for egress, in to where for ingress")
	}
}

// noTiers reports defaults of tiers in a scope's file.
func (c *checker) noTiers(f *source.File) {
	for i := range f.Tiers {
		c.list.Errorf(f.Tiers[i].Name.At, "a scope cannot set the default of a tier").With("put [tiers.%s] into a file without a scope", f.Tiers[i].Name.Value)
	}
}
