package vswitch_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// otherLayout builds a daemon that keeps sessions in another layout, once for all tests.
var otherLayout = sync.OnceValues(func() (bin string, err error) {
	dir, err := built()
	if err != nil {
		return "", err
	}
	bin = filepath.Join(dir, "vswitchd-other")
	cmd := exec.Command("go", "build", "-ldflags", "-X bulkhead/dataplane.keepSalt=other", "-o", bin, "./cmd/vswitchd")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build: %w: %s", err, out)
	}
	return bin, nil
})

// F03, upgrade: the switch is told to leave all to the next one, as systemctl restart
// does, again and again, and its helper is replaced in between. Not a datagram is lost,
// and none comes twice: no frame is in hand when it leaves.
func TestFaultUpgrade(t *testing.T) {
	root(t)
	s := stage(t, "tap", "")
	r := s.underWay(2, 4*time.Millisecond)
	p := &twoProcs{t: t, daemon: s.daemon}
	keeper, helper := p.helpers()
	for i := range times(40, 6) {
		if i == 2 { // a helper that is told by the switch what is open hands it on as well
			_ = syscall.Kill(helper, syscall.SIGKILL)
			for begun := time.Now(); !strings.Contains(logOf(s.config), "helper-back"); time.Sleep(10 * time.Millisecond) {
				if time.Since(begun) > 10*time.Second {
					t.Fatalf("no other helper comes: %s", logOf(s.config))
				}
			}
			if again := p.childOf(keeper); again == helper {
				t.Fatal("it is the same helper")
			}
		}
		r.again(syscall.SIGUSR2)
		if got := s.status().TakenOver; got.Ports != 3 || got.Sessions < 3 || got.Torn != 0 || got.Cold != "" {
			t.Errorf("restart %d: taken over %+v", i, got)
		}
	}
	r.hitless()
	if r.good.twice != 0 {
		t.Errorf("%d datagrams came twice", r.good.twice)
	}
	r.row("F03", "leave all to the next, tap").report(t, r.mayLose(4*time.Millisecond)-r.kills)
}

// F03, another layout: a build that keeps sessions otherwise takes the ports over and
// begins without sessions: it says so, nothing leaks, and what is allowed passes when it
// begins anew. So does the old one after it.
func TestFaultOtherLayout(t *testing.T) {
	root(t)
	s := stage(t, "packet", "")
	r := s.underWay(0, 4*time.Millisecond)
	other, err := otherLayout()
	if err != nil {
		t.Fatal(err)
	}
	open := s.stream(bob, alice, 5110)
	open.moves(5 * time.Second)
	for i, bin := range []string{other, s.bin, s.bin} {
		s.bin = bin
		r.again(syscall.SIGKILL)
		got := s.status().TakenOver
		if cold := strings.Contains(got.Cold, "laid out otherwise"); cold != (i < 2) || got.Ports != 3 || cold && got.Sessions != 0 {
			t.Errorf("start %d: taken over %+v", i, got)
		}
	}
	if n := strings.Count(logOf(s.config), `"cold-start"`); n != 2 {
		t.Errorf("the log says %d times that a start was cold", n)
	}
	// Nobody picks a connection up in mid-stream: it stands still, and is not reset.
	before := open.got.Load()
	time.Sleep(300 * time.Millisecond)
	if now := open.got.Load(); now != before {
		t.Errorf("a connection that no switch knows goes on: %d bytes", now-before)
	}
	r.hitless()
	r.row("F03", "a build of another layout, packet").report(t, r.mayLose(4*time.Millisecond))
}

// F02, both processes are killed: nothing passes, the next start is cold, and closed.
func TestFaultBothKilled(t *testing.T) {
	root(t)
	s := stage(t, "packet", "")
	r := s.underWay(0, 4*time.Millisecond)
	for range times(20, 2) {
		r.allKilled()
		r.startAgain()
		if got := s.status().TakenOver; got.Ports != 0 || got.Sessions != 0 {
			t.Errorf("taken over %+v", got)
		}
	}
	r.hitless()
	r.row("F02", "both processes killed, packet").report(t, r.sent) // it is the fault that loses
}

// allKilled kills the switch, its helper and who keeps that, and waits until nobody
// holds its ports any more: the next start is cold.
func (s *scene) allKilled() {
	s.t.Helper()
	p := &twoProcs{t: s.t, daemon: s.daemon}
	keeper, helper := p.helpers()
	for _, pid := range []int{keeper, helper, s.daemon.Process.Pid} {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	_ = s.daemon.Wait()
	for begun := time.Now(); ; time.Sleep(10 * time.Millisecond) { // dead is who listens no more
		c, err := net.Dial("unixpacket", filepath.Join(filepath.Dir(s.config), "s.sock.ports"))
		if err != nil {
			return
		}
		c.Close()
		if time.Since(begun) > 10*time.Second {
			s.t.Fatal("the helper does not die")
		}
	}
}
