package policy

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"
)

// testKey makes a key of a seed.
func testKey(seed byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
}

func publicOf(key ed25519.PrivateKey) ed25519.PublicKey { return key.Public().(ed25519.PublicKey) }

// signedBy is the sample, signed by keys of these seeds.
func signedBy(t testing.TB, artifact []byte, seeds ...byte) []byte {
	t.Helper()
	var list []Signature
	for _, seed := range seeds {
		s, err := Sign(artifact, testKey(seed))
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, s)
	}
	file, err := Seal(artifact, list)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// trusts tells which keys of these seeds are found to have signed a file.
func trusts(file []byte, seeds ...byte) ([]KeyID, error) {
	artifact, signatures, err := Unseal(file)
	if err != nil {
		return nil, err
	}
	var keys []ed25519.PublicKey
	for _, seed := range seeds {
		keys = append(keys, publicOf(testKey(seed)))
	}
	return Trust(artifact, signatures, keys)
}

func TestSigningLeavesTheArtifactAsItWas(t *testing.T) {
	artifact := encoded(t)
	file := signedBy(t, artifact, 1, 2)
	inside, signatures, err := Unseal(file)
	if err != nil || !bytes.Equal(inside, artifact) || len(signatures) != 2 {
		t.Fatalf("%d signatures, %v", len(signatures), err)
	}
	if again := signedBy(t, artifact, 2, 1, 2); !bytes.Equal(again, file) {
		t.Error("the order of the keys, or one of them twice, gave another file")
	}
	if inside, signatures, err := Unseal(artifact); err != nil || !bytes.Equal(inside, artifact) || signatures != nil {
		t.Errorf("unsigned: %d signatures, %v", len(signatures), err)
	}
}

// Each of several keys suffices, so that one can follow another.
func TestOneTrustedKeyOfSeveralSuffices(t *testing.T) {
	file := signedBy(t, encoded(t), 1, 2)
	for _, c := range []struct {
		situation string
		trusted   []byte
		by        []byte
		err       error
	}{
		{"old key only", []byte{1}, []byte{1}, nil},
		{"new key only", []byte{2}, []byte{2}, nil},
		{"both, one named twice", []byte{2, 1, 2}, []byte{1, 2}, nil},
		{"one of them and a stranger", []byte{3, 1}, []byte{1}, nil},
		{"strangers", []byte{3, 4}, nil, ErrUnsigned},
		{"nobody", nil, nil, ErrUnsigned},
	} {
		by, err := trusts(file, c.trusted...)
		var want []KeyID
		for _, seed := range c.by {
			want = append(want, IDOf(publicOf(testKey(seed))))
		}
		slices.SortFunc(want, func(a, b KeyID) int { return bytes.Compare(a[:], b[:]) })
		if !slices.Equal(by, want) || !errors.Is(err, c.err) {
			t.Errorf("%s: %v, %v", c.situation, by, err)
		}
	}
}

func TestAnotherFilesSignatureIsForged(t *testing.T) {
	artifact := encoded(t)
	rs := sample()
	rs.Generation++
	newer, err := Encode(rs)
	if err != nil {
		t.Fatal(err)
	}
	_, signatures, _ := Unseal(signedBy(t, newer, 1))
	_, ours, _ := Unseal(signedBy(t, artifact, 2))
	file, err := Seal(artifact, append(signatures, ours...))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := trusts(file, 1); !errors.Is(err, ErrForged) {
		t.Errorf("the key of the other file: %v", err)
	}
	if _, err := trusts(file, 1, 2); !errors.Is(err, ErrForged) {
		t.Errorf("a right one does not mend a wrong one: %v", err)
	}
	if _, err := trusts(file, 2); err != nil {
		t.Errorf("a stranger's word says nothing: %v", err)
	}
}

// Whatever bit of a signed file is flipped, and wherever it is cut, it is not
// trusted.
func TestEveryFlippedBitOfASignedFileIsRefused(t *testing.T) {
	good := signedBy(t, encoded(t), 1)
	for i := range good {
		for bit := range 8 {
			file := slices.Clone(good)
			file[i] ^= 1 << bit
			if _, err := trusts(file, 1); err == nil {
				t.Errorf("byte %d bit %d: trusted", i, bit)
			}
		}
		if _, err := trusts(good[:i], 1); err == nil {
			t.Errorf("%d bytes of it: trusted", i)
		}
	}
	if _, err := trusts(append(slices.Clone(good), 0), 1); err == nil {
		t.Error("a byte behind it: trusted")
	}
}

func TestSealsThatAreNone(t *testing.T) {
	artifact := encoded(t)
	two := signedBy(t, artifact, 1, 2)[len(artifact):]
	swapped := slices.Concat(two[:sealHead], two[sealHead+signatureSize:], two[sealHead:sealHead+signatureSize])
	same := slices.Concat(two[:sealHead+signatureSize], two[sealHead:sealHead+signatureSize])
	huge := slices.Clone(two)
	copy(huge[8:], []byte{255, 255, 255, 255})
	for situation, seal := range map[string][]byte{
		"out_of_order": swapped, "one_twice": same, "a_count_without_bytes": huge,
		"magic_only": two[:8], "no_signature": append([]byte(sealMagic), 0, 0, 0, 0),
	} {
		if _, _, err := Unseal(slices.Concat(artifact, seal)); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", situation, err)
		}
	}
	if _, err := Seal(artifact, nil); err == nil {
		t.Error("sealed without a signature")
	}
	var many []Signature
	for i := range MaxSignatures + 1 {
		many = append(many, Signature{Key: KeyID{byte(i)}})
	}
	if _, err := Seal(artifact, many); err == nil {
		t.Error("sealed with too many")
	}
}

// The scheme is Ed25519ph and not one of our own: the reference code of RFC 8032,
// in Python, gave this for the same key, context and text.
func TestSignatureIsThatOfRFC8032(t *testing.T) {
	const reference = "85f1ee0b65ff36bd428974b907922de707a3906f9e2f5753a496fa610f154fd43e8b3e47911fca40c8987a6e4640af7306dd625542c9335d7cb14edc4a351d0c"
	s, err := Sign([]byte("a policy\n"), testKey(7))
	if err != nil || hex.EncodeToString(s.Sum[:]) != reference {
		t.Errorf("%x, %v", s.Sum, err)
	}
}

func TestKeysAsText(t *testing.T) {
	key := testKey(9)
	private, public, err := MarshalKeys(key)
	if err != nil {
		t.Fatal(err)
	}
	back, err := ParsePrivateKey(private)
	if err != nil || !back.Equal(key) {
		t.Errorf("private: %v", err)
	}
	const rsa = "-----BEGIN PUBLIC KEY-----\nMFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAMiZ\n-----END PUBLIC KEY-----\n"
	for _, c := range []struct {
		situation, text, says string
	}{
		{"pem", string(public), ""},
		{"pem_behind_text", "# ours\n" + string(public), ""},
		{"base64", FormatKey(publicOf(key)) + "\n", ""},
		{"base64_of_31_bytes", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==", "neither PEM nor base64"},
		{"nothing", "", "neither PEM nor base64"},
		{"private_key", string(private), "a private key where a public one belongs"},
		{"damaged", rsa, "no public key"},
		{"certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "PEM of a certificate"},
	} {
		got, err := ParseKey([]byte(c.text))
		if c.says == "" && (err != nil || !got.Equal(key.Public())) || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: %v", c.situation, err)
		}
	}
	if _, err := ParsePrivateKey(public); err == nil {
		t.Error("a public key read as a private one")
	}
}
