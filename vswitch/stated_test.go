package vswitch

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"bulkhead/dataplane/packet"
	"bulkhead/vswitch/control/api"
)

// hall is a lab with an overlay: the segment s is the configuration's.
const hall = `
[[segments]]
name = "s"
vni = 7
gateways = ["10.0.0.254/24"]
[[ports]]
name = "up"
role = "uplink"
device = "u0"
[vtep]
addresses = ["192.0.2.1/24"]
uplink = "up"
[[ports]]
name = "a"
segment = "s"
mac = "02:00:00:00:00:01"
ips = ["10.0.0.1"]
labels = { app = "here" }
[[ports]]
name = "spare"
segment = "s"
`

// inHall is a started lab of the hall, with two hosts that an agent states.
func inHall(t testing.TB) *lab {
	t.Helper()
	l := started(t, hall)
	l.state(api.StateChange{
		Segments: []api.StateSegment{{Name: "s", VNI: 7, Gateways: []string{"10.0.0.254/24"}}, {Name: "far", VNI: 8, Gateways: []string{"10.0.8.254/24"}}},
		Peers:    []api.StatePeer{{Name: "h2", Address: "192.0.2.2", Segments: []string{"s", "far"}}, {Name: "h3", Address: "192.0.2.3", Segments: []string{"s"}}},
	}, "")
	return l
}

// remote is an endpoint behind a peer, number i: 10.0.0.i.
func remote(name string, i int, peer string) api.StateEndpoint {
	return api.StateEndpoint{Name: name, Segment: "s", Peer: peer, MAC: fmt.Sprintf("02:00:00:00:00:%02x", i), IPs: []string{fmt.Sprintf("10.0.0.%d", i)}, Labels: map[string]string{"app": name}}
}

// state states something for the agent; want is what the refusal says.
func (l *lab) state(c api.StateChange, want string) {
	l.t.Helper()
	if c.Source == "" {
		c.Source = "agent"
	}
	before := l.picture()
	_, err := l.sw.Control("", nil).ChangeState(&c)
	switch {
	case want == "" && err != nil:
		l.t.Fatalf("%+v: %v", c, err)
	case want != "" && (err == nil || !strings.Contains(err.Error(), want) || api.As(err).Code == api.CodeInternal):
		l.t.Fatalf("%+v: %v, want %q", c, err, want)
	case want != "" && (l.sw.live.Load() != before.live || fmt.Sprint(l.roster()) != fmt.Sprint(before.roster) || l.sw.cfg != before.config):
		l.t.Fatalf("%+v was refused and something changed", c)
	}
}

// where says where an endpoint is in force: of the roster, and of the tables.
func (l *lab) where(name string) string {
	l.t.Helper()
	s := l.sw.live.Load().snapshot
	for _, e := range s.Identity.All() {
		if e.Name != name {
			continue
		}
		at := nameAt(s.Names.Peers, e.Peer)
		if at == "" {
			at = nameAt(s.Names.Ports, uint16(e.Port))
		}
		if in := l.roster()[name]; in.Port+in.Peer != at {
			l.t.Fatalf("%s is at %s by the tables and at %s by the roster", name, at, in.Port+in.Peer)
		}
		return at
	}
	return "nowhere"
}

func (l *lab) is(name, where string) {
	l.t.Helper()
	if at := l.where(name); at != where {
		l.t.Fatalf("%s is at %s, want %s", name, at, where)
	}
}

// A workload of this host that a source says is elsewhere is there until the
// source takes that back, whatever the operator of this host says meanwhile.
func TestSourceSaysWhereALocalEndpointIs(t *testing.T) {
	l := inHall(t)
	l.state(api.StateChange{Endpoints: []api.StateEndpoint{remote("a", 1, "h2"), remote("b", 2, "h3")}}, "")
	l.is("a", "h2")
	if e := l.roster()["a"]; e.Labels["app"] != "here" || e.PlacedBy != "agent" {
		t.Errorf("who it is the configuration says: %+v", e)
	}
	for _, name := range []string{"a", "b"} { // to come here, but not yet
		if _, err := l.endpoint(api.EndpointChange{Op: "move", Name: name, Port: "spare"}); err != nil {
			t.Fatal(err)
		}
	}
	l.is("a", "h2")
	l.is("b", "h3")
	if _, err := l.endpoint(api.EndpointChange{Op: "del", Name: "a"}); err != nil {
		t.Fatal(err)
	}
	l.is("a", "h2")
	l.state(api.StateChange{RemoveEndpoints: []string{"a", "b"}}, "")
	l.is("a", "nowhere")
	l.is("b", "spare")
	if e := l.roster()["b"]; e.Labels["app"] != "b" || e.statedBy() != "api" {
		t.Errorf("who it is the source said: %+v", e)
	}
}

// What a source states comes into force whole or not at all, by the rules of the
// configuration.
func TestStateIsRefusedWhole(t *testing.T) {
	l := inHall(t)
	l.state(api.StateChange{Endpoints: []api.StateEndpoint{remote("b", 2, "h2")}}, "")
	good := remote("c", 3, "h2")
	for situation, c := range map[string]struct {
		change func(*api.StateChange)
		want   string
	}{
		"another's address":         {func(c *api.StateChange) { c.Endpoints[1].IPs = []string{"10.0.0.1"} }, "one address"},
		"another's MAC":             {func(c *api.StateChange) { c.Endpoints[1].MAC = "02:00:00:00:00:02" }, "MAC"},
		"another MAC than here":     {func(c *api.StateChange) { c.Endpoints[1] = remote("a", 9, "h2") }, "give one of them another name"},
		"on a port":                 {func(c *api.StateChange) { c.Endpoints[1].Port = "spare" }, "not behind a peer"},
		"behind nobody":             {func(c *api.StateChange) { c.Endpoints[1].Peer = "h9" }, "not known"},
		"behind who is not there":   {func(c *api.StateChange) { c.Endpoints[1].Peer, c.Endpoints[1].Segment = "h3", "far" }, "not in segment"},
		"the gateway's address":     {func(c *api.StateChange) { c.Endpoints[1].IPs = []string{"10.0.0.254"} }, "the gateway of segment"},
		"the switch's label":        {func(c *api.StateChange) { c.Endpoints[1].Labels = map[string]string{"bulkhead/host": "true"} }, "the switch's own"},
		"no source":                 {func(c *api.StateChange) { c.Source = "Agent!" }, "no source's name"},
		"in the configuration's":    {func(c *api.StateChange) { c.Source = "config" }, "no source's name"},
		"another source's endpoint": {func(c *api.StateChange) { c.Source, c.Endpoints[1] = "other", remote("b", 2, "h2") }, "stated by agent"},
		"another source's peer": {func(c *api.StateChange) {
			c.Source, c.Peers = "other", []api.StatePeer{{Name: "h2", Address: "192.0.2.9"}}
		}, "stated by agent"},
		"our own VTEP":        {func(c *api.StateChange) { c.Peers = []api.StatePeer{{Name: "h4", Address: "192.0.2.1"}} }, "our own VTEP"},
		"another peer's VTEP": {func(c *api.StateChange) { c.Peers = []api.StatePeer{{Name: "h4", Address: "192.0.2.2"}} }, `also that of "h2"`},
		"a VTEP of no way":    {func(c *api.StateChange) { c.Peers = []api.StatePeer{{Name: "h4", Address: "198.51.100.1"}} }, "there is no gateway"},
		"a VNI twice":         {func(c *api.StateChange) { c.Segments = []api.StateSegment{{Name: "x", VNI: 8}} }, `also that of segment "far"`},
		"no VNI":              {func(c *api.StateChange) { c.Segments = []api.StateSegment{{Name: "x"}} }, "out of range"},
		"prefixes that overlap": {func(c *api.StateChange) {
			c.Segments = []api.StateSegment{{Name: "x", VNI: 9, Gateways: []string{"10.0.8.1/16"}}}
		}, "overlaps"},
		"a gateway at a workload": {func(c *api.StateChange) {
			c.Segments = []api.StateSegment{{Name: "x", VNI: 9, VRF: "default", Gateways: []string{"10.0.0.1/32"}}}
		}, "10.0.0.1"},
		"another than configured": {func(c *api.StateChange) {
			c.Segments = []api.StateSegment{{Name: "s", VNI: 7, Gateways: []string{"10.0.0.253/24"}}}
		}, "another than agent states"},
		"a peer that is in use": {func(c *api.StateChange) { c.RemovePeers = []string{"h2"} }, "h2"},
	} {
		change := api.StateChange{Endpoints: []api.StateEndpoint{good, remote("d", 4, "h2")}}
		c.change(&change)
		t.Log(situation)
		l.state(change, c.want)
	}
	l.is("c", "nowhere")
}

// To say again what is so changes nothing; nor does taking back what is not
// there, or is another's.
func TestStateIsIdempotent(t *testing.T) {
	l := inHall(t)
	change := api.StateChange{
		RemoveEndpoints: []string{"z"}, RemovePeers: []string{"z"}, RemoveSegments: []string{"z"},
		Segments:  []api.StateSegment{{Name: "far", VNI: 8, Gateways: []string{"10.0.8.254/24"}}},
		Peers:     []api.StatePeer{{Name: "h3", Address: "192.0.2.3", Segments: []string{"s"}}},
		Endpoints: []api.StateEndpoint{remote("b", 2, "h2"), remote("c", 3, "h3")},
	}
	l.state(change, "")
	live, version := l.sw.live.Load(), l.sw.version
	l.state(change, "")
	l.state(api.StateChange{Source: "other", RemoveEndpoints: []string{"b"}, RemovePeers: []string{"h2"}, RemoveSegments: []string{"far"}}, "")
	if l.sw.live.Load() != live || l.sw.version != version {
		t.Error("a snapshot more for nothing")
	}
}

// Two endpoints may trade addresses in one change, though either by itself would
// contradict the other.
func TestStateTradesAddresses(t *testing.T) {
	l := inHall(t)
	l.state(api.StateChange{Endpoints: []api.StateEndpoint{remote("b", 2, "h2"), remote("c", 3, "h3")}}, "")
	l.state(api.StateChange{Endpoints: []api.StateEndpoint{remote("b", 3, "h2"), remote("c", 2, "h3")}}, "")
	if b := l.roster()["b"]; b.IPs[0].String() != "10.0.0.3" {
		t.Errorf("%+v", b)
	}
}

// What was refused does not come into force later, with something else that is
// said: of several endpoints the first ones were linked when the last was refused.
func TestRefusedStateLeavesNothingBehind(t *testing.T) {
	l := inHall(t)
	for range 20 { // in whatever order they are linked
		l.state(api.StateChange{Endpoints: []api.StateEndpoint{remote("b", 2, "h2"), remote("c", 3, "h2"), remote("d", 1, "h2")}}, "one address")
		before := l.sw.live.Load().snapshot
		l.state(api.StateChange{Arrived: []string{"a"}}, "")
		after := l.sw.live.Load().snapshot
		if got := after.Identity.Len(); got != 1 {
			t.Fatalf("%d endpoints in the tables, 1 stated", got)
		}
		if before.Arrivals == after.Arrivals {
			t.Fatal("a snapshot that is live was changed")
		}
	}
}

// Who states as much as can be may still take some of it back, say it again, and
// put another in the place of one.
func TestStateAtItsBound(t *testing.T) {
	l := inHall(t)
	l.state(api.StateChange{Endpoints: []api.StateEndpoint{remote("b", 2, "h2")}}, "")
	for i := range maxStated - 1 {
		l.sw.stated.endpoints[fmt.Sprint("x", i)] = ownedEndpoint{by: "other"}
	}
	l.state(api.StateChange{Endpoints: []api.StateEndpoint{remote("c", 3, "h2")}}, "take some back")
	l.state(api.StateChange{Endpoints: []api.StateEndpoint{remote("b", 2, "h3")}}, "")
	l.state(api.StateChange{RemoveEndpoints: []string{"b"}, Endpoints: []api.StateEndpoint{remote("c", 3, "h2")}}, "")
	l.state(api.StateChange{RemoveEndpoints: []string{"c"}}, "")
	if n := len(l.sw.stated.endpoints); n != maxStated-1 {
		t.Errorf("%d are stated, want %d", n, maxStated-1)
	}
}

// A gateway does not come to stand at the address of a workload that a source
// states, or the API added: it would answer for it.
func TestStatedGatewayAtAWorkload(t *testing.T) {
	l := inHall(t)
	far := remote("b", 2, "h2")
	far.Segment, far.IPs = "far", []string{"10.0.8.5"}
	l.state(api.StateChange{Endpoints: []api.StateEndpoint{far}}, "")
	l.state(api.StateChange{Segments: []api.StateSegment{{Name: "far", VNI: 8, Gateways: []string{"10.0.8.5/24"}}}}, "gateway")
	l.state(api.StateChange{
		Segments:        []api.StateSegment{{Name: "far", VNI: 8, Gateways: []string{"10.0.8.5/24"}}},
		RemoveEndpoints: []string{"b"},
	}, "")
}

// A gateway that a source states does not take an outside address of a translation.
func TestStatedGatewayAtAnOutsideAddress(t *testing.T) {
	l := started(t, hall+"[[snat]]\nfrom = \"10.0.0.0/24\"\npool = [\"203.0.113.1\"]\n[[dnat]]\noutside = \"203.0.113.2:80\"\ninside = \"10.0.0.1:80\"\n")
	for gateway, want := range map[string]string{"203.0.113.1/24": "outside address", "203.0.113.2/24": "outside address", "203.0.113.3/24": ""} {
		l.state(api.StateChange{Segments: []api.StateSegment{{Name: "x", VNI: 9, Gateways: []string{gateway}}}}, want)
	}
}

// A reload keeps what sources state; what the configuration comes to have, too,
// is then the configuration's, and what contradicts it is refused.
func TestReloadKeepsWhatSourcesState(t *testing.T) {
	l := inHall(t)
	l.state(api.StateChange{Endpoints: []api.StateEndpoint{remote("a", 1, "h2"), remote("b", 2, "h2")}}, "")
	if err := l.reload(hall); err != nil {
		t.Fatal(err)
	}
	l.is("a", "h2")
	l.is("b", "h2")
	far := "[[segments]]\nname = \"far\"\nvni = 8\ngateways = [\"10.0.8.254/24\"]\n"
	if err := l.reload(hall + far + "[[ports]]\nname = \"f\"\nsegment = \"far\"\n"); err != nil {
		t.Fatal(err)
	}
	l.is("b", "h2")
	if err := l.reload(hall + strings.Replace(far, "vni = 8", "vni = 9", 1)); err == nil || !strings.Contains(err.Error(), "far") {
		t.Errorf("a segment of two kinds: %v", err)
	}
	b := "[[ports]]\nname = \"b\"\nsegment = \"s\"\nmac = \"02:00:00:00:00:99\"\nips = [\"10.0.0.2\"]\n"
	if err := l.reload(hall + b); err != nil {
		t.Fatal(err)
	}
	l.is("b", "b") // this host's configuration knows best who is on its ports
	l.is("a", "h2")
}

// Whatever sources, operator and reloads do in whatever order, what is in force is
// the layers laid upon each other and linked from the start.
func TestLayersAgreeWithTheirSum(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 6))
	l := inHall(t)
	name := func() string { return []string{"a", "b", "c", "d", "e", "f", "g"}[r.IntN(7)] }
	refused, taken := 0, 0
	for range 1200 {
		var err error
		switch r.IntN(12) {
		case 0:
			err = l.reload(hall)
		case 1, 2:
			c := api.EndpointChange{Op: []string{"add", "move", "move", "del"}[r.IntN(4)], Name: name(), Port: []string{"a", "spare"}[r.IntN(2)]}
			if c.Op == "add" {
				c.MAC, c.IPs = fmt.Sprintf("02:00:00:00:00:%02x", 1+r.IntN(9)), []string{fmt.Sprintf("10.0.0.%d", 1+r.IntN(9))}
			}
			_, err = l.endpoint(c)
		default:
			c := api.StateChange{Source: "agent"}
			for range 1 + r.IntN(3)*r.IntN(40) {
				if r.IntN(3) == 0 {
					c.RemoveEndpoints = append(c.RemoveEndpoints, name())
					continue
				}
				n := name()
				i := int(n[0]-'a') + 1
				if r.IntN(6) == 0 {
					i = 1 + r.IntN(9)
				}
				c.Endpoints = append(c.Endpoints, remote(n, i, []string{"h2", "h3"}[r.IntN(2)]))
			}
			_, err = l.sw.Control("", nil).ChangeState(&c)
		}
		if err != nil {
			refused++
		} else {
			taken++
		}
		sum, lost := l.sw.stated.laid(l.sw.local, l.sw.cfg)
		in := l.roster()
		if len(lost) > 0 || !maps.EqualFunc(sum, in, func(a, b endpoint) bool { return a.same(&b) }) {
			t.Fatalf("in force %v\nthe layers come to %v, without %v", in, sum, lost)
		}
		for n := range sum {
			l.where(n)
		}
		if got := l.sw.live.Load().snapshot.Identity.Len(); got != len(sum) {
			t.Fatalf("%d endpoints in the tables, %d stated", got, len(sum))
		}
	}
	if refused < 50 || taken < 300 {
		t.Errorf("%d refused, %d taken: it draws nothing of interest", refused, taken)
	}
}

// Of sources a bounded number is kept, with bounded alarms; one that is silent is
// seen, and held deletions are accepted once.
func TestSourcesReport(t *testing.T) {
	l := inHall(t)
	o := l.sw.Control("", nil)
	report := api.SourceReport{Source: "agent", State: "stale", Detail: "the store is away", StaleSeconds: 40, Held: 12, Alarms: slices.Repeat([]string{strings.Repeat("x", 1000)}, 100)}
	if _, err := o.Report(&report); err != nil {
		t.Fatal(err)
	}
	status, err := o.Status()
	if err != nil || len(status.Sources) != 1 || len(status.Sources[0].Alarms) != maxAlarms || len(status.Sources[0].Alarms[0]) != maxAlarm {
		t.Fatalf("%+v, %v", status, err)
	}
	if all := strings.Join(status.Warnings, "\n"); !strings.Contains(all, "the store is away") || !strings.Contains(all, "12 deletions") {
		t.Errorf("warnings: %s", all)
	}
	if _, err := o.AcceptDeletions(&api.SourceAccept{Source: "agnt"}); err == nil {
		t.Error("accepted what nobody holds")
	}
	if _, err := o.AcceptDeletions(&api.SourceAccept{Source: "agent"}); err != nil {
		t.Error(err)
	}
	for _, want := range []bool{true, false} {
		if orders, err := o.Report(&report); err != nil || orders.Accept != want {
			t.Errorf("accept: %+v, %v, want %v", orders, err, want)
		}
	}
	l.sw.tellers["agent"].seen = l.sw.tellers["agent"].seen.Add(-silentAfter * 2)
	if status, _ := o.Status(); status.Sources[0].State != "silent" || status.Sources[0].StaleSeconds < 60 {
		t.Errorf("it is silent: %+v", status.Sources[0])
	}
	for i := range maxSources {
		_, err = o.Report(&api.SourceReport{Source: fmt.Sprint("s", i), State: "current"})
	}
	if err == nil || api.As(err).Code != api.CodeBusy {
		t.Errorf("one too many: %v", err)
	}
}

// What a source says is shown on terminals, and has nothing in it that one obeys.
func TestSourcesSayNothingToTerminals(t *testing.T) {
	l := inHall(t)
	o := l.sw.Control("", nil)
	said := "key \x1b[2J\u009b31m\u202e\nwarning: none"
	if _, err := o.Report(&api.SourceReport{Source: "agent", State: "stale", Detail: said, Alarms: []string{said}}); err != nil {
		t.Fatal(err)
	}
	status, err := o.Status()
	if want := "key ?[2J?31m??warning: none"; err != nil || status.Sources[0].Detail != want || status.Sources[0].Alarms[0] != want {
		t.Errorf("%+v, %v", status.Sources, err)
	}
	for _, r := range []api.SourceReport{{Source: "agent", State: "stale", Held: -1}, {Source: "agent", State: "stale", StaleSeconds: -1}} {
		if _, err := o.Report(&r); err == nil || api.As(err).Code != api.CodeInvalid {
			t.Errorf("%+v: %v", r, err)
		}
	}
}

// An endpoint that has come here brings its connections: they are taken up in the
// direction in which the policy allows them, in either direction of packets, for a
// while, and nobody else's are.
func TestArrivalsConnectionsAreTakenUp(t *testing.T) {
	ports := labSegment + member("a", 1, "labels = { app = \"db\" }") + member("b", 2, "labels = { app = \"web\" }")
	l := newLab(t, twoWorkers+ports)
	l.policyText("pick.bhp", "version = 1\n[services.db]\nlabels = { app = \"db\" }\n[services.web]\nlabels = { app = \"web\" }\n"+
		"[[rules]]\nname = \"web-to-db\"\nallow = { from = [\"web\"], to = [\"db\"], ports = [\"tcp/80\"] }\n")
	reload := func() {
		t.Helper()
		if err := l.reload(twoWorkers + "policy = \"pick.bhp\"\n" + ports); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.sw.Start(); err != nil {
		t.Fatal(err)
	}
	reload()
	a, b := l.port("a"), l.port("b")
	const ack = packet.TCPAckFlag
	passes := func(what string, want bool, from *labPort, fr []byte, to *labPort) {
		t.Helper()
		if got := l.passes(from, 0, fr, to); got != want {
			t.Errorf("%s: passes %v, want %v", what, got, want)
		}
	}
	passes("before it has come", false, b, frame(2, 1, packet.ProtoTCP, 1000, 80, ack), a)
	l.state(api.StateChange{Arrived: []string{"a", "nobody"}}, "")
	passes("a segment of the client", true, b, frame(2, 1, packet.ProtoTCP, 1000, 80, ack), a)
	passes("its answer", true, a, frame(1, 2, packet.ProtoTCP, 80, 1000, ack), b)
	passes("a segment of the server first", true, a, frame(1, 2, packet.ProtoTCP, 80, 1001, ack), b)
	passes("its answer", true, b, frame(2, 1, packet.ProtoTCP, 1001, 80, ack), a)
	passes("a connection that no rule allows", false, b, frame(2, 1, packet.ProtoTCP, 1000, 81, ack), a)
	passes("from the server, that no rule allows", false, a, frame(1, 2, packet.ProtoTCP, 1002, 22, ack), b)
	passes("a reset", false, b, frame(2, 1, packet.ProtoTCP, 1003, 80, packet.TCPRst), a)
	passes("UDP", false, b, frame(2, 1, packet.ProtoUDP, 1000, 80, 0), a)
	reload()
	passes("after a reload, too", true, b, frame(2, 1, packet.ProtoTCP, 1004, 80, ack), a)
	l.sw.mu.Lock()
	l.sw.arrivals["a"] = l.sw.now() // its time is over
	l.sw.mu.Unlock()
	reload()
	passes("when its time is over", false, b, frame(2, 1, packet.ProtoTCP, 1005, 80, ack), a)
	passes("what was taken up goes on", true, b, frame(2, 1, packet.ProtoTCP, 1000, 80, ack), a)
	if err := l.load("none.bhp"); err != nil {
		t.Fatal(err)
	}
	passes("one that is revoked", false, b, frame(2, 1, packet.ProtoTCP, 1000, 80, ack), a)
}
