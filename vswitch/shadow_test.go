package vswitch

import (
	"fmt"
	"strings"
	"testing"

	"bulkhead/dataplane/packet"
	"bulkhead/vswitch/control/api"
)

// shade links a policy of the lab as a candidate.
func (l *lab) shade(name string) *api.Shadow {
	l.t.Helper()
	s, err := l.sw.Control("", nil).ShadowPolicy(&api.PolicyLoad{File: l.path(name)})
	if err != nil {
		l.t.Fatal(err)
	}
	return s
}

func (l *lab) shadow() *api.Shadow {
	l.t.Helper()
	s, err := l.sw.Control("", nil).Shadow()
	if err != nil {
		l.t.Fatal(err)
	}
	return s
}

// change is how often a rule of the candidate differs, in one way.
func changeOf(s *api.Shadow, change, rule string) (sessions, decisions uint64) {
	for _, c := range s.Changes {
		if c.Change == change && c.Rule == rule {
			return c.Sessions, c.Decisions
		}
	}
	return 0, 0
}

func syn(from, to int, source, port uint16) []byte {
	return frame(from, to, packet.ProtoTCP, source, port, packet.TCPSyn)
}

// A candidate is asked about what is open and what is decided, counts by its own rules,
// and decides nothing; committed it decides, at the next packet of what is open.
func TestShadowSaysWhatACandidateWouldDo(t *testing.T) {
	for _, workers := range []string{"", twoWorkers} {
		l := started(t, workers+"policy = \"both.bhp\"\n"+twoPorts())
		l.policyText("new.bhp", "version = 1\n[[rules]]\nname = \"web\"\nallow = { from = [\"any\"], to = [\"any\"], ports = [\"tcp/80\", \"tcp/99\"] }\n"+
			"[[rules]]\nname = \"no-alt\"\ndeny = { from = [\"any\"], to = [\"any\"], ports = [\"tcp/81\"] }\n")
		a, b := l.port("a"), l.port("b")
		for i := range uint16(10) {
			for _, port := range []uint16{80, 81} {
				if !l.passes(a, 0, syn(1, 2, 1000+i, port), b) {
					t.Fatal("what is allowed does not pass")
				}
			}
		}
		if !l.passes(a, 0, frame(1, 2, packet.ProtoUDP, 7, 53, 0), b) {
			t.Fatal("what is allowed does not pass")
		}
		before := l.sw.generation
		s := l.shade("new.bhp")
		if s.Sessions != 21 || s.SessionsCut != 11 || s.Decisions != 0 {
			t.Errorf("of what is open it says %+v", s)
		}
		if n, _ := changeOf(s, "deny", "no-alt"); n != 10 {
			t.Errorf("rule no-alt would close %d sessions, want 10", n)
		}
		if n, _ := changeOf(s, "deny", ""); n != 1 {
			t.Errorf("the default would close %d sessions, want 1", n)
		}
		// What is open asks nobody; new decisions ask both, and the one in force decides.
		for i := range uint16(6) {
			if !l.passes(a, 0, syn(1, 2, 1000+i, 81), b) || !l.passes(a, 0, syn(1, 2, 2000+i, 81), b) || !l.passes(a, 0, syn(1, 2, 2000+i, 80), b) || l.passes(a, 0, syn(1, 2, 2000+i, 99), b) {
				t.Fatal("a candidate decides")
			}
		}
		s = l.shadow()
		if s.Decisions != 18 || s.DecisionsDenied != 6 || s.DecisionsAllowed != 6 || s.Sessions != 33 || s.SessionsCut != 17 {
			t.Errorf("of decisions it says %+v", s)
		}
		if _, n := changeOf(s, "allow", "web"); n != 6 {
			t.Errorf("rule web would allow %d besides, want 6", n)
		}
		kinds := map[string]int{}
		for _, e := range s.Examples {
			kinds[fmt.Sprintf("%s %s %s>%s %s>%s", e.Change, e.Of, e.From, e.To, e.LiveRule, e.Rule)]++
		}
		for _, kind := range []string{"deny session a>b both.bhp>no-alt", "deny session a>b both.bhp>", "deny decision a>b both.bhp>no-alt", "allow decision a>b >web"} {
			if kinds[kind] == 0 || kinds[kind] > examplesOfAKind {
				t.Errorf("%d examples of %q: %v", kinds[kind], kind, kinds)
			}
		}
		if l.sw.generation != before {
			t.Error("a candidate makes a generation")
		}
		if _, err := l.sw.Control("", nil).CommitShadow(); err != nil {
			t.Fatal(err)
		}
		if l.passes(a, 0, syn(1, 2, 1003, 81), b) || !l.passes(a, 0, syn(1, 2, 3000, 99), b) {
			t.Error("the candidate is committed, and does not decide")
		}
		if s := l.shadow(); s.Stands {
			t.Error("it still stands")
		}
		if p := l.fullStatus(); p.PolicyFile != l.path("new.bhp") {
			t.Errorf("in force is %s", p.PolicyFile)
		}
	}
}

// The candidate follows what is declared: it knows endpoints that came, were changed
// and went since, and its services are its own.
func TestShadowFollowsEndpoints(t *testing.T) {
	l := started(t, "policy = \"both.bhp\"\n"+twoPorts())
	l.policyText("labels.bhp", "version = 1\n[services.in]\nlabels = { app = \"in\" }\n[[rules]]\nname = \"in\"\nallow = { from = [\"in\"], to = [\"any\"], ports = [\"tcp/80\"] }\n")
	l.shade("labels.bhp")
	o := l.sw.Control("", nil)
	a, b := l.port("a"), l.port("b")
	denied := func(from int, source uint16) bool {
		before := l.shadow().DecisionsDenied
		if !l.passes(a, 0, syn(from, 2, source, 80), b) {
			t.Fatal("what is allowed does not pass")
		}
		return l.shadow().DecisionsDenied == before+1
	}
	add := func(label string) {
		if _, err := o.ChangeEndpoint(&api.EndpointChange{Op: api.EndpointAdd, Name: "c", Port: "a", MAC: "02:00:00:00:00:03", IPs: []string{"10.0.0.3"}, Labels: map[string]string{"app": label}}); err != nil {
			t.Fatal(err)
		}
	}
	if !denied(1, 1) {
		t.Error("a is not in the service, and is allowed")
	}
	add("in")
	if denied(3, 2) {
		t.Error("c is in the service, and is denied")
	}
	if _, err := o.ChangeEndpoint(&api.EndpointChange{Op: api.EndpointDel, Name: "c"}); err != nil {
		t.Fatal(err)
	}
	add("out")
	if !denied(3, 3) {
		t.Error("c is in the service no more, and is allowed")
	}
	// So many that the linkers are worn and link anew, and a reload.
	for i := range 3 * maxStep {
		name := fmt.Sprintf("e%d", i)
		if _, err := o.ChangeEndpoint(&api.EndpointChange{Op: api.EndpointAdd, Name: name, Port: "b", MAC: fmt.Sprintf("02:00:00:00:01:%02x", i), IPs: []string{fmt.Sprintf("10.0.1.%d", i+1)}, Labels: map[string]string{"app": "in"}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.reload("policy = \"both.bhp\"\n" + twoPorts()); err != nil {
		t.Fatal(err)
	}
	if s := l.shadow(); !s.Stands || s.Error != "" {
		t.Errorf("the candidate is gone: %+v", s)
	}
	if !denied(3, 4) || !denied(1, 5) {
		t.Error("after a reload it knows them no more")
	}
	// Another policy in force: what is counted begins anew.
	if err := l.load("web.bhp"); err != nil {
		t.Fatal(err)
	}
	if s := l.shadow(); !s.Stands || s.Decisions != 0 {
		t.Errorf("counts of another comparison stay: %+v", s)
	}
}

// What may not come into force may not stand, and may not be committed when that has
// changed meanwhile.
func TestShadowIsHeldToSignatures(t *testing.T) {
	l := started(t, twoPorts())
	l.signed("five.bhp", 5, 1)
	l.signed("six.bhp", 6, 1)
	l.signed("old.bhp", 4, 1)
	l.signed("plain.bhp", 7)
	o := l.sw.Control("", nil)
	if err := l.reload("policy_keys = [\"" + inline(1) + "\", \"" + inline(2) + "\"]\npolicy = \"five.bhp\"\n" + twoPorts()); err != nil {
		t.Fatal(err)
	}
	for file, says := range map[string]string{"old.bhp": "generation 4 is older", "plain.bhp": "no signature", "none": "no such file"} {
		if _, err := o.ShadowPolicy(&api.PolicyLoad{File: l.path(file)}); err == nil || file != "plain.bhp" && !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", file, err)
		}
	}
	if _, err := o.CommitShadow(); err == nil || !strings.Contains(err.Error(), "no candidate stands") {
		t.Errorf("commit of nothing: %v", err)
	}
	l.shade("six.bhp")
	l.signed("seven.bhp", 7, 1)
	if err := l.load("seven.bhp"); err != nil {
		t.Fatal(err)
	}
	if _, err := o.CommitShadow(); err == nil || !strings.Contains(err.Error(), "generation 6 is older than 7") {
		t.Errorf("commit of an older one: %v", err)
	}
	l.signed("eight.bhp", 8, 1)
	l.shade("eight.bhp")
	l.signed("seven.bhp", 7, 2)
	if err := l.reload("policy_keys = [\"" + inline(2) + "\"]\npolicy = \"seven.bhp\"\n" + twoPorts()); err != nil {
		t.Fatal(err)
	}
	if _, err := o.CommitShadow(); err == nil || !strings.Contains(err.Error(), "no key that signed it is trusted any more") {
		t.Errorf("commit after its key was taken back: %v", err)
	}
	if _, err := o.AbortShadow(); err != nil {
		t.Error(err)
	}
	if _, err := o.AbortShadow(); err == nil {
		t.Error("a second abort is no error")
	}
}
