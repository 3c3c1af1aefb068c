package fuzz

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"testing"

	"bulkhead/dataplane/policy"
	"bulkhead/policyc/compile"
)

const keptSource = "version = 1\n[services.web]\nlabels = { app = \"web\" }\n[networks.n]\ncidrs = [\"10.0.0.0/8\"]\n" +
	"[[rules]]\nname = \"a\"\nallow = { from = [\"n\"], to = [\"web\"], ports = [\"tcp/80\"] }\n" +
	"[[rules]]\nname = \"b\"\ndeny = { from = [\"any\", \"n\"], to = [\"web\"], ports = [\"udp/1-9\"] }\n" +
	"[[tests]]\nname = \"t\"\nfrom = \"10.0.0.1\"\nto = \"web\"\nport = \"tcp/80\"\nexpect = \"allow\"\n"

// FuzzKept: of what a build has kept any bytes may be left. With a wrong checksum it
// is not used, and the table is that of a whole build, which is the oracle; with a
// right one, as only who may write the table can make it, a build ends with a table
// that a switch takes, or with none.
func FuzzKept(f *testing.F) {
	sources := []compile.Source{{Name: "p.toml", Text: []byte(keptSource)}}
	whole, _, err := compile.Build(sources, compile.Options{Tool: "t"})
	if err != nil || whole.Kept == nil {
		f.Fatal(err, whole.Why)
	}
	kept := bytes.Join(whole.Kept, nil)
	f.Add(kept)
	f.Add(kept[:len(kept)-1])
	f.Add(bytes.Replace(kept, []byte(`"Size":`), []byte(`"Size":-`), 1))
	f.Add(bytes.Replace(kept, []byte(`"Lines":`), []byte(`"Lines":9`), 1))
	f.Add(bytes.Replace(kept, []byte(`"Rest":[`), []byte(`"Rest":[{"Size":0},`), 1))
	f.Add(bytes.Replace(kept, []byte(`"Name":"p.toml"`), []byte(`"Name":""`), 1))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, _, err := compile.Build(sources, compile.Options{Tool: "t", Kept: b})
		if err != nil || !bytes.Equal(got.Bytes, whole.Bytes) {
			t.Fatalf("the table is another: %v", err)
		}
		got, _, err = compile.Build(sources, compile.Options{Tool: "t", Kept: keptSumRight(b)})
		if err != nil {
			return
		}
		if _, err := policy.Decode(got.Bytes); err != nil {
			t.Fatal(err)
		}
	})
}

// keptSumRight gives a kept build the size and the checksum that it should have, so that the fuzzer
// need not find out how.
func keptSumRight(b []byte) []byte {
	const at, head = 8 + sha256.Size, 96
	if len(b) < at+4 {
		return b
	}
	out := bytes.Clone(b)
	size := len(out) - at - 4
	if table := bytes.LastIndex(out, []byte("BHPOLICY")); table >= at+4 {
		size = table - at - 4
	}
	binary.LittleEndian.PutUint32(out[at:], uint32(size))
	end := min(len(out), at+4+size+head)
	sum := sha256.Sum256(out[at:end])
	copy(out[8:], sum[:])
	return out
}
