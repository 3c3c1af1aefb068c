package dataplane_test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"bulkhead/dataplane/drop"
)

// elsewhere are the reasons that no script can show, and why.
var elsewhere = map[drop.Stage]string{
	"rx": "a driver gives them: vswitch/port/porttest",
	"tx": "a driver gives them, but for port-down, which the walk gives, too",
}

// Every way in which the walk can end a frame is in a script: the reasons of
// all its stages, from parse to encap, and port-down. What a script expects
// has happened, or the script fails.
func TestEveryReasonHasAScript(t *testing.T) {
	files, err := filepath.Glob("testdata/script/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]bool{}
	expected := regexp.MustCompile(`[ ,]drop ([a-z0-9-]+) \+\d`)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range expected.FindAllSubmatch(text, -1) {
			shown[string(m[1])] = true
		}
	}
	for _, r := range drop.All() {
		if _, known := elsewhere[r.Stage()]; known && r != drop.PortDown {
			continue
		}
		if !shown[r.String()] {
			t.Errorf("no script shows a frame that ends as %s (%s): %s", r, r.Stage(), r.Sentence())
		}
	}
}
