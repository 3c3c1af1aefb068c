package vswitch_test

import (
	"context"
	"fmt"
	"net"
	"slices"
	"testing"
	"time"

	"bulkhead/vswitch/control/api"
)

// F15, the garbage collector: of two daemons side by side, which are asked for their
// status ten times a second, one collects at nearly each answer (GOGC=1), the other
// never does (GOGC=off). A datagram goes there and back through each, in turn, so that
// both have the same machine in the same moment. None is lost, the median is the same
// within a half, and with the whole numbers the slowest in a thousand, too. That the
// walk allocates nothing is TestRunAllocatesNothing and TestWalkAllocatesNothing.
func TestFaultGarbage(t *testing.T) {
	root(t)
	t.Setenv("GOGC", "1")
	busy := newTrip(t)
	t.Setenv("GOGC", "off")
	idle := newTrip(t)
	n := times(100_000, 3000)
	asked := time.Now()
	for range n {
		if time.Since(asked) > 100*time.Millisecond {
			asked = time.Now()
			busy.asks()
			idle.asks()
		}
		busy.goes()
		idle.goes()
	}
	with, without := busy.scraped("go_gc_duration_seconds_count"), idle.scraped("go_gc_duration_seconds_count")
	ratio := func(of, in int) float64 {
		return float64(busy.took[len(busy.took)*of/in]) / float64(idle.took[len(idle.took)*of/in])
	}
	slices.Sort(busy.took)
	slices.Sort(idle.took)
	faultRow{
		id: "F15", what: "garbage is collected all the time", events: int(with - without), sent: 2 * n, lost: busy.lost + idle.lost,
		figures: fmt.Sprintf("round trip beside a daemon that never does: p50 %v, %.2f times; p99 %.2f; p99.9 %.2f; p99.99 %.2f; longest stop %.0f us",
			busy.took[n/2].Round(time.Microsecond), ratio(1, 2), ratio(99, 100), ratio(999, 1000), ratio(9999, 10000), busy.longestStop()*1e6),
	}.report(t, 0)
	if with-without < 3 {
		t.Errorf("collected %v times, and %v beside: this says nothing", with, without)
	}
	if ratio(1, 2) > 1.5 || long() && ratio(999, 1000) > 1.5 {
		t.Errorf("p50 %.2f times, p99.9 %.2f", ratio(1, 2), ratio(999, 1000))
	}
}

// trip is a way from bob to alice and back.
type trip struct {
	*scene
	c    *net.UDPConn
	took []time.Duration
	lost int
}

func newTrip(t *testing.T) *trip {
	t.Helper()
	p := &trip{scene: staged(t, "tap", "", "metrics = \"127.0.0.1:9477\"")}
	var server *net.UDPConn
	within(t, p.alice, func() (err error) {
		server, err = net.ListenUDP("udp", &net.UDPAddr{Port: 5102})
		return err
	})
	t.Cleanup(func() { server.Close() })
	go func() {
		buf := make([]byte, 100)
		for {
			n, from, err := server.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = server.WriteTo(buf[:n], from)
		}
	}()
	p.c = dialUDP(t, p.bob, sceneIP(alice, 0), 5102)
	t.Cleanup(func() { p.c.Close() })
	return p
}

// goes sends one there and waits for it.
func (p *trip) goes() {
	begun := time.Now()
	_ = p.c.SetReadDeadline(begun.Add(2 * time.Second))
	buf := make([]byte, 100)
	_, err := p.c.Write([]byte("there and back"))
	if err == nil {
		_, err = p.c.Read(buf)
	}
	if err != nil {
		p.lost++
	}
	p.took = append(p.took, time.Since(begun))
}

func (p *trip) asks() {
	p.t.Helper()
	if err := p.client.Get(context.Background(), "/v1/status", &api.Status{}); err != nil {
		p.t.Fatal(err)
	}
}

// longestStop is the longest that the collector has stopped everything, in seconds.
func (p *trip) longestStop() float64 { return p.scraped(`go_gc_duration_seconds{quantile="1"}`) }
