package traffic

import (
	"context"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"bulkhead/bench/rig"
)

// wire is the shortest path there is: one veth from A to B. What a measurement
// says of it is known.
func wire(t *testing.T, rules ...string) Path {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root, for network namespaces")
	}
	r, err := rig.New(context.Background(), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := r.Run(
		"ip link add eth0 netns "+r.A+" type veth peer name eth0 netns "+r.B,
		"ip -n "+r.A+" addr add 10.98.0.1/24 dev eth0", "ip -n "+r.B+" addr add 10.98.0.2/24 dev eth0",
		"ip -n "+r.A+" link set eth0 up", "ip -n "+r.B+" link set eth0 up",
	); err != nil {
		t.Fatal(err)
	}
	if len(rules) > 0 {
		text := "table ip t { chain c { type filter hook prerouting priority 0;\n" + strings.Join(rules, "\n") + "\n}\n}\n"
		file, err := r.Write("loss.nft", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Run(rig.Within(r.B, "nft -f "+file)); err != nil {
			t.Fatal(err)
		}
	}
	return Path{A: r.A, B: r.B, To: netip.MustParseAddr("10.98.0.2")}
}

const moment = 200 * time.Millisecond

func TestTCPOverAWire(t *testing.T) {
	p := wire(t)
	for _, how := range []Stream{{Flows: 1}, {Flows: 4}, {Flows: 1, Back: true}, {Flows: 4, Back: true}} {
		gbps, err := TCP(context.Background(), p, how, Options{For: moment, Seed: 1})
		if err != nil || gbps <= 0 || gbps > 1000 {
			t.Errorf("%+v: %v Gb/s, %v", how, gbps, err)
		}
	}
}

// A wire loses nothing, but for what a kernel without time drops.
func TestUDPOverAWire(t *testing.T) {
	c, err := UDP(context.Background(), wire(t), 64, Options{For: moment, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	if c.Sent == 0 || c.Loss() > 5 || c.Rate() <= 0 || c.For < moment {
		t.Errorf("%+v", c)
	}
}

// What is counted is what arrives: a wire that loses each second datagram shows
// half of what is sent.
func TestUDPCountsAtTheReceiver(t *testing.T) {
	c, err := UDP(context.Background(), wire(t, "ip protocol udp numgen inc mod 2 == 0 drop"), 128, Options{For: moment, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	if loss := c.Loss(); loss < 49 || loss > 60 {
		t.Errorf("half is dropped, and the loss is %.2f %%: %+v", loss, c)
	}
}

// A datagram that is spoiled on the way did not arrive, and is worse than one
// that is lost.
func TestUDPRefusesSpoiledDatagrams(t *testing.T) {
	p := wire(t, "ip protocol udp numgen inc mod 10 == 9 udp checksum set 1")
	for _, space := range []string{p.A, p.B} { // a veth believes its peer otherwise
		if out, err := exec.Command("ip", "netns", "exec", space, "ethtool", "-K", "eth0", "tx", "off", "rx", "off").CombinedOutput(); err != nil {
			t.Fatalf("ethtool: %v: %s", err, out)
		}
	}
	_, err := UDP(context.Background(), p, 64, Options{For: moment, Seed: 1})
	if err == nil || !strings.Contains(err.Error(), "wrong checksum") {
		t.Errorf("%v", err)
	}
}

func TestUDPFramesAreOfEthernet(t *testing.T) {
	for _, frame := range []int{0, 63, 1519} {
		if _, err := UDP(context.Background(), Path{}, frame, Options{}); err == nil || !strings.Contains(err.Error(), "64 to 1518") {
			t.Errorf("%d: %v", frame, err)
		}
	}
}

func TestEchoOverAWire(t *testing.T) {
	p := wire(t)
	for name, echo := range map[string]func(context.Context, Path, Options) (*Times, error){"tcp": TCPEcho, "udp": UDPEcho} {
		times, err := echo(context.Background(), p, Options{For: moment, Seed: 1})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		p50, enough := times.Percentile(50)
		if !enough || p50 <= 0 || times.Max() < p50 || times.Lost != 0 {
			t.Errorf("%s: p50 %v (%v) max %v lost %d of %d", name, p50, enough, times.Max(), times.Lost, len(times.Sorted))
		}
	}
}

// A lost datagram is a loss, not a long time.
func TestUDPEchoCountsLoss(t *testing.T) {
	times, err := UDPEcho(context.Background(), wire(t, "ip protocol udp numgen inc mod 1000 == 999 drop"), Options{For: 2 * time.Second, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	long := 0
	for _, d := range times.Sorted {
		if d >= patience {
			long++
		}
	}
	if times.Lost == 0 || long >= times.Lost {
		t.Errorf("lost %d of %d, %d took long", times.Lost, len(times.Sorted), long)
	}
}

// A lost segment of a stream is sent again, and the round trip that waited for
// it is among the times.
func TestTCPEchoTimesRetransmissions(t *testing.T) {
	times, err := TCPEcho(context.Background(), wire(t, "ip protocol tcp numgen inc mod 1000 == 999 drop"), Options{For: 2 * time.Second, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	const shortestRTO = 200_000 // us; RFC 6298 says a second, Linux TCP_RTO_MIN
	if times.Max() < shortestRTO {
		t.Errorf("max %v us of %d round trips with losses", times.Max(), len(times.Sorted))
	}
}

func TestNothingArrivesIsAnError(t *testing.T) {
	p := wire(t, "ip protocol {tcp, udp} drop")
	ctx, cancel := context.WithTimeout(context.Background(), moment)
	defer cancel()
	if c, err := UDP(ctx, p, 64, Options{For: moment}); err == nil {
		t.Errorf("UDP: %+v", c)
	}
	if times, err := UDPEcho(context.Background(), p, Options{For: moment}); err == nil {
		t.Errorf("UDP echo: %d round trips", len(times.Sorted))
	}
}

// An interrupt ends every measurement, long before its time.
func TestMeasurementsEndWithTheirContext(t *testing.T) {
	p, o := wire(t), Options{For: time.Hour, Seed: 1}
	for name, measure := range map[string]func(context.Context) error{
		"tcp":     func(ctx context.Context) error { _, err := TCP(ctx, p, Stream{Flows: 2}, o); return err },
		"udp":     func(ctx context.Context) error { _, err := UDP(ctx, p, 64, o); return err },
		"frames":  func(ctx context.Context) error { _, err := Frames(ctx, p, Load{Frame: 64}, o); return err },
		"tcpecho": func(ctx context.Context) error { _, err := TCPEcho(ctx, p, o); return err },
		"udpecho": func(ctx context.Context) error { _, err := UDPEcho(ctx, p, o); return err },
	} {
		ctx, cancel := context.WithCancel(context.Background())
		time.AfterFunc(moment/2, cancel)
		start := time.Now()
		err := measure(ctx)
		if took := time.Since(start); err == nil || took > 5*time.Second {
			t.Errorf("%s: %v after %s", name, err, took)
		}
	}
}
