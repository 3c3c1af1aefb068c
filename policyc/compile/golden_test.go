package compile

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"bulkhead/dataplane/policy"
	"bulkhead/policyc/internal/worlds"
)

// ever is the SHA-256 of the tables of all the worlds below, as the first release
// built them. It changes with the language, the artifact, or what worlds draws, and
// with nothing else.
const ever = "f650406811a8c673b952cb6936f166676a2ad27822b5900104a79386def83ad3"

// The compiler is made faster and smaller, and its tables stay the same to the
// byte: on one processor and on two, whatever the order of the files, and where a
// file is large enough to be read in parts.
func TestTablesAreAsEver(t *testing.T) {
	for _, threads := range []int{1, 2} {
		sum := sha256.New()
		func() {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(threads))
			for seed := range uint64(150) {
				r := rand.New(rand.NewPCG(seed, 4))
				size := worlds.Small(r)
				if seed%50 == 0 {
					size = worlds.Large(1500)
				}
				sum.Write(tableOf(t, sourcesOf(worlds.Draw(r, size)), seed))
			}
			sum.Write(tableOf(t, city(1_000, 3_000), 1_000))
		}()
		if got := fmt.Sprintf("%x", sum.Sum(nil)); got != ever {
			t.Errorf("on %d processors the tables are %s, not %s", threads, got, ever)
		}
	}
}

// sourcesOf are the files of a world.
func sourcesOf(w *worlds.World) []Source {
	var out []Source
	for i, text := range worlds.Files(w.Statements) {
		out = append(out, Source{Name: fmt.Sprintf("%d.toml", i), Text: []byte(text)})
	}
	return out
}

// tableOf is the table of some files, which must be that of the files the other way
// about, too.
func tableOf(t *testing.T, sources []Source, seed uint64) []byte {
	t.Helper()
	var tables [2][]byte
	for i := range tables {
		rs, findings := Compile(sources, Options{Generation: seed})
		if findings.Failed() {
			return nil // some draw what is refused
		}
		data, err := policy.Encode(rs)
		if err != nil {
			t.Fatal(err)
		}
		tables[i] = data
		slices.Reverse(sources)
	}
	if !slices.Equal(tables[0], tables[1]) {
		t.Errorf("seed %d: the order of the files changes the table", seed)
	}
	return tables[0]
}
