package agent_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"bulkhead/dataplane/policy"
	"bulkhead/policyc/compile"
	"bulkhead/vswitch"
	"bulkhead/vswitch/agent"
	"bulkhead/vswitch/agent/schema"
	"bulkhead/vswitch/agent/store"
	"bulkhead/vswitch/agent/storetest"
	"bulkhead/vswitch/config"
	"bulkhead/vswitch/control"
	"bulkhead/vswitch/control/api"
	"bulkhead/vswitch/port"
	"bulkhead/vswitch/port/mem"
)

// A host of a test is a real switch over ports in memory, its control API, and an
// agent; the store is a real one, behind a wire that can be cut.
type host struct {
	t      *testing.T
	name   string
	dir    string
	text   string // configuration
	wire   *storetest.Wire
	client *control.Client
	op     *vswitch.Operator
	stop   func() // the agent
	end    func() // the switch
	fresh  bool   // the next agent is started with NewStore
}

// newHost makes host number i, with its switch and agent running. The workload of
// its own is wI, 10.0.0.I.
func newHost(t *testing.T, s *storetest.Server, i int, more string) *host {
	t.Helper()
	name := fmt.Sprint("h", i)
	h := &host{t: t, name: name, dir: t.TempDir(), wire: storetest.NewWire(t, s), stop: func() {}}
	h.text = fmt.Sprintf(`
control = "s.sock"
metrics = ""
%s
[[segments]]
name = "s"
vni = 7
gateways = ["10.0.0.254/24"]
[[ports]]
name = "up"
role = "uplink"
device = "u0"
[vtep]
addresses = ["192.0.2.%d/24"]
uplink = "up"
[[ports]]
name = "w%d"
segment = "s"
mac = "02:00:00:00:00:%02x"
ips = ["10.0.0.%d"]
labels = { app = "w%d" }
[[ports]]
name = "spare"
segment = "s"
`, more, i, i, i, i, i)
	h.beginSwitch()
	h.beginAgent()
	t.Cleanup(func() { h.stop(); h.end() })
	return h
}

func (h *host) socket() string { return filepath.Join(h.dir, "s.sock") }

func (h *host) beginSwitch() {
	h.t.Helper()
	cfg, err := config.Parse(filepath.Join(h.dir, "bulkhead.toml"), []byte(h.text))
	if err != nil {
		h.t.Fatal(err)
	}
	open := func(c *config.Port, o vswitch.Opening) (port.Port, error) {
		return mem.New(mem.Config{Name: c.Name, Port: o.ID, MTU: c.MTU, Queues: c.Queues, MAC: c.MAC})
	}
	log := slog.New(slog.DiscardHandler)
	sw, err := vswitch.New(cfg, open, log)
	if err == nil {
		err = sw.Start()
	}
	if err != nil {
		h.t.Fatal(err)
	}
	h.op = sw.Control("test", func() error { return nil })
	ctl, err := control.Listen(control.Options{Path: h.socket(), Switch: h.op, Log: log})
	if err != nil {
		h.t.Fatal(err)
	}
	go ctl.Serve()
	h.client = control.NewClient(h.socket())
	h.end = func() { _ = ctl.Close(); _ = sw.Close() }
}

func (h *host) beginAgent() {
	h.t.Helper()
	a, err := agent.New(agent.Config{
		Host: h.name, Socket: h.socket(), Dir: filepath.Join(h.dir, "agent"), Store: store.Config{Endpoints: []string{h.wire.URL()}},
		TTL: 2 * time.Second, Grace: time.Hour, NewStore: h.fresh, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		h.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	h.stop = func() {
		cancel()
		if err := <-done; err != nil {
			h.t.Errorf("agent of %s: %v", h.name, err)
		}
		h.stop = func() {}
	}
}

// where says where the switch of a host has an endpoint in force.
func (h *host) where(name string) string {
	list, err := h.op.Endpoints()
	if err != nil {
		h.t.Fatal(err)
	}
	for _, e := range list {
		if e.Name == name {
			return e.Port + e.Peer
		}
	}
	return "nowhere"
}

// warned tells whether the status of a host's switch says something.
func (h *host) warned(text string) bool {
	s, err := h.op.Status()
	return err == nil && strings.Contains(strings.Join(s.Warnings, "\n"), text)
}

func (h *host) current() bool {
	s, err := h.op.Status()
	return err == nil && len(s.Sources) == 1 && s.Sources[0].State == "current"
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	storetest.Eventually(t, what, holds)
}

const segment = `{"schema":1,"name":"s","vni":7,"gateways":["10.0.0.254/24"]}`

// cluster is a store with the segment s, and hosts in it.
func cluster(t *testing.T, n int) (*storetest.Server, []*host) {
	t.Helper()
	s := storetest.Start(t)
	if _, _, err := store.Init(context.Background(), s.Client(), false); err != nil {
		t.Fatal(err)
	}
	s.Put(schema.SegmentKey("s"), segment)
	s.Put(schema.SegmentKey("far"), `{"schema":1,"name":"far","vni":8,"gateways":["10.0.8.254/24"]}`)
	var hosts []*host
	for i := range n {
		hosts = append(hosts, newHost(t, s, i+1, ""))
	}
	eventually(t, "each host has the others", func() bool { return mesh(hosts) })
	eventually(t, "the store has all", func() bool {
		resp, err := s.Client().Get(context.Background(), schema.Prefix+string(schema.KindEndpoint), clientv3.WithPrefix())
		return err == nil && len(resp.Kvs) == n
	})
	return s, hosts
}

// mesh tells whether each host has each host's workload where it is.
func mesh(hosts []*host) bool {
	for i, h := range hosts {
		for j, o := range hosts {
			want := o.name
			if i == j {
				want = fmt.Sprint("w", j+1)
			}
			if h.where(fmt.Sprint("w", j+1)) != want {
				return false
			}
		}
	}
	return true
}

// Hosts come to know each other's workloads, one that moves is on the others in
// time, and an agent that ends, or is cut off, changes nothing anywhere.
func TestClusterOfThree(t *testing.T) {
	s, hosts := cluster(t, 3)
	h1, h2, h3 := hosts[0], hosts[1], hosts[2]
	if _, err := h2.op.ChangeEndpoint(&api.EndpointChange{Op: "move", Name: "w1", Port: "spare"}); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Place(context.Background(), s.Client(), "w1", "h2"); err != nil {
		t.Fatal(err)
	}
	moved := func() bool {
		return h1.where("w1") == "h2" && h2.where("w1") == "spare" && h3.where("w1") == "h2"
	}
	began := time.Now()
	eventually(t, "w1 has moved on all three", moved)
	t.Logf("a move was in force on three hosts after %v", time.Since(began))
	eventually(t, "the old host says that it still runs there", func() bool { return h1.warned("endpoint w1 has gone to host h2") })

	h1.stop()
	h2.wire.Cut()
	eventually(t, "h2 says that its store is away", func() bool { return h2.warned("stays in force") })
	eventually(t, "the leases of both have run out", func() bool { return h3.warned("host h1 is lost") && h3.warned("host h2 is lost") })
	if !moved() || h3.where("w2") != "h2" {
		t.Error("something has changed")
	}
	h2.wire.Join(s)
	h1.beginAgent()
	eventually(t, "all is well again", func() bool {
		return h1.current() && h2.current() && h3.current() && !h3.warned("is lost") && moved()
	})
}

// A store that is away the whole time: agent and switch begin anew, and have what
// they had.
func TestStoreAwayWhileAllBegins(t *testing.T) {
	_, hosts := cluster(t, 2)
	h1 := hosts[0]
	time.Sleep(3 * time.Second) // it remembers every two seconds
	h1.wire.Cut()
	h1.stop()
	h1.end()
	h1.beginSwitch()
	if h1.where("w2") != "nowhere" {
		t.Fatal("the switch knows what nobody told it")
	}
	h1.beginAgent()
	eventually(t, "it has the other again", func() bool { return h1.where("w2") == "h2" })
	eventually(t, "it says how old that is", func() bool { return h1.warned("source agent") && h1.warned("ago stays in force") })
}

// A store that is emptied, or another one, or an older self, is not believed, until
// an operator says so.
func TestStoreThatIsAnother(t *testing.T) {
	s, hosts := cluster(t, 2)
	h1, h2 := hosts[0], hosts[1]
	if _, err := s.Client().Delete(context.Background(), schema.ClusterKey); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the lost record is seen", func() bool { return h1.warned("has lost the cluster's record") })
	other := storetest.Start(t)
	if _, _, err := store.Init(context.Background(), other.Client(), false); err != nil {
		t.Fatal(err)
	}
	other.Put(schema.SegmentKey("s"), segment)
	h1.wire.Cut()
	h1.wire.Join(other)
	eventually(t, "the other store is seen", func() bool { return h1.warned("it is another store") })
	if h1.where("w2") != "h2" {
		t.Error("w2 went with the store")
	}
	keys, err := other.Client().Get(context.Background(), schema.HostKey("h1"))
	if err != nil || len(keys.Kvs) != 0 {
		t.Errorf("a store that is not believed was written to: %v, %v", keys, err)
	}
	h1.stop()
	h1.fresh = true
	h1.beginAgent()
	eventually(t, "it is the store now", func() bool { return h1.current() })
	eventually(t, "h2 is lost there, and what it had stays", func() bool { return h1.warned("host h2 is lost") })
	if h1.where("w2") != "h2" || h2.where("w1") != "h1" {
		t.Error("something went")
	}
}

// Many deletions at once are held back until an operator accepts them; a few go.
func TestManyDeletionsAreHeld(t *testing.T) {
	s, hosts := cluster(t, 1)
	h1, ctx := hosts[0], context.Background()
	s.Put(schema.HostKey("h9"), `{"schema":1,"name":"h9","vteps":["192.0.2.9"]}`)
	for i := range 100 {
		e := schema.Endpoint{Schema: 1, Name: fmt.Sprint("e", i), Host: "h9", Segment: "s", MAC: fmt.Sprintf("02:00:00:00:01:%02x", i), IPs: []string{fmt.Sprint("10.0.0.", 100+i)}, Epoch: 1}
		if i == 0 {
			e.IPs = []string{"10.0.0.1"} // w1's
		}
		s.Put(schema.EndpointKey("h9", e.Name), string(schema.Encode(&e)))
	}
	eventually(t, "all but the one that has the address of another", func() bool { return h1.where("e99") == "h9" && h1.where("e1") == "h9" })
	eventually(t, "which is told", func() bool { return h1.warned("endpoint e0 of host h9 is refused: it has the MAC or an address of w1") })
	for i := range 5 {
		if _, err := s.Client().Delete(ctx, schema.EndpointKey("h9", fmt.Sprint("e", i+1))); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "five go", func() bool { return h1.where("e5") == "nowhere" })
	if _, err := s.Client().Delete(ctx, schema.EndpointsOf("h9"), clientv3.WithPrefix()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the others are held", func() bool { return h1.warned("holds 94 deletions back") })
	if h1.where("e99") != "h9" {
		t.Error("one of them went")
	}
	if _, err := h1.op.AcceptDeletions(&api.SourceAccept{Source: "agent"}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "they go when they are accepted", func() bool { return h1.where("e99") == "nowhere" && !h1.warned("deletions back") })
}

// A policy comes into force on every host, if it is signed with a key that the
// host's own configuration trusts: another's, or none, does not.
func TestPolicyFromTheStore(t *testing.T) {
	s := storetest.Start(t)
	ctx := context.Background()
	if _, _, err := store.Init(ctx, s.Client(), false); err != nil {
		t.Fatal(err)
	}
	pub, key, _ := ed25519.GenerateKey(rand.Reader)
	_, thief, _ := ed25519.GenerateKey(rand.Reader)
	trusting := newHost(t, s, 1, fmt.Sprintf("policy_keys = [%q]\npolicy_state = \"gen\"", base64.StdEncoding.EncodeToString(pub)))
	keyless := newHost(t, s, 2, "")
	put := func(generation uint64, key ed25519.PrivateKey) {
		if err := store.WritePolicy(ctx, s.Client(), signed(t, generation, key), generation); err != nil {
			t.Fatal(err)
		}
	}
	generation := func(h *host) uint64 {
		p, err := h.op.Policy()
		if err != nil {
			t.Fatal(err)
		}
		return p.Generation
	}
	put(3, key)
	eventually(t, "it is in force", func() bool { return generation(trusting) == 3 })
	eventually(t, "not where no key is trusted", func() bool { return keyless.warned("policy_keys names none") })
	put(4, thief)
	eventually(t, "another's key signs nothing", func() bool { return trusting.warned("the policy of generation 4 is not in force") })
	put(2, key)
	eventually(t, "an older one is not taken", func() bool { return trusting.warned("the policy of generation 2 is not in force") })
	if generation(trusting) != 3 || generation(keyless) != 0 {
		t.Errorf("in force: %d and %d", generation(trusting), generation(keyless))
	}
	put(5, key)
	eventually(t, "a later one is", func() bool { return generation(trusting) == 5 && !trusting.warned("is not in force") })
}

// signed is a small policy of a generation, signed.
func signed(t *testing.T, generation uint64, key ed25519.PrivateKey) []byte {
	t.Helper()
	text := "version = 1\n[[rules]]\nname = \"web\"\nallow = { from = [\"any\"], to = [\"any\"], ports = [\"tcp/80\"] }\n"
	rules, findings := compile.Compile([]compile.Source{{Name: "p.toml", Text: []byte(text)}}, compile.Options{Generation: generation})
	if findings.Failed() {
		_ = findings.Render(os.Stderr)
		t.Fatal("the policy does not compile")
	}
	artifact, err := policy.Encode(rules)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := policy.Sign(artifact, key)
	if err != nil {
		t.Fatal(err)
	}
	data, err := policy.Seal(artifact, []policy.Signature{signature})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// With a password, too, an agent begins while the store is away.
func TestBeginsWithAPasswordWhileTheStoreIsAway(t *testing.T) {
	h := &host{t: t, dir: t.TempDir()}
	a, err := agent.New(agent.Config{
		Host: "h1", Socket: h.socket(), Dir: filepath.Join(h.dir, "agent"), TTL: 2 * time.Second, Log: slog.New(slog.DiscardHandler),
		Store: store.Config{Endpoints: []string{"http://127.0.0.1:1"}, User: "h1", Password: "x"},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := a.Run(ctx); err != nil {
		t.Fatal(err)
	}
}
