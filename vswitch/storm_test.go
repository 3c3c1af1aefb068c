package vswitch_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"bulkhead/dataplane/packet"
)

// A19, a broadcast storm: a workload on a TAP, then one on a veth, asks for an
// address that nobody has, as fast as it can. The others, on a TAP and a veth,
// get what the port may have flooded and not 1 % more, and what they send each
// other arrives. And a port that may take 80 Mb/s takes no more.
func TestAttackStorm(t *testing.T) {
	root(t)
	t.Parallel()
	bin, dir := build(t), t.TempDir()
	own, config := namespace(t, "s"), filepath.Join(dir, "bulkhead.toml")
	writePolicy(t, filepath.Join(dir, "web.bhp"), "tcp/5100")
	text := "policy = \"web.bhp\"\ncontrol = \"s.sock\"\nmetrics = \"\"\n[[segments]]\nname = \"s\"\ngateways = [\"10.95.0.254/24\"]\nbroadcast = \"flood\"\n"
	var ends []string
	for i, more := range []string{"storm_broadcast = [\"200pps\"]", "", "storm_broadcast = [\"200pps\"]", "rate_out = [\"80Mbps\"]"} {
		ns, mac := namespace(t, fmt.Sprint("e", i)), fmt.Sprintf("02:95:00:00:00:0%d", i+1)
		text += fmt.Sprintf("[[ports]]\nname = \"p%d\"\nsegment = \"s\"\nmac = %q\nips = [\"10.95.0.%d\"]\n%s\n", i, mac, i+1, more)
		if ends = append(ends, ns); i < 2 {
			text += fmt.Sprintf("netns = %q\ndevice = \"eth0\"\n", ns)
			continue
		}
		host := fmt.Sprintf("t%d-%d", i, os.Getpid()%1000000)
		sh(t, fmt.Sprintf("ip link add %s netns %s type veth peer name eth0 netns %s address %s", host, own, ns, mac),
			fmt.Sprintf("ip -n %s addr add 10.95.0.%d/24 dev eth0", ns, i+1), "ip -n "+ns+" link set eth0 up")
		text += fmt.Sprintf("driver = \"packet\"\ndevice = %q\n", host)
	}
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, bin, config, own)
	socket := filepath.Join(dir, "s.sock")
	for _, from := range []int{0, 2} {
		storm(t, socket, ends, from)
	}
	begun := time.Now()
	transfer(t, ends[0], ends[3], "10.95.0.4", "to the port of 80 Mb/s")
	if took := time.Since(begun); took < 750*time.Millisecond {
		t.Errorf("8 MB arrive in %v at 80 Mb/s", took)
	}
	if n := dropsOf(t, socket, "p0")["rate-out"]; n == 0 {
		t.Error("nothing was more than the port may take")
	}
}

// storm has one end send without pause for two seconds.
func storm(t *testing.T, socket string, ends []string, from int) {
	t.Helper()
	w, victims := openWire(t, ends[from], "eth0"), []*wire{openWire(t, ends[1], "eth0"), openWire(t, ends[3], "eth0")}
	question := frameOf(t, packet.Spec{ARP: packet.ARPRequest, SrcMAC: packet.MAC{2, 0x95, 0, 0, 0, byte(from + 1)}, DstMAC: packet.MAC{255, 255, 255, 255, 255, 255},
		Src: packet.AddrFrom(mustAddr(fmt.Sprintf("10.95.0.%d", from+1))), Dst: packet.AddrFrom(mustAddr("10.95.0.99"))})
	before, sent := portOf(t, socket, fmt.Sprint("p", from)), 0
	begun := time.Now()
	for ; time.Since(begun) < 2*time.Second; sent++ {
		w.send(question)
		if sent == 1000 {
			transfer(t, ends[3], ends[1], "10.95.0.2", "beside a storm")
		}
	}
	lasted := time.Since(begun)
	budget := int(lasted.Seconds()*200*1.01) + 11 // and the burst of 50 ms
	over := 0
	for i, v := range victims {
		got := 0
		for _, f := range v.drain(string(question[14:22]), 200*time.Millisecond) {
			if bytes.Equal(f[:len(question)], question) {
				got++
			}
		}
		over += max(0, got-budget)
		if got > budget || got < 100 {
			t.Errorf("from p%d victim %d got %d of %d questions in %v, the budget is %d", from, i, got, sent, lasted, budget)
		}
	}
	after := portOf(t, socket, fmt.Sprint("p", from))
	if n := after.Drops["storm-broadcast"] - before.Drops["storm-broadcast"]; n < (after.In-before.In)/2 {
		t.Errorf("%d dropped as storm-broadcast, of %d", n, after.In-before.In)
	}
	attackRow{id: "A19", what: fmt.Sprintf("a broadcast storm from p%d", from), sent: uint64(sent), delivered: uint64(over),
		reasons: map[string]uint64{"storm-broadcast": after.Drops["storm-broadcast"] - before.Drops["storm-broadcast"]},
		figures: fmt.Sprintf("%d k a second, each victim may get %d; 8 MB between the others arrive", int(float64(sent)/lasted.Seconds()/1000), budget)}.report(t)
}
