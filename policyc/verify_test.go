package main

import (
	"crypto/ed25519"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bulkhead/dataplane/policy"
)

// goBack makes a policy of generation 7 that is signed, with a rollback from a
// generation until a time, by two keys. It returns the file and the trusted keys.
func goBack(t *testing.T, from uint64, until int64) (file string, signer, backer string) {
	t.Helper()
	dir := t.TempDir()
	source, file := filepath.Join(dir, "p.toml"), filepath.Join(dir, "p.bhp")
	if err := os.WriteFile(source, first, 0o644); err != nil {
		t.Fatal(err)
	}
	if code, said := commandLine("build", source, "-o", file, "--generation", "7"); code != 0 {
		t.Fatal(said)
	}
	artifact, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var keys []ed25519.PrivateKey
	for range 2 {
		_, key, err := ed25519.GenerateKey(nil)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key)
	}
	s, err := policy.Sign(artifact, keys[0])
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := policy.Seal(artifact, []policy.Signature{s})
	if err != nil {
		t.Fatal(err)
	}
	back, err := policy.SignRollback(artifact, from, until, keys[1])
	if err != nil {
		t.Fatal(err)
	}
	if sealed, err = back.Append(sealed); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, sealed, 0o644); err != nil {
		t.Fatal(err)
	}
	public := func(k ed25519.PrivateKey) string { return policy.FormatKey(k.Public().(ed25519.PublicKey)) }
	return file, public(keys[0]), public(keys[1])
}

// No bit of the rollback can be another without a no.
func TestVerifyHoldsEveryBitOfTheRollback(t *testing.T) {
	file, signer, backer := goBack(t, 9, time.Now().Add(time.Hour).Unix())
	keys := []string{signer, backer}
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if w, err := verify(file, keys, 0); err != nil || !w.Trusted || w.Rollback == nil || w.Rollback.From != 9 {
		t.Fatalf("as it was signed: %+v, %v", w, err)
	}
	const size = 8 + 8 + 8 + 8 + ed25519.SignatureSize
	for bit := range size * 8 {
		bad := append([]byte(nil), good...)
		bad[len(bad)-size+bit/8] ^= 1 << (bit % 8)
		if err := os.WriteFile(file, bad, 0o644); err != nil {
			t.Fatal(err)
		}
		if w, err := verify(file, keys, 0); err != nil || w.Trusted || w.Why == "" {
			t.Errorf("bit %d of the rollback: %+v, %v", bit, w, err)
		}
	}
}

// What verify says of a rollback, by who signed it, from when and until when.
func TestVerifyJudgesTheRollback(t *testing.T) {
	hour := time.Now().Add(time.Hour).Unix()
	for _, c := range []struct {
		name     string
		from     uint64
		until    int64
		stranger bool // who signed the rollback is not trusted
		code     int
		says     string
	}{
		{"good", 9, hour, false, 0, "; takes back generations up to 9 until "},
		{"over", 9, 1700000000, false, 0, "; took back generations up to 9 until 2023-11-14T22:13:20Z, by key "},
		{"by a stranger", 9, hour, true, exitNo, "which signed it, is not trusted"},
		{"over, and by a stranger", 9, 1700000000, true, exitNo, "which signed it, is not trusted"},
		{"for too long", 9, hour + 40*24*3600, false, exitNo, "31 days is the most"},
		{"of nothing", 7, hour, false, exitNo, "that is nothing"},
	} {
		t.Run(c.name, func(t *testing.T) {
			file, signer, backer := goBack(t, c.from, c.until)
			args := []string{"verify", file, "--key", signer}
			if !c.stranger {
				args = append(args, "--key", backer)
			}
			if code, said := commandLine(args...); code != c.code || !strings.Contains(said, c.says) {
				t.Errorf("exit code %d, %s", code, said)
			}
			code, said := commandLine(append(args, "-o", "json")...)
			if code != c.code || !strings.Contains(said, `"rollback": {`) || strings.Contains(said, `"over": true`) != (c.until < time.Now().Unix()) {
				t.Errorf("JSON: exit code %d, %s", code, said)
			}
		})
	}
}
