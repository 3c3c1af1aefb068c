package vswitch_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"bulkhead/vswitch/control/api"
)

// F19, no descriptor is left: a port is added while the port helper, and then the
// switch, may open only so many files more: none, one, two, until it works. Each of the
// calls that would open one fails so, in turn. The change is refused as a whole, nothing
// is left of it, no device, no descriptor, and no pin unless the error says that the link
// could not be set down; bob and alice notice nothing; and when there are descriptors
// again the same change works.
func TestFaultNoDescriptors(t *testing.T) {
	root(t)
	for _, driver := range extraDrivers {
		t.Run(driver, func(t *testing.T) { noDescriptors(t, driver) })
	}
}

// starved is a scene whose processes run out of descriptors.
type starved struct {
	*scene
	driver, netns, host string
	plain, extra        string // configurations
	shut                int    // times that the guard had to stay
}

func noDescriptors(t *testing.T, driver string) {
	s := &starved{scene: stage(t, "tap", ""), driver: driver, netns: namespace(t, "x"), host: fmt.Sprintf("y%d-%s", os.Getpid()%10000, driver[:1])}
	text, err := os.ReadFile(s.config)
	if err != nil {
		t.Fatal(err)
	}
	s.plain = string(text)
	s.extra = s.plain + fmt.Sprintf("[[ports]]\nname = \"extra\"\ndriver = %q\nsegment = \"s\"\nmac = \"02:93:00:00:00:10\"\nips = [%q]\nlabels = { who = \"bob\" }\n", driver, extraIP)
	if driver == "tap" {
		s.extra += fmt.Sprintf("netns = %q\ndevice = \"eth0\"\n", s.netns)
	} else {
		sh(t, fmt.Sprintf("ip link add %s netns %s type veth peer name eth0 netns %s address 02:93:00:00:00:10", s.host, s.own, s.netns),
			fmt.Sprintf("ip -n %s link set eth0 up && ip -n %s addr add %s/24 dev eth0", s.netns, s.netns, extraIP))
		s.extra += fmt.Sprintf("device = %q\n", s.host)
	}
	good := s.steady(bob, alice, 5100, "good", time.Millisecond)
	for range 2 { // what is made once is made
		s.reloads(s.extra)
		s.reloads(s.plain)
	}
	row := faultRow{id: "F19", what: "no descriptors are left, " + driver}
	most := map[string]int{}
	for _, who := range []string{"helper", "switch"} {
		// The call itself takes descriptors of the switch: a connection, and a file to read.
		for spare := map[string]int{"helper": 0, "switch": 1}[who]; ; spare++ {
			if s.starves(who, spare) {
				break
			}
			row.events++
			if most[who] = spare + 1; spare > 60 {
				t.Fatalf("%s: with %d descriptors it still cannot be opened", who, spare)
			}
		}
	}
	if s.reloads(s.extra) != nil {
		t.Error("there are descriptors again, and it cannot be opened")
	}
	pings(t, s.netns, sceneIP(alice, 0))
	row.sent, row.lost = good.ends()
	row.figures = fmt.Sprintf("refused with fewer than %d in the helper, %d in the switch; nothing was left of it; a guard stayed shut %d times", most["helper"], most["switch"], s.shut)
	row.report(t, 0)
	if most["helper"] == 0 {
		t.Error("the helper needs no descriptor to open a port: this says nothing")
	}
}

// reloads puts a configuration in force, or says why not.
func (s *starved) reloads(text string) error {
	s.t.Helper()
	write(s.t, s.config, text)
	return s.client.Post(context.Background(), "/v1/reload", nil, &api.Done{})
}

// left is what is there of a port, and of both processes.
func (s *starved) left() string {
	s.t.Helper()
	files := fmt.Sprint(inProc(s.t, s.pid, "fd"))
	for _, pid := range s.helpers() {
		files += fmt.Sprint(" and ", inProc(s.t, pid, "fd"))
	}
	device := "no device"
	if s.driver == "tap" {
		if out, err := exec.Command("ip", "-n", s.netns, "-br", "link", "show", "eth0").Output(); err == nil {
			device = string(out)
		}
	}
	return fmt.Sprintf("%s; %s; %s files", s.keeps(), device, files)
}

// starves tries the change with so many descriptors to spare, and takes it back. It
// tells whether it worked.
func (s *starved) starves(who string, spare int) (worked bool) {
	s.t.Helper()
	before := s.settled("")
	pid := s.pid
	if who == "helper" {
		pid = s.helpers()[0]
	}
	limit := unix.Rlimit{Cur: lowest(s.t, pid, spare)}
	var old unix.Rlimit
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &old); err != nil {
		s.t.Fatal(err)
	}
	limit.Max = old.Max
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &limit, nil); err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	write(s.t, s.config, s.extra)
	failed := s.client.Post(ctx, "/v1/reload", nil, &api.Done{})
	cancel()
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &old, nil); err != nil {
		s.t.Fatal(err)
	}
	if failed != nil && strings.TrimSpace(failed.Error()) == "" {
		s.t.Error("refused without a word")
	}
	if failed != nil && strings.Contains(failed.Error(), "set device") {
		// Nobody could say whether the device's link is down, so a guard that was there
		// stays, and drops, until the port is opened again.
		if strings.Contains(s.settled(""), "1 pins") {
			s.shut++
		}
		if err := s.reloads(s.extra); err != nil {
			s.t.Fatal(err)
		}
		if err := s.reloads(s.plain); err != nil {
			s.t.Fatal(err)
		}
	}
	if failed == nil {
		if err := s.reloads(s.plain); err != nil {
			s.t.Fatal(err)
		}
	}
	if after := s.settled(before); after != before {
		s.t.Errorf("%s, %d to spare (%v): before there was %s, and after %s", who, spare, failed, before, after)
	}
	return failed == nil
}

// settled waits until all is as wanted, or as it stays.
func (s *starved) settled(wanted string) (is string) {
	s.t.Helper()
	for range 40 {
		last := is
		if is = s.left(); is == wanted || wanted == "" && is == last {
			return is
		}
		time.Sleep(50 * time.Millisecond)
	}
	return is
}

// lowest is the limit that leaves a process so many descriptors: numbers are given from
// the lowest that is free.
func lowest(t *testing.T, pid, spare int) uint64 {
	t.Helper()
	for n := uint64(0); ; n++ {
		if _, err := os.Lstat(fmt.Sprintf("/proc/%d/fd/%d", pid, n)); err == nil {
			continue
		}
		if spare--; spare < 0 {
			return n
		}
	}
}
