package compile

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"pgregory.net/rapid"

	"bulkhead/dataplane/classify"
	"bulkhead/dataplane/identity"
	"bulkhead/dataplane/packet"
	"bulkhead/dataplane/policy"
	"bulkhead/policyc/eval"
)

// labelSets are what endpoints and services are drawn from.
var labelSets = []map[string]string{{"a": "1"}, {"b": "1"}, {"a": "1", "b": "1"}, {"a": "2"}, {"b": "1", "c": "2"}, {"a": "1", "b": "1", "c": "2"}}

// hostLabels are those of hosts, and none.
var hostLabels = []map[string]string{{}, {policy.HostLabel: "true"}, {policy.HostLabel: "true", "a": "1"}}

// blocks lie in each other, beside each other, and at the ends of both
// families, so that their edges meet.
var blocks = []string{
	"10.0.0.0/24", "10.0.0.0/25", "10.0.0.128/25", "10.0.0.66/32", "10.0.0.0/8", "10.0.1.0/24", "0.0.0.0/0", "0.0.0.0/32", "255.255.255.255/32",
	"fd00::/16", "fd00::/64", "fd00:0:0:1::/64", "fd00::66/128", "::/0", "::/128", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128",
}

// portWords have edges that meet, the ends of the range, both families of ICMP
// with type and code, and protocols without ports.
var portWords = []string{
	"any", "tcp", "tcp/0", "tcp/65535", "tcp/80", "tcp/80-90", "tcp/85-100", "tcp/91-95", "tcp/102", "udp/53", "udp", "sctp/1-2", "gre", "ip/255", "ip/0",
	"icmp", "icmp/echo", "icmp/echo-reply", "icmp/too-big", "icmp/unreachable", "icmp4/3/4", "icmp4/255/255", "icmp4/0/0", "icmp6/128/0", "icmp6/255",
}

// world is a policy as text, and who asks.
type world struct {
	text string
	sets []string // what rules can name
	own  []string // those of them that call a port "own": services, and groups of such
}

// drawWorld draws services and networks.
func drawWorld(t *rapid.T) *world {
	w := &world{text: "version = 1\n", sets: []string{"any", "outside", "host"}}
	for i := range rapid.IntRange(1, 4).Draw(t, "services") {
		text := w.drawService(t)
		members, isGroup := strings.CutPrefix(text, "services = [")
		named := !isGroup
		if isGroup {
			named = !strings.Contains(members, "host")
			for _, m := range strings.Split(strings.Trim(members, "]\n"), ", ") {
				named = named && slices.Contains(w.own, strings.Trim(m, `"`))
			}
		} else {
			text += rapid.SampledFrom([]string{"ports = { own = \"tcp/80\" }\n", "ports = { own = [\"udp/53\", \"tcp/85-100\"] }\n"}).Draw(t, "own")
		}
		if named {
			w.own = append(w.own, fmt.Sprintf("s%d", i))
		}
		w.add(fmt.Sprintf("s%d", i), "[services.s%d]\n%s", i, text)
	}
	for i := range rapid.IntRange(0, 2).Draw(t, "scoped services") {
		scope := rapid.SampledFrom(scopes).Draw(t, "scope")
		w.add(fmt.Sprintf("%s/x%d", scope, i), "%s", inScope(scope, fmt.Sprintf("[services.x%d]\nmatch = [%s]\n", i, quoted(drawSome(t, "match", conditions)))))
	}
	for i := range rapid.IntRange(0, 4).Draw(t, "networks") {
		cidrs := drawSome(t, "cidrs", blocks)
		w.add(fmt.Sprintf("n%d", i), "[networks.n%d]\ncidrs = [%s]\nexcept = [%s]\n", i, quoted(cidrs), quoted(drawInside(t, cidrs)))
	}
	w.text += drawTiers(t)
	return w
}

// conditions hold and fail on labelSets, with and without the label.
var conditions = []string{"a in (1)", "a in (1, 2)", "a not in (1)", "b not in (2, 3)", "exists c", "not exists c", "not exists a", "exists b", "z in (1)", "not exists z"}

// drawService draws what a service selects: labels and conditions, perhaps with
// alternatives, or a group of those before it.
func (w *world) drawService(t *rapid.T) string {
	plain := func() string {
		labels := inline(rapid.SampledFrom(labelSets).Draw(t, "labels"))
		match := quoted(drawSome(t, "match", conditions))
		return rapid.SampledFrom([]string{"labels = {" + labels + "}", "match = [" + match + "]", "labels = {" + labels + "}, match = [" + match + "]"}).Draw(t, "form")
	}
	lines := func(s string) string { return strings.ReplaceAll(s, "}, match", "}\nmatch") + "\n" }
	switch kind := rapid.IntRange(0, 3).Draw(t, "kind"); {
	case kind == 0:
		return "services = [" + quoted(drawSome(t, "members", w.sets[2:])) + "]\n"
	case kind == 1:
		return "any = [{ " + plain() + " }, { " + plain() + " }]\n"
	case kind == 2:
		return lines(plain()) + "any = [{ " + plain() + " }, { " + plain() + " }]\n"
	}
	return lines(plain())
}

func (w *world) add(name, format string, args ...any) {
	w.sets = append(w.sets, name)
	w.text += fmt.Sprintf(format, args...)
}

func inline(labels map[string]string) string {
	var out []string
	for k, v := range labels {
		out = append(out, fmt.Sprintf("%s = %q", k, v))
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

func quoted(words []string) string {
	if len(words) == 0 {
		return ""
	}
	return `"` + strings.Join(words, `", "`) + `"`
}

func drawSome(t *rapid.T, label string, from []string) []string {
	return rapid.SliceOfNDistinct(rapid.SampledFrom(from), 1, min(3, len(from)), rapid.ID[string]).Draw(t, label)
}

// drawInside draws exceptions, which lie in the blocks.
func drawInside(t *rapid.T, cidrs []string) []string {
	var inside []string
	for _, b := range blocks {
		p := netip.MustParsePrefix(b)
		if slices.ContainsFunc(cidrs, func(c string) bool {
			q := netip.MustParsePrefix(c)
			return q.Bits() < p.Bits() && q.Contains(p.Addr())
		}) {
			inside = append(inside, b)
		}
	}
	if len(inside) == 0 || rapid.Bool().Draw(t, "none") {
		return nil
	}
	return drawSome(t, "except", inside)
}

// drawRank draws a tier, a priority and a direction, or none.
func drawRank(t *rapid.T) string {
	out := ""
	for _, rank := range ranks {
		if v := rapid.SampledFrom(rank[1:]).Draw(t, rank[0]); v != "" {
			out += rank[0] + " = " + v + "\n"
		}
	}
	return out
}

// ranks are the keys of a rule's rank, each with its values.
var ranks = [][]string{
	{"tier", "", "", `"platform"`, `"security"`, `"application"`, `"baseline"`},
	{"priority", "", "", "0", "999", "1000", "4294967294"},
	{"direction", "", "", `"ingress"`, `"egress"`},
}

// drawMarks draws what a rule says beside its verdict.
func drawMarks(t *rapid.T, verdict string) string {
	out := ""
	if mark := map[string]string{"allow": "stateless", "deny": "audit"}[verdict]; mark != "" && rapid.IntRange(0, 2).Draw(t, mark) == 0 {
		out += mark + " = true\n"
	}
	return out + rapid.SampledFrom([]string{
		"", "", "", "valid = { from = 1970-01-01T00:01:40Z }\n", "valid = { until = 1970-01-01T00:01:40Z }\n",
		"valid = { from = 1970-01-01T00:01:40Z, until = 1970-01-01T01:03:20+01:00 }\n", "valid = { until = 1970-01-01T00:03:20Z }\n",
	}).Draw(t, "valid")
}

// seconds are before, at and after the times of drawMarks.
var seconds = []int64{1, 99, 100, 199, 200, 201}

// drawTiers draws defaults of tiers.
func drawTiers(t *rapid.T) string {
	out := ""
	for _, tier := range []string{"platform", "security", "application", "baseline"} {
		if word := rapid.SampledFrom([]string{"", "", "", "pass", "deny", "allow"}).Draw(t, tier); word != "" {
			out += fmt.Sprintf("[tiers.%s]\ndefault = %q\n", tier, word)
		}
	}
	return out
}

// scopes are the scopes there may be.
var scopes = []string{"east", "west"}

// nextFile stands between the files of a world.
const nextFile = "# next file\n"

// inScope writes statements as a file of a scope.
func inScope(scope, statements string) string {
	labels := map[string]string{"east": `a = "1"`, "west": `a = "2"`}[scope]
	return nextFile + "version = 1\n[scope]\nname = \"" + scope + "\"\nlabels = { " + labels + " }\n" + statements + nextFile + "version = 1\n"
}

// drawScopedRule draws a rule of a scope. What it names of its own makes it
// speak for somebody.
func (w *world) drawScopedRule(t *rapid.T, i int) string {
	scope := rapid.SampledFrom(scopes).Draw(t, "scope")
	verdict := rapid.SampledFrom([]string{"allow", "allow", "deny", "pass"}).Draw(t, "verdict")
	own := []string{"any", scope}
	for _, name := range w.sets {
		if strings.HasPrefix(name, scope+"/") {
			own = append(own, name, name, strings.TrimPrefix(name, scope+"/"))
		}
	}
	side := func(label string) []string {
		return append(drawSome(t, label, w.sets), rapid.SampledFrom(own).Draw(t, "own"))
	}
	from, to := drawSome(t, "from", w.sets), drawSome(t, "to", w.sets)
	direction := rapid.SampledFrom([]string{"", "egress", "ingress"}).Draw(t, "direction")
	if direction != "ingress" {
		from = side("from")
	} else {
		to = side("to")
	}
	rank := rapid.SampledFrom([]string{"", "tier = \"baseline\"\n", "priority = 999\n"}).Draw(t, "rank")
	rank += drawMarks(t, verdict)
	if direction != "" {
		rank += fmt.Sprintf("direction = %q\n", direction)
	}
	slices.Sort(from)
	slices.Sort(to)
	return inScope(scope, fmt.Sprintf("[[rules]]\nname = \"r%d\"\n%s%s = { from = [%s], to = [%s], ports = [%s] }\n",
		i, rank, verdict, quoted(slices.Compact(from)), quoted(slices.Compact(to)), quoted(drawSome(t, "ports", portWords))))
}

// drawRules draws rules of a world, as text each.
func (w *world) drawRules(t *rapid.T) []string {
	var rules []string
	for i := range rapid.IntRange(0, 6).Draw(t, "rules") {
		if rapid.IntRange(0, 2).Draw(t, "scoped") == 0 {
			rules = append(rules, w.drawScopedRule(t, i))
			continue
		}
		verdict := rapid.SampledFrom([]string{"allow", "allow", "deny", "pass"}).Draw(t, "verdict")
		to, ports := drawSome(t, "to", w.sets), drawSome(t, "ports", portWords)
		if len(w.own) > 0 && rapid.IntRange(0, 2).Draw(t, "by name") == 0 {
			to, ports = drawSome(t, "to", w.own), append(ports[:len(ports)-1], "own")
		}
		rules = append(rules, fmt.Sprintf("[[rules]]\nname = \"r%d\"\n%s%s = { from = [%s], to = [%s], ports = [%s] }\n",
			i, drawRank(t)+drawMarks(t, verdict), verdict, quoted(drawSome(t, "from", w.sets)), quoted(to), quoted(ports)))
	}
	return rules
}

// drawSubjects draws who asks: endpoints with labels at addresses, and
// addresses of nobody, both where a block begins and ends and beside that.
func drawSubjects(t *rapid.T) []Subject {
	var edges []netip.Addr
	for _, b := range blocks {
		p := netip.MustParsePrefix(b)
		last := lastOf(p)
		edges = append(edges, p.Addr().Prev(), p.Addr(), last, last.Next())
	}
	edges = slices.DeleteFunc(edges, func(a netip.Addr) bool { return !a.IsValid() || a.Is4In6() })
	addrs := rapid.SliceOfNDistinct(rapid.SampledFrom(edges), 10, 10, rapid.ID[netip.Addr]).Draw(t, "addresses")
	var out []Subject
	for i, a := range addrs {
		s := Subject{Addr: a}
		if i%2 == 0 {
			s.Labels = rapid.SampledFrom(append(hostLabels, labelSets...)).Draw(t, "labels")
		}
		out = append(out, s)
	}
	return out
}

func lastOf(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < 8*len(b); i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// flows are the edges of every range that the rules have, and one beside each,
// in its own protocol; and protocols that nothing may name.
func flows(p *Policy) []eval.Flow {
	out := []eval.Flow{{Proto: 0}, {Proto: 1}, {Proto: 6}, {Proto: 17}, {Proto: 47}, {Proto: 58, Dst: 0x8000}, {Proto: 132}, {Proto: 255, Dst: 65535}}
	for _, r := range p.Rules {
		for _, q := range r.AllPorts() {
			if q.Proto == policy.AnyProto {
				continue
			}
			for _, dst := range []uint16{q.DstLo - 1, q.DstLo, q.DstHi, q.DstHi + 1} { // 0 - 1 and 65535 + 1 are each other
				out = append(out, eval.Flow{Proto: uint8(q.Proto), Dst: dst})
			}
		}
	}
	return out
}

// tables are a policy as the switch holds it, and who the subjects are there.
type tables struct {
	rules  *policy.Ruleset
	engine *classify.Engine
	ids    []identity.ID
	sets   [][]uint32
}

// link does what the daemon does: endpoints with the sets of their labels and
// addresses, and the networks as a table of prefixes for everybody else.
func link(t interface{ Fatal(...any) }, rs *policy.Ruleset, subjects []Subject) *tables {
	b := identity.NewBuilder()
	for _, atom := range rs.Atoms() {
		b.Outside(atom.Prefix, numbers(atom.Sets))
	}
	for i, s := range subjects {
		if s.Labels != nil {
			e := identity.Endpoint{Name: fmt.Sprint(i), Zone: 1, MAC: packet.MAC{2, 5: byte(i)}, Port: packet.PortID(i)}
			b.Endpoint(e, []identity.Address{{Addr: packet.AddrFrom(s.Addr), Sets: setsOf(rs, s)}}, nil)
		}
	}
	who, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	out := &tables{rules: rs}
	if out.engine, err = classify.Link(rs, who.AllSets()); err != nil {
		t.Fatal(err)
	}
	for _, s := range subjects {
		a := packet.AddrFrom(s.Addr)
		id, _ := who.Identify(1, &a)
		out.ids, out.sets = append(out.ids, id), append(out.sets, setsOf(rs, s))
	}
	return out
}

func setsOf(rs *policy.Ruleset, s Subject) []uint32 {
	all := setsIn(rs, s)
	slices.Sort(all)
	return numbers(slices.Compact(all))
}

func numbers(sets []policy.SetID) []uint32 {
	var out []uint32
	for _, id := range sets {
		out = append(out, uint32(id))
	}
	return out
}
