package analyze_test

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"pgregory.net/rapid"

	"bulkhead/policyc/compile"
	"bulkhead/policyc/eval"
	"bulkhead/policyc/internal/check"
	"bulkhead/policyc/internal/worlds"
)

// drawPolicy draws a small world, and which of its rules are left: so that what a
// failure prints has few.
func drawPolicy(t *rapid.T) string {
	r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "world"), 0))
	var left []worlds.Statement
	for _, s := range worlds.Draw(r, worlds.Small(r)).Statements {
		if !s.Rule || rapid.IntRange(0, 9).Draw(t, "left") > 0 {
			left = append(left, s)
		}
	}
	return strings.Join(append(worlds.Files(left), "version = 1\n"), nextFile)
}

// nextFile stands between the files of a policy. The last is of no scope: a test can
// add to it.
const nextFile = "# next file\n"

// must reads a policy.
func must(t interface{ Fatal(...any) }, text string) *check.Policy {
	var sources []compile.Source
	for i, file := range strings.Split(text, nextFile) {
		sources = append(sources, compile.Source{Name: fmt.Sprintf("p%d.toml", i), Text: []byte(file)})
	}
	p, findings := compile.Read(sources)
	if findings.Failed() {
		var out strings.Builder
		_ = findings.Render(&out)
		t.Fatal(out.String() + text)
	}
	return p
}

// probes are connections of people that no analysis has heard of: who is drawn for
// the world of a policy, on flows at the edges of what rules name and beside them.
func probes(t *rapid.T, policies ...*check.Policy) []packet {
	r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "people"), 0))
	people := worlds.Draw(r, worlds.Small(r)).People(r, 30)
	var flows []eval.Flow
	sources := []uint16{0}
	for _, p := range policies {
		flows, sources = append(flows, worlds.Flows(p)...), append(sources, worlds.Sources(p)...)
	}
	var out []packet
	for range 300 { // of two drawn people most have little to do with what a rule says
		p := packet{people[r.IntN(len(people))], people[r.IntN(len(people))], worlds.From(flows[r.IntN(len(flows))], sources[r.IntN(len(sources))])}
		if p.from.Addr.Is4() == p.to.Addr.Is4() && !(p.flow.Proto == 1 && p.from.Addr.Is6()) && !(p.flow.Proto == 58 && p.from.Addr.Is4()) {
			out = append(out, p)
		}
	}
	return out
}

type packet struct {
	from, to check.Subject
	flow     eval.Flow
}

func (p packet) allowed(by *check.Policy) bool {
	allow, _ := eval.Decide(by, p.from, p.to, p.flow)
	return allow
}

// stateless tells whether what is allowed has no session.
func (p *packet) stateless(by *check.Policy) bool {
	_, rule := eval.Decide(by, p.from, p.to, p.flow)
	return rule.Stateless
}
