package vswitch_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"bulkhead/dataplane/packet"
	"bulkhead/vswitch/control/api"
)

// F06, MTUs: alice's port is opened with one MTU after the other, from 576 to 9000, and
// then her device is given another one under the live port. It is refused, with the
// reason, and what was in force stays; or it carries packets of that length; and of the
// longer ones each is in a counter: what bob sent is what came to alice and what the
// switch says that it dropped, to the frame.
func TestFaultMTU(t *testing.T) {
	root(t)
	for _, driver := range []string{"tap", "packet", "xdp"} {
		t.Run(driver, func(t *testing.T) { sweepMTU(t, driver) })
	}
}

// sweep is a scene whose MTUs change.
type sweep struct {
	*scene
	text                  string
	row                   faultRow
	tried, refused, fewer int
	device                string // alice's
}

func sweepMTU(t *testing.T, driver string) {
	s := stage(t, "packet+"+driver+"+packet", "")
	text, err := os.ReadFile(s.config)
	if err != nil {
		t.Fatal(err)
	}
	w := &sweep{scene: s, text: strings.Replace(string(text), "name = \"s\"\n", "name = \"s\"\nmtu = 9000\n", 1), row: faultRow{id: "F06", what: "MTUs from 576 to 9000, " + driver}}
	if driver != "tap" {
		w.device = s.hostEnd(alice)
	}
	sh(t, "ip -n "+s.bob+" link set eth0 mtu 9000")
	in(t, s.bob, "sysctl -qw net.ipv6.conf.all.disable_ipv6=1") // his kernel is silent
	for mtu := 576; mtu <= 9000; mtu += times(131, 1053) {
		w.opened(driver, mtu)
	}
	if driver != "tap" {
		w.opened(driver, 1500)
		for _, mtu := range []int{576, 1000, 1500} { // under the live port
			sh(t, fmt.Sprintf("ip -n %s link set %s mtu %d", s.own, w.device, mtu))
			w.carries(mtu, 1500)
		}
	}
	w.row.events, w.row.figures = w.tried, fmt.Sprintf("%d refused; %d frames too long, all counted", w.refused, w.fewer)
	w.row.report(t, 0)
	if w.tried == w.refused || w.fewer == 0 || w.row.sent == 0 {
		t.Errorf("%s: %d of %d refused, %d too long: this says nothing", driver, w.refused, w.tried, w.fewer)
	}
}

// opened opens alice's port with an MTU, and has it carry if that is not refused.
func (w *sweep) opened(driver string, mtu int) {
	w.t.Helper()
	w.tried++
	if driver != "tap" {
		_ = in1(w.alice, "link", "set", "eth0", "mtu", fmt.Sprint(max(mtu, 1500)))
	}
	of := func(name string, mtu int) { // the port's own line
		w.text = strings.Replace(w.text, fmt.Sprintf("name = %q\n", name), fmt.Sprintf("name = %q\nmtu = %d\n", name, mtu), 1)
	}
	before := w.text
	of("alice", mtu)
	of("bob", 9000)
	write(w.t, w.config, w.text)
	w.text = before
	if err := w.client.Post(context.Background(), "/v1/reload", nil, &api.Done{}); err != nil {
		if w.refused++; len(err.Error()) < 20 {
			w.t.Errorf("MTU %d is refused, and nobody knows why: %v", mtu, err)
		}
		return
	}
	w.carries(mtu, mtu)
}

// carries sends packets around a length, of which those up to fits must arrive.
func (w *sweep) carries(fits, mtu int) {
	w.t.Helper()
	for range 200 {
		if w.scene.port("alice").Up && w.scene.port("bob").Up {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	mark := []byte("so long")
	var came atomic.Int64
	end := capture(w.t, w.alice, func(b []byte) {
		if bytes.Contains(b, mark) {
			came.Add(1)
		}
	})
	defer end()
	gun, theirs := gunIn(w.t, w.bob), w.mtuOf(w.alice)
	defer gun.close()
	w.quiet("bob")
	before, sent, within := w.dropped(), 0, 0
	for _, length := range []int{fits - 40, fits, fits + 1, fits + 17, mtu + 1, mtu + 200} {
		if length > 9000 || length > theirs && length <= mtu { // her own kernel would drop it
			continue
		}
		for range 5 {
			gun.fire(made(w.t, 0, func(p *packet.Spec) {
				p.SrcMAC, p.Src = sceneMACs[bob], addr(sceneIP(bob, 0))
				p.Payload = append(bytes.Clone(mark), make([]byte, length-28-len(mark))...)
			}))
			if sent++; length <= fits {
				within++
			}
		}
	}
	w.quiet("bob")
	arrived := 0
	for range 100 {
		if arrived = int(came.Load()); arrived+w.dropped()-before >= sent {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	w.row.sent += within
	w.row.lost += max(within-arrived, 0)
	w.fewer += sent - arrived
	if lost := sent - arrived - (w.dropped() - before); lost != 0 {
		w.t.Errorf("MTU %d, of the device %d: of %d frames %d came and %d were counted as dropped; bob %v, alice %v, her device %d",
			mtu, fits, sent, arrived, w.dropped()-before, w.scene.port("bob").Drops, w.scene.port("alice").Drops, theirs)
	}
}

// dropped is what the switch says of bob's frames.
func (w *sweep) dropped() (n int) {
	for reason, frames := range w.drops("bob") {
		if reason != "flood-off" { // his kernel's, if it says something all the same
			n += int(frames)
		}
	}
	return n
}

func (w *sweep) mtuOf(netns string) (mtu int) {
	w.t.Helper()
	within(w.t, netns, func() error {
		device, err := net.InterfaceByName("eth0")
		if err == nil {
			mtu = device.MTU
		}
		return err
	})
	return mtu
}

// in1 runs ip in a namespace, and says whether it could.
func in1(netns string, args ...string) error {
	return exec.Command("ip", append([]string{"-n", netns}, args...)...).Run()
}
