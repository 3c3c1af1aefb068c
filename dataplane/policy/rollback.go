package policy

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/sha512"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"
)

// A switch with keys takes no older policy than the one in force. A rollback is a
// key's word that one may be taken all the same: this table, in place of generations
// up to From, until a time. It stands behind the signatures of the file,
//
//	 0  magic "BHGOBACK"
//	 8  from  uint64, the last generation that it takes back
//	16  until uint64, seconds since 1970: the first moment at which it says nothing
//	24  the key's id, 8 bytes, and its signature, 64 bytes
//
// little-endian. The signature is Ed25519ph as a policy's is, with a context of its
// own, over the SHA-512 of the table, from and until: a signature on a policy takes
// nothing back, and one on a rollback lets no policy in by itself.
//
// It cannot be used again later: not for another table, not when a generation after
// From has been in force, and not when its time is over. Within its time and its
// generations it can, which is why both are to be small.
const (
	rollbackMagic   = "BHGOBACK"
	rollbackContext = "bulkhead rollback 1"
	rollbackHead    = len(rollbackMagic) + 8 + 8
	rollbackSize    = rollbackHead + signatureSize
	// MaxRollback bounds how long a rollback may be good for, from when it is used.
	MaxRollback = 31 * 24 * time.Hour
)

var takingBack = ed25519.Options{Hash: crypto.SHA512, Context: rollbackContext}

// Rollback is one key's word that an older policy may be taken.
type Rollback struct {
	From  uint64 // the last generation that it takes back
	Until int64  // seconds since 1970: the first moment at which it says nothing
	Signature
}

// What is wrong with a rollback. Permits wraps one of them.
var (
	// ErrNoRollback: its key is not trusted, or it does not reach that far.
	ErrNoRollback = errors.New("its rollback does not count")
)

// SignRollback signs that an artifact may take back generations up to from, until a
// time.
func SignRollback(artifact []byte, from uint64, until int64, key ed25519.PrivateKey) (*Rollback, error) {
	if from > MaxGeneration || until <= 0 {
		return nil, fmt.Errorf("sign rollback: from generation %d until %d: generations end at %d, and times begin in 1970", from, until, uint64(MaxGeneration))
	}
	r := &Rollback{From: from, Until: until}
	digest := r.digest(artifact)
	sum, err := key.Sign(nil, digest[:], &takingBack)
	if err != nil {
		return nil, fmt.Errorf("sign rollback: %w", err)
	}
	r.Signature = Signature{IDOf(key.Public().(ed25519.PublicKey)), [ed25519.SignatureSize]byte(sum)}
	return r, nil
}

// digest is what is signed.
func (r *Rollback) digest(artifact []byte) [sha512.Size]byte {
	table := digestOf(artifact)
	text := binary.LittleEndian.AppendUint64(table[:], r.From)
	return sha512.Sum512(binary.LittleEndian.AppendUint64(text, uint64(r.Until)))
}

// Append puts the rollback behind a signed file, in place of one that is there.
func (r *Rollback) Append(file []byte) ([]byte, error) {
	artifact, signatures, _, err := split(file)
	if err != nil {
		return nil, err
	}
	if len(signatures) == 0 {
		return nil, errors.New("a rollback stands behind signatures, and the policy has none: sign it")
	}
	out, err := Seal(artifact, signatures)
	if err != nil {
		return nil, err
	}
	out = append(out, rollbackMagic...)
	out = binary.LittleEndian.AppendUint64(out, r.From)
	out = binary.LittleEndian.AppendUint64(out, uint64(r.Until))
	return append(append(out, r.Key[:]...), r.Sum[:]...), nil
}

// RollbackOf returns the rollback of a file; nil: it has none.
func RollbackOf(file []byte) (*Rollback, error) {
	_, _, r, err := split(file)
	return r, err
}

// readRollback reads what stands behind the signatures.
func readRollback(b []byte) (*Rollback, error) {
	if len(b) != rollbackSize || !bytes.HasPrefix(b, []byte(rollbackMagic)) {
		return nil, fmt.Errorf("%w: %d bytes behind its signatures are no rollback", ErrCorrupt, len(b))
	}
	r := &Rollback{From: binary.LittleEndian.Uint64(b[8:]), Until: int64(binary.LittleEndian.Uint64(b[16:]))}
	if r.From > MaxGeneration || r.Until <= 0 {
		return nil, fmt.Errorf("%w: its rollback is from generation %d until %d", ErrCorrupt, r.From, r.Until)
	}
	r.Key = KeyID(b[rollbackHead:])
	copy(r.Sum[:], b[rollbackHead+len(r.Key):])
	return r, nil
}

// Permits tells whether, by a trusted key's word, an artifact may be taken where a
// generation has been in force. now is the time, in seconds since 1970.
func (r *Rollback) Permits(artifact []byte, inForce uint64, trusted []ed25519.PublicKey, now int64) error {
	at := slices.IndexFunc(trusted, func(key ed25519.PublicKey) bool { return IDOf(key) == r.Key })
	if at < 0 {
		return fmt.Errorf("%w: key %s, which signed it, is not trusted", ErrNoRollback, r.Key)
	}
	digest := r.digest(artifact)
	switch {
	case ed25519.VerifyWithOptions(trusted[at], digest[:], r.Sum[:], &takingBack) != nil:
		return fmt.Errorf("%w (key %s, rollback)", ErrForged, r.Key)
	case now >= r.Until:
		return fmt.Errorf("%w: it was good until %s", ErrNoRollback, FormatTime(r.Until))
	case time.Duration(r.Until-now) > MaxRollback/time.Second:
		return fmt.Errorf("%w: it is good until %s, and %d days is the most", ErrNoRollback, FormatTime(r.Until), int(MaxRollback.Hours()/24))
	case inForce > r.From:
		return fmt.Errorf("%w: it takes back generations up to %d", ErrNoRollback, r.From)
	}
	return nil
}
