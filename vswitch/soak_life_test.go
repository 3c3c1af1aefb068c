package vswitch_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"bulkhead/vswitch/control/api"
)

// life is one life of the daemon that is soaked.
type life struct {
	*soak
	begun, sampled time.Time
	good, bad      *steady
	ghost          *ghost
	leaks          func() uint64
	endFlood       func() (sent uint64)
	config         string // without the extra port
	rounds         int
	row            soakRow
	took           samples
}

// begin has everybody speak, and goes round until what is made once has been made.
func (k *soak) begin(n int) *life {
	k.t.Helper()
	text, err := os.ReadFile(k.scene.config)
	if err != nil {
		k.t.Fatal(err)
	}
	l := &life{soak: k, begun: time.Now(), config: string(text), row: soakRow{number: n}}
	l.good = k.steady(bob, alice, 5100, fmt.Sprint("good", n), time.Millisecond)
	l.bad = k.steady(mallory, bob, 5100, fmt.Sprint("bad", n), 5*time.Millisecond)
	l.ghost = newGhost(k.scene, bob, mallory)
	if _, came := l.good.comes(10 * time.Second); !came {
		k.t.Fatalf("life %d: ready, and nothing passes that is allowed", n)
	}
	k.talk.opens()
	l.leaks = k.watch(func(b []byte) bool { return bytes.Contains(b, []byte(soakForbidden)) })
	l.endFlood = k.floodsOn()
	for range len(extraDrivers) * 2 {
		l.round()
	}
	l.sample()
	return l
}

// floodsOn has mallory flood, sixty-four frames at a time.
func (k *soak) floodsOn() (end func() uint64) {
	gun, stop, done := k.gun(), make(chan struct{}), make(chan struct{})
	var sent atomic.Uint64
	go func() {
		defer close(done)
		for i := 0; ; {
			select {
			case <-stop:
				return
			case <-time.After(2 * time.Millisecond):
			}
			for range 64 {
				gun.fire(k.floods[i%len(k.floods)])
				i++
			}
			sent.Add(64)
		}
	}()
	end = sync.OnceValue(func() uint64 { close(stop); <-done; gun.close(); return sent.Load() })
	k.t.Cleanup(func() { end() })
	return end
}

// extraDrivers are those of the port that comes and goes.
var extraDrivers = []string{"tap", "packet", "xdp"}

// round makes one change of each kind.
func (l *life) round() {
	l.t.Helper()
	l.row.changes += l.ghost.lives()
	if l.rounds%3 == 0 {
		l.load([]string{"other.bhp", "policy.bhp"}[l.rounds/3%2])
		l.row.changes++
	}
	l.extra(extraDrivers[l.rounds%len(extraDrivers)], l.rounds/len(extraDrivers)%2 == 1)
	if broken := l.talk.speaks(); broken != "" {
		l.t.Errorf("life %d, round %d: %s", l.row.number, l.rounds, broken)
	}
	l.rounds++
}

const extraIP = "10.93.0.16"

// extra adds a port of a driver, has it speak to alice, and takes it away; first its
// device, if that is to break.
func (l *life) extra(driver string, breaks bool) {
	l.t.Helper()
	netns, host := fmt.Sprintf("vstx%d", os.Getpid()), fmt.Sprintf("x%d", os.Getpid()%100000)
	sh(l.t, "ip netns add "+netns)
	defer sh(l.t, "ip netns del "+netns)
	text := fmt.Sprintf("[[ports]]\nname = \"extra\"\ndriver = %q\nsegment = \"s\"\nmac = \"02:93:00:00:00:10\"\nips = [%q]\nlabels = { who = \"bob\" }\n", driver, extraIP)
	if driver == "tap" {
		text += fmt.Sprintf("netns = %q\ndevice = \"eth0\"\n", netns)
	} else {
		sh(l.t, fmt.Sprintf("ip link add %s netns %s type veth peer name eth0 netns %s address 02:93:00:00:00:10", host, l.own, netns),
			fmt.Sprintf("ip -n %s link set eth0 up && ip -n %s addr add %s/24 dev eth0", netns, netns, extraIP))
		text += fmt.Sprintf("device = %q\nqueues = 1\n", host)
		defer sh(l.t, "ip -n "+l.own+" link del "+host+" 2>/dev/null || true")
	}
	l.configures(l.config + text)
	pings(l.t, netns, sceneIP(alice, 0))
	if breaks {
		sh(l.t, "ip -n "+netns+" link del eth0")
	}
	l.configures(l.config)
	l.row.changes += 2
}

// configures puts a configuration in force.
func (l *life) configures(text string) {
	l.t.Helper()
	write(l.t, l.scene.config+".new", text)
	if err := os.Rename(l.scene.config+".new", l.scene.config); err != nil {
		l.t.Fatal(err)
	}
	if err := l.client.Post(context.Background(), "/v1/reload", nil, &api.Done{}); err != nil {
		l.t.Fatalf("life %d, round %d: reload: %v", l.row.number, l.rounds, err)
	}
}

// killHelper kills the port helper, and waits until the next is there.
func (l *life) killHelper() {
	l.t.Helper()
	before := l.helpers()
	if len(before) != 1 {
		l.t.Fatalf("life %d: port helpers %v", l.row.number, before)
	}
	_ = syscall.Kill(before[0], syscall.SIGKILL)
	for range 1000 {
		now := l.helpers()
		if len(now) == 1 && now[0] != before[0] && !strings.Contains(strings.Join(l.status().Warnings, " "), "port helper is away") {
			l.row.helpers++
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	l.t.Fatalf("life %d: no port helper comes after one that was killed: %v, %q", l.row.number, l.helpers(), l.status().Warnings)
}

// end has everybody fall silent, and draws the balance of the life.
func (l *life) end() {
	l.t.Helper()
	l.row.flood = l.endFlood()
	l.row.sent, l.row.lost = l.good.ends()
	denied, kept := l.bad.ends()
	l.row.leaked = denied - kept + l.ghost.leaked + int(l.leaks())
	l.row.connections, l.row.broken = l.talk.closes()
	l.ghost.end()
	for _, g := range []*gun{l.good.gun, l.bad.gun, l.ghost.gun} {
		g.close()
	}
	l.row.rounds, l.row.lasted = l.rounds, time.Since(l.begun)
	l.row.judge(l.t, &l.took)
	l.rows = append(l.rows, l.row)
}
