package policy

import (
	"bytes"
	"cmp"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
)

// A signed policy is the artifact, byte for byte, and behind it
//
//	 0  magic "BHSEALED"
//	 8  count uint32, of the signatures, 1 to 16
//	12  for each: the key's id, 8 bytes, and the signature, 64 bytes;
//	    by id, ascending, none twice
//
// and behind them a rollback, perhaps (rollback.go).
//
// The artifact says how long it is, so one file holds both and is replaced in
// one step; and what was built can be compared with what was signed. Behind the
// artifact, and not in it, because the same source gives the same artifact
// whoever signs it.
//
// A signature is Ed25519ph (RFC 8032, section 5.1) with a context of its own:
// it is good for a policy and for nothing else that the same key may sign. It
// covers every byte of the artifact, its generation too.
const (
	sealMagic     = "BHSEALED"
	sealContext   = "bulkhead policy 1"
	sealHead      = len(sealMagic) + 4
	signatureSize = len(KeyID{}) + ed25519.SignatureSize
	// MaxSignatures bounds the signatures on one policy.
	MaxSignatures = 16
)

// KeyID is the short name of a public key: the first bytes of its SHA-256.
type KeyID [8]byte

// IDOf names a public key.
func IDOf(key ed25519.PublicKey) KeyID {
	sum := sha256.Sum256(key)
	return KeyID(sum[:])
}

func (k KeyID) String() string { return hex.EncodeToString(k[:]) }

// Signature is one key's word for an artifact.
type Signature struct {
	Key KeyID
	Sum [ed25519.SignatureSize]byte
}

// What is wrong with the signatures of a policy. Trust wraps one of them.
var (
	// ErrUnsigned: no signature by a key that is trusted.
	ErrUnsigned = errors.New("not signed by a trusted key")
	// ErrForged: a signature by a trusted key that is not of these bytes.
	ErrForged = errors.New("wrongly signed: altered after it was signed, or the signature is another file's; build and sign it again")
)

// Sign signs an artifact.
func Sign(artifact []byte, key ed25519.PrivateKey) (Signature, error) {
	digest := digestOf(artifact)
	sum, err := key.Sign(nil, digest[:], &signing)
	if err != nil {
		return Signature{}, fmt.Errorf("sign policy: %w", err)
	}
	return Signature{IDOf(key.Public().(ed25519.PublicKey)), [ed25519.SignatureSize]byte(sum)}, nil
}

// Seal puts signatures behind an artifact: of two by one key the later is kept.
func Seal(artifact []byte, signatures []Signature) ([]byte, error) {
	var list []Signature
	for _, s := range slices.Backward(signatures) {
		if !slices.ContainsFunc(list, func(t Signature) bool { return t.Key == s.Key }) {
			list = append(list, s)
		}
	}
	if len(list) == 0 || len(list) > MaxSignatures {
		return nil, fmt.Errorf("%d signatures; a policy has 1 to %d", len(list), MaxSignatures)
	}
	slices.SortFunc(list, compareSignature)
	out := append(slices.Clone(artifact), sealMagic...)
	out = binary.LittleEndian.AppendUint32(out, uint32(len(list)))
	for _, s := range list {
		out = append(append(out, s.Key[:]...), s.Sum[:]...)
	}
	return out, nil
}

func compareSignature(a, b Signature) int { return bytes.Compare(a.Key[:], b.Key[:]) }

// IsArtifact tells whether a file begins as a compiled policy does: if not,
// what Decode says of it helps more than that nobody signed it.
func IsArtifact(data []byte) bool { return bytes.HasPrefix(data, []byte(magic)) }

// Unseal splits a file into the artifact and the signatures behind it, none if
// it is not signed. It judges neither: Decode and Trust do. What a rollback behind
// them says is for RollbackOf.
func Unseal(data []byte) (artifact []byte, signatures []Signature, err error) {
	artifact, signatures, _, err = split(data)
	return artifact, signatures, err
}

// split splits a file into all that it may hold.
func split(data []byte) (artifact []byte, signatures []Signature, back *Rollback, err error) {
	if len(data) < headerSize || string(data[:len(magic)]) != magic {
		return data, nil, nil, nil // Decode says what it is
	}
	length := binary.LittleEndian.Uint64(data[16:])
	if length < headerSize || length >= uint64(len(data)) {
		return data, nil, nil, nil
	}
	artifact, seal := data[:length:length], data[length:]
	if len(seal) < sealHead || string(seal[:len(sealMagic)]) != sealMagic {
		return nil, nil, nil, fmt.Errorf("%w: %d bytes behind the policy are no signatures", ErrCorrupt, len(seal))
	}
	n := int64(binary.LittleEndian.Uint32(seal[len(sealMagic):]))
	seal = seal[sealHead:]
	if n < 1 || n > MaxSignatures || int64(len(seal)) < n*int64(signatureSize) {
		return nil, nil, nil, fmt.Errorf("%w: %d signatures in %d bytes", ErrCorrupt, n, len(seal))
	}
	for ; n > 0; n, seal = n-1, seal[signatureSize:] {
		s := Signature{Key: KeyID(seal)}
		copy(s.Sum[:], seal[len(s.Key):])
		signatures = append(signatures, s)
	}
	if !ascending(signatures, compareSignature) {
		return nil, nil, nil, fmt.Errorf("%w: its signatures are not in order", ErrCorrupt)
	}
	if len(seal) > 0 {
		back, err = readRollback(seal)
	}
	if err != nil {
		return nil, nil, nil, err
	}
	return artifact, signatures, back, nil
}

// Trust returns the keys, of those trusted, that signed an artifact. Signatures
// by others say nothing. One that is wrong condemns the file, whatever the
// others say.
func Trust(artifact []byte, signatures []Signature, trusted []ed25519.PublicKey) ([]KeyID, error) {
	var by []KeyID
	digest := digestOf(artifact)
	for _, key := range trusted {
		id := IDOf(key)
		for _, s := range signatures {
			if s.Key != id {
				continue
			}
			if ed25519.VerifyWithOptions(key, digest[:], s.Sum[:], &signing) != nil {
				return nil, fmt.Errorf("%w (key %s)", ErrForged, id)
			}
			by = append(by, id)
		}
	}
	if len(by) == 0 {
		return nil, fmt.Errorf("%w: %s; sign it with policyc sign", ErrUnsigned, whoSigned(signatures))
	}
	slices.SortFunc(by, func(a, b KeyID) int { return cmp.Compare(a.String(), b.String()) })
	return slices.Compact(by), nil
}

func whoSigned(signatures []Signature) string {
	if len(signatures) == 0 {
		return "it has no signature"
	}
	var names []string
	for _, s := range signatures {
		names = append(names, s.Key.String())
	}
	return "it is signed by " + enumerate(few(names), "and")
}
