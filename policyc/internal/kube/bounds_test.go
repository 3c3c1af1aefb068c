package kube

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"bulkhead/policyc/compile"
	"bulkhead/policyc/internal/diag"
	"bulkhead/policyc/internal/format"
)

func TestAManifestHasABound(t *testing.T) {
	var list diag.List
	Read([]*diag.Source{{Name: "huge.yaml", Text: make([]byte, MaxSize+1)}}, &list)
	if !list.Failed() || !strings.Contains(list.All[0].Message, "more than the") {
		t.Errorf("findings: %v", list.All)
	}
}

// Policies of one priority are multiplied up to a bound, and refused beyond.
func TestTiesHaveABound(t *testing.T) {
	var text strings.Builder
	for i := range 3 {
		rule := "- {action: %s, from: [{namespaces: {matchLabels: {ns: \"%d-%d\"}}}, {namespaces: {}}], protocols: [{tcp: {destinationPort: {number: %d}}}]}\n"
		var rules strings.Builder
		for j := range 100 {
			fmt.Fprintf(&rules, rule, []string{"Accept", "Deny", "Pass"}[(i+j)%3], i, j, j+1)
		}
		text.WriteString(admin(fmt.Sprintf("p%d", i), "Admin", 1, "subject: {namespaces: {}}\ningress:\n"+rules.String()))
	}
	var list diag.List
	Translate(cluster(t, text.String()), Options{}, &list)
	if !list.Failed() {
		t.Error("300 rules that disagree are multiplied without a bound")
	}
	for i := range list.All {
		if d := list.All[i]; d.Severity == diag.Error && !strings.HasPrefix(d.Message, "too many rules are of priority 1") {
			t.Error(d.Line())
		}
	}
}

// What kubectl prints of a NetworkPolicy is read, whatever the cluster's age.
func TestAnOlderClustersStatusIsNoMistake(t *testing.T) {
	old := "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: a, selfLink: /x, creationTimestamp: null, generation: 1, managedFields: []}\nspec: {podSelector: {}}\nstatus: {}\n"
	if c := cluster(t, old); len(c.Network) != 1 {
		t.Errorf("%d policies", len(c.Network))
	}
}

// Whatever a manifest holds, reading it ends, and what is written of it is a
// policy, which a form of its own does not change: or it is refused.
func FuzzRead(f *testing.F) {
	for _, s := range append(statements, ties...) {
		f.Add(s.yaml)
	}
	f.Add(anp + banp + mixed + hosted)
	f.Add("a: &a [*a]")
	f.Add("a: &a {b: *a}\nkind: List\nitems: [*a, {kind: Pod}]")
	f.Add("kind: NetworkPolicyList\napiVersion: networking.k8s.io/v1\nitems: [{metadata: {name: a}}]")
	f.Fuzz(func(t *testing.T, text string) {
		c, list := readAll(text)
		p := Translate(c, Options{}, list)
		var out strings.Builder
		if err := list.Render(&out); err != nil {
			t.Fatal(err)
		}
		if list.Failed() {
			return
		}
		var forms diag.List
		written := format.Source(diag.NewSource("import", Write(p)), &forms)
		_, findings := compile.Read([]compile.Source{{Name: "import", Text: written}})
		if err := errors.Join(forms.Render(&out), findings.Render(&out)); err != nil || written == nil || findings.Failed() {
			t.Errorf("%v\n%s\nof\n%s", err, out.String(), text)
		}
	})
}
