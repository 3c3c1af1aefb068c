package run

import (
	"context"
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"

	"bulkhead/bench/peers"
	"bulkhead/bench/report"
	"bulkhead/bench/scenario"
)

func quiet(string) {}

// A B C A B C: what the machine does besides hits every subject alike.
func TestRoundsAreInterleaved(t *testing.T) {
	var order []string
	subjects := []peers.Peer{{Name: "a"}, {Name: "b"}, {Name: "c"}}
	figures, _, err := interleave(context.Background(), scenario.Scenario{Name: "s"}, subjects, Options{Rounds: 2, Progress: quiet}, func(p peers.Peer) ([]report.Value, string, error) {
		order = append(order, p.Name)
		return []report.Value{{Case: "x", Value: float64(len(order))}, {Case: "y", Value: 0}}, "note of " + p.Name, nil
	})
	if err != nil || strings.Join(order, "") != "abcabc" {
		t.Errorf("order %v, %v", order, err)
	}
	if len(figures) != 6 {
		t.Fatalf("%d figures of three subjects and two cases", len(figures))
	}
	if f := figures[2]; f.Subject != "b" || f.Case != "x" || f.Rounds[0] != 2 || f.Rounds[1] != 5 || f.Note != "note of b" || f.Scenario != "s" {
		t.Errorf("%+v", f)
	}
}

func TestAFailureNamesSubjectAndRound(t *testing.T) {
	n := 0
	_, _, err := interleave(context.Background(), scenario.Scenario{}, []peers.Peer{{Name: "a"}, {Name: "b"}}, Options{Rounds: 3, Progress: quiet}, func(peers.Peer) ([]report.Value, string, error) {
		if n++; n == 3 {
			return nil, "", errors.New("no byte arrived")
		}
		return nil, "", nil
	})
	if err == nil || err.Error() != "a, round 2: no byte arrived" {
		t.Errorf("%v", err)
	}
}

// A peer that fails costs its own figures, is not asked again, and is told of;
// one whose programs are missing is told of with the cure.
func TestPeersThatCannotRunAreLeftOut(t *testing.T) {
	n := 0
	figures, remarks, err := interleave(context.Background(), scenario.Scenario{Name: "s"}, []peers.Peer{{Name: "a"}, {Name: "b"}}, Options{Rounds: 3, Progress: quiet}, func(p peers.Peer) ([]report.Value, string, error) {
		if n++; n == 4 {
			return nil, "", errors.New("no\nsuch device")
		}
		return []report.Value{{Case: "x"}}, "", nil
	})
	if err != nil || n != 5 || len(figures) != 1 || figures[0].Subject != "a" || len(figures[0].Rounds) != 3 {
		t.Errorf("%d calls, %+v, %v", n, figures, err)
	}
	if len(remarks) != 1 || remarks[0] != "s: b is left out, it failed in round 2: no such device" {
		t.Errorf("%q", remarks)
	}
	ovs := peers.Peer{Name: "ovs", Tools: []peers.Tool{{Command: "ovs-vsctl", Package: "openvswitch-switch"}}}
	none := func(string) (string, error) { return "", exec.ErrNotFound }
	there, remarks, err := present("s", []peers.Peer{{Name: "a"}, ovs}, none)
	if err != nil || len(there) != 1 || len(remarks) != 1 || remarks[0] != "s: ovs is left out: ovs-vsctl: not found; apt-get install openvswitch-switch" {
		t.Errorf("%v, %q, %v", there, remarks, err)
	}
	if _, _, err := present("s", []peers.Peer{ovs, {Name: "a"}}, none); err == nil {
		t.Error("goes on without the first")
	}
}

// A case that some subject lacks in some round would compare rounds that were
// not measured together: it is left out, and the report says so.
func TestCasesWithHolesAreLeftOut(t *testing.T) {
	var f Figures
	for _, v := range []struct{ subject, name string }{
		{"a", "p50"}, {"a", "p99.99"}, {"b", "p50"},
		{"a", "p50"}, {"a", "p99.99"}, {"b", "p50"}, {"b", "p99.99"},
	} {
		f.Add("rtt", v.subject, "", report.Value{Case: v.name})
	}
	whole, remarks := complete(f, 2)
	if len(whole) != 2 || whole[0].Case != "p50" || whole[1].Case != "p50" {
		t.Errorf("%+v", whole)
	}
	if len(remarks) != 1 || !strings.Contains(remarks[0], "p99.99 is left out: b had") || !strings.Contains(remarks[0], "1 of 2 rounds") {
		t.Errorf("%q", remarks)
	}
}

func TestMissingToolsAreNamedWithTheirPackages(t *testing.T) {
	subjects := []peers.Peer{
		{Name: "a", Tools: []peers.Tool{{Command: "ip", Package: "iproute2"}, {Command: "nft", Package: "nftables"}}},
		{Name: "b", Tools: []peers.Tool{{Command: "bridge", Package: "iproute2"}, {Command: "nft", Package: "nftables"}, {Command: "sh", Package: "dash"}}},
	}
	look := func(name string) (string, error) {
		if name == "sh" {
			return "/bin/sh", nil
		}
		return "", exec.ErrNotFound
	}
	err := NeedsTools(subjects, look)
	if err == nil || err.Error() != "ip, nft, bridge: not found; apt-get install iproute2 nftables" {
		t.Errorf("%v", err)
	}
	if err := NeedsTools(subjects[:1], func(string) (string, error) { return "/", nil }); err != nil {
		t.Errorf("nothing is missing: %v", err)
	}
}

func TestNeedsRootSaysWhatDoesNot(t *testing.T) {
	if err := needsRoot(0); err != nil {
		t.Error(err)
	}
	if err := needsRoot(1000); err == nil || !strings.Contains(err.Error(), "vsbench run walk") {
		t.Errorf("%v", err)
	}
}

// One scenario that fails does not cost the others' figures; an interrupt ends
// all.
func TestFailureIsReportedAndTheRestGoesOn(t *testing.T) {
	broken := scenario.Scenario{Name: "broken", Kind: scenario.TCP, Subjects: []string{"no-such-peer"}}
	var r report.Report
	if err := All(context.Background(), []scenario.Scenario{broken, broken}, Options{Rounds: 1, Progress: quiet}, &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Failures) != 2 || !strings.Contains(r.Failures[0], "no-such-peer") || !strings.HasPrefix(r.Failures[0], "broken: ") {
		t.Errorf("%q", r.Failures)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := All(ctx, []scenario.Scenario{{Name: "walk", Kind: scenario.Walk}}, Options{Rounds: 1, For: time.Second, Progress: quiet}, new(report.Report)); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestMachineIsKnown(t *testing.T) {
	m := Machine()
	if m.Kernel == "unknown" || m.CPUs < 1 || !strings.HasPrefix(m.Go, "go") || !strings.Contains(m.Arch, "/") || len(strings.Fields(m.Load)) != 3 {
		t.Errorf("%+v", m)
	}
	if got := cpu("processor\t: 0\nmodel name\t: AMD EPYC 7\n"); got != "AMD EPYC 7" {
		t.Errorf("CPU %q", got)
	}
	if got := cpu("Features : asimd\n"); got != "unknown CPU" {
		t.Errorf("CPU %q", got)
	}
}
