package main

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"bulkhead/dataplane/policy"
	"bulkhead/vswitch/cli"
)

func keygenCommand() *cobra.Command {
	output := ""
	cmd := &cobra.Command{
		Use:   "keygen NAME",
		Short: "Make a pair of keys that policies are signed with",
		Long: `Writes an Ed25519 private key to NAME, which only you can read, and the public one
to NAME.pub, and prints the public one as policy_keys of vswitchd takes it. A file
that is there is never overwritten. Both are PEM, as openssl has them.

Keep the private key where policies are built, and away from the switches.

Exit codes: 0 made, 2 error.`,
		Example: `  policyc keygen policy-2026
  policyc keygen policy-2027 -o json
  policyc keygen next && policyc sign policy.bhp --key policy-2026 --key next`,
		Args: cli.OneArg("name"), DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := goodFormat(output); err != nil {
				return err
			}
			public, err := makeKeys(args[0])
			if err != nil {
				return err
			}
			k := pair{args[0], args[0] + ".pub", policy.IDOf(public).String(), policy.FormatKey(public)}
			return done(cmd.OutOrStdout(), output, fmt.Sprintf("%s: key %s\npolicy_keys = [%q]", k.Public, k.ID, k.Key), k)
		},
	}
	outputFlag(cmd, &output)
	return cmd
}

// pair is what keygen prints as JSON: nothing that is secret.
type pair struct {
	Private string `json:"private"` // the file
	Public  string `json:"public"`  // the file
	ID      string `json:"id"`      // what verify and the switch call it
	Key     string `json:"key"`     // the public one, as policy_keys takes it
}

// makeKeys makes a pair in two new files; of a pair that cannot be written
// whole nothing is left.
func makeKeys(name string) (ed25519.PublicKey, error) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, err
	}
	inner, outer, err := policy.MarshalKeys(private)
	if err != nil {
		return nil, err
	}
	if err := create(name, inner, 0o600); err != nil {
		return nil, err
	}
	if err := create(name+".pub", outer, 0o644); err != nil {
		return nil, errors.Join(err, os.Remove(name))
	}
	return public, nil
}

// create writes a file that is not there yet.
func create(name string, data []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists, and is never overwritten; name another", name)
	}
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", name, err), os.Remove(name))
	}
	return nil
}

// privateKey reads a private key that nobody else can read: what others could
// have read proves nothing.
func privateKey(name string) (ed25519.PrivateKey, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("%s: others may read it (mode %04o); make another key, or if nobody did: chmod 600 %s", name, mode, name)
	}
	text, err := readKeyFile(f)
	if err != nil {
		return nil, err
	}
	key, err := policy.ParsePrivateKey(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return key, nil
}

// publicKey reads a public key: a file, or base64.
func publicKey(name string) (ed25519.PublicKey, error) {
	if key, ok := policy.InlineKey(name); ok {
		return key, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := readKeyFile(f)
	if err != nil {
		return nil, err
	}
	key, err := policy.ParseKey(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return key, nil
}
