package classbench

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func file(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// A header is what its first five columns say, however they are set apart.
func TestTraceLines(t *testing.T) {
	want := Header{167772161, 4294967295, 0, 65535, 6}
	for situation, line := range map[string]string{
		"five":     "167772161 4294967295 0 65535 6",
		"six":      "167772161\t4294967295\t0\t65535\t6\t12",
		"seven":    "167772161\t4294967295\t0\t65535\t6\t0\t-1\t",
		"windows":  "  167772161  4294967295 0 65535 6 \t\r",
		"address":  "10.0.0.1 255.255.255.255 0 65535 6",
		"bom":      "\ufeff167772161 4294967295 0 65535 6",
		"comments": "# from a generator\n\n167772161 4294967295 0 65535 6\n\n",
	} {
		got, err := ReadTraceFile(file(t, line+"\n"))
		if err != nil || len(got) != 1 || got[0] != want {
			t.Errorf("%s: %+v, %v", situation, got, err)
		}
	}
}

func TestTraceLinesThatAreNone(t *testing.T) {
	for situation, c := range map[string]struct{ text, says string }{
		"empty":         {"\n \n", "no header is in it"},
		"four":          {"1 2 3 4\n", ":1: 4 columns; write"},
		"eight":         {"1 2 3 4 6 0 0 0\n", ":1: 8 columns; write"},
		"protocol_256":  {"1 2 3 4 5\n1 2 3 4 256\n", `:2: "256" is no number from 0 to 255`},
		"port_65536":    {"1 2 65536 4 5\n", `"65536" is no number from 0 to 65535`},
		"address_large": {"4294967296 2 3 4 5\n", `"4294967296" is no IPv4 address`},
		"ipv6":          {"::1 2 3 4 5\n", `"::1" is no IPv4 address`},
		"negative":      {"1 2 -3 4 5\n", `"-3" is no number`},
	} {
		if got, err := ReadTraceFile(file(t, c.text)); err == nil || got != nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, %v", situation, got, err)
		}
	}
}

func TestExpectLines(t *testing.T) {
	got, err := ReadExpectFile(file(t, "0\r\n-1 \n\n70000\n"))
	if err != nil || !slices.Equal(got, []int{0, -1, 70000}) {
		t.Errorf("%v, %v", got, err)
	}
	for text, says := range map[string]string{
		"":         "nothing is expected",
		"1\n-2\n":  `:2: "-2" is no rule`,
		"1 2\n":    `:1: "1 2" is no rule`,
		"rule 1\n": `"rule 1" is no rule`,
	} {
		if _, err := ReadExpectFile(file(t, text)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
