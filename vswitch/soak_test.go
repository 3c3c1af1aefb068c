package vswitch_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"bulkhead/dataplane/packet"
)

// The soak: `make soak T=1h`. A daemon and its port helper, a TAP, a packet and an
// AF_XDP port, two workers; and at the same time, without pause: bob speaks to alice by
// UDP and TCP, mallory floods, and says to bob what it must not; an endpoint comes,
// moves and goes; one policy follows the other; ports of all three drivers are added
// and taken away, some because their device is; the helper is killed; and each life of
// the daemon ends by kill -9, or by an orderly stop, and is followed by the next.
//
// Every few seconds all is looked at: descriptors, threads, goroutines and memory of
// both processes, where each chunk of frame memory is, and the account of each port. A
// life is flat, or the soak fails:
//
//	descriptors, goroutines     grown by less than one (trend, soak_trend_test.go)
//	threads                     by less than four: the runtime makes one when all wait
//	memory, anonymous           by 8 MB, and 1 MB an hour: the garbage collector's saw;
//	                            in less than ten minutes by 16 MB, which tables and a
//	                            heap that are new may take as well
//	chunks of frame memory      none missing, at any sample
//	in + copies = out + consumed + drops, for each port, at any sample
//	datagrams                   none lost within a life, none where it must not be
//	connections                 none failed or broken within a life
//	what the kernel keeps       devices, pinned programs: as after the first life
//
// The first life lasts half of the time, the others share the rest. A life's first half
// is not looked at for memory: tables are touched then for the first time, and a heap
// that is new finds its size.
func TestSoak(t *testing.T) {
	root(t)
	length := soakLength(t)
	k := newSoak(t, length)
	for n := 0; time.Since(k.begun) < length; n++ {
		k.lives(n)
		k.life = min(length/6, 10*time.Minute)
		if t.Failed() {
			break
		}
	}
	k.print()
	if !t.Failed() && len(k.rows) < 2 {
		t.Errorf("%d lives: nothing was ever begun anew", len(k.rows))
	}
}

// soakLength is how long to go on; without a word, not at all.
func soakLength(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("BULKHEAD_SOAK")
	if text == "" {
		t.Skip("BULKHEAD_SOAK says how long: make soak T=1h; make test soaks for two minutes")
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < time.Minute {
		t.Fatalf("BULKHEAD_SOAK=%s: a time of a minute or more, as 1h", text)
	}
	return d
}

// soak is one that is under way.
type soak struct {
	*scene
	begun       time.Time
	life, every time.Duration // how long the daemon lives, and between two looks
	talk        *chatter
	floods      [][]byte
	kept        string // what the kernel keeps when a life begins
	rows        []soakRow
}

func newSoak(t *testing.T, length time.Duration) *soak {
	t.Helper()
	k := &soak{life: length / 2}
	k.every = min(max(time.Second, k.life/60), 10*time.Second)
	k.scene = staged(t, "tap+packet+xdp", "sessions = 65536\nframes = 16384", "workers = 2\nmetrics = \"127.0.0.1:9477\"")
	t.Cleanup(k.lastWords)
	k.policies()
	k.talk = k.chats()
	k.floods = k.flood()
	k.kept, k.begun = k.keeps(), time.Now()
	return k
}

// flood is what mallory sends, over and over: new flows of all kinds, first fragments,
// broadcasts, headers at random; all of it as itself.
func (k *soak) flood() (all [][]byte) {
	forbidden := []byte(soakForbidden)
	all = append(all, floodOf(k.t, 4096, func(p *packet.Spec, i int) {
		p.Proto, p.Payload, p.SrcPort, p.Seq = packet.ProtoTCP, nil, uint16(1+i), uint32(i)*2654435761
	})...)
	all = append(all, floodOf(k.t, 4096, func(p *packet.Spec, i int) { p.SrcPort = uint16(1 + i) })...)
	all = append(all, floodOf(k.t, 2048, func(p *packet.Spec, i int) { p.DstPort, p.Payload = uint16(6000+i), forbidden })...)
	all = append(all, floodOf(k.t, 64, func(p *packet.Spec, _ int) {
		if p.Src.Is4() {
			p.DstMAC, p.Dst = packet.MAC{255, 255, 255, 255, 255, 255}, addr("10.93.0.255")
		} else {
			p.DstMAC, p.Dst = packet.MAC{0x33, 0x33, 0, 0, 0, 1}, addr("ff02::1")
		}
	})...)
	all = append(all, partsOf(k.t, 0, 64)[:4096]...)
	return append(all, randomHeaders(k.t)[:4096]...)
}

const soakForbidden = "nobody is to hear this"

// keeps is what of the switch the kernel keeps: devices of its namespace, programs
// that are pinned, and processes.
func (k *scene) keeps() string {
	k.t.Helper()
	devices, err := exec.Command("ip", "-n", k.own, "-br", "link").Output()
	if err != nil {
		k.t.Fatal(err)
	}
	var names []string
	for _, line := range strings.Split(strings.TrimSpace(string(devices)), "\n") {
		name, _, _ := strings.Cut(strings.Fields(line)[0], "@")
		names = append(names, name)
	}
	slices.Sort(names)
	pins := 0
	for _, name := range names {
		if pinned(k.t, k.own, name) {
			pins++
		}
	}
	return fmt.Sprintf("devices %v, %d pins, %d port helpers", names, pins, len(k.helpers()))
}

// helpers are the processes beside the daemon that open its ports, without the one
// that starts them again.
func (k *scene) helpers() (pids []int) {
	all, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range all {
		line, err := os.ReadFile(file)
		pid, _ := strconv.Atoi(strings.Split(file, "/")[2])
		if err == nil && pid != k.pid && strings.Contains(string(line), k.config) && strings.Contains(string(line), "\x00ports\x00") && !strings.Contains(string(line), "--again") {
			pids = append(pids, pid)
		}
	}
	return pids
}

// lives is one life of the daemon, from the first frame after it is ready to its end.
func (k *soak) lives(n int) {
	k.t.Helper()
	l := k.begin(n)
	for helperKilled := false; time.Since(l.begun) < k.life && !k.t.Failed(); {
		l.round()
		if !helperKilled && time.Since(l.begun) > k.life/2 {
			helperKilled = true
			l.killHelper()
		}
		if l.round(); time.Since(l.sampled) >= k.every {
			l.sample()
		}
	}
	l.end()
	k.ends(n)
	if kept := k.keeps(); kept != k.kept {
		k.t.Errorf("life %d: the kernel keeps %s; before it was %s", n, kept, k.kept)
	}
}

// ends ends the daemon, one way or the other, and starts the next.
func (k *soak) ends(n int) {
	k.t.Helper()
	row := &k.rows[len(k.rows)-1]
	if n%2 == 0 {
		row.ended = "kill -9"
		_ = k.daemon.Process.Kill()
	} else {
		row.ended = "SIGTERM"
		_ = k.daemon.Process.Signal(syscall.SIGTERM)
	}
	if err := k.daemon.Wait(); err != nil && row.ended != "kill -9" {
		k.t.Errorf("life %d ended with %v", n, err)
	}
	time.Sleep(100 * time.Millisecond)
	begun := time.Now()
	k.run()
	row.start = time.Since(begun)
	k.silenced()
}

// lastWords prints the end of the daemon's log, if something was wrong.
func (k *soak) lastWords() {
	if !k.t.Failed() {
		return
	}
	text, err := os.ReadFile(filepath.Join(filepath.Dir(k.config), "log"))
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	from := slices.IndexFunc(lines, func(line string) bool {
		return strings.Contains(line, "worker-stuck") || strings.HasPrefix(line, "panic: ") || strings.HasPrefix(line, "fatal error: ")
	})
	if from < 0 {
		from = max(0, len(lines)-60)
	}
	k.t.Logf("the daemon's log, %v:\n%s", err, strings.Join(lines[from:min(len(lines), from+100)], "\n"))
}

// silenced has mallory's kernel say nothing, whose device may be new.
func (k *soak) silenced() {
	k.t.Helper()
	in(k.t, k.mallory, "sysctl -qw net.ipv6.conf.eth0.disable_ipv6=1")
	sh(k.t, "ip -n "+k.mallory+" addr flush dev eth0")
}
