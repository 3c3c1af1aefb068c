package kube

import (
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"bulkhead/policyc/internal/diag"
)

// nine is the cluster of the tests: Pods a, b and c in namespaces x, y and z,
// each with both families and named ports 80 and 81 of each protocol.
var nine = func() string {
	var b strings.Builder
	for i, ns := range []string{"x", "y", "z"} {
		fmt.Fprintf(&b, "---\napiVersion: v1\nkind: Namespace\nmetadata:\n  name: %q\n  labels: {ns: %q}\n", ns, ns)
		for j, pod := range []string{"a", "b", "c"} {
			fmt.Fprintf(&b, "---\napiVersion: v1\nkind: Pod\nmetadata:\n  namespace: %q\n  name: %s\n  labels: {pod: %s}\n", ns, pod, pod)
			b.WriteString("spec:\n  nodeName: n1\n  containers:\n  - name: c\n    ports:\n")
			for _, port := range []int{80, 81} {
				for _, proto := range []string{"TCP", "UDP", "SCTP"} {
					fmt.Fprintf(&b, "    - {name: serve-%d-%s, containerPort: %d, protocol: %s}\n", port, strings.ToLower(proto), port, proto)
				}
			}
			fmt.Fprintf(&b, "status:\n  podIP: 10.0.%d.%d\n  podIPs: [{ip: 10.0.%d.%d}, {ip: \"fd00::%d:%d\"}]\n", i+1, j+1, i+1, j+1, i+1, j+1)
		}
	}
	return b.String()
}()

// cluster reads manifests that must be good.
func cluster(t testing.TB, yaml ...string) *Cluster {
	t.Helper()
	c, list := readAll(yaml...)
	if len(list.All) > 0 {
		var out strings.Builder
		_ = list.Render(&out)
		t.Fatalf("findings:\n%s", out.String())
	}
	return c
}

func readAll(yaml ...string) (*Cluster, *diag.List) {
	var list diag.List
	var files []*diag.Source
	for i, text := range yaml {
		files = append(files, diag.NewSource(fmt.Sprintf("f%d.yaml", i), []byte(text)))
	}
	c, _ := Read(files, &list)
	return c, &list
}

// question is "FROM -> TO PROTO/PORT: yes", where an end is namespace/pod,
// namespace/pod/6 for its IPv6 address, an address, or node.
type question struct {
	from, to End
	flow     Flow
	want     bool
}

var form = regexp.MustCompile(`^(\S+) -> (\S+) (\w+)/(\d+): (yes|no)$`)

func ask(t testing.TB, c *Cluster, text string) question {
	t.Helper()
	m := form.FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("no question: %s", text)
	}
	port, err := strconv.ParseUint(m[4], 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	return question{end(t, c, m[1]), end(t, c, m[2]), Flow{corev1.Protocol(strings.ToUpper(m[3])), uint16(port)}, m[5] == "yes"}
}

func end(t testing.TB, c *Cluster, text string) End {
	t.Helper()
	if text == "node" {
		return End{Node: true, Addr: netip.MustParseAddr("192.168.0.1")}
	}
	if a, err := netip.ParseAddr(text); err == nil {
		return End{Addr: a}
	}
	name, family, _ := strings.Cut(text, "/6")
	namespace, name, _ := strings.Cut(name, "/")
	p := c.Pod(namespace, name)
	if p == nil {
		t.Fatalf("no Pod is called %s", text)
	}
	e := End{Pod: p}
	for _, a := range p.Addrs {
		if a.Is6() == (family == "" && strings.HasSuffix(text, "/6")) {
			e.Addr = a
		}
	}
	return e
}

// np writes a NetworkPolicy of namespace x.
func np(name, spec string) string {
	return "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {namespace: x, name: " + name + "}\nspec: " + spec + "\n"
}

// admin writes a ClusterNetworkPolicy.
func admin(name, tier string, priority int, spec string) string {
	return fmt.Sprintf("---\napiVersion: policy.networking.k8s.io/v1alpha2\nkind: ClusterNetworkPolicy\nmetadata: {name: %s}\nspec:\n  tier: %s\n  priority: %d\n%s\n", name, tier, priority, indent(spec))
}

func indent(s string) string {
	return "  " + strings.ReplaceAll(strings.TrimSpace(s), "\n", "\n  ")
}
