package fuzz

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"os"
	"testing"

	"bulkhead/dataplane/policy"
	"bulkhead/policyc/compile"
	"bulkhead/vswitch/config"
)

func seedFile(f *testing.F, name string) []byte {
	f.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	return b
}

// FuzzArtifact: a file is refused, or is a valid ruleset that writes the same
// file, links, and is judged by the tables as by the list. The checksum keeps
// the fuzzer out, not a stranger: so it is made right, and the file read again.
func FuzzArtifact(f *testing.F) {
	source := seedFile(f, "../examples/three-tier/policy.toml")
	rs, findings := compile.Compile([]compile.Source{{Name: "three-tier", Text: source}}, compile.Options{})
	if findings.Failed() {
		f.Fatal("the example does not compile")
	}
	good, err := policy.Encode(rs)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	for i := range rs.Rules {
		r := &rs.Rules[i]
		r.Owner, r.Reason, r.Log, r.Valid = "team-shop", "PCI 1.2.1", true, policy.Period{From: 1, Until: policy.MaxTime}
		r.Audit, r.Stateless = r.Verdict == policy.Deny, r.Verdict == policy.Allow
	}
	if good, err = policy.Encode(rs); err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Fuzz(func(t *testing.T, b []byte) {
		readArtifact(t, b)
		readArtifact(t, sealed(b))
	})
}

// begins is what every file begins with: the magic and the version.
var begins = func() []byte {
	b, err := policy.Encode(&policy.Ruleset{Sets: []policy.Set{{Name: "any"}}})
	if err != nil {
		panic(err)
	}
	return b[:12]
}()

// sealed gives a file the magic, the version, the length and the checksum that
// it should have; see the format in package policy.
func sealed(b []byte) []byte {
	const header, sum = 96, 64
	out := append(bytes.Clone(begins), make([]byte, header-12)...)
	if len(b) > 12 {
		out = append(out[:12], b[12:]...)
	}
	out = append(out, make([]byte, max(0, header-len(out)))...)
	binary.LittleEndian.PutUint64(out[16:], uint64(len(out)))
	clear(out[sum : sum+sha256.Size])
	right := sha256.Sum256(out)
	copy(out[sum:], right[:])
	return out
}

func readArtifact(t *testing.T, b []byte) {
	t.Helper()
	rs, err := policy.Decode(b)
	if err != nil {
		return
	}
	if err := rs.Validate(); err != nil {
		t.Fatalf("was read, but is not valid: %v", err)
	}
	again, err := policy.Encode(rs)
	if err != nil || !bytes.Equal(again, b) {
		t.Fatalf("was read, but writes another file: %v", err)
	}
	identities := [][]uint32{nil, {0}}
	for _, atom := range rs.Atoms() {
		identities = append(identities, numbers(atom.Sets))
	}
	for i := range rs.Sets {
		identities = append(identities, []uint32{0, uint32(i)})
	}
	compare(t, rs, identities[:min(len(identities), 256)], &draw{b})
}

// FuzzPolicySource: any text compiles or is explained; what compiles can be
// written, and means the same twice.
func FuzzPolicySource(f *testing.F) {
	seedFile(f, "../examples/three-tier/policy.toml")
	f.Add([]byte("version = 1\n[networks.n]\ncidrs = [\"10.0.0.0/8\"]\nexcept = [\"10.1.0.0/16\"]\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		sources := []compile.Source{{Name: "fuzz.toml", Text: b}}
		rs, findings := compile.Compile(sources, compile.Options{})
		if findings.Failed() {
			if findings.Errors() == 0 {
				t.Fatal("failed without an error")
			}
			return
		}
		if _, err := policy.Encode(rs); err != nil {
			t.Fatalf("compiled, but cannot be written: %v", err)
		}
		if again, _ := compile.Compile(sources, compile.Options{}); again.SourceHash != rs.SourceHash {
			t.Fatal("compiled twice, to two policies")
		}
	})
}

// FuzzConfig: any text is a configuration or a list of mistakes with places.
func FuzzConfig(f *testing.F) {
	seedFile(f, "../examples/three-tier/bulkhead.toml")
	f.Add([]byte("workers = 99999\n[[ports]]\nname = \"\"\nmac = \"x\"\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		cfg, err := config.Parse("fuzz.toml", b)
		mistakes, isList := err.(config.Mistakes)
		switch {
		case err == nil && cfg == nil:
			t.Fatal("neither a configuration nor mistakes")
		case err != nil && (!isList || len(mistakes) == 0):
			t.Fatalf("an error that is no list of mistakes: %v", err)
		}
		for _, m := range mistakes {
			if m.Line < 1 || m.Text == "" {
				t.Fatalf("a mistake without a place or a text: %+v", m)
			}
		}
	})
}
