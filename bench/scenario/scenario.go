// Package scenario is what is measured: a kind of traffic, and who carries it.
//
// A scenario is plain data, and a kind of traffic is a function that measures a
// path. So a new scenario is a row, and a new subject a file in package peers.
package scenario

// Kind is a kind of traffic.
type Kind string

// The kinds. Walk goes through no device and has one subject.
const (
	Walk Kind = "walk"
	TCP  Kind = "tcp"
	UDP  Kind = "udp"
	Echo Kind = "echo"
)

// Scenario is one table of a report.
type Scenario struct {
	Name     string
	About    string
	Kind     Kind
	Frame    int      // udp: bytes on the wire, with the frame check sequence
	Subjects []string // names of peers; the first is compared with each other
}

// All lists the scenarios in the order of `run all`.
func All() []Scenario {
	all := []Scenario{{Name: "walk", Kind: Walk, About: "the walk in memory, ns a frame: 64 B and IMIX, 1 to 1 M sessions, policy on"}}
	for _, ours := range []struct{ prefix, subject, ports string }{
		{"tap", "bulkhead-tap", "TAP ports"},
		{"xdp", "bulkhead-xdp", "AF_XDP ports on veths"},
		{"packet", "bulkhead-packet", "packet ports on veths"},
	} {
		subjects := []string{ours.subject, "bridge", "nftables"}
		all = append(all,
			Scenario{Name: ours.prefix + "-tcp", Kind: TCP, Subjects: subjects, About: "throughput of one TCP connection, " + ours.ports},
			Scenario{Name: ours.prefix + "-pps", Kind: UDP, Frame: 64, Subjects: subjects, About: "64 B UDP packets a second and their loss, " + ours.ports},
			Scenario{Name: ours.prefix + "-rtt", Kind: Echo, Subjects: subjects, About: "round-trip times of TCP and UDP, p50 to max, " + ours.ports},
		)
	}
	return all
}

// Names lists the names of the scenarios.
func Names() (out []string) {
	for _, s := range All() {
		out = append(out, s.Name)
	}
	return out
}

// Find returns the scenario of a name.
func Find(name string) (Scenario, bool) {
	for _, s := range All() {
		if s.Name == name {
			return s, true
		}
	}
	return Scenario{}, false
}
