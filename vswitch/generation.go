package vswitch

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"

	"bulkhead/dataplane/policy"
	"bulkhead/vswitch/config"
)

// Who may replace the file of a policy has old ones that were signed, too, and
// may want back what one of them allowed. So a switch with keys takes the generation
// that is in force, once more, and those above all that have ever been in force. Because
// a restart must not be the way around that, it keeps both numbers in a small file:
// policy_state. It holds one number where they are the same.
//
// Going back is possible: by who may use the control socket (--allow-older), or by the
// word of a trusted key, for one table, from a few generations and for a time
// (policy.Rollback). What was in force is then that of the older policy, and the highest
// stays: whoever went back from a policy does not want it from the next pusher that is
// late. A rollback counts again until its time is over or a generation after its last
// has come, so it is held to the highest, too.
//
// The file is written when a policy is in force. If that fails the policy stays
// in force all the same, and the status warns: what a policy takes back must not
// wait for room on a disk. If the file is lost the switch knows no more than
// policy_generation, as one that starts for the first time. If it cannot be read,
// or says no number, the switch takes no policy: doubt is no permission.

// floor is what keeps an older policy out.
type floor struct {
	inForce *policy.Ruleset // nil: none
	highest uint64          // that has been in force here, as far as is known
	kept    bool            // what policy_state says counts, too
	// back is what a rollback in the file says to going back from a generation; nil:
	// the file has none.
	back func(highest uint64) error
}

// generations is what policy_state keeps.
type generations struct {
	inForce, highest uint64 // highest is no less
}

// takes tells whether a generation needs no rollback: a load of what is in force, or
// one that is new.
func (g generations) takes(n uint64) bool { return n == g.inForce || n > g.highest }

// short tells, for an error, what a generation that it does not take falls short of.
// inForce says what the one in force is.
func (g generations) short(n uint64, inForce string) string {
	if n > g.inForce {
		return fmt.Sprintf("not above %d, which was in force until %d took it back", g.highest, g.inForce)
	}
	return fmt.Sprintf("older than %d, %s", g.inForce, inForce)
}

// lets tells whether a generation is taken over others, by itself or by a rollback.
// Where it is not, hint says of the rollback why, for an error; there is nothing to say
// of one that is not there.
func (l *floor) lets(n uint64, over generations) (lets bool, hint string) {
	if over.takes(n) || l.back == nil {
		return over.takes(n), ""
	}
	if err := l.back(over.highest); err != nil {
		return false, "; " + err.Error()
	}
	return true, ""
}

// recent refuses a policy of an older generation than it must have.
func recent(d disk, cfg *config.Config, rules *policy.Ruleset, least floor) error {
	n := rules.Generation
	if n < cfg.PolicyLeast {
		return fmt.Errorf("generation %d is older than policy_generation, %d; build it with --generation %d", n, cfg.PolicyLeast, cfg.PolicyLeast)
	}
	if len(cfg.PolicyKeys) == 0 {
		return nil
	}
	if f := least.inForce; f != nil {
		here := generations{f.Generation, max(f.Generation, least.highest)}
		if lets, hint := least.lets(n, here); !lets {
			return fmt.Errorf("generation %d is %s%s; build it with --generation %d, or go back with vsctl policy load --allow-older",
				n, here.short(n, "which is in force"), hint, here.highest+1)
		}
	}
	if !least.kept {
		return nil
	}
	last, err := readGenerations(d, cfg.PolicyState)
	if err != nil {
		return err
	}
	if lets, hint := least.lets(n, last); !lets {
		return fmt.Errorf("generation %d is %s, says %s%s; build it with --generation %d, or to go back remove that file",
			n, last.short(n, "which was in force before"), cfg.PolicyState, hint, last.highest+1)
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
	last, err := readGenerations(sw.world.disk, cfg.PolicyState)
	if err == nil {
		sw.highest = max(sw.highest, last.highest)
	}
	sw.highest = max(sw.highest, rules.Generation)
	now := generations{rules.Generation, sw.highest}
	// After a write that failed the number may be there to be read, and be gone after a
	// loss of power all the same.
	if err == nil && last == now && !failed {
		return
	}
	if sw.keepErr = writeGenerations(sw.world.disk, cfg.PolicyState, now); sw.keepErr != nil {
		sw.log.Warn("generation-not-kept", "file", cfg.PolicyState, "error", sw.keepErr, "effect", "after a restart an older policy is taken")
	}
}

// maxState bounds the file, in bytes: two numbers, and room for the hand that
// writes them.
const maxState = 64

// readGenerations reads the generation that was in force last and the highest that
// ever was; without a file both are 0. One number is both: so it is written where they
// are the same, and was before the two were told apart.
func readGenerations(d disk, path string) (g generations, err error) {
	text, err := readWhole(d, path, maxState)
	if errors.Is(err, fs.ErrNotExist) {
		return g, nil
	}
	if err != nil {
		return g, fmt.Errorf("policy_state: %w; no policy is loaded without it: remove it to begin anew", err)
	}
	// The line end shows that the numbers are whole.
	line, whole := strings.CutSuffix(string(text), "\n")
	first, second, two := strings.Cut(line, " ")
	if !two {
		second = first
	}
	var errs [2]error
	g.inForce, errs[0] = strconv.ParseUint(first, 10, 64)
	g.highest, errs[1] = strconv.ParseUint(second, 10, 64)
	if !whole || errors.Join(errs[:]...) != nil || g.inForce > g.highest || g.highest > policy.MaxGeneration {
		return generations{}, fmt.Errorf("policy_state: %s holds %q and no generation; no policy is loaded without it: remove it to begin anew", path, text)
	}
	return g, nil
}

// String is the text of the file, without its line end.
func (g generations) String() string {
	if g.inForce == g.highest {
		return strconv.FormatUint(g.inForce, 10)
	}
	return fmt.Sprintf("%d %d", g.inForce, g.highest)
}

// writeGenerations replaces the file: whoever reads it, and a machine that loses
// power, finds the old numbers or the new ones.
func writeGenerations(d disk, path string, g generations) (err error) {
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
	_, err = fmt.Fprintf(f, "%s\n", g)
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
