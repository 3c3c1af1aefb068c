package fuzz

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"testing"

	"bulkhead/dataplane/policy"
	"bulkhead/policyc/compile"
)

// FuzzSeal: whatever bytes stand before and behind each other, only what the
// key did sign is trusted; what splits into an artifact and signatures writes
// the same file again. Nobody can forge, so what is trusted must be the one
// artifact that was signed: that is the oracle.
func FuzzSeal(f *testing.F) {
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	rs, _ := compile.Compile([]compile.Source{{Name: "p.toml", Text: []byte("version = 1\n")}}, compile.Options{Generation: 3})
	artifact, err := policy.Encode(rs)
	if err != nil {
		f.Fatal(err)
	}
	signature, err := policy.Sign(artifact, key)
	if err != nil {
		f.Fatal(err)
	}
	file, err := policy.Seal(artifact, []policy.Signature{signature, {Key: policy.KeyID{255}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(file)
	f.Add(artifact)
	f.Add(file[:len(file)-1])
	f.Add(append(bytes.Clone(file), file[len(artifact):]...))
	back, err := policy.SignRollback(artifact, 9, 1<<31, key)
	if err != nil {
		f.Fatal(err)
	}
	if with, err := back.Append(file); err == nil {
		f.Add(with)
		f.Add(with[:len(with)-1])
	}
	f.Add(append(newer(f), file[len(artifact):]...)) // another's signatures
	f.Fuzz(func(t *testing.T, b []byte) {
		judgeSeal(t, b, artifact, key)
		judgeSeal(t, lengthRight(b), artifact, key)
	})
}

// newer is an artifact that nobody signed.
func newer(f *testing.F) []byte {
	rs, _ := compile.Compile([]compile.Source{{Name: "p.toml", Text: []byte("version = 1\n")}}, compile.Options{Generation: 4})
	b, err := policy.Encode(rs)
	if err != nil {
		f.Fatal(err)
	}
	return b
}

// lengthRight has a file say that its artifact ends where the magic of the
// signatures begins, so that the fuzzer need not find out how.
func lengthRight(b []byte) []byte {
	at := bytes.LastIndex(b, []byte("BHSEALED"))
	if at < 96 {
		return b
	}
	out := bytes.Clone(b)
	copy(out, "BHPOLICY")
	binary.LittleEndian.PutUint64(out[16:], uint64(at))
	return out
}

// sealedAgain writes what was read: signatures, and a rollback if there is one.
func sealedAgain(b, artifact []byte, signatures []policy.Signature) ([]byte, error) {
	again, err := policy.Seal(artifact, signatures)
	back, _ := policy.RollbackOf(b)
	if err != nil || back == nil {
		return again, err
	}
	return back.Append(again)
}

func judgeSeal(t *testing.T, b, signed []byte, key ed25519.PrivateKey) {
	t.Helper()
	artifact, signatures, err := policy.Unseal(b)
	if err != nil {
		return
	}
	if len(signatures) == 0 {
		if !bytes.Equal(artifact, b) {
			t.Fatal("without signatures, but not the whole file")
		}
	} else if again, err := sealedAgain(b, artifact, signatures); err != nil || !bytes.Equal(again, b) {
		t.Fatalf("%d signatures were read, but write another file: %v", len(signatures), err)
	}
	if back, err := policy.RollbackOf(b); err != nil {
		t.Fatalf("the signatures were read, and the rollback was not: %v", err)
	} else if back != nil && back.Permits(artifact, 0, []ed25519.PublicKey{key.Public().(ed25519.PublicKey)}, back.Until-1) == nil && (!bytes.Equal(artifact, signed) || back.From != 9) {
		t.Fatal("it takes back what was never signed")
	}
	by, err := policy.Trust(artifact, signatures, []ed25519.PublicKey{key.Public().(ed25519.PublicKey)})
	if (err == nil) != (len(by) > 0) {
		t.Fatalf("trusted by %v, and %v", by, err)
	}
	if err == nil && !bytes.Equal(artifact, signed) {
		t.Fatal("trusted, and never signed")
	}
}
