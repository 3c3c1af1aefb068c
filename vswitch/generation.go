package vswitch

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"

	"bulkhead/dataplane/policy"
	"bulkhead/vswitch/config"
)

// Who may replace the file of a policy has old ones that were signed, too, and
// may want back what one of them allowed. So a switch with keys takes no older
// generation than the last, and because a restart must not be the way around
// that, it keeps the number in a small file: policy_state.
//
// Going back is possible: by who may use the control socket (--allow-older), or by the
// word of a trusted key, for one table, from a few generations and for a time
// (policy.Rollback). The number is then that of the older policy, so the rollback
// counts again until its time is over or a generation after its last has come.
//
// The file is written when a policy is in force. If that fails the policy stays
// in force all the same, and the status warns: what a policy takes back must not
// wait for room on a disk. If the file is lost the switch knows no more than
// policy_generation, as one that starts for the first time. If it cannot be read,
// or says no number, the switch takes no policy: doubt is no permission.

// floor is what keeps an older policy out.
type floor struct {
	inForce *policy.Ruleset // nil: none
	kept    bool            // what policy_state says counts, too
	// back is what a rollback in the file says to going back from a generation; nil:
	// the file has none.
	back func(inForce uint64) error
}

// lets tells whether a rollback lets an older policy in. Where it does not, hint
// says why, for an error; there is nothing to say of one that is not there.
func (l *floor) lets(inForce uint64) (lets bool, hint string) {
	if l.back == nil {
		return false, ""
	}
	if err := l.back(inForce); err != nil {
		return false, "; " + err.Error()
	}
	return true, ""
}

// recent refuses a policy of an older generation than it must have.
func recent(d disk, cfg *config.Config, rules *policy.Ruleset, least floor) error {
	if rules.Generation < cfg.PolicyLeast {
		return fmt.Errorf("generation %d is older than policy_generation, %d; build it with --generation %d", rules.Generation, cfg.PolicyLeast, cfg.PolicyLeast)
	}
	if len(cfg.PolicyKeys) == 0 {
		return nil
	}
	if f := least.inForce; f != nil && rules.Generation < f.Generation {
		lets, hint := least.lets(f.Generation)
		if !lets {
			return fmt.Errorf("generation %d is older than %d, which is in force%s; build it with --generation %d, or go back with vsctl policy load --allow-older",
				rules.Generation, f.Generation, hint, f.Generation+1)
		}
	}
	if !least.kept {
		return nil
	}
	last, err := readGeneration(d, cfg.PolicyState)
	if err != nil {
		return err
	}
	if rules.Generation >= last {
		return nil
	}
	if lets, hint := least.lets(last); !lets {
		return fmt.Errorf("generation %d is older than %d, which was in force before, says %s%s; build it with --generation %d, or to go back remove that file",
			rules.Generation, last, cfg.PolicyState, hint, last+1)
	}
	return nil
}

// keepGeneration notes the generation of a policy that has come into force,
// where the configuration names keys. The caller holds mu.
func (sw *Switch) keepGeneration(cfg *config.Config, rules *policy.Ruleset) {
	failed := sw.keepErr != nil
	sw.keepErr = nil
	if rules == nil || len(cfg.PolicyKeys) == 0 {
		return
	}
	// After a write that failed the number may be there to be read, and be gone after a
	// loss of power all the same.
	if last, err := readGeneration(sw.world.disk, cfg.PolicyState); err == nil && last == rules.Generation && !failed {
		return
	}
	if sw.keepErr = writeGeneration(sw.world.disk, cfg.PolicyState, rules.Generation); sw.keepErr != nil {
		sw.log.Warn("generation-not-kept", "file", cfg.PolicyState, "error", sw.keepErr, "effect", "after a restart an older policy is taken")
	}
}

// maxState bounds the file, in bytes: a number, and room for the hand that
// writes one.
const maxState = 64

// readGeneration reads the generation that was in force last; without a file it
// is 0.
func readGeneration(d disk, path string) (uint64, error) {
	text, err := readWhole(d, path, maxState)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("policy_state: %w; no policy is loaded without it: remove it to begin anew", err)
	}
	// The line end shows that the number is whole.
	n, err := strconv.ParseUint(string(text[:len(text)-1]), 10, 64)
	if err != nil || text[len(text)-1] != '\n' || n > policy.MaxGeneration {
		return 0, fmt.Errorf("policy_state: %s holds %q and no generation; no policy is loaded without it: remove it to begin anew", path, text)
	}
	return n, nil
}

// writeGeneration replaces the file: whoever reads it, and a machine that loses
// power, finds the old number or the new one.
func writeGeneration(d disk, path string, n uint64) (err error) {
	dir := filepath.Dir(path)
	if err := d.MkdirAll(dir); err != nil {
		return err
	}
	name := filepath.Join(dir, ".generation-"+rand.Text())
	f, err := d.Create(name)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = d.Remove(name)
		}
	}()
	_, err = fmt.Fprintf(f, "%d\n", n)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err = d.Rename(name, path); err != nil {
		return err
	}
	in, err := d.Open(dir)
	if err != nil {
		return err // it is written; but a loss of power could take it back
	}
	return errors.Join(in.Sync(), in.Close())
}
