package analyze_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"bulkhead/dataplane/policy"
	"bulkhead/policyc/eval"
	"bulkhead/policyc/internal/analyze"
	"bulkhead/policyc/internal/check"
	"bulkhead/policyc/internal/lower"
	"bulkhead/policyc/internal/worlds"
)

// lintAt is a time at which some rules of a drawn world have expired, and some are to
// come.
const lintAt = 150

func lint(t interface{ Fatal(...any) }, p *check.Policy) []analyze.Finding {
	found, err := analyze.Lint(p, lintAt)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// less is a policy without some of its rules.
func less(p *check.Policy, gone ...string) *check.Policy {
	q := *p
	q.Rules = slices.DeleteFunc(slices.Clone(p.Rules), func(r *check.Rule) bool { return slices.Contains(gone, r.Name) })
	return &q
}

// matches tells whether a rule is about a packet, at either end.
func matches(r *check.Rule, w *analyze.Packet) bool {
	at := func(end policy.Direction) bool { return eval.Matches(r, end, w.From, w.To, w.Flow) }
	return at(policy.Egress) || at(policy.Ingress)
}

func ruleOf(p *check.Policy, name string) *check.Rule {
	return p.Rules[slices.IndexFunc(p.Rules, func(r *check.Rule) bool { return r.Name == name })]
}

func decides(p *check.Policy, w *analyze.Packet) (bool, *check.Rule) {
	return eval.Decide(p, w.From, w.To, w.Flow)
}

// Each finding's witness shows what the finding says.
func TestLintWitnesses(t *testing.T) {
	kinds := map[analyze.Kind]int{}
	for range 5 { // some kinds are of one world in fifty
		rapid.Check(t, func(t *rapid.T) { witnesses(t, kinds) })
	}
	for _, kind := range analyze.Kinds {
		if kinds[kind] == 0 {
			t.Errorf("%s was never found", kind)
		}
	}
}

// witnesses draws a policy and holds what lint finds in it to what it says.
func witnesses(t *rapid.T, kinds map[analyze.Kind]int) {
	text := drawPolicy(t)
	p := must(t, text)
	found := lint(t, p)
	p = p.At(lintAt)
	for _, f := range found {
		kinds[f.Kind]++
		if f.Kind == analyze.Unused || f.Kind == analyze.Never || f.Kind == analyze.Expired {
			continue
		}
		r := ruleOf(p, f.Name)
		allow, by := decides(p, f.Witness)
		if !matches(r, f.Witness) {
			t.Fatalf("%s %s: %v does not match it\n%s", f.Kind, f.Name, f.Witness, text)
		}
		met := slices.ContainsFunc(f.Others, func(o *check.Rule) bool { return matches(o, f.Witness) })
		fine := false
		switch f.Kind {
		case analyze.Shadowed:
			fine = by != r && met
		case analyze.Idle:
			still, _ := decides(less(p, f.Name), f.Witness)
			fine = still == allow && by != r
		case analyze.Redundant:
			still, _ := decides(less(p, f.Name), f.Witness)
			fine = still == allow && met
		case analyze.Guard:
			still, _ := decides(less(p, f.Name), f.Witness)
			fine = !still && !allow && !r.Allow
		case analyze.Conflict:
			fine = !r.Allow && !allow && met && f.Others[0].Allow
		case analyze.Hidden:
			// each of those that are named comes before it
			fine = !r.Allow && allow && met && !slices.ContainsFunc(f.Others, func(o *check.Rule) bool {
				return o.Tier > r.Tier || o.Tier == r.Tier && o.Priority >= r.Priority || !o.Allow && !(o.Pass && o.Tier == r.Tier)
			})
		case analyze.OneWay:
			reply := f.Witness.Flow
			if reply.Proto == 6 || reply.Proto == 17 || reply.Proto == 132 {
				reply.Src, reply.Dst = reply.Dst, reply.Src
			}
			back, over := decides(p, &analyze.Packet{From: f.Witness.To, To: f.Witness.From, Flow: reply})
			fine = by == r && allow && r.Stateless && !(back && over.Stateless)
		case analyze.Broad:
			_, leaves := eval.DecideAt(p, policy.Egress, f.Witness.From, f.Witness.To, f.Witness.Flow)
			fine = (by == r || leaves == r) && allow
		}
		if !fine {
			t.Fatalf("%s %s: %v is %v by %v, others %v\n%s", f.Kind, f.Name, f.Witness, allow, by, f.Others, text)
		}
	}
}

// What is too broad is what it is when each rule is looked at by itself.
func TestLintFindsBroadRulesAsOneByOne(t *testing.T) {
	found := 0
	rapid.Check(t, func(t *rapid.T) {
		text := drawPolicy(t)
		p := must(t, text)
		s, err := analyze.New(p.At(lintAt))
		if err != nil {
			t.Fatal(err)
		}
		want := analyze.BroadOneByOne(s)
		for _, f := range lint(t, p) {
			if f.Kind != analyze.Broad {
				continue
			}
			if w, is := want[f.Name]; !is || w.String() != f.Witness.String() {
				t.Fatalf("%s by %v, not by %v\n%s", f.Name, f.Witness, w, text)
			}
			found++
			delete(want, f.Name)
		}
		if len(want) > 0 {
			t.Fatalf("not found: %v\n%s", want, text)
		}
	})
	if found == 0 {
		t.Error("no rule was too broad")
	}
}

// What lint says can go can go, all of it at once; and what is left is needed:
// in the policy as it is, or in what is left of it.
func TestLintFindsAllThatCanGo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := drawPolicy(t)
		p := must(t, text)
		var gone []string
		for _, f := range lint(t, p) {
			switch f.Kind {
			case analyze.Never, analyze.Shadowed, analyze.Redundant, analyze.Guard, analyze.Idle:
				gone = append(gone, f.Name)
			}
		}
		p = p.At(lintAt)
		rest := less(p, gone...)
		if d := diff(t, p, rest); !d.Empty() {
			t.Fatalf("without %v it means something else: %+v\n%s", gone, d, text)
		}
		for _, r := range rest.Rules {
			if r.Audit || r.Dormant {
				continue // it is to decide nothing, or nothing now
			}
			if diff(t, rest, less(rest, r.Name)).Empty() && diff(t, p, less(p, r.Name)).Empty() {
				t.Fatalf("without %v %s can go, too\n%s", gone, r.Name, text)
			}
		}
	})
}

// Where no endpoint has an address in a network what LintApart says can go can go:
// nobody who may be there is decided otherwise, and no witness is somebody else.
func TestLintApart(t *testing.T) {
	apart := 0
	rapid.Check(t, func(t *rapid.T) {
		text := drawPolicy(t)
		p := must(t, text)
		found, err := analyze.LintApart(p, lintAt)
		if err != nil {
			t.Fatal(err)
		}
		there := func(s check.Subject) bool { return apartFrom(p, s) }
		var gone []string
		for _, f := range found {
			switch f.Kind {
			case analyze.Never, analyze.Shadowed, analyze.Redundant, analyze.Guard, analyze.Idle:
				gone = append(gone, f.Name)
			}
			if f.Witness != nil && (!there(f.Witness.From) || !there(f.Witness.To)) {
				t.Fatalf("%s is shown by %v, who is not there\n%s", f.Name, f.Witness, text)
			}
		}
		apart += len(found)
		p = p.At(lintAt)
		rest := less(p, gone...)
		for _, x := range probes(t, p) {
			if there(x.from) && there(x.to) && x.allowed(p) != x.allowed(rest) {
				t.Fatalf("without %v %v is decided otherwise\n%s", gone, x, text)
			}
		}
	})
	if apart == 0 {
		t.Error("nothing was found: it proves nothing")
	}
}

// A deny and an allow that only an endpoint in a network meets clash where there may
// be one, and else the deny has nothing to deny.
func TestLintApartLeavesOutWhoIsInBoth(t *testing.T) {
	p := must(t, "version = 1\n[services.web]\nlabels = { tier = \"web\" }\n[services.db]\nlabels = { tier = \"db\" }\n[networks.n]\ncidrs = [\"10.0.0.0/8\"]\n"+
		"[networks.all]\ncidrs = [\"0.0.0.0/0\", \"::/0\"]\n"+
		"[[rules]]\nname = \"in\"\nallow = { from = [\"n\"], to = [\"db\"], ports = [\"tcp/1\"] }\n"+
		"[[rules]]\nname = \"no\"\ndeny = { from = [\"web\"], to = [\"db\"], ports = [\"tcp/1\"] }\n"+
		"[[rules]]\nname = \"yes\"\nallow = { from = [\"all\"], to = [\"web\"], ports = [\"tcp/2\"] }\n")
	said := func(found []analyze.Finding, err error) string {
		text := ""
		for _, f := range found {
			text += fmt.Sprintf("%s %s, ", f.Kind, f.Name)
		}
		return fmt.Sprint(text, err)
	}
	if got := said(analyze.Lint(p, lintAt)); got != "conflict no, <nil>" {
		t.Errorf("of all there may be: %s", got)
	}
	if got := said(analyze.LintApart(p, lintAt)); got != "guard no, <nil>" {
		t.Errorf("apart: %s", got)
	}
}

// apartFrom tells whether somebody may be there if endpoints have addresses apart from
// networks: no address of his kind is in fewer.
func apartFrom(p *check.Policy, s check.Subject) bool {
	return s.Labels == nil || !slices.ContainsFunc(edges(p), func(a netip.Addr) bool {
		if a.Is4() != s.Addr.Is4() || speaksOf(p, isOutside) && policy.CanBeOutside(a) != policy.CanBeOutside(s.Addr) {
			return false
		}
		mine, other := networksOf(p, s.Addr), networksOf(p, a)
		return len(other) < len(mine) && !slices.ContainsFunc(other, func(n *check.Network) bool { return !slices.Contains(mine, n) })
	})
}

// edges are addresses of every kind that the networks of a policy tell apart.
func edges(p *check.Policy) []netip.Addr {
	out := []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}
	for _, n := range p.Networks {
		for _, x := range slices.Concat(n.Prefixes, n.Except) {
			out = append(out, x.Addr(), worlds.Last(x).Next())
		}
	}
	return slices.DeleteFunc(out, func(a netip.Addr) bool { return !a.IsValid() || a.Is4In6() })
}

// networksOf are the networks that an address is in and that a rule speaks of.
func networksOf(p *check.Policy, a netip.Addr) (in []*check.Network) {
	for _, n := range p.Networks {
		spoken := speaksOf(p, func(set policy.Set) bool { return set.Kind == policy.KindNetwork && set.Name == n.Name })
		if spoken && eval.In(check.Set{Network: n}, check.Subject{Addr: a}) {
			in = append(in, n)
		}
	}
	return in
}

func isOutside(set policy.Set) bool { return set.Kind == policy.KindOutside }

// speaksOf tells whether the rules come down to a set: a rule of a scope does not speak
// of all that it names.
func speaksOf(p *check.Policy, is func(policy.Set) bool) bool {
	return slices.ContainsFunc(lower.Policy(p.At(lintAt), 0).Sets, is)
}

// What lint says of a few situations that were once said wrongly.
func TestLintOfEndsScopesAndGroups(t *testing.T) {
	const services = "version = 1\n[services.web]\nlabels = { tier = \"web\" }\n[services.db]\nlabels = { tier = \"db\" }\n"
	for _, c := range []struct {
		situation, text, name string
		kind                  analyze.Kind
		found                 bool
		others                string
	}{
		{"broad_at_one_end", services + "[[rules]]\nname = \"out\"\ndirection = \"egress\"\nallow = { from = [\"any\"], to = [\"any\"], ports = [\"any\"] }\n" +
			"[[rules]]\nname = \"in\"\ndirection = \"ingress\"\nallow = { from = [\"web\"], to = [\"db\"], ports = [\"tcp/1\"] }\n", "out", analyze.Broad, true, ""},
		{"everybody_of_a_scope", "version = 1\n[scope]\nname = \"shop\"\nlabels = { tenant = \"shop\" }\n[[rules]]\nname = \"all\"\nallow = { from = [\"any\"], to = [\"any\"], ports = [\"tcp/1\"] }\n",
			"shop/all", analyze.Broad, false, ""},
		{"used_by_a_group", services + "[services.both]\nservices = [\"web\", \"db\"]\n[[rules]]\nname = \"r\"\nallow = { from = [\"both\"], to = [\"both\"], ports = [\"tcp/1\"] }\n",
			"web", analyze.Unused, false, ""},
		{"a_group_that_is_not_used", services + "[services.both]\nservices = [\"web\"]\n[[rules]]\nname = \"r\"\nallow = { from = [\"db\"], to = [\"db\"], ports = [\"tcp/1\"] }\n[[tests]]\nname=\"t\"\nfrom=\"db\"\nto=\"db\"\nport=\"tcp/1\"\nexpect=\"allow\"\n",
			"web", analyze.Unused, true, ""},
		{"a_pass_hides_a_deny", services + "[[rules]]\nname = \"see\"\ntier = \"security\"\npriority = 10\npass = { from = [\"web\"], to = [\"any\"], ports = [\"tcp/23\"] }\n" +
			"[[rules]]\nname = \"no\"\ntier = \"security\"\ndeny = { from = [\"any\"], to = [\"any\"], ports = [\"tcp/23\"] }\n" +
			"[[rules]]\nname = \"later\"\nallow = { from = [\"web\"], to = [\"db\"], ports = [\"tcp\"] }\n", "no", analyze.Hidden, true, "see"},
	} {
		t.Run(c.situation, func(t *testing.T) {
			found := lint(t, must(t, c.text))
			i := slices.IndexFunc(found, func(f analyze.Finding) bool { return f.Kind == c.kind && f.Name == c.name })
			if i >= 0 != c.found {
				t.Fatalf("%+v", found)
			}
			if c.others != "" && (len(found[i].Others) != 1 || found[i].Others[0].Name != c.others) {
				t.Errorf("others %v, want %s", found[i].Others, c.others)
			}
		})
	}
}

// A pass leaves its tier, the tier's default included: what hides a deny behind it is
// the default of a later tier.
func TestLintNamesTheDefaultBehindAPass(t *testing.T) {
	found := lint(t, must(t, `version = 1
[services.a]
labels = { a = "1" }
[tiers.platform]
default = "deny"
[tiers.security]
default = "allow"
[[rules]]
name = "on"
tier = "platform"
pass = { from = ["any"], to = ["any"], ports = ["any"] }
[[rules]]
name = "no"
tier = "application"
deny = { from = ["a"], to = ["a"], ports = ["tcp/80"] }
`))
	for _, f := range found {
		if f.Kind != analyze.Hidden || f.Name != "no" {
			continue
		}
		if len(f.Others) != 1 || f.Others[0].Name != "tier security" {
			t.Errorf("it is hidden by %s", f.Others[0].Name)
		}
		return
	}
	t.Error("that it is hidden is not found")
}
