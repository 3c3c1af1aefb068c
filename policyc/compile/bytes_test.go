package compile

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"bulkhead/dataplane/policy"
)

// long asks for larger policies. BULKHEAD_LONG=1 go test ./policyc/compile
var long = os.Getenv("BULKHEAD_LONG") != ""

// manyRules is a policy of n rules.
func manyRules(n int) string {
	var text strings.Builder
	text.WriteString("version = 1\n")
	for i := range 3 {
		fmt.Fprintf(&text, "[services.s%d]\nlabels = { s = \"%d\" }\n[networks.n%d]\ncidrs = [\"10.%d.0.0/16\"]\n", i, i, i, i)
	}
	for i := range n {
		fmt.Fprintf(&text, "[[rules]]\nname = \"r%d\"\nallow = { from = [\"s%d\"], to = [\"n%d\"], ports = [\"tcp/%d\"] }\n", i, i%3, i%2, i%60000)
	}
	return text.String()
}

// The same source gives the same bytes, however many threads there are.
func TestSameSourceSameBytes(t *testing.T) {
	n := 2000
	if long {
		n = 70000
	}
	text := manyRules(n)
	build := func(threads int) []byte {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(threads))
		rs, findings := Compile([]Source{{Name: "p.toml", Text: []byte(text)}}, Options{})
		if findings.Failed() {
			t.Fatal("it does not compile")
		}
		data, err := policy.Encode(rs)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	if one, two := build(1), build(2); !slices.Equal(one, two) {
		t.Error("the bytes differ")
	}
}
