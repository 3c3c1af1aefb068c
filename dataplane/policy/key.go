package policy

import (
	"crypto"
	"crypto/ed25519"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

// Keys stand in files as other tools have them: PEM, a public one as PKIX, a
// private one as PKCS #8 (RFC 8410), so that openssl makes and reads them.
// Within a line a public key is base64.
const (
	pemPublic  = "PUBLIC KEY"
	pemPrivate = "PRIVATE KEY"
)

var signing = ed25519.Options{Hash: crypto.SHA512, Context: sealContext}

func digestOf(artifact []byte) [sha512.Size]byte { return sha512.Sum512(artifact) }

// FormatKey writes a public key as base64.
func FormatKey(key ed25519.PublicKey) string { return base64.StdEncoding.EncodeToString(key) }

// ParseKey reads a public key: PEM, or base64 on a line of its own.
func ParseKey(text []byte) (ed25519.PublicKey, error) {
	if block, _ := pem.Decode(text); block != nil {
		return publicFrom(block)
	}
	if key, ok := InlineKey(strings.TrimSpace(string(text))); ok {
		return key, nil
	}
	return nil, errors.New("no Ed25519 public key: neither PEM nor base64 of 32 bytes; policyc keygen makes one")
}

// InlineKey reads base64, and tells whether that is a public key.
func InlineKey(text string) (ed25519.PublicKey, bool) {
	key, err := base64.StdEncoding.Strict().DecodeString(text)
	return key, err == nil && len(key) == ed25519.PublicKeySize && !strings.ContainsAny(text, "\r\n")
}

func publicFrom(block *pem.Block) (ed25519.PublicKey, error) {
	if block.Type == pemPrivate {
		return nil, errors.New("a private key where a public one belongs; name the .pub file, and keep the private one from the switch")
	}
	if block.Type != pemPublic {
		return nil, fmt.Errorf("PEM of a %s, not of a %s", strings.ToLower(block.Type), strings.ToLower(pemPublic))
	}
	found, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("no public key: %w", err)
	}
	key, ok := found.(ed25519.PublicKey)
	if !ok {
		return nil, fmt.Errorf("a %T, not an Ed25519 key; policyc keygen makes one", found)
	}
	return key, nil
}

// MarshalKeys writes a key pair as PEM.
func MarshalKeys(key ed25519.PrivateKey) (private, public []byte, err error) {
	inner, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	outer, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemPrivate, Bytes: inner}), pem.EncodeToMemory(&pem.Block{Type: pemPublic, Bytes: outer}), nil
}

// ParsePrivateKey reads a private key of PEM.
func ParsePrivateKey(text []byte) (ed25519.PrivateKey, error) {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != pemPrivate {
		return nil, errors.New("no private key in PEM; policyc keygen makes one")
	}
	found, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("no private key: %w", err)
	}
	key, ok := found.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("a %T, not an Ed25519 key; policyc keygen makes one", found)
	}
	return key, nil
}
