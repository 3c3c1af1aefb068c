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
	"bulkhead/vswitch/cli/nearest"
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

func (c *checker) network(n *source.Network) {
	out := &Network{Name: c.qualified(n.Name.Value), At: n.Name.At}
	if len(n.CIDRs.Items) == 0 && !n.CIDRs.Bad {
		c.list.Errorf(n.Name.At, "network %q has no cidrs, so it selects nothing", n.Name.Value).With("cidrs = [\"192.0.2.0/24\"]")
	}
	whole := !n.CIDRs.Bad
	for _, text := range n.CIDRs.Items {
		p, fine := c.prefix(text)
		if fine {
			out.Prefixes = append(out.Prefixes, p)
		}
		whole = whole && fine
	}
	for _, text := range n.Except.Items {
		p, fine := c.prefix(text)
		if !fine {
			continue
		}
		inside := slices.ContainsFunc(out.Prefixes, func(q netip.Prefix) bool { return q.Bits() <= p.Bits() && q.Contains(p.Addr()) })
		if !inside && whole {
			c.list.Errorf(text.At, "%s lies in none of the network's cidrs, so it takes nothing away", p).With("take it out, or add the block around it to cidrs")
			continue
		}
		if slices.Contains(out.Prefixes, p) {
			c.list.Warnf(text.At, "%s is in cidrs and in except: the exception wins", p)
		}
		out.Except = append(out.Except, p)
	}
	out.Prefixes, out.Except = prefixSet(out.Prefixes), prefixSet(out.Except)
	c.p.Networks = append(c.p.Networks, out)
	c.define(n.Name, Set{Network: out})
}

func prefixSet(list []netip.Prefix) []netip.Prefix {
	slices.SortFunc(list, policy.ComparePrefix)
	return slices.Compact(list)
}

// prefix reads a prefix; an address alone is not one, so that nobody forgets
// the length of a block.
func (c *checker) prefix(t source.Text) (netip.Prefix, bool) {
	p, err := netip.ParsePrefix(t.Value)
	if err != nil {
		d := c.list.Errorf(t.At, "%q is no prefix", t.Value)
		if a, err := netip.ParseAddr(t.Value); err == nil && a.Zone() == "" {
			d.With("for the one address write %q", netip.PrefixFrom(a, a.BitLen()).String())
		} else {
			d.With("write it as \"192.0.2.0/24\" or \"2001:db8::/32\"")
		}
		return p, false
	}
	if p.Addr().Is4In6() {
		c.list.Errorf(t.At, "%q is IPv4 written as IPv6", t.Value).With("write it as IPv4")
		return p, false
	}
	if p != p.Masked() {
		c.list.Errorf(t.At, "%q has bits behind its length", t.Value).With("write %q, or a longer length", p.Masked().String())
		return p, false
	}
	return p, true
}

func (c *checker) rule(r *source.Rule, names map[string]diag.Span) {
	if len(c.room) == 0 {
		c.room = make([]Rule, 256)
	}
	out := &c.room[0]
	c.room = c.room[1:]
	out.Name, out.At = c.qualified(r.Name.Value), r.At
	switch first, taken := names[out.Name]; {
	case r.Name.Bad:
	case r.Name.Value == "":
		c.list.Errorf(r.At, "a rule has no name").With("name = \"...\": it is what drops and counters are reported by")
	case !goodRuleName(r.Name.Value):
		c.list.Errorf(r.Name.At, "%q is no name of a rule", r.Name.Value).With("characters that print, at most %d bytes: it stands in tables, logs and metrics", maxName)
	case taken:
		c.list.Errorf(r.Name.At, "two rules are called %q", r.Name.Value).With("rename one: counters and traces go by the name").Note(first, "the first")
	default:
		names[out.Name] = r.Name.At
	}
	clause := c.verdict(out, r)
	if clause == nil {
		return
	}
	c.rank(out, r)
	c.marks(out, r)
	out.From = c.sets(clause, &clause.From, "from")
	out.To = c.sets(clause, &clause.To, "to")
	out.Ports = c.ports(out, clause)
	c.speaks(out, r)
	c.p.Rules = append(c.p.Rules, out)
}

// verdict reads what a rule says, and returns about what; nil: nothing.
func (c *checker) verdict(out *Rule, r *source.Rule) *source.Clause {
	clauses := slices.DeleteFunc([]*source.Clause{r.Allow, r.Deny, r.Pass}, func(c *source.Clause) bool { return c == nil })
	switch {
	case len(clauses) > 1:
		c.list.Errorf(r.At, "rule %q has more than one verdict", r.Name.Value).With("make a rule of each")
	case len(clauses) == 0 && !r.Bad:
		c.list.Errorf(r.At, "rule %q neither allows nor denies", r.Name.Value).With("allow = { from = [...], to = [...], ports = [...] }")
	}
	if len(clauses) == 0 {
		return nil
	}
	out.Allow, out.Pass = r.Allow != nil, r.Pass != nil
	return clauses[0]
}

// sets resolves one side of a rule.
func (c *checker) sets(clause *source.Clause, names *source.Texts, side string) []Set {
	if len(names.Items) == 0 && !names.Bad {
		c.list.Errorf(at(names, clause), "no %s: the rule matches nothing", side).With("%s = [\"service\"], or [\"any\"]", side)
	}
	var out []Set
	for _, name := range names.Items {
		s, found := c.p.in(c.scope, name.Value)
		if !found {
			c.list.Errorf(name.At, "no service or network is called %q", name.Value).Meant(c.meant(name.Value))
			continue
		}
		c.used[s.Name()] = true
		if slices.Contains(out, s) {
			c.list.Warnf(name.At, "%q is named twice", name.Value)
			continue
		}
		if out == nil {
			out = c.only(s)
			continue
		}
		out = append(out, s)
	}
	return out
}

// only is the list of one set. Whoever adds to it has one of its own.
func (c *checker) only(s Set) []Set {
	list := c.alone[s]
	if list == nil {
		list = []Set{s}
		c.alone[s] = list
	}
	return list
}

func at(list *source.Texts, clause *source.Clause) diag.Span {
	if list.Set {
		return list.At
	}
	return clause.At
}

func (c *checker) ports(rule *Rule, clause *source.Clause) []policy.Port {
	if len(clause.Ports.Items) == 0 && !clause.Ports.Bad {
		c.list.Errorf(at(&clause.Ports, clause), "no ports: the rule matches nothing").With("ports = [\"tcp/443\"], or [\"any\"]")
	}
	var out []policy.Port
	for _, text := range clause.Ports.Items {
		if c.named(rule, text) {
			continue
		}
		ports, err := c.portsOf(text.Value)
		if err != nil {
			c.list.Errorf(text.At, "%s", err.Text).With("%s", err.Cure).Meant(err.Meant)
			continue
		}
		if out == nil {
			out = make([]policy.Port, 0, len(ports)+len(clause.Ports.Items)-1)
		}
		out = append(out, ports...)
	}
	out = c.sources(rule, clause, out)
	slices.SortFunc(out, policy.ComparePort)
	return slices.Compact(out)
}

// maxWords bounds the words of ports that are remembered.
const maxWords = 1 << 12

// portsOf reads a word of ports. Most rules say what others say.
func (c *checker) portsOf(word string) ([]policy.Port, *Problem) {
	if known, found := c.words[word]; found {
		return known, nil
	}
	ports, problem := ParsePorts(word)
	if problem == nil && len(c.words) < maxWords {
		c.words[word] = ports
	}
	return ports, problem
}

func (c *checker) test(t *source.Test) {
	out := &Test{Name: t.Name.Value, At: or(t.Expect.At, t.At), Allow: t.Expect.Value == "allow"}
	if t.Name.Value == "" && !t.Name.Bad {
		c.list.Errorf(t.At, "a test has no name").With("name = \"...\"")
	}
	var fine [5]bool
	out.From, fine[0] = c.subject(&t.From, t.At, "from")
	out.To, fine[1] = c.subject(&t.To, t.At, "to")
	out.Ports, fine[2] = c.port(t)
	fine[3] = c.expect(t)
	out.When, fine[4] = c.second(t.When)
	OneFamily(&out.From, &out.To)
	if out.From.Addr.IsValid() && out.To.Addr.IsValid() && out.From.Addr.Is4() != out.To.Addr.Is4() {
		c.list.Errorf(t.To.Text.At, "from and to are addresses of two families").With("a connection is of one")
		return
	}
	if !slices.Contains(fine[:], false) {
		c.p.Tests = append(c.p.Tests, out)
	}
}

// port reads what a test asks about.
func (c *checker) port(t *source.Test) ([]policy.Port, bool) {
	if t.Port.Bad {
		return nil, false
	}
	if t.Port.At.Src == nil {
		c.list.Errorf(t.At, "the test has no port").With("port = \"tcp/443\"")
		return nil, false
	}
	ports, err := c.p.portsAt(c.scope, t.To.Text.Value, t.Port.Value)
	if err != nil {
		c.list.Errorf(t.Port.At, "%s", err.Text).With("%s", err.Cure).Meant(err.Meant)
		return nil, false
	}
	if t.Source.Bad || t.Source.At.Src == nil {
		return ports, !t.Source.Bad
	}
	ports, err = From(ports, t.Source.Value)
	if err != nil {
		c.list.Errorf(t.Source.At, "%s", err.Text).With("%s", err.Cure)
	}
	return ports, err == nil
}

// expect checks what a test expects.
func (c *checker) expect(t *source.Test) bool {
	words := []string{"allow", "deny"}
	switch {
	case t.Expect.Bad:
		return false
	case t.Expect.At.Src == nil:
		c.list.Errorf(t.At, "the test has no expect").With("expect = \"allow\" or \"deny\"")
		return false
	case !slices.Contains(words, t.Expect.Value):
		c.list.Errorf(t.Expect.At, "expect is %q", t.Expect.Value).With("\"allow\" or \"deny\"").Meant(nearest.Name(t.Expect.Value, words))
		return false
	}
	return true
}

func or(at, otherwise diag.Span) diag.Span {
	if at.Src == nil {
		return otherwise
	}
	return at
}

func (c *checker) subject(e *source.Endpoint, whole diag.Span, side string) (Subject, bool) {
	if e.Bad {
		return Subject{}, false
	}
	if !e.Set {
		c.list.Errorf(whole, "the test has no %s", side).With("%s = \"service\", \"address\" or { labels = { ... } }", side)
		return Subject{}, false
	}
	if e.Labels.Set {
		c.notReserved(&e.Labels)
		return Subject{Text: "labels", Labels: c.labelsOf(&e.Labels)}, true
	}
	if named, found := c.p.in(c.scope, e.Text.Value); found {
		c.used[named.Name()] = true
		c.p.Asked[named.Name()] = true
	}
	s, problem := c.p.subjectIn(c.scope, e.Text.Value, c.meant)
	if problem != nil {
		c.list.Errorf(e.Text.At, "%s", problem.Text).With("%s", problem.Cure).Meant(problem.Meant)
	}
	return s, problem == nil
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
