package vswitch

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"bulkhead/vswitch/control/api"
)

// FaultRow is a line of the report of `make fault` (fault_test.go).
type FaultRow struct {
	ID, What                   string
	Events, Sent, Lost, Leaked int
	Figures                    string
}

// FaultRows are those of the tests that need no device.
var FaultRows []FaultRow

// F09, a disk that fails: at each call that a load of a policy makes, in turn, with each
// error that a disk has, and with a crash before or after it. The number that is kept
// (policy_state) is the old one or the new one, whole, and a switch starts from it; the
// policy in force is the old one or the new one, and traffic never waits: two datagrams
// around each fault arrive, without time passing.
func TestFaultDisk(t *testing.T) {
	row := FaultRow{ID: "F09", What: "each call of the disk fails, or is the last"}
	calls := 0
	for _, with := range append([]error{errCrash}, diskErrors...) {
		seeds := uint64(1)
		if with == errCrash || os.Getenv("BULKHEAD_LONG") != "" {
			seeds *= 2 // it is before the call, or after it
		}
		for seed := range seeds {
			for n := 1; ; n++ {
				s, hit := diskFault(t, seed, n, with)
				row.Sent, row.Lost = row.Sent+s.counts["sent"], row.Lost+s.counts["sent"]-s.counts["delivered"]
				for _, wrong := range s.wrongs {
					t.Errorf("call %d fails with %v (seed %d): %s; %q", n, with, seed, wrong, s.disk.made)
				}
				if !hit {
					calls = max(calls, n-1)
					break
				}
				row.Events++
			}
		}
	}
	row.Figures = fmt.Sprintf("%d calls, %d errors and a crash; the kept number old or new each time", calls, len(diskErrors))
	FaultRows = append(FaultRows, row)
	if calls < 15 || row.Sent == 0 || row.Lost != 0 {
		t.Errorf("%d calls, %d datagrams sent, %d lost", calls, row.Sent, row.Lost)
	}
}

// diskFault loads a policy while call n of the disk fails, and then crashes. hit tells
// whether there was such a call.
func diskFault(t *testing.T, seed uint64, n int, with error) (s *sim, hit bool) {
	t.Helper()
	synctest.Test(t, func(*testing.T) {
		s = newSim(seed, io.Discard)
		s.depth = 64
		defer s.stops()
		s.allowsAll(1)
		if err := s.starts(); err != nil {
			s.wrong("start: %v", err)
			return
		}
		for i := range 2 {
			s.changes(&api.EndpointChange{
				Op: api.EndpointAdd, Name: fmt.Sprintf("e%d", i+1), Port: simPortName(i), MAC: fmt.Sprintf("02:00:00:00:00:%02x", i+1),
				IPs: []string{fmt.Sprintf("10.0.0.%d", i+1)}, Labels: map[string]string{"app": "a"},
			}, true)
			s.who[fmt.Sprintf("e%d", i+1)] = &simMember{i + 1, simPortName(i), "a"}
		}
		s.kept = map[uint64]bool{1: true}
		p := s.allowsAll(2)
		s.disk.arm(n, with)
		before := time.Now()
		_, err := s.sw.Control("", nil).LoadPolicy(&api.PolicyLoad{File: simPolicyFile})
		if hit = len(s.disk.made) > 0; !hit {
			s.disk.fails = 0
		}
		s.tookEffect(p, err, hit)
		s.send("while the disk fails", "p0", s.frame(1, 2, s.fresh(2)), true)
		s.send("while the disk fails", "p1", s.frame(2, 1, s.fresh(2)), true)
		if passed := time.Since(before); passed != 0 {
			s.wrong("%v passed", passed)
		}
		s.crashes(0, 0)
	})
	return s, hit
}

// A generation that could not be kept is written again as soon as its policy is loaded
// again, though it may be there to be read: what the disk has not got for good, a crash
// takes away. While nothing warns of it, it is there for good.
func TestAGenerationThatWasNotKeptIsWrittenAgain(t *testing.T) {
	notKept := 0
	for n := 1; n <= 25; n++ {
		for seed := range uint64(4) {
			synctest.Test(t, func(*testing.T) {
				s := newSim(seed, io.Discard)
				defer s.stops()
				if err := s.starts(); err != nil {
					t.Fatal(err)
				}
				p := s.allowsAll(1)
				s.policy = nil
				s.disk.arm(n, diskErrors[1])
				_, err := s.sw.Control("", nil).LoadPolicy(&api.PolicyLoad{File: simPolicyFile})
				s.tookEffect(p, err, true)
				if s.sw.keepErr != nil {
					notKept++
				}
				s.disk.fails = 0
				_, err = s.sw.Control("", nil).LoadPolicy(&api.PolicyLoad{File: simPolicyFile})
				s.tookEffect(p, err, false)
				s.crashes(0, 0)
				for _, wrong := range s.wrongs {
					t.Errorf("call %d fails (seed %d): %s; %q", n, seed, wrong, s.disk.made)
				}
			})
		}
	}
	if notKept == 0 {
		t.Error("the generation was kept each time: this says nothing")
	}
}

// allowsAll puts a policy of a generation into its file, for good.
func (s *sim) allowsAll(generation uint64) *simPolicy {
	p := &simPolicy{generation: generation, rules: []simRule{{ports: simPorts}}}
	data, err := p.artifact()
	if err != nil {
		s.wrong("%v", err)
	}
	s.disk.put(simPolicyFile, data)
	s.policy, s.onDisk = p, p
	return p
}

// A disk that loses what it may lose must be seen to: of a file that was not synced,
// and of a name whose directory was not.
func TestSimulatedDiskLosesWhatItMay(t *testing.T) {
	lost, cut, old := 0, 0, 0
	for seed := range uint64(200) {
		d := newSimDisk(rand.New(rand.NewPCG(seed, 0)))
		d.put("/d/name", []byte("old"))
		f, err := d.Create("/d/new")
		if err == nil {
			_, err = f.Write([]byte("a new text"))
		}
		if err = errors.Join(err, d.Rename("/d/new", "/d/name")); err != nil {
			t.Fatal(err)
		}
		d.crash()
		switch text := string(d.names["/d/name"].data); {
		case text == "old":
			old++
		case text == "":
			lost++
		case text != "a new text":
			cut++
		}
		if len(d.names) > 2 || strings.Contains(fmt.Sprint(d.names), "<nil>") {
			t.Fatalf("after a crash: %v", d.names)
		}
	}
	if lost == 0 || cut == 0 || old == 0 {
		t.Errorf("of 200 crashes %d left the old file, %d an empty one and %d a part", old, lost, cut)
	}
}
