package check

import (
	"math"
	"slices"

	"bulkhead/dataplane/policy"
	"bulkhead/policyc/internal/diag"
	"bulkhead/policyc/internal/source"
	"bulkhead/vswitch/cli/nearest"
)

// Tiers is how many tiers there are.
const Tiers = policy.Tiers

// TierNames are the tiers, the first decides first.
var TierNames = policy.TierNames

const (
	tierCure = "platform, security, application or baseline"
	// applicationTier is where rules are that name no tier.
	applicationTier = 2
	// defaultPriority is what rules have that state none.
	defaultPriority = 1000
	// maxPriority leaves room for the tier's default behind every rule.
	maxPriority = math.MaxUint32 - 1
)

// tier reads the default of a tier. It is kept as a rule behind all others of
// the tier, under a name of its own.
func (c *checker) tier(t *source.Tier, names map[string]diag.Span) {
	index, found := c.tierOf(t.Name)
	if !found {
		return
	}
	r := &Rule{
		Name: "tier " + t.Name.Value, Tier: index, Priority: math.MaxUint32, At: or(t.Default.At, t.Name.At),
		From: []Set{{Any: true}}, To: []Set{{Any: true}}, Ports: []policy.Port{whole(policy.AnyProto)},
	}
	words := []string{"allow", "deny", "pass"}
	switch first, taken := names[r.Name]; {
	case t.Default.Bad:
	case t.Default.At.Src == nil:
		c.list.Errorf(t.Name.At, "tier %q has no default", t.Name.Value).With("default = \"pass\", \"deny\" or \"allow\"")
	case !slices.Contains(words, t.Default.Value):
		c.list.Errorf(t.Default.At, "default is %q", t.Default.Value).With("\"pass\", \"deny\" or \"allow\"").Meant(nearest.Name(t.Default.Value, words))
	case taken:
		c.list.Errorf(t.Name.At, "tier %q has a default already", t.Name.Value).With("a tier has one: take one of them out").Note(first, "the first")
	default:
		names[r.Name] = r.At
		r.Allow = t.Default.Value == "allow"
		if t.Default.Value != "pass" {
			c.p.Defaults[index] = r
		}
	}
}

func (c *checker) tierOf(name source.Text) (uint32, bool) {
	i := slices.Index(TierNames[:], name.Value)
	if i < 0 {
		c.list.Errorf(name.At, "no tier is called %q", name.Value).With(tierCure).Meant(nearest.Name(name.Value, TierNames[:]))
	}
	return uint32(max(i, 0)), i >= 0
}

// rank reads where a rule stands among others: tier, priority and direction.
func (c *checker) rank(out *Rule, r *source.Rule) {
	out.Tier, out.Priority = applicationTier, defaultPriority
	if r.Tier.At.Src != nil && !r.Tier.Bad {
		out.Tier, _ = c.tierOf(r.Tier)
	}
	switch p := r.Priority; {
	case !p.Set || p.Bad:
	case p.Value < 0 || p.Value > maxPriority:
		c.list.Errorf(p.At, "priority is %d", p.Value).With("a number from 0 to %d, the least decides first", uint32(maxPriority))
	default:
		out.Priority = uint32(p.Value)
	}
	switch d := r.Direction; {
	case d.At.Src == nil || d.Bad:
	case d.Value == policy.Egress.String():
		out.Direction = policy.Egress
	case d.Value == policy.Ingress.String():
		out.Direction = policy.Ingress
	default:
		c.list.Errorf(d.At, "direction is %q", d.Value).With("\"ingress\" or \"egress\"; a rule without a direction speaks for both ends").
			Meant(nearest.Name(d.Value, []string{"ingress", "egress"}))
	}
}
