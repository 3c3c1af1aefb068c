package atomicfile

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
)

// A private key that is written over is gone for good, and with it the word that every
// switch trusts: -o NAME for -o NAME.bhp is enough. So nothing is written over a key,
// private or public, ours or another program's.

// maxKey bounds what is searched for a key, in bytes.
const maxKey = 64 << 10

// noKey refuses a file that holds a key. One that cannot be read may: private keys are
// what others cannot read.
func noKey(path string) error {
	// What is there may be a FIFO by now: it is not waited for.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("it may be a key, which is never written over, and cannot be read: %w", cause(err))
	}
	text, err := io.ReadAll(io.LimitReader(f, maxKey))
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if isKey(text) {
		return errors.New("it is a key, and is never written over; name another file")
	}
	return nil
}

// isKey knows keys in PEM of any kind, and a public one as base64 on a line.
func isKey(text []byte) bool {
	raw, err := base64.StdEncoding.DecodeString(string(bytes.TrimSpace(text)))
	if err == nil && len(raw) == ed25519.PublicKeySize {
		return true
	}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if strings.Contains(block.Type, "KEY") {
			return true
		}
	}
	return false
}
