package vswitch

import (
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"bulkhead/dataplane/policy"
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

// Keys change, and a policy comes back by a rollback, while two workers carry traffic:
// no frame that all of the policies allow is lost.
func TestKeysRotateUnderTraffic(t *testing.T) {
	l := started(t, twoWorkers+twoPorts())
	old, both, fresh := "policy_keys = [\""+inline(1)+"\"]\n", "policy_keys = [\""+inline(1)+"\", \""+inline(2)+"\"]\n", "policy_keys = [\""+inline(2)+"\"]\n"
	l.signed("one.bhp", 1, 1)
	l.signed("two.bhp", 2, 1, 2)
	l.signed("three.bhp", 3, 2)
	l.withRollback("two.bhp", 3, time.Now().Add(time.Hour), 2)
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
	for range 10 {
		for _, step := range []struct {
			keys, file string
			generation uint64
			by         []byte
		}{{both, "two.bhp", 2, []byte{1, 2}}, {fresh, "three.bhp", 3, []byte{2}}, {both, "two.bhp", 2, []byte{1, 2}}} {
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
