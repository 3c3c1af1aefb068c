package config

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
)

// policyKeys checks the keys that a policy must be signed with. What is base64
// of a key is one; anything else is a file, which is read when a policy is.
func (c *checker) policyKeys(list []string, dir string) {
	const key = "policy_keys"
	if c.set[key] && !c.silent[key] && len(list) == 0 {
		c.wrong(key, "name a key, or take policy_keys away: a policy need not be signed then", "no key is trusted, so no policy could be loaded")
	}
	if len(list) > maxPolicyKeys {
		c.wrong(fmt.Sprintf("%s[%d]", key, maxPolicyKeys), fmt.Sprintf("at most %d", maxPolicyKeys), "%d keys are too many", len(list))
	}
	for i, text := range list {
		at := fmt.Sprintf("%s[%d]", key, i)
		if text == "" && !c.silent[at] {
			c.wrong(at, "name a file that policyc keygen wrote, or write the key in base64", "this names no key")
		}
		c.cfg.PolicyKeys = append(c.cfg.PolicyKeys, policyKey(text, dir))
	}
}

func policyKey(text, dir string) PolicyKey {
	key, err := base64.StdEncoding.Strict().DecodeString(text)
	if err == nil && len(key) == ed25519.PublicKeySize {
		return PolicyKey{Key: key}
	}
	return PolicyKey{File: inDir(dir, text)}
}
