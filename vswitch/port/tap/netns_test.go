package tap

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"bulkhead/dataplane/packet"
	"bulkhead/vswitch/internal/sys"
	"bulkhead/vswitch/port"
)

// root skips a test that needs rights it does not have; as root nothing is
// ever skipped.
func root(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes network namespaces and TAP devices")
	}
}

var namespaces atomic.Int32

// newNetns makes a namespace that ends with the test.
func newNetns(t testing.TB) string {
	t.Helper()
	root(t)
	name := fmt.Sprintf("bhtap%d-%d", os.Getpid(), namespaces.Add(1))
	if err := sys.CreateNetns(name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := os.Stat(sys.NetnsDir + "/" + name); err == nil {
			if err := sys.RemoveNetns(name); err != nil {
				t.Error(err)
			}
		}
	})
	return name
}

// in runs a command in a namespace and returns what it printed.
func in(t testing.TB, netns string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "ip", append([]string{"netns", "exec", netns}, args...)...).CombinedOutput()
	return string(out), err
}

func mustIn(t testing.TB, netns string, args ...string) string {
	t.Helper()
	out, err := in(t, netns, args...)
	if err != nil {
		t.Fatalf("%s: %v: %v\n%s", netns, args, err, out)
	}
	return out
}

// mustOpen opens a port that ends with the test.
func mustOpen(t testing.TB, c Config) *Port {
	t.Helper()
	p, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// wire carries frames between two ports, one goroutine a direction, until the
// test ends: the dumbest switch there is.
func wire(t testing.TB, a, b port.Port) {
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for i := range a.Queues() {
		for _, way := range [][2]port.Queue{{a.Queues()[i], b.Queues()[i]}, {b.Queues()[i], a.Queues()[i]}} {
			wg.Add(1)
			go func() {
				defer wg.Done()
				carry(t, way[0], way[1], stop)
			}()
		}
	}
	t.Cleanup(func() { close(stop); wg.Wait() })
}

func carry(t testing.TB, from, to port.Queue, stop <-chan struct{}) {
	var batch packet.Batch
	var out [packet.BatchSize]*packet.Frame
	for {
		batch.Reset()
		if err := from.Recv(&batch); err != nil {
			t.Error(err)
			return
		}
		for i := range batch.Len() {
			out[i] = batch.Frame(i)
		}
		to.Send(out[:batch.Len()])
		if batch.Len() > 0 {
			continue
		}
		select {
		case <-stop:
			return
		default:
		}
		if _, err := sys.Poll(50*time.Millisecond, from.FD()); err != nil {
			t.Error(err)
			return
		}
	}
}

// pair opens two wired ports in two namespaces, 10.9.0.1 and 10.9.0.2, link up.
func pair(t testing.TB, queues int) (a, b *Port, nsA, nsB string) {
	t.Helper()
	nsA, nsB = newNetns(t), newNetns(t)
	a = mustOpen(t, Config{Name: "a", Netns: nsA, Queues: queues, Port: 1, Addrs: []netip.Prefix{
		netip.MustParsePrefix("10.9.0.1/24"), netip.MustParsePrefix("fd09::1/64")}})
	b = mustOpen(t, Config{Name: "b", Netns: nsB, Queues: queues, Port: 2, Addrs: []netip.Prefix{
		netip.MustParsePrefix("10.9.0.2/24"), netip.MustParsePrefix("fd09::2/64")}})
	for _, p := range []*Port{a, b} {
		if err := p.Up(); err != nil {
			t.Fatal(err)
		}
	}
	wire(t, a, b)
	return a, b, nsA, nsB
}

func TestConnectAcrossTwoPorts(t *testing.T) {
	for _, queues := range []int{1, 2} {
		t.Run(fmt.Sprint(queues, " queues"), func(t *testing.T) {
			a, _, nsA, nsB := pair(t, queues)
			// At once: addresses are valid without duplicate address detection.
			echo(t, nsA, nsB, "[fd09::2]:7")
			echo(t, nsA, nsB, "10.9.0.2:7")
			if s := a.Stats(); s.RxFrames < 4 || s.TxFrames < 4 {
				t.Errorf("stats %+v", s)
			}
		})
	}
}

// within runs f in a namespace.
func within(t testing.TB, netns string, f func() error) {
	t.Helper()
	n, err := sys.OpenNetns(netns)
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	if err := n.Do(f); err != nil {
		t.Fatal(err)
	}
}

// echo connects from nsA to a listener in nsB by TCP and sends a word there
// and back.
func echo(t testing.TB, nsA, nsB, addr string) {
	t.Helper()
	var l net.Listener
	within(t, nsB, func() (err error) { l, err = net.Listen("tcp", addr); return })
	defer l.Close()
	go func() {
		if c, err := l.Accept(); err == nil {
			io.Copy(c, c)
			c.Close()
		}
	}()
	var c net.Conn
	within(t, nsA, func() (err error) { c, err = net.DialTimeout("tcp", addr, 2*time.Second); return })
	defer c.Close()
	c.SetDeadline(time.Now().Add(2 * time.Second))
	got := make([]byte, 4)
	if _, err := io.WriteString(c, "word"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, got); err != nil || string(got) != "word" {
		t.Fatalf("%q came back, %v", got, err)
	}
}

func TestTCPCrossesAsSuperframes(t *testing.T) {
	a, b, nsA, nsB := pair(t, 1)
	out := iperf(t, nsA, nsB, "10.9.0.2", "-t", "1")
	s := a.Stats()
	if s.RxFrames == 0 || s.RxBytes/s.RxFrames < 10000 {
		t.Errorf("%d frames of %d bytes: no superframes\n%s", s.RxFrames, s.RxBytes, out)
	}
	if got := b.Stats(); got.TxFrames != s.RxFrames || got.TxBytes != s.RxBytes {
		t.Errorf("received %d frames, %d bytes, sent %d, %d: %v", s.RxFrames, s.RxBytes, got.TxFrames, got.TxBytes, got.Drops)
	}
}

// iperf runs a client in nsA against a server in nsB and returns its last
// lines.
func iperf(t testing.TB, nsA, nsB, to string, args ...string) string {
	t.Helper()
	server := exec.Command("ip", "netns", "exec", nsB, "iperf3", "-s", "-1", "--forceflush")
	ready, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { server.Process.Kill(); server.Wait() }()
	ready.Read(make([]byte, 64)) // "Server listening"
	time.Sleep(50 * time.Millisecond)
	out := mustIn(t, nsA, append([]string{"iperf3", "-c", to}, args...)...)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	return strings.Join(lines[max(0, len(lines)-6):], "\n")
}

// BenchmarkTCP is one iperf3 flow between two namespaces: over two ports and
// the dumbest switch, and over the kernel's bridge and veth in the same run.
func BenchmarkTCP(b *testing.B) {
	b.Run("tap", func(b *testing.B) {
		_, _, nsA, nsB := pair(b, 1)
		flow(b, nsA, nsB, "10.9.0.2")
	})
	b.Run("bridge", func(b *testing.B) {
		nsA, nsB, nsS := newNetns(b), newNetns(b), newNetns(b)
		mustIn(b, nsS, "ip", "link", "add", "br0", "type", "bridge")
		mustIn(b, nsS, "ip", "link", "set", "br0", "up")
		for i, ns := range []string{nsA, nsB} {
			host := fmt.Sprintf("h%d", i)
			mustIn(b, nsS, "ip", "link", "add", host, "type", "veth", "peer", "name", "eth0", "netns", ns)
			mustIn(b, nsS, "ip", "link", "set", host, "master", "br0", "up")
			mustIn(b, ns, "ip", "addr", "add", fmt.Sprintf("10.9.0.%d/24", i+1), "dev", "eth0")
			mustIn(b, ns, "ip", "link", "set", "eth0", "up")
		}
		flow(b, nsA, nsB, "10.9.0.2")
	})
}

// flow reports the receiver's bit rate.
func flow(b *testing.B, nsA, nsB, to string) {
	out := iperf(b, nsA, nsB, to, "-t", "3", "-f", "g")
	for line := range strings.Lines(out) {
		var rate float64
		if at := strings.Index(line, "GBytes"); at > 0 && strings.Contains(line, "receiver") {
			if _, err := fmt.Sscan(line[at+len("GBytes"):], &rate); err == nil {
				b.ReportMetric(rate, "Gbit/s")
				b.ReportMetric(0, "ns/op")
				return
			}
		}
	}
	b.Fatalf("no rate in:\n%s", out)
}

// waitGone waits until the port says that its device has gone.
func waitGone(t testing.TB, p port.Port) {
	t.Helper()
	q := p.Queues()[0]
	var b packet.Batch
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); {
		b.Reset()
		if err := q.Recv(&b); errors.Is(err, port.ErrGone) {
			return
		}
		if ready, err := sys.Poll(time.Until(deadline), q.FD()); err != nil || !ready {
			t.Fatalf("the descriptor does not say that the device has gone: %v, %v", ready, err)
		}
	}
	t.Fatal("the port does not say that its device has gone")
}
