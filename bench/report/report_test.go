package report

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"strings"
	"testing"
	"time"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

// sample has every field that a report may have.
func sample() *Report {
	figures := []Figure{
		{Scenario: "tap-tcp", Case: "one flow", Subject: "bulkhead-tap", Unit: "Gb/s", Better: Higher, Rounds: []float64{17.5, 18.25, 16}, Note: "policy on, stateful"},
		{Scenario: "tap-tcp", Case: "one flow", Subject: "bridge", Unit: "Gb/s", Better: Higher, Rounds: []float64{20, 19, 21}, Note: "no policy"},
		{Scenario: "tap-rtt", Case: "TCP round trip, p99.99", Subject: "bulkhead-tap", Unit: "us", Better: Lower, Rounds: []float64{1234.5, 310.25, 88.5}, Samples: 61234, Note: "policy on, stateful"},
	}
	return &Report{
		Schema: Schema, Command: "vsbench run tap-tcp tap-rtt --rounds 3", Revision: "0123456789ab", Seed: 7,
		Started:  time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		Machine:  Machine{Kernel: "6.18.44", CPU: "AMD EPYC", CPUs: 2, Go: "go1.26.8", Arch: "linux/amd64", Load: "0.10 0.20 0.30"},
		Versions: []string{"nft: nftables v1.0.6 (Lester Gooch #5)"},
		Figures:  figures, Ratios: Ratios(figures[:2]),
		Remarks: []string{"tap-rtt: p99.999 is left out"}, Failures: []string{"xdp-tcp: no such device"},
	}
}

// Programs read the JSON form: a change of a field is seen here, and counts
// Schema up. People read the text.
func TestGolden(t *testing.T) {
	for _, c := range []struct {
		file  string
		write func(*Report, *bytes.Buffer) error
	}{
		{"testdata/report.json", func(r *Report, b *bytes.Buffer) error { return r.JSON(b) }},
		{"testdata/report.md", func(r *Report, b *bytes.Buffer) error {
			return r.Markdown(b, map[string][]string{"tap-tcp": {"tap-tcp-gb-s.svg"}})
		}},
		{"testdata/report.txt", func(r *Report, b *bytes.Buffer) error { return r.Text(b) }},
	} {
		var got bytes.Buffer
		if err := c.write(sample(), &got); err != nil {
			t.Fatal(err)
		}
		if *rewrite {
			if err := os.WriteFile(c.file, got.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(c.file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.Bytes(), want) {
			t.Errorf("%s: got\n%s\nwant\n%s", c.file, got.Bytes(), want)
		}
	}
}

// A page made anew from the JSON is the page.
func TestMarkdownComesFromTheJSON(t *testing.T) {
	var text, page, again bytes.Buffer
	if err := errors.Join(sample().JSON(&text), sample().Markdown(&page, nil)); err != nil {
		t.Fatal(err)
	}
	r, err := Read(&text)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Markdown(&again, nil); err != nil || again.String() != page.String() {
		t.Errorf("%v\n%s", err, again.String())
	}
	for text, says := range map[string]string{`{"schema": 99}`: "schema 99", `{"schema": 1, "x": 1}`: "unknown field", "": "EOF"} {
		if _, err := Read(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
