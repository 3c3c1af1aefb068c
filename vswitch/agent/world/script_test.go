package world

import (
	"bytes"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"bulkhead/vswitch/agent/schema"
	"bulkhead/vswitch/control/api"
)

// The scripts of testdata play a cluster: a store and hosts, each with a world of
// its own. After each line that changes something the hosts step, and write what
// they are to have, until nothing changes any more.
//
//	host H VTEP...            a host joins
//	run H NAME PORT N         NAME, which is 10.0.0.N, is on a port of H
//	stop H NAME               it is not any more
//	away H NAME PEER          the API of H has moved it behind a peer
//	die H | back H            H is gone, its lease with it; it is there again
//	cut H | heal H            H runs on and does not reach the store; it does again
//	amnesia H                 H forgets what it remembered
//	place NAME H              an administrator says where NAME is
//	put KEY JSON | del KEY    somebody writes to the store
//	wait SECONDS              time passes
//	grace SECONDS             hosts that join keep lost ones for so long; at first 60
//	is NAME WHERE [H...]      each host that lives, or those named, has it there
//	arrived H NAME            the last lines had it come to H
//	alarm H TEXT | quiet H    H raises an alarm with the text, or none
type play struct {
	t       *testing.T
	at      string // file:line
	now     time.Time
	grace   time.Duration
	rev     int64
	entries map[string]Entry
	hosts   map[string]*actor
}

type actor struct {
	w       World
	local   Local
	reader  Reader
	view    *View // what it sees; nil: as the store is
	dead    bool
	out     Result
	arrived []string
}

func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) { run(t, file, string(text)) })
	}
}

func run(t *testing.T, file, text string) {
	p := &play{t: t, now: time.Unix(1e9, 0), grace: time.Minute, entries: map[string]Entry{}, hosts: map[string]*actor{}}
	p.put(schema.ClusterKey, schema.Encode(&schema.Cluster{Schema: 1, ID: strings.Repeat("00", 16)}))
	p.put(schema.SegmentKey("s"), schema.Encode(&schema.Segment{Schema: 1, Name: "s", VNI: 7, Gateways: []string{"10.0.0.254/24"}}))
	for i, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		if f := strings.Fields(line); len(f) > 0 {
			p.at = fmt.Sprintf("%s:%d: %s", file, i+1, strings.TrimSpace(line))
			if p.do(f, line) {
				p.settle()
			}
		}
	}
}

func (p *play) put(key string, value []byte) {
	p.rev++
	e, there := p.entries[key]
	if !there {
		e = Entry{Create: p.rev}
	}
	e.Value, e.Mod, e.Version = value, p.rev, e.Version+1
	p.entries[key] = e
}

func (p *play) del(key string) { p.rev++; delete(p.entries, key) }

func (p *play) host(name string) *actor {
	a := p.hosts[name]
	if a == nil {
		p.t.Fatalf("%s: no host %s", p.at, name)
	}
	return a
}

// do plays a line; changed tells whether it may have changed something.
func (p *play) do(f []string, line string) (changed bool) {
	switch f[0] {
	case "host":
		a := &actor{w: World{Me: f[1], Grace: p.grace}}
		for _, v := range f[2:] {
			a.local.VTEPs = append(a.local.VTEPs, netip.MustParseAddr(v))
		}
		a.w.Start(nil)
		p.hosts[f[1]] = a
	case "run", "away":
		p.place(f)
	case "stop":
		a := p.host(f[1])
		a.local.Here = slices.DeleteFunc(a.local.Here, func(e api.StateEndpoint) bool { return e.Name == f[2] })
	case "die", "cut":
		p.loseLease(f[1])
		if a := p.host(f[1]); f[0] == "die" {
			a.dead = true
		} else {
			a.view = p.seen()
		}
	case "back", "heal":
		a := p.host(f[1])
		a.dead, a.view = false, nil
	case "amnesia":
		a := p.host(f[1])
		a.w.Memory = Memory{}
		a.w.Start(nil)
	case "place":
		epoch := uint64(1)
		for _, a := range p.hosts {
			epoch = max(epoch, a.w.Memory.Owners[f[1]].Epoch+1)
		}
		epoch = min(epoch, schema.MaxEpoch)
		p.put(schema.PlacementKey(f[1]), schema.Encode(&schema.Placement{Schema: 1, Name: f[1], Host: f[2], Epoch: epoch}))
	case "put":
		_, value, _ := strings.Cut(line, f[1])
		p.put(schema.Prefix+f[1], []byte(strings.TrimSpace(value)))
	case "del":
		p.del(schema.Prefix + f[1])
	case "wait", "grace":
		var n int
		_, _ = fmt.Sscan(f[1], &n)
		if f[0] == "grace" {
			p.grace = time.Duration(n) * time.Second
			return false
		}
		p.now = p.now.Add(time.Duration(n) * time.Second)
	default:
		p.check(f, line)
		return false
	}
	return true
}

// place plays run and away.
func (p *play) place(f []string) {
	a := p.host(f[1])
	i := slices.IndexFunc(a.local.Here, func(e api.StateEndpoint) bool { return e.Name == f[2] })
	e := api.StateEndpoint{Name: f[2], Segment: "s"}
	if i >= 0 {
		e = a.local.Here[i]
		a.local.Here = slices.Delete(a.local.Here, i, i+1)
	}
	if e.Port, e.Peer = "", f[3]; f[0] == "run" {
		var n int
		_, _ = fmt.Sscan(f[4], &n)
		e.Port, e.Peer, e.IPs, e.MAC = f[3], "", []string{"10.0.0." + f[4]}, fmt.Sprintf("02:00:00:00:00:%02x", n)
	}
	a.local.Here = append(a.local.Here, e)
}

func (p *play) loseLease(host string) {
	for key := range p.entries {
		if key == schema.HostKey(host) || strings.HasPrefix(key, schema.EndpointsOf(host)) {
			p.del(key)
		}
	}
}

func (p *play) seen() *View {
	return &View{Store: 1, Revision: p.rev, Entries: maps.Clone(p.entries)}
}

// settle has every host step and write until the store stays as it is.
func (p *play) settle() {
	for _, a := range p.hosts {
		a.arrived = nil
	}
	for range 20 {
		before := p.rev
		for _, name := range slices.Sorted(maps.Keys(p.hosts)) {
			if a := p.hosts[name]; !a.dead {
				p.step(a)
			}
		}
		if p.rev == before {
			return
		}
	}
	p.t.Fatalf("%s: the hosts do not come to rest", p.at)
}

func (p *play) step(a *actor) {
	view := a.view
	if view == nil {
		view = p.seen()
	}
	a.out = a.w.Step(p.now, a.reader.Read(view), a.local)
	a.arrived = append(a.arrived, a.out.Arrived...)
	if a.view != nil {
		return
	}
	for key, value := range a.out.Own {
		if !bytes.Equal(p.entries[key].Value, value) {
			if _, _, err := schema.Decode(key, value); err != nil {
				p.t.Fatalf("%s: a host writes what nobody believes: %v", p.at, err)
			}
			p.put(key, value)
		}
	}
	for key := range p.entries {
		if _, own := a.out.Own[key]; !own && (key == schema.HostKey(a.w.Me) || strings.HasPrefix(key, schema.EndpointsOf(a.w.Me))) {
			p.del(key)
		}
	}
}

// where says where a host has an endpoint: behind which host, or here.
func (a *actor) where(name string) string {
	for _, e := range a.out.Endpoints {
		if e.Name == name {
			return e.Peer
		}
	}
	if slices.ContainsFunc(a.local.Here, func(e api.StateEndpoint) bool { return e.Name == name && e.Port != "" }) {
		return a.w.Me
	}
	return "nowhere"
}

func (p *play) check(f []string, line string) {
	switch f[0] {
	case "is":
		names := f[3:]
		if len(names) == 0 {
			for _, name := range slices.Sorted(maps.Keys(p.hosts)) {
				if a := p.hosts[name]; !a.dead && a.view == nil {
					names = append(names, name)
				}
			}
		}
		for _, name := range names {
			if at := p.host(name).where(f[1]); at != f[2] {
				p.t.Errorf("%s: host %s has it at %s; alarms %q", p.at, name, at, p.host(name).out.Alarms)
			}
		}
	case "arrived":
		if !slices.Contains(p.host(f[1]).arrived, f[2]) {
			p.t.Errorf("%s: arrived: %v", p.at, p.host(f[1]).arrived)
		}
	case "alarm":
		text := strings.TrimSpace(strings.SplitN(line, f[1], 2)[1])
		if all := strings.Join(p.host(f[1]).out.Alarms, "\n"); !strings.Contains(all, text) {
			p.t.Errorf("%s: alarms: %s", p.at, all)
		}
	case "quiet":
		if all := p.host(f[1]).out.Alarms; len(all) > 0 {
			p.t.Errorf("%s: alarms: %q", p.at, all)
		}
	default:
		p.t.Fatalf("%s: no such line", p.at)
	}
}
