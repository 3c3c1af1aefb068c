package atomicfile

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestNoKeyIsWrittenOver(t *testing.T) {
	const secret = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f\n-----END PRIVATE KEY-----\n"
	for name, c := range map[string]struct {
		text string
		key  bool
	}{
		"private":         {secret, true},
		"public":          {strings.ReplaceAll(secret, "PRIVATE", "PUBLIC"), true},
		"of ssh":          {strings.ReplaceAll(secret, "PRIVATE", "OPENSSH PRIVATE"), true},
		"behind a note":   {"mine\n" + secret, true},
		"behind another":  {strings.ReplaceAll(secret, "PRIVATE KEY", "EC PARAMETERS") + secret, true},
		"base64":          {base64.StdEncoding.EncodeToString(make([]byte, 32)) + "\n", true},
		"a certificate":   {strings.ReplaceAll(secret, "PRIVATE KEY", "CERTIFICATE"), false},
		"base64 of other": {base64.StdEncoding.EncodeToString(make([]byte, 33)), false},
		"a policy":        {"version = 1\n", false},
		"empty":           {"", false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "file")
			put(t, path, c.text, 0o600)
			if err := os.Symlink("file", filepath.Join(dir, "link")); err != nil {
				t.Fatal(err)
			}
			errs := []error{Write(path, []byte("new"), 0o644), Write(filepath.Join(dir, "link"), []byte("new"), 0o644), WriteLoose(path, 0o600, []byte("new"))}
			now := "new"
			if c.key {
				now = c.text
			}
			for _, err := range errs {
				if (err != nil) != c.key || c.key && !strings.Contains(err.Error(), "it is a key") {
					t.Errorf("key: %v, error: %v", c.key, err)
				}
			}
			want(t, dir, map[string]string{"file": now, "link": now})
		})
	}
}
