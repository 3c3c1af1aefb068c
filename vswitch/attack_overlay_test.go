package vswitch_test

import (
	"encoding/binary"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestAttackOverlay has strangers, peers and workloads send what is no tunnel of
// theirs, and tunnels that are cut short, over an underlay of each family and each
// driver of an uplink: A07 and A08 of the attack table; every day over two of the four.
// And a stranger floods the VTEP while db sends to web, which must not notice.
func TestAttackOverlay(t *testing.T) {
	root(t)
	bin, policy := build(t), buildPolicy(t, overlayPolicy)
	for _, o := range []overlay{
		{name: "ipv4, xdp", driver: "xdp"}, {name: "ipv6, udp", driver: "udp", v6: true},
		{name: "ipv6, xdp", driver: "xdp", v6: true}, {name: "ipv4, udp", driver: "udp"},
	}[:times(4, 2)] {
		t.Run(o.name, func(t *testing.T) {
			s := o.run(t, bin, policy)
			pings(t, s.db, "10.66.0.1")
			s.attacks(t)
			s.moreAttacks(t)
			for id, what := range map[string]string{"A07": "strangers' tunnels, wrong VNIs, others' senders, nested", "A08": "tunnels cut at every byte"} {
				row := *s.tried[id]
				row.what = what + ", " + o.name
				row.report(t)
			}
			s.flooded(t)
			s.balanced(t)
		})
	}
}

// floodRate is how many frames a second the stranger sends, at the most. It shares one
// queue with the peer on an AF_XDP uplink, and two CPUs with all that is measured: of
// more the kernel drops some of both before the switch sees them.
const floodRate = 50_000

// flooded has the stranger that attacks has made send tunnels, and db a datagram a
// millisecond.
func (s *site) flooded(t *testing.T) {
	t.Helper()
	h, k, _, _, _ := s.addresses()
	stranger := strings.TrimSuffix(k, "2") + "66"
	inner := append([]byte{8, 0, 0, 0, 0, 0, 100, 0}, tcpSYN(t, dbMAC, "10.66.0.2", webMAC, "10.66.0.1")...)
	before, web := s.port(t, "up").Drops, s.capture(t, s.web, "eth0")
	var sent atomic.Uint64
	var stop atomic.Bool
	done := make(chan struct{})
	var c *net.UDPConn
	within(t, s.k, func() (err error) {
		c, err = net.DialUDP("udp", &net.UDPAddr{IP: net.ParseIP(stranger)}, &net.UDPAddr{IP: net.ParseIP(h), Port: 4789})
		return err
	})
	defer c.Close()
	go func() {
		defer close(done)
		tick := time.NewTicker(time.Millisecond) // one that is late is left out: no bursts
		defer tick.Stop()
		for !stop.Load() {
			<-tick.C
			for range floodRate / 1000 {
				if _, err := c.Write(inner); err == nil {
					sent.Add(1)
				}
			}
		}
	}()
	of, lost := s.paced(t, time.Duration(times(60, 3))*time.Second)
	stop.Store(true)
	<-done
	time.Sleep(200 * time.Millisecond)
	row := attackRow{id: "A07", what: "a stranger's tunnels without pause, " + s.name, sent: sent.Load(), delivered: uint64(web(isInjected)), reasons: since(before, s.port(t, "up").Drops),
		figures: fmt.Sprintf("db lost %d of %d datagrams to web", lost, of)}
	row.report(t)
	// A switch that is not given the CPU for 40 ms finds its ring full: the kernel then
	// drops of both, and says how many.
	full := float64(row.reasons["rx-error"]+row.reasons["rx-oversize"]) / float64(row.sent)
	if row.delivered != 0 || float64(lost) > (0.001+2*full)*float64(of) || row.reasons["unknown-peer"] == 0 {
		t.Errorf("%+v", row)
	}
}

// paced sends a datagram a millisecond from db to web, and counts what arrives.
func (s *site) paced(t *testing.T, d time.Duration) (sent, lost int) {
	t.Helper()
	var server *net.UDPConn
	within(t, s.web, func() (err error) { server, err = net.ListenUDP("udp", &net.UDPAddr{Port: 5100}); return err })
	defer server.Close()
	raw, err := server.SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 16<<20) })
	}
	if err != nil {
		t.Fatal(err)
	}
	client := dialUDP(t, s.db, "10.66.0.1", 5100)
	defer client.Close()
	var got atomic.Uint64
	go func() {
		for buf := make([]byte, 100); ; got.Add(1) {
			if _, err := server.Read(buf); err != nil {
				return
			}
		}
	}()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(d); time.Now().Before(end); sent++ {
		<-tick.C
		if _, err := client.Write(binary.BigEndian.AppendUint64(nil, uint64(sent))); err != nil {
			t.Fatal(err)
		}
	}
	for range 200 {
		if int(got.Load()) >= sent {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	return sent, sent - int(got.Load())
}
