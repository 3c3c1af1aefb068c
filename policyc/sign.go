package main

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"bulkhead/dataplane/policy"
	"bulkhead/policyc/internal/atomicfile"
	"bulkhead/vswitch/cli"
)

// maxKeyFile bounds a key file, in bytes.
const maxKeyFile = 64 << 10

func readKeyFile(r io.Reader) ([]byte, error) {
	return io.ReadAll(io.LimitReader(r, maxKeyFile))
}

func signCommand() *cobra.Command {
	var keys []string
	var out target
	var back goingBack
	cmd := &cobra.Command{
		Use:   "sign FILE --key KEY... [--rollback-from N] [-o OUT]",
		Short: "Sign a compiled policy",
		Long: `Puts a signature by each KEY behind the table in FILE, and leaves the table as it
is. Signatures that are there stay, so that another key can be added. OUT is FILE
itself unless it is named; it is written whole or not at all.

To go over to another key: name both in policy_keys of vswitchd, sign with both,
and when every switch has the new one sign with that alone.

With --rollback-from N the first KEY also signs that FILE may take back later
policies, up to generation N, for --rollback-for: a switch then takes FILE
although it is older than what is in force. Name the generation that is in force
now, and the time that it takes to roll out: until then, or until a generation
after N has been in force, whoever has FILE can go back to it again.

Exit codes: 0 signed, 2 error.`,
		Example: `  policyc sign policy.bhp --key policy-2026
  policyc sign policy.bhp --key policy-2026 --key policy-2027 -o signed.bhp
  policyc sign policy.bhp --key policy-2026 --rollback-from 9 --rollback-for 2h
  policyc build policy.toml -o policy.bhp --generation 8 && policyc sign policy.bhp --key policy-2026 -o json`,
		Args: cli.OneArg("file"), ValidArgsFunction: completeTables, DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(keys) == 0 {
				return errors.New("no key is named; use --key KEY")
			}
			if out.file == "" {
				out.file = args[0]
			}
			if err := back.check(cmd); err != nil {
				return err
			}
			s, err := sign(args[0], out.file, keys, back)
			if err != nil {
				return err
			}
			return done(cmd.OutOrStdout(), out.format, s.text(), s)
		},
	}
	cmd.Flags().StringArrayVar(&keys, "key", nil, "sign with the private `KEY`; may be given again")
	cmd.Flags().Uint64Var(&back.from, "rollback-from", 0, "let FILE take back policies up to generation `N`")
	cmd.Flags().DurationVar(&back.within, "rollback-for", time.Hour, "for this `TIME` from now")
	out.flag(cmd, "write to `OUT`")
	return cmd
}

// goingBack is what a rollback is asked for with.
type goingBack struct {
	from   uint64 // 0: none is
	within time.Duration
}

func (b *goingBack) check(cmd *cobra.Command) error {
	named := cmd.Flags().Changed("rollback-from")
	switch {
	case named && b.from == 0 || b.from > policy.MaxGeneration:
		return fmt.Errorf("--rollback-from %d: name the generation that is in force, 1 to %d", b.from, uint64(policy.MaxGeneration))
	case !named && cmd.Flags().Changed("rollback-for"):
		return errors.New("--rollback-for is of a rollback; name --rollback-from N, too")
	case b.within < time.Second || b.within > policy.MaxRollback:
		return fmt.Errorf("--rollback-for %s: from 1s to %s", b.within, policy.MaxRollback)
	}
	return nil
}

// sign is the word for an artifact; nil: none is asked for. A policy that is not older
// than what it is to take back takes nothing back.
func (b *goingBack) sign(artifact []byte, rs *policy.Ruleset, key string) (*policy.Rollback, error) {
	if b.from == 0 {
		return nil, nil
	}
	if b.from <= rs.Generation {
		return nil, fmt.Errorf("--rollback-from %d: the policy is of generation %d, and takes back later ones only", b.from, rs.Generation)
	}
	k, err := privateKey(key)
	if err != nil {
		return nil, err
	}
	return policy.SignRollback(artifact, b.from, time.Now().Add(b.within).Unix(), k)
}

func completeTables(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return []string{"bhp"}, cobra.ShellCompDirectiveFilterFileExt
}

// readSigned reads a compiled policy, signed or not, and what it says, with the
// rollback behind it; nil: there is none.
func readSigned(name string) (artifact []byte, signatures []policy.Signature, back *policy.Rollback, rs *policy.Ruleset, err error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, nil, nil, nil, err
	}
	if artifact, signatures, err = policy.Unseal(data); err == nil {
		back, err = policy.RollbackOf(data)
	}
	if err == nil {
		rs, err = policy.Decode(artifact)
	}
	if err != nil {
		return nil, nil, nil, nil, fmt.Errorf("%s: %w", name, err)
	}
	return artifact, signatures, back, rs, nil
}

// signed is what sign prints as JSON.
type signed struct {
	File       string   `json:"file"`
	Generation uint64   `json:"generation"`
	Source     string   `json:"source"`
	Bytes      int      `json:"bytes"`     // of the table, without the signatures
	SignedBy   []string `json:"signed_by"` // all whose signature it has
	Signed     []string `json:"signed_now"`
	// RollbackFrom is the last generation that it takes back, until RollbackUntil.
	RollbackFrom  uint64 `json:"rollback_from,omitempty"`
	RollbackUntil string `json:"rollback_until,omitempty"`
}

func (s *signed) text() string {
	text := fmt.Sprintf("%s: generation %d, signed by %s", s.File, s.Generation, strings.Join(s.Signed, " and "))
	if s.RollbackFrom != 0 {
		text += fmt.Sprintf("; takes back generations up to %d until %s", s.RollbackFrom, s.RollbackUntil)
	}
	return text
}

// sign adds signatures to a file, and a rollback if one is asked for; one that is there
// stays. What is no whole policy is not signed.
func sign(file, out string, names []string, want goingBack) (*signed, error) {
	artifact, signatures, back, rs, err := readSigned(file)
	if err != nil {
		return nil, err
	}
	made := &signed{File: out, Generation: rs.Generation, Source: fmt.Sprintf("%x", rs.SourceHash), Bytes: len(artifact)}
	for _, name := range names {
		key, err := privateKey(name)
		if err != nil {
			return nil, err
		}
		s, err := policy.Sign(artifact, key)
		if err != nil {
			return nil, err
		}
		signatures = append(signatures, s)
		made.Signed = append(made.Signed, s.Key.String())
	}
	if asked, err := want.sign(artifact, rs, names[0]); err != nil {
		return nil, err
	} else if asked != nil {
		back = asked
	}
	data, err := policy.Seal(artifact, signatures)
	if err == nil && back != nil {
		data, err = back.Append(data)
		made.RollbackFrom, made.RollbackUntil = back.From, policy.FormatTime(back.Until)
	}
	if err == nil {
		err = atomicfile.Write(out, data, 0o644)
	}
	if err != nil {
		return nil, err
	}
	if _, signatures, err = policy.Unseal(data); err != nil { // a key has one, the last
		return nil, err
	}
	for _, s := range signatures {
		made.SignedBy = append(made.SignedBy, s.Key.String())
	}
	return made, nil
}

func verifyCommand() *cobra.Command {
	var keys []string
	var least uint64
	var output string
	cmd := &cobra.Command{
		Use:   "verify FILE --key KEY... [--least N]",
		Short: "Is a compiled policy signed by a key that is trusted?",
		Long: `Judges FILE as vswitchd would with these KEYs as policy_keys, and N as
policy_generation. A KEY is a file, as keygen writes it, or base64.

A rollback in FILE (sign --rollback-from) is judged, too: by which key it is, which
generations it takes back and until when. One that is broken, by a key that is not
trusted, or that takes nothing back is a no, although a switch would take FILE going
forward; one whose time is over is only said to be.

Exit codes: 0 yes, 1 no, 2 error.`,
		Example: `  policyc verify policy.bhp --key policy-2026.pub
  policyc verify policy.bhp --key policy-2026.pub --key policy-2027.pub --least 7
  policyc verify policy.bhp --key bnoc3Smwt4/ROvTFWY/v9O8qlxZuPKby5Pv8zYBQW/E= -o json`,
		Args: cli.OneArg("file"), ValidArgsFunction: completeTables, DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(keys) == 0 {
				return errors.New("no key is named; use --key KEY")
			}
			if err := goodFormat(output); err != nil {
				return err
			}
			v, err := verify(args[0], keys, least)
			if err != nil {
				return err
			}
			return v.print(cmd.OutOrStdout(), output)
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&keys, "key", nil, "trust the public `KEY`; may be given again")
	f.Uint64Var(&least, "least", 0, "of generation `N` or later")
	outputFlag(cmd, &output)
	return cmd
}

// word is what verify prints as JSON.
type word struct {
	File       string   `json:"file"`
	Trusted    bool     `json:"trusted"`
	Why        string   `json:"why,omitempty"` // if not
	Generation uint64   `json:"generation"`
	Source     string   `json:"source"`
	Bytes      int      `json:"bytes"` // of the table, without the signatures
	SignedBy   []string `json:"signed_by"`
	TrustedBy  []string `json:"trusted_by"` // those of them that are trusted
	// Rollback is the one behind the signatures; nil: there is none.
	Rollback *rollbackWord `json:"rollback,omitempty"`
}

// rollbackWord is what verify says of a rollback.
type rollbackWord struct {
	Trusted  bool   `json:"trusted"`
	Why      string `json:"why,omitempty"` // if not
	From     uint64 `json:"from"`          // the last generation that it takes back
	Until    string `json:"until"`
	Over     bool   `json:"over"` // its time
	SignedBy string `json:"signed_by"`
}

// judgeRollback judges a rollback as a switch would that goes back from its last
// generation. Its time alone makes it no worse: a policy that was taken back to stays
// in force with it.
func judgeRollback(back *policy.Rollback, artifact []byte, rs *policy.Ruleset, trusted []ed25519.PublicKey, now int64) *rollbackWord {
	r := &rollbackWord{From: back.From, Until: policy.FormatTime(back.Until), Over: now >= back.Until, SignedBy: back.Key.String()}
	switch err := back.Permits(artifact, back.From, trusted, min(now, back.Until-1)); {
	case err != nil:
		r.Why = err.Error()
	case back.From <= rs.Generation:
		r.Why = fmt.Sprintf("its rollback takes back generations up to %d, and the policy is of %d: that is nothing", back.From, rs.Generation)
	}
	r.Trusted = r.Why == ""
	return r
}

// verify judges a file. One that is no policy is no answer but an error, except
// one that was altered: that is what signatures are for.
func verify(name string, keys []string, least uint64) (*word, error) {
	trusted, err := publicKeys(keys)
	if err != nil {
		return nil, err
	}
	artifact, signatures, back, rs, err := readSigned(name)
	w := &word{File: name, SignedBy: []string{}, TrustedBy: []string{}}
	if errors.Is(err, policy.ErrCorrupt) || errors.Is(err, policy.ErrTruncated) {
		w.Why = strings.TrimPrefix(err.Error(), name+": ")
		return w, nil
	}
	if err != nil {
		return nil, err
	}
	w.Generation, w.Source, w.Bytes = rs.Generation, fmt.Sprintf("%x", rs.SourceHash), len(artifact)
	for _, s := range signatures {
		w.SignedBy = append(w.SignedBy, s.Key.String())
	}
	by, err := policy.Trust(artifact, signatures, trusted)
	for _, key := range by {
		w.TrustedBy = append(w.TrustedBy, key.String())
	}
	if back != nil {
		w.Rollback = judgeRollback(back, artifact, rs, trusted, time.Now().Unix())
	}
	switch {
	case err != nil:
		w.Why = err.Error()
	case rs.Generation < least:
		w.Why = fmt.Sprintf("generation %d is older than %d", rs.Generation, least)
	case back != nil:
		w.Why = w.Rollback.Why
	}
	w.Trusted = w.Why == ""
	return w, nil
}

func publicKeys(names []string) ([]ed25519.PublicKey, error) {
	var keys []ed25519.PublicKey
	var errs []error
	for _, name := range slices.Compact(slices.Sorted(slices.Values(names))) {
		key, err := publicKey(name)
		errs, keys = append(errs, err), append(keys, key)
	}
	return keys, errors.Join(errs...)
}

func (v *word) print(w io.Writer, output string) error {
	var err error
	if output == "json" {
		err = printJSON(w, v)
	} else {
		_, err = fmt.Fprint(w, v.text())
	}
	if err == nil && !v.Trusted {
		err = answerNo{}
	}
	return err
}

func (v *word) text() string {
	if !v.Trusted {
		return fmt.Sprintf("%s: not to be trusted: %s\n", v.File, v.Why)
	}
	text := fmt.Sprintf("%s: generation %d, signed by %s", v.File, v.Generation, strings.Join(v.TrustedBy, " and "))
	switch r := v.Rollback; {
	case r == nil:
	case r.Over:
		text += fmt.Sprintf("; took back generations up to %d until %s, by key %s: that time is over", r.From, r.Until, r.SignedBy)
	default:
		text += fmt.Sprintf("; takes back generations up to %d until %s, by key %s", r.From, r.Until, r.SignedBy)
	}
	return text + "\n"
}
