package vswitch_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"bulkhead/dataplane/packet"
	"bulkhead/vswitch/control/api"
)

// F12, a slow consumer: a VM whose monitor has stopped reads nothing from its TAP,
// and mallory sends it thousands of frames. What the TAP cannot hold is dropped as
// tx-full, to the frame: what the VM finds when it goes on and what was dropped are
// together what mallory sent. bob and alice notice nothing.
func TestFaultSlowConsumer(t *testing.T) {
	root(t)
	s := stage(t, "packet", "")
	vm := s.stalled()
	good := s.steady(bob, alice, 5100, "good", time.Millisecond)
	gun, n := s.gun(), times(200000, 20000)
	frame := made(t, 0, func(p *packet.Spec) {
		p.DstMAC, p.Dst, p.Payload = stalledMAC, addr(stalledIP), []byte("to the one who sleeps")
	})
	for i := range n {
		gun.fire(frame)
		if i%256 == 255 {
			s.quiet("mallory") // no more than the queue holds: what is lost is lost at the VM
		}
	}
	s.quiet("mallory")
	full := s.port("mallory").Drops["tx-full"]
	kept := vm.wakes("to the one who sleeps")
	sent, lost := good.ends()
	faultRow{
		id: "F12", what: "a VM reads nothing", events: n, sent: sent, lost: lost,
		figures: fmt.Sprintf("of its %d frames %d waited in its TAP and %d were dropped as tx-full", n, kept, full),
	}.report(t, 0)
	if full == 0 || kept == 0 || kept+int(full) != n {
		t.Errorf("%d were sent, %d found and %d dropped as tx-full; mallory %v, stalled %v", n, kept, full, s.port("mallory").Drops, s.port("stalled").Drops)
	}
	gun.fire(frame)
	eventuallyComes(t, func() bool { return vm.wakes("to the one who sleeps") == 1 })
}

// vm is who holds the other end of a TAP.
type vm struct{ fd int }

var stalledMAC = packet.MAC{2, 0x93, 0, 0, 0, 4}

const stalledIP = "10.93.0.4"

// stalled gives the switch a port on a TAP that nobody reads from.
func (s *scene) stalled() *vm {
	s.t.Helper()
	v, name := &vm{}, fmt.Sprintf("vm%d", namespaces.Load())
	within(s.t, s.own, func() (err error) {
		if v.fd, err = unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0); err != nil {
			return err
		}
		request, err := unix.NewIfreq(name)
		if err != nil {
			return err
		}
		request.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
		return unix.IoctlIfreq(v.fd, unix.TUNSETIFF, request)
	})
	s.t.Cleanup(func() { unix.Close(v.fd) })
	s.adds(fmt.Sprintf("[[ports]]\nname = \"stalled\"\ndriver = \"packet\"\nsegment = \"s\"\ndevice = %q\nmac = %q\nips = [%q]\nlabels = { who = \"alice\" }\n", name, stalledMAC, stalledIP))
	return v
}

// wakes reads what has waited, and counts the frames with a word in them.
func (v *vm) wakes(word string) (n int) {
	buf := make([]byte, 1<<16)
	for {
		got, err := unix.Read(v.fd, buf)
		if err != nil {
			return n
		}
		if bytes.Contains(buf[:got], []byte(word)) {
			n++
		}
	}
}

// adds puts more lines into the configuration and in force.
func (s *scene) adds(lines string) {
	s.t.Helper()
	text, err := os.ReadFile(s.config)
	if err != nil {
		s.t.Fatal(err)
	}
	write(s.t, s.config, string(text)+lines)
	if err := s.client.Post(context.Background(), "/v1/reload", nil, &api.Done{}); err != nil {
		s.t.Fatal(err)
	}
}

func eventuallyComes(t *testing.T, holds func() bool) {
	t.Helper()
	for range 200 {
		if holds() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("it never came")
}

// F13, overload and recovery: mallory sends as much as its kernel takes, to whom it
// may and to whom it may not. A second after it has stopped nothing is lost any more,
// and meanwhile the switch answers those who operate it.
func TestFaultOverload(t *testing.T) {
	root(t)
	for _, driver := range []string{"tap", "packet"} {
		t.Run(driver, func(t *testing.T) { overload(t, driver) })
	}
}

func overload(t *testing.T, driver string) {
	s := stage(t, driver, "")
	good := s.steady(bob, alice, 5100, "good", time.Millisecond)
	leaks := s.watch(func(b []byte) bool { return bytes.Contains(b, []byte("not for you")) })
	frames := [][]byte{
		made(t, 0, func(*packet.Spec) {}),
		made(t, 0, func(p *packet.Spec) { p.DstPort, p.Payload = 9, []byte("not for you") }),
	}
	before, fired := s.port("mallory"), 0
	stop, answers := s.asks()
	begun := time.Now()
	for gun, lasts := s.gun(), time.Duration(times(20, 2))*time.Second; time.Since(begun) < lasts; fired += 64 {
		for i := range 64 {
			gun.fire(frames[i%2])
		}
	}
	over := time.Now()
	close(stop)
	slowest := answers()
	time.Sleep(3 * time.Second)
	in := s.port("mallory").In - before.In
	sent, lost := good.ends()
	recovered := max(good.lastLost().Sub(over), 0)
	faultRow{
		id: "F13", what: "overload, then none, " + driver, events: 1, sent: sent, lost: lost, leaked: int(leaks()),
		figures: fmt.Sprintf("%d k a second offered, %d k taken, for %v; last loss %v after; API p99 %v", int(float64(fired)/over.Sub(begun).Seconds()/1000),
			int(float64(in)/over.Sub(begun).Seconds()/1000), over.Sub(begun).Round(time.Second), recovered.Round(time.Millisecond), slowest.Round(time.Millisecond)),
	}.report(t, sent) // what is lost while it lasts is a figure; that it ends is the promise
	if recovered > time.Second {
		t.Errorf("%s: something was lost %v after the overload was over", driver, recovered)
	}
	if slowest > 2*time.Second {
		t.Errorf("%s: under overload the API answers in %v", driver, slowest)
	}
}

// asks asks for the status without pause until stop is closed; p99 is how long one
// answer in a hundred took or longer.
func (s *scene) asks() (stop chan struct{}, p99 func() time.Duration) {
	stop = make(chan struct{})
	var took []time.Duration
	var asking sync.WaitGroup
	asking.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
			}
			begun := time.Now()
			if err := s.client.Get(context.Background(), "/v1/status", &api.Status{}); err != nil {
				s.t.Errorf("under overload: %v", err)
			}
			took = append(took, time.Since(begun))
		}
	})
	return stop, func() time.Duration {
		asking.Wait()
		if len(took) == 0 {
			s.t.Error("the API was not asked")
			return 0
		}
		slices.Sort(took)
		return took[len(took)*99/100]
	}
}
