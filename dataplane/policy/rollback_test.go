package policy

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"testing"
)

func takesBack(t testing.TB, artifact []byte, from uint64, until int64, seed byte) *Rollback {
	t.Helper()
	r, err := SignRollback(artifact, from, until, testKey(seed))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// A rollback counts for its table, up to its generation, before its time is over, by a
// key that is trusted, and not otherwise.
func TestRollbackPermits(t *testing.T) {
	artifact := encoded(t)
	other := bytes.Clone(artifact)
	other[len(other)-1] ^= 1
	const day = 24 * 3600
	r := takesBack(t, artifact, 8, 10*day, 1)
	for _, c := range []struct {
		situation string
		artifact  []byte
		inForce   uint64
		trusted   byte
		now       int64
		want      error
	}{
		{"in its time", artifact, 8, 1, 9 * day, nil},
		{"in force is an earlier one", artifact, 5, 1, 9 * day, nil},
		{"a second before it is over", artifact, 8, 1, 10*day - 1, nil},
		{"over", artifact, 8, 1, 10 * day, ErrNoRollback},
		{"good for too long", artifact, 8, 1, -22 * day, ErrNoRollback},
		{"a later one is in force", artifact, 9, 1, 9 * day, ErrNoRollback},
		{"another key", artifact, 8, 2, 9 * day, ErrNoRollback},
		{"another table", other, 8, 1, 9 * day, ErrForged},
	} {
		err := r.Permits(c.artifact, c.inForce, []ed25519.PublicKey{publicOf(testKey(c.trusted))}, c.now)
		if !errors.Is(err, c.want) || c.want == nil && err != nil {
			t.Errorf("%s: %v, want %v", c.situation, err, c.want)
		}
	}
	for _, stretch := range []func(*Rollback){func(r *Rollback) { r.From++ }, func(r *Rollback) { r.Until++ }} {
		longer := *r
		stretch(&longer)
		if err := longer.Permits(artifact, 8, []ed25519.PublicKey{publicOf(testKey(1))}, 9*day); !errors.Is(err, ErrForged) {
			t.Errorf("one that was made longer: %v", err)
		}
	}
}

// The word of one is not the other's: a signature on a policy takes nothing back.
func TestASignatureOnAPolicyIsNoRollback(t *testing.T) {
	artifact := encoded(t)
	s, err := Sign(artifact, testKey(1))
	if err != nil {
		t.Fatal(err)
	}
	r := &Rollback{From: 8, Until: 100, Signature: s}
	if err := r.Permits(artifact, 8, []ed25519.PublicKey{publicOf(testKey(1))}, 1); !errors.Is(err, ErrForged) {
		t.Errorf("a policy's signature takes back: %v", err)
	}
	if _, err := Trust(artifact, []Signature{takesBack(t, artifact, 8, 100, 1).Signature}, []ed25519.PublicKey{publicOf(testKey(1))}); !errors.Is(err, ErrForged) {
		t.Errorf("a rollback's signature lets a policy in: %v", err)
	}
}

// It stands behind the signatures; the table and they are as without it. What is cut,
// longer or of another form is refused, at every byte.
func TestRollbackInTheFile(t *testing.T) {
	artifact := encoded(t)
	file := signedBy(t, artifact, 1, 2)
	r := takesBack(t, artifact, 8, 100, 1)
	with, err := r.Append(file)
	if err != nil {
		t.Fatal(err)
	}
	inside, signatures, err := Unseal(with)
	got, err2 := RollbackOf(with)
	if err != nil || err2 != nil || !bytes.Equal(inside, artifact) || len(signatures) != 2 || *got != *r {
		t.Fatalf("%d signatures, %+v, %v, %v", len(signatures), got, err, err2)
	}
	if again, err := r.Append(with); err != nil || !bytes.Equal(again, with) {
		t.Errorf("in place of itself it is another: %v", err)
	}
	if got, err := RollbackOf(file); got != nil || err != nil {
		t.Errorf("a file without one has %+v, %v", got, err)
	}
	if _, err := r.Append(artifact); err == nil {
		t.Error("it stands behind no signatures")
	}
	for n := len(file) + 1; n < len(with); n++ {
		if _, _, err := Unseal(with[:n]); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
	}
	if _, _, err := Unseal(append(bytes.Clone(with), 0)); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a byte more: %v", err)
	}
	trusted := []ed25519.PublicKey{publicOf(testKey(1)), publicOf(testKey(2))}
	for bit := range 8 * rollbackSize {
		bad := bytes.Clone(with)
		bad[len(file)+bit/8] ^= 1 << (bit % 8)
		r, err := RollbackOf(bad)
		if err == nil && r.Permits(artifact, 8, trusted, 50) == nil {
			t.Fatalf("bit %d of it says nothing", bit)
		}
	}
}
