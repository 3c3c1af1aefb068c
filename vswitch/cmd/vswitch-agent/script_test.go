package main

import (
	"crypto/ed25519"
	"crypto/sha256"
	"flag"
	"os"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"bulkhead/dataplane/policy"
	"bulkhead/policyc/compile"
	"bulkhead/vswitch/agent/storetest"
	"bulkhead/vswitch/cli/clitest"
)

var rewrite = flag.Bool("rewrite", false, "write what the commands print into the scripts")

// TestMain makes vswitch-agent a command of the scripts: this very binary.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"vswitch-agent": main})
}

// The command line as people see it, over a real store at $STORE. `go test
// ./vswitch/cmd/vswitch-agent -run Script -rewrite` writes the scripts anew; read
// the diff.
func TestScript(t *testing.T) {
	clitest.Scripts(t, *rewrite, testscript.Params{
		Setup: func(env *testscript.Env) error {
			env.Setenv("STORE", storetest.Start(env.T().(testing.TB)).URL())
			return nil
		},
		Cmds: map[string]clitest.Command{"signed": signed},
	})
}

func TestHelp(t *testing.T) { clitest.Help(t, command) }

// signed FILE GENERATION writes a policy without rules, signed.
func signed(ts *testscript.TestScript, _ bool, args []string) {
	generation, err := strconv.ParseUint(args[1], 10, 64)
	ts.Check(err)
	rules, findings := compile.Compile([]compile.Source{{Name: "p.toml", Text: []byte("version = 1\n")}}, compile.Options{Generation: generation})
	if findings.Failed() {
		ts.Fatalf("a policy without rules has mistakes")
	}
	artifact, err := policy.Encode(rules)
	ts.Check(err)
	seed := sha256.Sum256([]byte("a test's"))
	s, err := policy.Sign(artifact, ed25519.NewKeyFromSeed(seed[:]))
	ts.Check(err)
	data, err := policy.Seal(artifact, []policy.Signature{s})
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), data, 0o600))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".unsigned"), artifact, 0o600))
}
