package vswitch

import (
	"bytes"
	"crypto/ed25519"
	"log/slog"
	"os"
	"strings"
	"testing"

	"bulkhead/dataplane/policy"
	"bulkhead/policyc/compile"
	"bulkhead/vswitch/control/api"
)

// signer is a key of a seed.
func signer(seed byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
}

func inline(seed byte) string {
	return policy.FormatKey(signer(seed).Public().(ed25519.PublicKey))
}

// signed compiles a policy of a generation and signs it with keys.
func (l *lab) signed(name string, generation uint64, seeds ...byte) {
	l.t.Helper()
	rs, _ := compile.Compile([]compile.Source{{Name: name, Text: []byte("version = 1\n[[rules]]\nname = \"all\"\nallow = { from = [\"any\"], to = [\"any\"], ports = [\"any\"] }\n")}}, compile.Options{Generation: generation})
	data, err := policy.Encode(rs)
	var list []policy.Signature
	for _, seed := range seeds {
		s, failed := policy.Sign(data, signer(seed))
		if failed != nil {
			l.t.Fatal(failed)
		}
		list = append(list, s)
	}
	if err == nil && len(list) > 0 {
		data, err = policy.Seal(data, list)
	}
	if err == nil {
		err = os.WriteFile(l.path(name), data, 0o600)
	}
	if err != nil {
		l.t.Fatal(err)
	}
}

// refuses tells that an error says this, that the status says it, too, and that
// the policy of a generation is still in force.
func (l *lab) refuses(err error, says string, inForce uint64) {
	l.t.Helper()
	s, statusErr := l.sw.Control("", nil).Status()
	if statusErr != nil {
		l.t.Fatal(statusErr)
	}
	if err == nil || !strings.Contains(err.Error(), says) {
		l.t.Errorf("%v; want %q", err, says)
	}
	if !strings.Contains(s.PolicyError, says) || s.PolicyGeneration != inForce || s.Policy != "loaded" {
		l.t.Errorf("the status says %q, generation %d, %s", s.PolicyError, s.PolicyGeneration, s.Policy)
	}
}

// tookPolicy tells that a policy came into force, whose it is, and that the status
// has no error any more.
func (l *lab) tookPolicy(err error, generation uint64, by ...byte) {
	l.t.Helper()
	s, statusErr := l.sw.Control("", nil).Status()
	if err != nil || statusErr != nil {
		l.t.Fatal(err, statusErr)
	}
	var want []string
	for _, seed := range by {
		want = append(want, policy.IDOf(signer(seed).Public().(ed25519.PublicKey)).String())
	}
	if s.PolicyGeneration != generation || s.PolicyError != "" || strings.Join(s.PolicySignedBy, " ") != strings.Join(want, " ") {
		l.t.Errorf("generation %d, by %v, error %q; want %d by %v", s.PolicyGeneration, s.PolicySignedBy, s.PolicyError, generation, want)
	}
}

// With keys a policy is taken only if one of them signed it and it is not older
// than the one in force; whatever is refused leaves that one be.
func TestOnlyASignedPolicyOfTodayIsLoaded(t *testing.T) {
	l := started(t, twoPorts())
	l.signed("good.bhp", 5, 1)
	l.signed("newer.bhp", 6, 2)
	l.signed("older.bhp", 4, 1)
	l.signed("unsigned.bhp", 9)
	l.signed("stranger.bhp", 9, 3)
	l.signed("forged.bhp", 9, 1)
	flip(t, l.path("forged.bhp"))
	keys := "policy_keys = [\"" + inline(1) + "\", \"" + inline(2) + "\"]\n"
	l.tookPolicy(l.reload(keys+"policy = \"good.bhp\"\n"+twoPorts()), 5, 1)
	l.refuses(l.load("unsigned.bhp"), "it has no signature", 5)
	l.refuses(l.load("stranger.bhp"), "not signed by a trusted key", 5)
	l.refuses(l.load("forged.bhp"), "wrongly signed", 5)
	l.refuses(l.load("older.bhp"), "generation 4 is older than 5", 5)
	l.refuses(l.reload(keys+"policy = \"older.bhp\"\n"+twoPorts()), "generation 4 is older than 5", 5)
	l.tookPolicy(l.load("newer.bhp"), 6, 2)
	l.refuses(l.load("good.bhp"), "--allow-older", 6)
	_, err := l.sw.Control("", nil).LoadPolicy(&api.PolicyLoad{File: l.path("good.bhp"), AllowOlder: true})
	l.tookPolicy(err, 5, 1)
	_, err = l.sw.Control("", nil).LoadPolicy(&api.PolicyLoad{File: l.path("unsigned.bhp"), AllowOlder: true})
	l.refuses(err, "it has no signature", 5)
}

// A key that the configuration takes back is not trusted from then on, and
// without keys anything that is whole is loaded.
func TestKeysFollowTheConfiguration(t *testing.T) {
	l := started(t, twoPorts())
	l.signed("a.bhp", 5, 1)
	l.signed("b.bhp", 5, 1, 2)
	l.signed("plain.bhp", 1)
	l.tookPolicy(l.reload("policy_keys = [\""+inline(1)+"\"]\npolicy = \"a.bhp\"\n"+twoPorts()), 5, 1)
	only2 := "policy_keys = [\"two.pub\"]\n"
	l.refuses(l.reload(only2+"policy = \"b.bhp\"\n"+twoPorts()), "two.pub: no such file", 5)
	_, public, err := policy.MarshalKeys(signer(2))
	if err == nil {
		err = os.WriteFile(l.path("two.pub"), public, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	l.tookPolicy(l.reload(only2+"policy = \"b.bhp\"\n"+twoPorts()), 5, 2)
	l.refuses(l.load("a.bhp"), "not signed by a trusted key", 5)
	l.tookPolicy(l.reload("policy = \"plain.bhp\"\n"+twoPorts()), 1)
	l.tookPolicy(l.load("a.bhp"), 5)
	l.refuses(l.reload("policy_generation = 6\npolicy = \"a.bhp\"\n"+twoPorts()), "generation 5 is older than policy_generation, 6", 5)
}

// At the start there is no policy to keep: the switch does not start.
func TestASwitchDoesNotStartWithAPolicyItDoesNotTrust(t *testing.T) {
	l := started(t, twoPorts())
	l.signed("p.bhp", 5)
	for _, c := range []struct{ config, says string }{
		{"policy_keys = [\"" + inline(1) + "\"]\n", "it has no signature"},
		{"policy_keys = [\"none.pub\"]\n", "no policy is loaded without its keys"},
		{"policy_generation = 6\n", "generation 5 is older than policy_generation, 6"},
	} {
		sw, err := New(l.config(c.config+"policy = \"p.bhp\"\n"+twoPorts()), l.open, slog.New(slog.DiscardHandler))
		if err == nil {
			_ = sw.Close()
		}
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%q: %v", c.says, err)
		}
	}
}

// flip flips a bit in the middle of a file's artifact.
func flip(t *testing.T, name string) {
	t.Helper()
	data, err := os.ReadFile(name)
	if err == nil {
		data[40] ^= 1
		err = os.WriteFile(name, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}
