package plots

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"bulkhead/bench/report"
)

func sample() []report.Figure {
	f := func(scenario, name, subject, unit string, rounds ...float64) report.Figure {
		return report.Figure{Scenario: scenario, Case: name, Subject: subject, Unit: unit, Better: report.Higher, Rounds: rounds}
	}
	return []report.Figure{
		f("tap-tcp", "one flow", "ours", "Gb/s", 17, 18, 16), f("tap-tcp", "8 flows", "ours", "Gb/s", 20, 21, 22),
		f("tap-tcp", "one flow", "bridge", "Gb/s", 19, 20, 21), f("tap-tcp", "lost", "ours", "%", 0, 0, 0),
		f("idle", "CPU", "ours", "ms/s", 0, 0, 0), f("wide", "x", "ours", "ns", 1, 1, 1), f("wide", "y", "ours", "ns", 1000, 999, 1001),
	}
}

// A chart is of one scenario and one unit; shares have none.
func TestCharts(t *testing.T) {
	charts := Charts(sample())
	var names []string
	for _, c := range charts {
		names = append(names, c.Name())
	}
	if want := []string{"tap-tcp-gb-s.svg", "idle-ms-s.svg", "wide-ns.svg"}; !slices.Equal(names, want) {
		t.Fatalf("%q, want %q", names, want)
	}
	if c := charts[0]; !slices.Equal(c.Cases, []string{"one flow", "8 flows"}) || !slices.Equal(c.Subjects, []string{"ours", "bridge"}) {
		t.Errorf("%+v", c)
	}
}

// A subject has one colour throughout a report, and each another.
func TestColours(t *testing.T) {
	figures := append(sample(), report.Figure{Scenario: "z", Case: "x", Subject: "bridge", Unit: "ns", Rounds: []float64{1}})
	charts := Charts(figures)
	first, last := charts[0], charts[len(charts)-1]
	if first.colour["bridge"] != last.colour["bridge"] || first.colour["bridge"] == first.colour["ours"] || first.colour["ours"] != colours[0] {
		t.Errorf("%v, %v", first.colour, last.colour)
	}
}

// What is drawn is XML, the same each time, with its names in it; a wide reach
// says that its axis is logarithmic.
func TestWrite(t *testing.T) {
	dir := t.TempDir()
	files, err := Write(dir, sample())
	if err != nil || len(files) != 3 {
		t.Fatalf("%v, %v", files, err)
	}
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		for d := xml.NewDecoder(bytes.NewReader(text)); ; {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				return string(text)
			} else if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
	}
	first := read("tap-tcp-gb-s.svg")
	for _, want := range []string{"one flow", "8 flows", "ours", "bridge", "tap-tcp, Gb/s, more is better"} {
		if !strings.Contains(first, want) {
			t.Errorf("%q is not in the picture", want)
		}
	}
	if strings.Contains(first, "logarithmic") || !strings.Contains(read("wide-ns.svg"), "logarithmic") {
		t.Error("the wrong axis is logarithmic")
	}
	read("idle-ms-s.svg")
	if _, err := Write(dir, sample()); err != nil || read("tap-tcp-gb-s.svg") != first {
		t.Errorf("another picture of the same figures, %v", err)
	}
}
