package vswitch

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"bulkhead/dataplane/policy"
	"bulkhead/vswitch/config"
)

// loadRules reads the policy of the start. No file named, or none there yet,
// is no policy: everything is denied, and the status says so.
func (sw *Switch) loadRules(cfg *config.Config) error {
	rules, by, err := readRules(sw.world.disk, cfg, cfg.Policy, floor{kept: true})
	if errors.Is(err, fs.ErrNotExist) {
		sw.rulesFrom, sw.rulesErr = cfg.Policy, err.Error()
		sw.log.Warn("no-policy", "file", cfg.Policy, "effect", "everything is denied", "cure", "policyc build FILE... -o "+cfg.Policy+", then vsctl reload")
		return nil
	}
	if err != nil {
		return err
	}
	sw.rules, sw.rulesFrom, sw.rulesBy = rules, cfg.Policy, by
	sw.keepGeneration(cfg, rules)
	return nil
}

// indexOf indexes rules, once as long as they stay: of 10,000 services a
// workload's are then found in a microsecond. The caller holds mu.
func (sw *Switch) indexOf(rules *policy.Ruleset) *policy.Index {
	if rules == nil {
		return nil
	}
	if sw.index == nil || sw.index.Rules() != rules {
		sw.index = policy.NewIndex(rules)
	}
	return sw.index
}

// Bounds of files, in bytes.
const (
	maxPolicy = 256 << 20
	maxKey    = 64 << 10
)

// readRules reads a compiled policy that may come into force: with keys in the
// configuration it must be signed with one of them and not lie below the floor.
// It returns the keys that signed it, too. An empty path is no
// policy. Keys are read first, and from their files each time: one that was
// taken back is not trusted once more, and one that cannot be read stops the
// load rather than the check.
func readRules(d disk, cfg *config.Config, path string, least floor) (*policy.Ruleset, []policy.KeyID, error) {
	keys, err := readKeys(d, cfg.PolicyKeys)
	if err != nil || path == "" {
		return nil, nil, err
	}
	data, err := readWhole(d, path, maxPolicy)
	if err != nil {
		return nil, nil, fmt.Errorf("policy: %w", err)
	}
	rules, by, err := judge(data, keys)
	if err == nil {
		least.back, err = goingBack(data, keys)
	}
	if err == nil {
		err = recent(d, cfg, rules, least)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("policy %s: %w", path, err)
	}
	return rules, by, nil
}

// judge decodes a policy; with keys, only if one of them signed it.
func judge(data []byte, keys []ed25519.PublicKey) (rules *policy.Ruleset, by []policy.KeyID, err error) {
	artifact, signatures, err := policy.Unseal(data)
	if err != nil {
		return nil, nil, err
	}
	if len(keys) > 0 && policy.IsArtifact(artifact) {
		if by, err = policy.Trust(artifact, signatures, keys); err != nil {
			return nil, nil, err
		}
	}
	rules, err = policy.Decode(artifact)
	return rules, by, err
}

// goingBack is what a file's rollback says to going back to it; nil: it has none. The
// clock that it is held to is that of this machine.
func goingBack(data []byte, keys []ed25519.PublicKey) (func(uint64) error, error) {
	back, err := policy.RollbackOf(data)
	if err != nil || back == nil {
		return nil, err
	}
	artifact, _, err := policy.Unseal(data)
	return func(inForce uint64) error { return back.Permits(artifact, inForce, keys, time.Now().Unix()) }, err
}

// readKeys reads the keys that the configuration trusts.
func readKeys(d disk, list []config.PolicyKey) ([]ed25519.PublicKey, error) {
	var keys []ed25519.PublicKey
	var errs []error
	for _, k := range list {
		key, err := readKey(d, k)
		errs, keys = append(errs, err), append(keys, key)
	}
	return keys, errors.Join(errs...)
}

// readKey reads one key. A file that is not there is no file of the policy: its
// error must not be taken for that.
func readKey(d disk, k config.PolicyKey) (ed25519.PublicKey, error) {
	if k.File == "" {
		return k.Key, nil
	}
	text, err := readWhole(d, k.File, maxKey)
	if err != nil {
		return nil, fmt.Errorf("policy_keys: %v; no policy is loaded without its keys", err)
	}
	key, err := policy.ParseKey(text)
	if err != nil {
		return nil, fmt.Errorf("policy_keys: %s: %w", k.File, err)
	}
	return key, nil
}
