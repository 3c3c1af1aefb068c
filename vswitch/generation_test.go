package vswitch

import (
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"

	"bulkhead/vswitch/control/api"
)

// starts tells what a switch of a configuration says when it starts: "" for
// nothing.
func (l *lab) starts(text string) string {
	l.t.Helper()
	sw, err := New(l.config(text+twoPorts()), l.open, slog.New(slog.DiscardHandler))
	if err != nil {
		return err.Error()
	}
	if err := sw.Close(); err != nil {
		l.t.Fatal(err)
	}
	return ""
}

func (l *lab) wants(got, says string) {
	l.t.Helper()
	if (got == "") != (says == "") || !strings.Contains(got, says) {
		l.t.Errorf("it says %q, want %q", got, says)
	}
}

// A restart is no way back to an older policy: not at the start, not after it,
// and not by way of no policy at all.
func TestARestartIsNoWayBackToAnOlderPolicy(t *testing.T) {
	l := started(t, twoPorts())
	l.signed("new.bhp", 5, 1)
	l.signed("old.bhp", 4, 1)
	keys := "policy_keys = [\"" + inline(1) + "\"]\n"
	l.tookPolicy(l.reload(keys+"policy = \"new.bhp\"\n"+twoPorts()), 5, 1)
	l.wants(l.starts(keys+"policy = \"old.bhp\"\n"), "generation 4 is older than 5, which was in force before, says "+l.path("s.sock.generation"))
	l.wants(l.starts(keys+"policy = \"new.bhp\"\n"), "")

	if err := l.reload(keys + twoPorts()); err != nil {
		t.Fatal(err)
	}
	if err := l.reload(keys + "policy = \"old.bhp\"\n" + twoPorts()); err == nil || !strings.Contains(err.Error(), "generation 4 is older than 5, which was in force before") {
		t.Errorf("without a policy in force: %v", err)
	}
	// Without keys anybody's policy is loaded, of any generation, and none is noted.
	l.signed("plain.bhp", 1)
	l.wants(l.starts("policy = \"plain.bhp\"\n"), "")
	l.wants(l.starts(keys+"policy = \"old.bhp\"\n"), "is older than 5")
}

// Who asks by name to go back is back after a restart, too, and comes forward again by
// name or with what is new.
func TestGoingBackByNameIsKept(t *testing.T) {
	l := started(t, twoPorts())
	l.signed("new.bhp", 5, 1)
	l.signed("old.bhp", 4, 1)
	keys := "policy_keys = [\"" + inline(1) + "\"]\n"
	l.tookPolicy(l.reload(keys+"policy = \"new.bhp\"\n"+twoPorts()), 5, 1)
	_, err := l.sw.Control("", nil).LoadPolicy(&api.PolicyLoad{File: l.path("old.bhp"), AllowOlder: true})
	l.tookPolicy(err, 4, 1)
	l.wants(l.starts(keys+"policy = \"old.bhp\"\n"), "")
	l.wants(l.starts(keys+"policy = \"new.bhp\"\n"), "generation 5 is not above 5, which was in force until 4 took it back")
	_, err = l.sw.Control("", nil).LoadPolicy(&api.PolicyLoad{File: l.path("new.bhp"), AllowOlder: true})
	l.tookPolicy(err, 5, 1)
	l.wants(l.starts(keys+"policy = \"new.bhp\"\n"), "")
	l.wants(l.starts(keys+"policy = \"old.bhp\"\n"), "is older than 5")
}

// A file that is lost is no memory, one that cannot be understood is a doubt: no
// policy is taken then, and what is in force stays.
func TestAStateThatCannotBeReadStopsTheLoad(t *testing.T) {
	l := started(t, twoPorts())
	l.signed("new.bhp", 5, 1)
	l.signed("old.bhp", 4, 1)
	keys := "policy_keys = [\"" + inline(1) + "\"]\npolicy_state = \"state\"\n"
	l.tookPolicy(l.reload(keys+"policy = \"new.bhp\"\n"+twoPorts()), 5, 1)
	state := l.path("state")
	if text, err := os.ReadFile(state); err != nil || string(text) != "5\n" {
		t.Fatalf("%q, %v", text, err)
	}
	for what, text := range map[string]string{
		"empty": "", "cut": "5", "a line end": "\n", "a sign": "-5\n", "two": "5\n6\n", "a half": "5 \n", "three": "5 6 7\n", "in force above the highest": "6 5\n", "the highest too large": "5 9007199254740993\n", "hexadecimal": "0x5\n", "no number": "five\n",
		"too large": "9007199254740993\n", "too long": strings.Repeat("0", 64) + "\n", "noughts": "\x00\x00",
	} {
		if err := os.WriteFile(state, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if says := l.starts(keys + "policy = \"new.bhp\"\n"); !strings.Contains(says, "policy_state: ") || !strings.Contains(says, "remove it to begin anew") {
			t.Errorf("%s: %q", what, says)
		}
		l.refuses(l.load("new.bhp"), "policy_state", 5)
	}
	_, err := l.sw.Control("", nil).LoadPolicy(&api.PolicyLoad{File: l.path("new.bhp"), AllowOlder: true})
	l.tookPolicy(err, 5, 1) // and it is mended by that
	l.wants(l.starts(keys+"policy = \"old.bhp\"\n"), "is older than 5")
	if err := os.Remove(state); err != nil {
		t.Fatal(err)
	}
	l.wants(l.starts("policy_generation = 5\n"+keys+"policy = \"old.bhp\"\n"), "older than policy_generation")
	l.wants(l.starts(keys+"policy = \"old.bhp\"\n"), "")
	if names, err := os.ReadDir(l.dir); err != nil || slices.ContainsFunc(names, func(e os.DirEntry) bool { return strings.HasPrefix(e.Name(), ".generation-") }) {
		t.Errorf("left behind: %v, %v", names, err)
	}
}

// A policy that takes something back does not wait for a disk: it is in force,
// and the status warns.
func TestAStateThatCannotBeWrittenIsAWarning(t *testing.T) {
	l := started(t, twoPorts())
	l.signed("new.bhp", 5, 1)
	keys := "policy_keys = [\"" + inline(1) + "\"]\npolicy = \"new.bhp\"\n"
	l.tookPolicy(l.reload("policy_state = \"/proc/none.generation\"\n"+keys+twoPorts()), 5, 1)
	warned := func() bool {
		s, err := l.sw.Control("", nil).Status()
		if err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(s.Warnings, func(w string) bool { return strings.Contains(w, "generation is not kept over a restart") })
	}
	if !warned() {
		t.Error("the status does not warn")
	}
	l.tookPolicy(l.reload("policy_state = \"later/state\"\n"+keys+twoPorts()), 5, 1)
	if warned() {
		t.Error("the status still warns")
	}
}
