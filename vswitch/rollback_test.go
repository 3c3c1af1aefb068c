package vswitch

import (
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"bulkhead/dataplane/policy"
	"bulkhead/vswitch/control/api"
)

// withRollback puts a key's word behind a signed policy of the lab.
func (l *lab) withRollback(name string, from uint64, until time.Time, seed byte) {
	l.t.Helper()
	data, err := os.ReadFile(l.path(name))
	if err != nil {
		l.t.Fatal(err)
	}
	artifact, _, err := policy.Unseal(data)
	if err != nil {
		l.t.Fatal(err)
	}
	back, err := policy.SignRollback(artifact, from, until.Unix(), signer(seed))
	if err == nil {
		data, err = back.Append(data)
	}
	if err == nil {
		err = os.WriteFile(l.path(name), data, 0o600)
	}
	if err != nil {
		l.t.Fatal(err)
	}
}

// An older policy comes back by a trusted key's word alone: by a load, by a reload and
// at the start, from the generations and in the time that the word is for, and not
// again when those are over.
func TestRollbackBySignature(t *testing.T) {
	l := started(t, twoPorts())
	keys := "policy_keys = [\"" + inline(1) + "\"]\n"
	soon := time.Now().Add(time.Hour)
	l.signed("five.bhp", 5, 1)
	l.signed("six.bhp", 6, 1)
	l.signed("seven.bhp", 7, 1)
	l.tookPolicy(l.reload(keys+"policy = \"six.bhp\"\n"+twoPorts()), 6, 1)
	l.refuses(l.load("five.bhp"), "generation 5 is older than 6, which is in force; build", 6)
	for _, c := range []struct {
		from  uint64
		until time.Time
		seed  byte
		says  string
	}{
		{5, soon, 1, "it takes back generations up to 5"},
		{6, time.Now().Add(-time.Second), 1, "it was good until"},
		{6, soon, 2, "is not trusted"},
		{6, time.Now().Add(policy.MaxRollback + time.Hour), 1, "31 days is the most"},
	} {
		l.withRollback("five.bhp", c.from, c.until, c.seed)
		l.refuses(l.load("five.bhp"), c.says, 6)
		l.refuses(l.reload(keys+"policy = \"five.bhp\"\n"+twoPorts()), c.says, 6)
		l.wants(l.starts(keys+"policy = \"five.bhp\"\n"), c.says)
	}
	l.withRollback("five.bhp", 6, soon, 1)
	l.wants(l.starts("policy_generation = 6\n"+keys+"policy = \"five.bhp\"\n"), "generation 5 is older than policy_generation, 6")
	l.wants(l.starts(keys+"policy_state = \"other\"\npolicy = \"five.bhp\"\n"), "")
	l.tookPolicy(l.load("five.bhp"), 5, 1)
	l.wants(l.starts(keys+"policy = \"five.bhp\"\n"), "")
	// Forward again, past what the word was for: it cannot be used again.
	l.tookPolicy(l.load("seven.bhp"), 7, 1)
	l.refuses(l.load("five.bhp"), "it takes back generations up to 6", 7)
	l.wants(l.starts(keys+"policy = \"five.bhp\"\n"), "it takes back generations up to 6")
	// Its signature lets no policy in that is not signed itself.
	l.signed("stranger.bhp", 5, 2)
	l.withRollback("stranger.bhp", 9, soon, 1)
	l.refuses(l.load("stranger.bhp"), "not signed by a trusted key", 7)
}

// What was taken back stays out without a word of its own, however late it is pushed,
// before a restart and after one: only the policy in force comes in again, and what is
// above all that there has been.
func TestWhatWasTakenBackStaysOut(t *testing.T) {
	l := started(t, twoPorts())
	keys := "policy_keys = [\"" + inline(1) + "\"]\npolicy_state = \"state\"\n"
	for name, n := range map[string]uint64{"four.bhp": 4, "five.bhp": 5, "six.bhp": 6, "seven.bhp": 7, "eight.bhp": 8} {
		l.signed(name, n, 1)
	}
	soon := time.Now().Add(time.Hour)
	l.tookPolicy(l.reload(keys+"policy = \"seven.bhp\"\n"+twoPorts()), 7, 1)
	l.withRollback("five.bhp", 7, soon, 1)
	l.tookPolicy(l.load("five.bhp"), 5, 1)
	l.signed("five.bhp", 5, 1) // without its word: it is in force
	l.withRollback("four.bhp", 6, soon, 1)
	five, late := keys+"policy = \"five.bhp\"\n", map[string]string{
		"six.bhp":   "generation 6 is not above 7, which was in force until 5 took it back",
		"seven.bhp": "generation 7 is not above 7, which was in force until 5 took it back",
		"four.bhp":  "it takes back generations up to 6",
	}
	for file, says := range late {
		l.refuses(l.load(file), says, 5)
		l.refuses(l.reload(keys+"policy = \""+file+"\"\n"+twoPorts()), says, 5)
		l.wants(l.starts(keys+"policy = \""+file+"\"\n"), says)
	}
	l.wants(l.starts(five), "")
	if text, err := os.ReadFile(l.path("state")); err != nil || string(text) != "5 7\n" {
		t.Fatalf("policy_state is %q, %v", text, err)
	}
	// The file is lost: this switch knows by itself, and writes it anew.
	if err := os.Remove(l.path("state")); err != nil {
		t.Fatal(err)
	}
	for file, says := range late {
		l.refuses(l.load(file), says, 5)
	}
	l.tookPolicy(l.load("five.bhp"), 5, 1)
	l.wants(l.starts(keys+"policy = \"six.bhp\"\n"), late["six.bhp"])
	// A candidate that came when it was new is not any more.
	l.signed("ten.bhp", 10, 1)
	if _, err := l.sw.Control("", nil).ShadowPolicy(&api.PolicyLoad{File: l.path("eight.bhp")}); err != nil {
		t.Fatal(err)
	}
	l.tookPolicy(l.load("ten.bhp"), 10, 1)
	l.withRollback("five.bhp", 10, soon, 1)
	l.tookPolicy(l.load("five.bhp"), 5, 1)
	_, err := l.sw.Control("", nil).CommitShadow()
	if err == nil || !strings.Contains(err.Error(), "generation 8 is not above 10") {
		t.Errorf("the candidate: %v", err)
	}
	// A word of its own brings back what was taken back.
	l.withRollback("seven.bhp", 10, soon, 1)
	l.tookPolicy(l.load("seven.bhp"), 7, 1)
	// A file of one number, as it was written before.
	if err := os.WriteFile(l.path("state"), []byte("7\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l.wants(l.starts(keys+"policy = \"six.bhp\"\n"), "generation 6 is older than 7")
	l.wants(l.starts(five), "") // by its word, from 10
	l.wants(l.starts(keys+"policy = \"six.bhp\"\n"), "generation 6 is not above 7")
	l.wants(l.starts(keys+"policy = \"eight.bhp\"\n"), "")
}

// Keys change, and a policy comes back by a rollback, while two workers carry traffic:
// no frame that all of the policies allow is lost.
func TestKeysRotateUnderTraffic(t *testing.T) {
	l := started(t, twoWorkers+twoPorts())
	old, both, fresh := "policy_keys = [\""+inline(1)+"\"]\n", "policy_keys = [\""+inline(1)+"\", \""+inline(2)+"\"]\n", "policy_keys = [\""+inline(2)+"\"]\n"
	l.signed("one.bhp", 1, 1)
	l.signed("two.bhp", 2, 1, 2)
	l.withRollback("two.bhp", 100, time.Now().Add(time.Hour), 2)
	l.tookPolicy(l.reload(old+twoWorkers+"policy = \"one.bhp\"\n"+twoPorts()), 1, 1)
	a, b := l.port("a"), l.port("b")
	var stop atomic.Bool
	var sent, got atomic.Uint64
	var all sync.WaitGroup
	all.Go(func() {
		for n := uint16(1); !stop.Load(); n++ {
			a.inject(int(n)%len(a.queues), syn(1, 2, n%500+1, 80))
			sent.Add(1)
			if n%16 == 0 {
				time.Sleep(100 * time.Microsecond) // less than the rings hold
			}
		}
	})
	all.Go(func() {
		for quiet := 0; quiet < 2000; {
			if _, out := b.takes(0); out {
				got.Add(1)
				quiet = 0
				continue
			}
			if stop.Load() {
				quiet++
			}
			time.Sleep(50 * time.Microsecond)
		}
	})
	for i := range uint64(10) {
		l.signed("three.bhp", 3+i, 2) // above the last, which was taken back
		for _, step := range []struct {
			keys, file string
			generation uint64
			by         []byte
		}{{both, "two.bhp", 2, []byte{1, 2}}, {fresh, "three.bhp", 3 + i, []byte{2}}, {both, "two.bhp", 2, []byte{1, 2}}} {
			l.tookPolicy(l.reload(step.keys+twoWorkers+"policy = \""+step.file+"\"\n"+twoPorts()), step.generation, step.by...)
			before := sent.Load()
			eventually(t, "traffic goes on", func() bool { return sent.Load() > before+100 })
		}
	}
	stop.Store(true)
	all.Wait()
	if sent.Load() != got.Load() || sent.Load() < 1000 {
		t.Errorf("%d frames were sent, and %d came", sent.Load(), got.Load())
	}
}
