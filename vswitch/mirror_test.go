package vswitch_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"bulkhead/dataplane/packet"
	"bulkhead/dataplane/policy"
	"bulkhead/policyc/compile"
	"bulkhead/vswitch/control"
	"bulkhead/vswitch/control/api"
)

// mirrorLab is a switch with web and db on TAPs, an analyser on a third, and, behind a
// veth of the switch's own namespace, a collector with an address of each family.
type mirrorLab struct {
	t                                 *testing.T
	own, web, db, analyser, collector string
	config, socket                    string
}

const mirrorPolicy = `version = 1
[services.web]
labels = { app = "web" }
[services.db]
labels = { app = "db" }
[[rules]]
name = "calls"
allow = { from = ["web"], to = ["db"], ports = ["udp/9000", "tcp/5100"] }
`

func newMirrorLab(t *testing.T, mirrors string) *mirrorLab {
	bin, dir := build(t), t.TempDir()
	l := &mirrorLab{t: t, config: filepath.Join(dir, "bulkhead.toml"), socket: filepath.Join(dir, "s.sock")}
	for name, ns := range map[string]*string{"s": &l.own, "web": &l.web, "db": &l.db, "an": &l.analyser, "co": &l.collector} {
		*ns = namespace(t, name)
	}
	host := fmt.Sprintf("n%d", os.Getpid()%1000000)
	sh(t, fmt.Sprintf("ip link add %s netns %s type veth peer name eth0 netns %s", host, l.own, l.collector))
	for _, end := range []struct{ ns, device, v4, v6 string }{{l.own, host, "192.0.2.1/24", "2001:db8:9::1/64"}, {l.collector, "eth0", "192.0.2.9/24", "2001:db8:9::9/64"}} {
		sh(t, fmt.Sprintf("ip -n %s link set %s up", end.ns, end.device), fmt.Sprintf("ip -n %s addr add %s dev %s", end.ns, end.v4, end.device),
			fmt.Sprintf("ip -n %s addr add %s dev %s nodad", end.ns, end.v6, end.device))
	}
	rules, findings := compile.Compile([]compile.Source{{Name: "p.toml", Text: []byte(mirrorPolicy)}}, compile.Options{})
	if findings.Failed() {
		t.Fatal("the policy does not compile")
	}
	data, err := policy.Encode(rules)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "p.bhp"), data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	l.write(mirrors)
	start(t, bin, l.config, l.own)
	return l
}

// write writes the configuration, with so much of mirrors.
func (l *mirrorLab) write(mirrors string) {
	l.t.Helper()
	text := "policy = \"p.bhp\"\ncontrol = \"s.sock\"\nmetrics = \"\"\n[[segments]]\nname = \"s\"\ngateways = [\"10.98.0.254/24\"]\n"
	for i, w := range []struct{ name, ns string }{{"web", l.web}, {"db", l.db}} {
		text += fmt.Sprintf("[[ports]]\nname = %q\nsegment = \"s\"\nnetns = %q\ndevice = \"eth0\"\nmac = \"02:98:00:00:00:0%d\"\nips = [\"10.98.0.%d\"]\nlabels = { app = %q }\n",
			w.name, w.ns, i+1, i+1, w.name)
	}
	if err := os.WriteFile(l.config, []byte(text+mirrors), 0o600); err != nil {
		l.t.Fatal(err)
	}
}

func (l *mirrorLab) span() string {
	return fmt.Sprintf("[[ports]]\nname = \"span\"\nrole = \"mirror\"\nnetns = %q\ndevice = \"eth0\"\n", l.analyser)
}

const collectors = `[[ports]]
name = "c4"
role = "mirror"
driver = "erspan"
remote = "192.0.2.9"
[[ports]]
name = "c6"
role = "mirror"
driver = "erspan"
remote = "2001:db8:9::9"
erspan_type = 3
`

// mirror returns what a mirror counts.
func (l *mirrorLab) mirror(name string) api.Mirror {
	l.t.Helper()
	for _, m := range l.mirrors() {
		if m.Name == name {
			return m
		}
	}
	l.t.Fatalf("there is no mirror %s", name)
	return api.Mirror{}
}

func (l *mirrorLab) mirrors() (list []api.Mirror) {
	l.t.Helper()
	if err := control.NewClient(l.socket).Get(context.Background(), "/v1/mirrors", &list); err != nil {
		l.t.Fatal(err)
	}
	return list
}

func (l *mirrorLab) reload() {
	l.t.Helper()
	if err := control.NewClient(l.socket).Post(context.Background(), "/v1/reload", nil, &api.Done{}); err != nil {
		l.t.Fatal(err)
	}
}

// datagram is a UDP frame of web to db.
func datagram(t *testing.T, dport uint16, payload string) []byte {
	t.Helper()
	b, err := packet.Build(packet.Spec{
		SrcMAC: packet.MAC{2, 0x98, 0, 0, 0, 1}, DstMAC: packet.MAC{2, 0x98, 0, 0, 0, 2}, Proto: packet.ProtoUDP,
		Src: packet.AddrFrom(netip.MustParseAddr("10.98.0.1")), Dst: packet.AddrFrom(netip.MustParseAddr("10.98.0.2")), SrcPort: 4000, DstPort: dport, TTL: 64, Payload: []byte(payload),
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A mirror to a TAP shows, byte for byte, what web was denied, and nothing else; what
// the analyser sends goes nowhere; a reload takes the mirror away and makes another.
func TestSmokeMirrorToPort(t *testing.T) {
	root(t)
	t.Parallel()
	l := newMirrorLab(t, "")
	if n := len(l.mirrors()); n != 0 {
		t.Fatalf("%d mirrors that nobody has asked for", n)
	}
	l.write(l.span() + "[[mirrors]]\nname = \"denied\"\nport = \"span\"\nfrom = [\"web\", \"ghost\"]\ndrops = [\"no-rule\"]\n")
	l.reload()
	web, db, analyser := openWire(t, l.web, "eth0"), openWire(t, l.db, "eth0"), openWire(t, l.analyser, "eth0")
	denied, allowed := datagram(t, 9001, "it-is-denied"), datagram(t, 9000, "it-is-allowed")
	web.send(denied)
	web.send(allowed)
	if got := analyser.drain("it-is", time.Second); len(got) != 1 || !bytes.Equal(got[0], denied) {
		t.Errorf("the analyser sees %x, want %x alone", got, denied)
	}
	if got := db.drain("it-is", 200*time.Millisecond); len(got) != 1 || !bytes.Equal(got[0], allowed) {
		t.Errorf("db sees %x, want %x alone", got, allowed)
	}
	if m := l.mirror("denied"); m.Selected != 1 || m.Sent != 1 || m.SentBytes != uint64(len(denied)) || !slices.Equal(m.Unknown, []string{"ghost"}) {
		t.Errorf("the mirror says %+v", m)
	}
	analyser.send(allowed)
	if got := db.drain("it-is", 300*time.Millisecond); len(got) != 0 {
		t.Errorf("what the analyser sent reached db: %x", got)
	}
	if p := portOf(t, l.socket, "span"); p.Drops["mirror-port"] == 0 || p.Role != "mirror" {
		t.Errorf("the mirror's port says %+v", p)
	}
	l.write(l.span() + "[[mirrors]]\nname = \"all\"\nport = \"span\"\nto_labels = { app = \"db\" }\nsnaplen = 64\n")
	l.reload()
	web.send(denied)
	web.send(datagram(t, 9000, "it-is-"+strings.Repeat("long", 100)))
	if got := analyser.drain("it-is", time.Second); len(got) != 2 || len(got[1]) != 64 {
		t.Errorf("after the reload the analyser sees %x", got)
	}
	l.write("")
	l.reload()
	web.send(denied)
	if n := len(l.mirrors()); n != 0 {
		t.Errorf("%d mirrors are left", n)
	}
}

// Mirrors to a collector over IPv4 (type II) and IPv6 (type III), as tshark reads them:
// both ways of a talk, cut; then TCP at full speed, of which the mirrors lose what is
// beyond their rate, and the connection nothing.
func TestSmokeMirrorToCollector(t *testing.T) {
	root(t)
	t.Parallel()
	l := newMirrorLab(t, collectors+`[[mirrors]]
name = "talk"
port = "c4"
from_labels = { app = "web" }
to = ["db"]
replies = true
snaplen = 64
session = 7
[[mirrors]]
name = "wire"
port = "c6"
ports = ["db"]
direction = "out"
session = 9
`)
	lines := l.tshark()
	web, db := openWire(t, l.web, "eth0"), openWire(t, l.db, "eth0")
	web.send(datagram(t, 9000, "hello"))
	if got := db.drain("hello", 500*time.Millisecond); len(got) != 1 {
		t.Fatalf("db sees %x", got)
	}
	web.send(datagram(t, 9000, strings.Repeat("hello", 20)))
	// type, session, sequence, cut, direction (III: 1 is out), whose, to which port (of
	// one that is cut tshark does not read that far). db's kernel says things, too.
	l.seen(lines, []string{
		`^0x88be\|7\|0\|0\|\|10.98.0.1\|10.98.0.2\|9000\|33$`,
		`^0x88be\|7\|[1-9]\|1\|\|10.98.0.1\|10.98.0.2\|\|128$`,
		`^0x22eb\|9\|[0-9]\|0\|1\|10.98.0.1\|10.98.0.2\|9000\|33$`,
		`^0x22eb\|9\|[0-9]\|0\|1\|10.98.0.1\|10.98.0.2\|9000\|128$`,
	})
	transfer(t, l.web, l.db, "10.98.0.2", "beside mirrors")
	for _, name := range []string{"talk", "wire"} {
		m := l.mirror(name)
		t.Logf("%s: %d selected, %d sent, %d cut, %d over the rate, %d full, %d lost", name, m.Selected, m.Sent, m.Cut, m.Limited, m.Full, m.Lost)
		if m.Selected < 10 || m.Selected != m.Sent+m.Limited+m.Full+m.Lost {
			t.Errorf("mirror %s does not add up: %+v", name, m)
		}
	}
	if p := portOf(t, l.socket, "c4"); p.Driver != "erspan" || p.Device != "192.0.2.9" || p.TxFrames != l.mirror("talk").Sent {
		t.Errorf("the collector's port says %+v", p)
	}
}

// tshark reads what comes to the collector.
func (l *mirrorLab) tshark() *bufio.Scanner {
	l.t.Helper()
	fields := []string{"gre.proto", "erspan.spanid", "gre.sequence_number", "erspan.truncated", "erspan.direction", "ip.src", "ip.dst", "udp.dstport", "ip.len"}
	args := []string{"netns", "exec", l.collector, "tshark", "-l", "-n", "-i", "eth0", "-f", "ip proto 47 or ip6 proto 47", "-T", "fields", "-E", "separator=|", "-E", "occurrence=l"}
	for _, f := range fields {
		args = append(args, "-e", f)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, "ip", args...)
	cmd.WaitDelay = time.Second
	out, err := cmd.StdoutPipe()
	if err != nil {
		l.t.Fatal(err)
	}
	says, err := cmd.StderrPipe()
	if err != nil {
		l.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		l.t.Fatalf("%v; install tshark (.ci/deps)", err)
	}
	l.t.Cleanup(func() { cancel(); _ = cmd.Wait() })
	heard := bufio.NewScanner(says)
	for heard.Scan() && !strings.Contains(heard.Text(), "Capturing on") {
	}
	time.Sleep(500 * time.Millisecond) // it says so before it hears
	return bufio.NewScanner(out)
}

// seen reads lines until each pattern has had one, for 10 s at the most. The sequence
// numbers of a session are without a gap.
func (l *mirrorLab) seen(s *bufio.Scanner, patterns []string) {
	l.t.Helper()
	got, done := make(chan string), make(chan struct{})
	defer close(done)
	go func() {
		for s.Scan() {
			select {
			case got <- s.Text():
			case <-done:
				return
			}
		}
	}()
	var lines []string
	next := map[string]int{}
	for end := time.After(10 * time.Second); len(patterns) > 0; {
		select {
		case line := <-got:
			lines = append(lines, line)
			patterns = slices.DeleteFunc(patterns, func(p string) bool { return regexp.MustCompile(p).MatchString(line) })
			words := strings.Split(line, "|")
			if session := words[1]; words[2] != fmt.Sprint(next[session]) {
				l.t.Errorf("of session %s number %d is missing:\n%s", session, next[session], strings.Join(lines, "\n"))
			}
			next[words[1]]++
		case <-end:
			l.t.Errorf("tshark sees no %q in\n%s", patterns, strings.Join(lines, "\n"))
			return
		}
	}
}
