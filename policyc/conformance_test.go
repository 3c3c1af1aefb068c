package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bulkhead/policyc/compile"
	"bulkhead/vswitch/cli"
)

// A cluster of nine Pods, a, b and c in namespaces x, y and z, is what suites
// of network policies ask about: each Pod each other, on two ports of three
// protocols. The cases below are the situations that the documentation of the
// API describes; what they expect is written from there, as a function, and
// asked of the command line as a stranger would: import, then a query for each
// connection.
//
// The Pods are written each as another tool might: with and without a status,
// in a list, in JSON, in a namespace that nobody declares.

// conn is a connection that is asked about.
type conn struct {
	from, to string // x/a, or an address
	proto    string
	port     int
}

func (c conn) fromNS() string { ns, _, _ := strings.Cut(c.from, "/"); return ns }
func (c conn) toNS() string   { ns, _, _ := strings.Cut(c.to, "/"); return ns }
func (c conn) fromPod() string {
	_, pod, _ := strings.Cut(c.from, "/")
	return pod
}
func (c conn) toPod() string { _, pod, _ := strings.Cut(c.to, "/"); return pod }

const np = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n"

// conformance are the cases; what is not asked to be otherwise is allowed.
var conformance = []struct {
	name     string
	policies string
	allowed  func(c conn) bool
}{
	{"no_policy", "", func(conn) bool { return true }},
	{"deny_ingress", np + `
metadata: { namespace: x, name: deny-ingress }
spec: { podSelector: {}, policyTypes: [Ingress] }
`, func(c conn) bool { return c.toNS() != "x" }},
	{"deny_both_ways", np + `
metadata: { namespace: x, name: deny-all }
spec: { podSelector: {}, policyTypes: [Ingress, Egress], ingress: [] }
`, func(c conn) bool { return c.toNS() != "x" && c.fromNS() != "x" }},
	{"deny_egress_of_a_pod", np + `
metadata: { namespace: x, name: deny-egress }
spec: { podSelector: { matchLabels: { pod: a } }, policyTypes: [Egress] }
`, func(c conn) bool { return c.from != "x/a" }},
	{"an_egress_field_is_egress_too", np + `
metadata: { namespace: x, name: types-by-fields }
spec:
  podSelector: { matchLabels: { pod: a } }
  egress: [{ to: [{ podSelector: {} }] }]
`, func(c conn) bool { return c.to != "x/a" && (c.from != "x/a" || c.toNS() == "x") }},
	{"allow_all", np + `
metadata: { namespace: x, name: allow-all }
spec: { podSelector: {}, ingress: [{}] }
`, func(conn) bool { return true }},
	{"empty_from_is_everybody", np + `
metadata: { namespace: x, name: empty-from }
spec: { podSelector: {}, ingress: [{ from: [], ports: [] }] }
`, func(conn) bool { return true }},
	{"by_pod_selector_of_its_namespace", np + `
metadata: { namespace: x, name: from-b }
spec:
  podSelector: { matchLabels: { pod: a } }
  ingress: [{ from: [{ podSelector: { matchLabels: { pod: b } } }] }]
`, func(c conn) bool { return c.to != "x/a" || c.from == "x/b" }},
	{"by_match_expressions", np + `
metadata: { namespace: x, name: expressions }
spec:
  podSelector: { matchLabels: { pod: a } }
  ingress:
    - from: [{ podSelector: { matchExpressions: [{ key: pod, operator: In, values: [b, nobody] }] }, namespaceSelector: { matchExpressions: [{ key: ns, operator: NotIn, values: [x] }] } }]
`, func(c conn) bool { return c.to != "x/a" || c.fromPod() == "b" && c.fromNS() != "x" }},
	{"by_namespace_selector", np + `
metadata: { namespace: x, name: from-y }
spec:
  podSelector: { matchLabels: { pod: a } }
  ingress: [{ from: [{ namespaceSelector: { matchLabels: { ns: y } } }] }]
`, func(c conn) bool { return c.to != "x/a" || c.fromNS() == "y" }},
	{"by_the_name_of_a_namespace", np + `
metadata: { namespace: x, name: by-name }
spec:
  podSelector: {}
  ingress: [{ from: [{ namespaceSelector: { matchLabels: { kubernetes.io/metadata.name: z } } }] }]
`, func(c conn) bool { return c.toNS() != "x" || c.fromNS() == "z" }},
	{"namespace_or_pod", np + `
metadata: { namespace: x, name: either }
spec:
  podSelector: { matchLabels: { pod: a } }
  ingress:
    - from:
        - namespaceSelector: { matchLabels: { ns: y } }
        - podSelector: { matchLabels: { pod: b } }
`, func(c conn) bool { return c.to != "x/a" || c.fromNS() == "y" || c.from == "x/b" }},
	{"namespace_and_pod", np + `
metadata: { namespace: x, name: both }
spec:
  podSelector: { matchLabels: { pod: a } }
  ingress:
    - from:
        - namespaceSelector: { matchLabels: { ns: y } }
          podSelector: { matchLabels: { pod: b } }
`, func(c conn) bool { return c.to != "x/a" || c.from == "y/b" }},
	{"an_empty_pod_selector_is_its_namespace", np + `
metadata: { namespace: x, name: own }
spec: { podSelector: {}, ingress: [{ from: [{ podSelector: {} }] }] }
`, func(c conn) bool { return c.toNS() != "x" || c.fromNS() == "x" }},
	{"an_empty_namespace_selector_is_every_pod", np + `
metadata: { namespace: x, name: pods }
spec: { podSelector: {}, ingress: [{ from: [{ namespaceSelector: {} }] }] }
`, func(c conn) bool { return c.toNS() != "x" || c.fromPod() != "" }},
	{"one_port", np + `
metadata: { namespace: x, name: port }
spec: { podSelector: {}, ingress: [{ ports: [{ port: 81 }] }] }
`, func(c conn) bool { return c.toNS() != "x" || c.proto == "tcp" && c.port == 81 }},
	{"a_protocol_without_a_port", np + `
metadata: { namespace: x, name: protocol }
spec: { podSelector: {}, ingress: [{ ports: [{ protocol: UDP }] }] }
`, func(c conn) bool { return c.toNS() != "x" || c.proto == "udp" }},
	{"sctp_is_not_tcp", np + `
metadata: { namespace: x, name: sctp }
spec: { podSelector: {}, ingress: [{ ports: [{ protocol: SCTP, port: 80 }] }] }
`, func(c conn) bool { return c.toNS() != "x" || c.proto == "sctp" && c.port == 80 }},
	{"a_range_of_ports", np + `
metadata: { namespace: x, name: range }
spec: { podSelector: {}, ingress: [{ ports: [{ port: 81, endPort: 90, protocol: UDP }, { port: 80, endPort: 80 }] }] }
`, func(c conn) bool {
		return c.toNS() != "x" || c.proto == "udp" && c.port == 81 || c.proto == "tcp" && c.port == 80
	}},
	{"a_named_port_where_it_arrives", np + `
metadata: { namespace: x, name: named }
spec: { podSelector: {}, ingress: [{ from: [{ namespaceSelector: { matchLabels: { ns: x } } }], ports: [{ port: serve-81-tcp }] }] }
`, func(c conn) bool {
		return c.toNS() != "x" || c.fromNS() == "x" && c.proto == "tcp" && c.port == 81
	}},
	{"a_named_port_where_it_leaves", np + `
metadata: { namespace: x, name: named-egress }
spec:
  podSelector: { matchLabels: { pod: a } }
  policyTypes: [Egress]
  egress: [{ to: [{ namespaceSelector: {} }], ports: [{ port: serve-80-udp, protocol: UDP }] }]
`, func(c conn) bool {
		return c.from != "x/a" || c.proto == "udp" && c.port == 80 && c.toPod() != ""
	}},
	{"a_named_port_of_another_protocol", np + `
metadata: { namespace: x, name: named-wrong }
spec: { podSelector: {}, ingress: [{ ports: [{ port: serve-80-tcp, protocol: SCTP }] }] }
`, func(c conn) bool { return c.toNS() != "x" }},
	{"policies_add_up", np + `
metadata: { namespace: x, name: first }
spec: { podSelector: { matchLabels: { pod: a } }, ingress: [{ ports: [{ port: 80 }] }] }
---
` + np + `
metadata: { namespace: x, name: second }
spec: { podSelector: {}, ingress: [{ from: [{ namespaceSelector: { matchLabels: { ns: y } } }], ports: [{ port: 81 }] }] }
`, func(c conn) bool {
		return c.toNS() != "x" || c.to == "x/a" && c.proto == "tcp" && c.port == 80 || c.fromNS() == "y" && c.proto == "tcp" && c.port == 81
	}},
	{"both_ends_have_their_say", np + `
metadata: { namespace: x, name: egress }
spec: { podSelector: { matchLabels: { pod: a } }, policyTypes: [Egress], egress: [{ to: [{ namespaceSelector: { matchLabels: { ns: y } } }] }] }
---
` + np + `
metadata: { namespace: y, name: ingress }
spec: { podSelector: { matchLabels: { pod: b } }, policyTypes: [Ingress], ingress: [{ from: [{ namespaceSelector: { matchLabels: { ns: z } } }] }] }
`, func(c conn) bool {
		return (c.from != "x/a" || c.fromNS() == "x" && c.toNS() == "y") && (c.to != "y/b" || c.fromNS() == "z")
	}},
	{"a_block_where_it_leaves", np + `
metadata: { namespace: x, name: block }
spec:
  podSelector: { matchLabels: { pod: a } }
  policyTypes: [Egress]
  egress: [{ to: [{ ipBlock: { cidr: 203.0.113.0/24, except: [203.0.113.64/26] } }] }]
`, func(c conn) bool { return c.from != "x/a" || c.to == "203.0.113.9" }},
	{"a_block_excepted_here_and_allowed_there", np + `
metadata: { namespace: x, name: block }
spec:
  podSelector: { matchLabels: { pod: a } }
  ingress: [{ from: [{ ipBlock: { cidr: 203.0.113.0/24, except: [203.0.113.64/26] } }, { ipBlock: { cidr: 203.0.113.77/32 } }] }]
`, func(c conn) bool { return c.to != "x/a" || c.from == "203.0.113.9" || c.from == "203.0.113.77" }},
	{"a_block_of_pods", np + `
metadata: { namespace: x, name: block }
spec:
  podSelector: { matchLabels: { pod: a } }
  ingress: [{ from: [{ ipBlock: { cidr: 10.0.2.0/24, except: [10.0.2.2/32] } }] }]
`, func(c conn) bool { return c.to != "x/a" || c.from == "y/a" || c.from == "y/c" }},
	{"every_block_is_ipv4s", np + `
metadata: { namespace: x, name: block }
spec: { podSelector: {}, ingress: [{ from: [{ ipBlock: { cidr: 0.0.0.0/0 } }] }] }
`, func(conn) bool { return true }},
	{"admin_before_the_namespaces_own", np + `
metadata: { namespace: x, name: deny }
spec: { podSelector: {}, policyTypes: [Ingress] }
---
apiVersion: policy.networking.k8s.io/v1alpha1
kind: AdminNetworkPolicy
metadata: { name: admin }
spec:
  priority: 10
  subject: { namespaces: { matchLabels: { ns: x } } }
  ingress:
    - { name: z-in, action: Allow, from: [{ namespaces: { matchLabels: { ns: z } } }], ports: [{ portNumber: { protocol: TCP, port: 80 } }] }
    - { name: y-decides, action: Pass, from: [{ namespaces: { matchLabels: { ns: y } } }] }
    - { name: else-out, action: Deny, from: [{ namespaces: {} }], ports: [{ portRange: { protocol: UDP, start: 80, end: 81 } }] }
`, func(c conn) bool {
		return c.toNS() != "x" || c.fromNS() == "z" && c.proto == "tcp" && c.port == 80
	}},
	{"baseline_where_no_policy_selects", np + `
metadata: { namespace: x, name: a-takes-y }
spec: { podSelector: { matchLabels: { pod: a } }, ingress: [{ from: [{ namespaceSelector: { matchLabels: { ns: y } } }] }] }
---
apiVersion: policy.networking.k8s.io/v1alpha1
kind: BaselineAdminNetworkPolicy
metadata: { name: default }
spec:
  subject: { namespaces: { matchLabels: { ns: x } } }
  ingress:
    - { action: Allow, from: [{ namespaces: { matchLabels: { ns: z } } }] }
    - { action: Deny, from: [{ namespaces: {} }] }
`, func(c conn) bool {
		switch {
		case c.toNS() != "x":
			return true
		case c.toPod() == "a":
			return c.fromNS() == "y"
		}
		return c.fromNS() == "z" || c.fromPod() == ""
	}},
	{"lower_priority_first", `
apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: { name: late }
spec:
  tier: Admin
  priority: 20
  subject: { pods: { namespaceSelector: {}, podSelector: { matchLabels: { pod: a } } } }
  ingress: [{ action: Deny, from: [{ pods: { namespaceSelector: {}, podSelector: {} } }] }]
---
apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: { name: early }
spec:
  tier: Admin
  priority: 10
  subject: { namespaces: {} }
  ingress: [{ action: Accept, from: [{ namespaces: { matchLabels: { ns: x } } }], protocols: [{ tcp: { destinationPort: { number: 80 } } }, { destinationNamedPort: serve-81-udp }] }]
  egress: [{ action: Deny, to: [{ networks: [203.0.113.0/24] }] }]
`, func(c conn) bool {
		if strings.HasPrefix(c.to, "203.") {
			return c.fromPod() == ""
		}
		return c.toPod() != "a" || c.fromPod() == "" || c.fromNS() == "x" && (c.proto == "tcp" && c.port == 80 || c.proto == "udp" && c.port == 81)
	}},
}

// strangers are addresses of no Pod.
var strangers = []string{"203.0.113.9", "203.0.113.66", "203.0.113.77"}

// ninePods writes the cluster: namespace x as YAML documents, y as a list in
// JSON, z undeclared but for its Pods, which a list of its own kind holds.
func ninePods(t *testing.T, dir string) {
	t.Helper()
	var x, y, z strings.Builder
	x.WriteString("apiVersion: v1\nkind: Namespace\nmetadata: { name: x, labels: { ns: x } }\n")
	y.WriteString(`{"apiVersion":"v1","kind":"List","items":[{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"y","labels":{"ns":"y"}}}`)
	z.WriteString("apiVersion: v1\nkind: PodList\nitems:\n")
	for i, name := range []string{"a", "b", "c"} {
		var ports []string
		for _, port := range []int{80, 81} {
			for _, proto := range []string{"TCP", "UDP", "SCTP"} {
				ports = append(ports, fmt.Sprintf(`{"name":"serve-%d-%s","containerPort":%d,"protocol":%q}`, port, strings.ToLower(proto), port, proto))
			}
		}
		pod := func(ns string, n int) string {
			return fmt.Sprintf(`"metadata":{"namespace":%q,"name":%q,"labels":{"pod":%q}},"spec":{"containers":[{"name":"c","image":"i","ports":[%s]}]},"status":{"podIP":"10.0.%d.%d"}`,
				ns, name, name, strings.Join(ports, ","), n, i+1)
		}
		fmt.Fprintf(&x, "---\n{\"apiVersion\":\"v1\",\"kind\":\"Pod\",%s}\n", pod("x", 1))
		fmt.Fprintf(&y, `,{"apiVersion":"v1","kind":"Pod",%s}`, pod("y", 2))
		fmt.Fprintf(&z, "  - {%s}\n", pod("z", 3))
	}
	y.WriteString("]}\n")
	z.WriteString("---\napiVersion: v1\nkind: Namespace\nmetadata: { name: z, labels: { ns: z } }\n")
	for name, text := range map[string]string{"x.yaml": x.String(), "sub/y.json": y.String(), "sub/z.yml": z.String()} {
		at := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(at), 0o755), os.WriteFile(at, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
}

// commandLine runs policyc in this process, and returns its exit code.
func commandLine(args ...string) (int, string) {
	cmd := command()
	var out strings.Builder
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	err := cli.Run(context.Background(), cmd, args)
	var no answerNo
	switch {
	case err == nil:
		return 0, out.String()
	case errors.As(err, &no):
		return exitNo, out.String()
	}
	return exitError, out.String() + err.Error()
}

// Every connection of the cluster is asked about; by the command line those that
// a draw chooses, since that reads the file anew for each.
func TestKubernetesConformance(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	draw := rand.New(rand.NewPCG(seed, 1))
	asked := 0
	for _, k := range conformance {
		t.Run(k.name, func(t *testing.T) {
			dir := t.TempDir()
			ninePods(t, dir)
			if k.policies != "" {
				if err := os.WriteFile(filepath.Join(dir, "policies.yaml"), []byte(k.policies), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			file := filepath.Join(t.TempDir(), "out.toml")
			imports := []string{"import", "kubernetes", dir, "-o", file}
			if k.policies == "" {
				imports = append(imports, "--allow-all")
			}
			for _, args := range [][]string{imports, {"check", file}, {"build", file, "-o", file + ".bhp"}} {
				if code, said := commandLine(args...); code != 0 {
					t.Fatalf("%v: exit code %d\n%s", args, code, said)
				}
			}
			asked += truth(t, file, k.allowed, draw)
		})
	}
	if asked < 10_000 {
		t.Errorf("only %d questions", asked)
	}
}

// truth asks an imported file all there is to ask.
func truth(t *testing.T, file string, allowed func(conn) bool, draw *rand.Rand) int {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	p, _ := compile.Read([]compile.Source{{Name: "out.toml", Text: text}})
	all := connections()
	for _, c := range all {
		want := c.from == c.to || allowed(c) // a Pod reaches itself
		from, to, port := c.words()
		subjectFrom, err1 := compile.SubjectOf(p, from)
		subjectTo, err2 := compile.SubjectOf(p, to)
		ports, err3 := compile.Ports(port)
		if err := errors.Join(err1, err2, err3); err != nil {
			t.Fatal(err)
		}
		if got := compile.Ask(p, subjectFrom, subjectTo, ports).Allow; got != want {
			t.Errorf("%+v: allowed %v, want %v", c, got, want)
		}
		if draw.IntN(30) > 0 {
			continue
		}
		code := map[bool]int{true: 0, false: 1}[want]
		if got, said := commandLine("query", file, "--from", from, "--to", to, "--port", port); got != code {
			t.Errorf("%+v: exit code %d, want %d\n%s", c, got, code, said)
		}
	}
	if t.Failed() {
		t.Log(string(text))
	}
	return len(all)
}

// words are the connection as the command line takes it.
func (c conn) words() (from, to, port string) {
	end := func(s string) string {
		if strings.Contains(s, "/") {
			return "pod:" + s
		}
		return s
	}
	return end(c.from), end(c.to), fmt.Sprintf("%s/%d", c.proto, c.port)
}

// connections are all between two Pods, and between a Pod and a stranger.
func connections() []conn {
	var pods []string
	for _, ns := range []string{"x", "y", "z"} {
		for _, name := range []string{"a", "b", "c"} {
			pods = append(pods, ns+"/"+name)
		}
	}
	var out []conn
	for _, from := range append(pods, strangers...) {
		for _, to := range append(pods, strangers...) {
			if !strings.Contains(from+to, "/") {
				continue
			}
			for _, proto := range []string{"tcp", "udp", "sctp"} {
				out = append(out, conn{from, to, proto, 80}, conn{from, to, proto, 81})
			}
		}
	}
	return out
}

// A mistake in the question is no denial.
func TestAMistakeIsNoDenial(t *testing.T) {
	dir := t.TempDir()
	ninePods(t, dir)
	file := filepath.Join(t.TempDir(), "out.toml")
	if code, said := commandLine("import", "kubernetes", dir, "-o", file, "--allow-all"); code != 0 {
		t.Fatal(said)
	}
	for _, args := range [][]string{{"pod:x/nobody", "pod:x/a", "tcp/80"}, {"pod:x/a", "pod:x/b", "tcp/http"}, {"10.0.0.300", "pod:x/a", "tcp/80"}} {
		if code, said := commandLine("query", file, "--from", args[0], "--to", args[1], "--port", args[2]); code != exitError {
			t.Errorf("%v: exit code %d, %s", args, code, said)
		}
	}
}
