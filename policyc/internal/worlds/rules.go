package worlds

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// portWords have edges that meet, the ends of the range, both families of ICMP
// with type and code, and protocols without ports.
var portWords = []string{
	"any", "tcp", "tcp/0", "tcp/65535", "tcp/80", "tcp/80-90", "tcp/85-100", "tcp/91-95", "tcp/102", "udp/53", "udp", "sctp/1-2", "gre", "esp", "ah", "ip/255", "ip/0",
	"icmp", "icmp/echo", "icmp/echo-reply", "icmp/too-big", "icmp/unreachable", "icmp4/3/4", "icmp4/255/255", "icmp4/0/0", "icmp6/128/0", "icmp6/255",
}

// ranks are the keys of a rule's rank, each with its values.
var ranks = [][]string{
	{"tier", "", "", `"platform"`, `"security"`, `"application"`, `"baseline"`},
	{"priority", "", "", "0", "999", "1000", "4294967294"},
	{"direction", "", "", `"ingress"`, `"egress"`},
}

// verdicts are allow more often than not: else little would pass.
var verdicts = []string{"allow", "allow", "deny", "pass"}

// Rank draws a tier, a priority and a direction, or none.
func Rank(r *rand.Rand) string {
	out := ""
	for _, rank := range ranks {
		if v := oneOf(r, rank[1:]); v != "" {
			out += rank[0] + " = " + v + "\n"
		}
	}
	return out
}

// rule draws a rule, of a scope or of none.
func (w *World) rule(r *rand.Rand, i int) Statement {
	if r.IntN(3) == 0 {
		return w.scoped(r, i)
	}
	verdict, to, ports := oneOf(r, verdicts), some(r, w.sets), ports(r, len(w.sets))
	to, ports = w.byName(r, "", to, ports)
	return Statement{Rule: true, Text: says(i, Rank(r)+marks(r, verdict), verdict, some(r, w.sets), to, ports)}
}

// byName has every third rule go to services by the name that they have for a
// port, where there are such services: a scope's own only, or everybody's.
func (w *World) byName(r *rand.Rand, scope string, to, ports []string) ([]string, []string) {
	mine := func(name string) bool { // a deny may not go by what others call their ports
		of, _, scoped := strings.Cut(name, "/")
		return scoped == (scope != "") && (!scoped || of == scope)
	}
	own := slices.DeleteFunc(slices.Clone(w.own), func(name string) bool { return !mine(name) })
	if len(own) == 0 || r.IntN(3) != 0 {
		return to, ports
	}
	return some(r, own), append(ports[:len(ports)-1:len(ports)-1], "own")
}

// says writes a rule.
func says(i int, rank, verdict string, from, to, ports []string) string {
	return fmt.Sprintf("[[rules]]\nname = \"r%d\"\n%s%s = { from = [%s], to = [%s], ports = [%s] }\n", i, rank, verdict, quoted(from), quoted(to), quoted(ports))
}

// ports draws words of ports: in a city mostly ranges that are few rules'.
func ports(r *rand.Rand, sets int) []string {
	if sets < 40 || r.IntN(20) == 0 {
		return some(r, portWords)
	}
	lo := 1 + r.IntN(800)
	return []string{fmt.Sprintf("tcp/%d-%d", lo, lo+r.IntN(3)*50), fmt.Sprintf("udp/%d", 1+r.IntN(800))}
}

// scoped draws a rule of a scope. What it names of its own makes it speak for
// somebody.
func (w *World) scoped(r *rand.Rand, i int) Statement {
	scope := oneOf(r, scopes)
	own := []string{"any", scope}
	for _, name := range w.sets {
		if strings.HasPrefix(name, scope+"/") {
			own = append(own, name, name, strings.TrimPrefix(name, scope+"/"))
		}
	}
	side := func() []string {
		names := append(some(r, w.sets), oneOf(r, own))
		slices.Sort(names)
		return slices.Compact(names)
	}
	from, to := some(r, w.sets), some(r, w.sets)
	direction := oneOf(r, []string{"", "egress", "ingress"})
	if direction != "ingress" {
		from = side()
	} else {
		to = side()
	}
	verdict, ports := oneOf(r, verdicts), ports(r, len(w.sets))
	if direction == "ingress" {
		to, ports = w.byName(r, scope, to, ports)
	}
	rank := oneOf(r, []string{"", "tier = \"baseline\"\n", "priority = 999\n"}) + marks(r, verdict)
	if direction != "" {
		rank += fmt.Sprintf("direction = %q\n", direction)
	}
	return Statement{Rule: true, Scope: scope, Text: says(i, rank, verdict, from, to, ports)}
}
