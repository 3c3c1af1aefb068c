package main

import (
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"bulkhead/dataplane/packet"
	"bulkhead/dataplane/policy"
	"bulkhead/policyc/compile"
	"bulkhead/vswitch"
	"bulkhead/vswitch/config"
	"bulkhead/vswitch/control"
	"bulkhead/vswitch/control/api"
	"bulkhead/vswitch/port"
	"bulkhead/vswitch/port/mem"
	"bulkhead/vswitch/port/pcap"
)

// rig is a running switch whose ports are in memory: the switch, its control
// API on a unix socket, and the ends of the cables. It needs no privilege.
type rig struct {
	sw    *vswitch.Switch
	op    *vswitch.Operator
	ctl   *control.Server
	ports map[string]*mem.Port
}

func init() {
	vswitch.NewRecording = func(out io.Writer, ports []string) (vswitch.Recording, error) {
		return pcap.NewRecording(out, ports)
	}
}

// setup gives each script a place for its switch.
func setup(env *testscript.Env) error {
	env.Values[rigKey{}] = &rig{ports: map[string]*mem.Port{}}
	env.Setenv("GATEWAY", "02:77:00:00:00:01")
	env.Setenv("BULKHEAD_SOCKET", env.WorkDir+"/s.sock")
	return nil
}

type rigKey struct{}

func rigOf(ts *testscript.TestScript) *rig { return ts.Value(rigKey{}).(*rig) }

// start CONFIG starts the switch of a configuration; every port is in memory,
// whatever its driver.
func start(ts *testscript.TestScript, _ bool, args []string) {
	file := ts.MkAbs(args[0])
	cfg, err := config.Load(file)
	ts.Check(err)
	r := rigOf(ts)
	log := slog.New(slog.DiscardHandler)
	r.sw, err = vswitch.New(cfg, r.open, log)
	ts.Check(err)
	r.op = r.sw.Control("1.2.3", func() error {
		next, err := config.Load(file)
		if err != nil {
			return err
		}
		return r.sw.Reload(next)
	})
	r.ctl, err = control.Listen(control.Options{Path: cfg.Control, Log: log, Switch: r.op})
	ts.Check(err)
	ts.Check(r.sw.Start())
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		ready, why := r.sw.Ready()
		if ready {
			break
		}
		if time.Now().After(deadline) {
			ts.Fatalf("the switch does not become ready: %s", why)
		}
	}
	go r.ctl.Serve()
	ts.Defer(func() { _ = errors.Join(r.ctl.Close(), r.sw.Close()) })
}

// report SOURCE STATE HELD has a source say how it is.
func report(ts *testscript.TestScript, _ bool, args []string) {
	held, err := strconv.Atoi(args[2])
	ts.Check(err)
	_, err = rigOf(ts).op.Report(&api.SourceReport{
		Source: args[0], State: args[1], Held: held, Revision: 41, StaleSeconds: 7, Detail: "the store is away", Alarms: []string{"host h9 is lost"},
	})
	ts.Check(err)
}

// stop stops the switch.
func stop(ts *testscript.TestScript, _ bool, _ []string) {
	r := rigOf(ts)
	ts.Check(errors.Join(r.ctl.Close(), r.sw.Close()))
}

func (r *rig) open(c *config.Port, o vswitch.Opening) (port.Port, error) {
	p, err := mem.New(mem.Config{Name: c.Name, Port: o.ID, MAC: c.MAC, MTU: c.MTU})
	if err == nil {
		r.ports[c.Name] = p
	}
	return p, err
}

// compiled SOURCE OUT [GENERATION [SEED...]] compiles a policy, and signs it with
// the keys of these seeds.
func compiled(ts *testscript.TestScript, _ bool, args []string) {
	var o compile.Options
	var err error
	if len(args) > 2 {
		o.Generation, err = strconv.ParseUint(args[2], 10, 64)
		ts.Check(err)
	}
	rs, findings := compile.Compile([]compile.Source{{Name: args[0], Text: []byte(ts.ReadFile(args[0]))}}, o)
	if findings.Failed() {
		ts.Fatalf("%s has mistakes", args[0])
	}
	data, err := policy.Encode(rs)
	ts.Check(err)
	if len(args) > 3 {
		data = signed(ts, data, args[3:])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), data, 0o600))
}

// signed signs an artifact with the keys of these seeds.
func signed(ts *testscript.TestScript, artifact []byte, seeds []string) []byte {
	var list []policy.Signature
	for _, seed := range seeds {
		s, err := policy.Sign(artifact, keyOf(seed))
		ts.Check(err)
		list = append(list, s)
	}
	data, err := policy.Seal(artifact, list)
	ts.Check(err)
	return data
}

func keyOf(seed string) ed25519.PrivateKey {
	sum := sha256.Sum256([]byte(seed))
	return ed25519.NewKeyFromSeed(sum[:])
}

// trusted FILE SEED writes the public key of a seed.
func trusted(ts *testscript.TestScript, _ bool, args []string) {
	_, public, err := policy.MarshalKeys(keyOf(args[1]))
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), public, 0o600))
}

// send PORT key=value... puts a frame into a port, and waits until the switch
// has carried it.
func send(ts *testscript.TestScript, _ bool, args []string) {
	r := rigOf(ts)
	frame, err := packet.Build(specOf(ts, args[1:]))
	ts.Check(err)
	before := r.in(ts)
	ts.Check(r.ports[args[0]].Inject(0, frame, packet.Offload{}))
	for deadline := time.Now().Add(10 * time.Second); r.in(ts) == before; {
		if time.Now().After(deadline) {
			ts.Fatalf("the switch does not take the frame")
		}
	}
}

func (r *rig) in(ts *testscript.TestScript) uint64 {
	c, err := r.op.Counters()
	ts.Check(err)
	return c.In
}

// cable PORT up|down plugs a port in or unplugs it.
func cable(ts *testscript.TestScript, _ bool, args []string) {
	rigOf(ts).ports[args[0]].SetLink(args[1] == "up")
}

// capturing FILE... waits until captures into these files have begun.
func capturing(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range args {
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
			if info, err := os.Stat(ts.MkAbs(name)); err == nil && info.Size() > 0 {
				break
			}
			if time.Now().After(deadline) {
				ts.Fatalf("the capture into %s does not begin", name)
			}
		}
	}
}

// specOf reads a frame's description.
func specOf(ts *testscript.TestScript, words []string) packet.Spec {
	s := packet.Spec{Proto: packet.ProtoTCP, SrcPort: 40000}
	for _, word := range words {
		key, value, _ := strings.Cut(word, "=")
		var err error
		switch key {
		case "mac":
			s.SrcMAC, err = packet.ParseMAC(value)
		case "tomac":
			s.DstMAC, err = packet.ParseMAC(value)
		case "from":
			s.Src, err = address(value)
		case "to":
			s.Dst, err = address(value)
		case "tcp", "udp":
			if key == "udp" {
				s.Proto = packet.ProtoUDP
			}
			s.DstPort, err = number(value)
		case "sport":
			s.SrcPort, err = number(value)
		case "flags":
			for _, f := range strings.Split(value, ",") {
				s.TCPFlags |= map[string]uint8{"syn": packet.TCPSyn, "ack": packet.TCPAckFlag, "fin": packet.TCPFin}[f]
			}
		default:
			err = fmt.Errorf("send has no %q", key)
		}
		ts.Check(err)
	}
	return s
}

func address(text string) (packet.Addr, error) {
	a, err := netip.ParseAddr(text)
	return packet.AddrFrom(a), err
}

func number(text string) (uint16, error) {
	n, err := strconv.ParseUint(text, 10, 16)
	return uint16(n), err
}
