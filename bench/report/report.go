// Package report is what a benchmark found: figures by rounds, their spread,
// and ratios between subjects that ran in turn.
//
// Absolute figures of a shared machine mean little; what is said of two
// subjects is the ratio of the same round, and who wins is said only where
// the spreads do not overlap.
//
// The JSON form is for programs: Schema counts up whenever a field changes its
// name or meaning. The package is pure; any goroutine may call it.
package report

import (
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// Schema is the version of the JSON form.
const Schema = 1

// Report is everything that one call measured.
type Report struct {
	Schema   int       `json:"schema"`
	Command  string    `json:"command"` // the command line that made it
	Revision string    `json:"revision"`
	Started  time.Time `json:"started"`
	Seed     uint64    `json:"seed"`
	Machine  Machine   `json:"machine"`
	Versions []string  `json:"versions,omitempty"` // of the programs that were measured
	Figures  []Figure  `json:"figures"`
	Ratios   []Ratio   `json:"ratios"`
	Remarks  []string  `json:"remarks,omitempty"` // what a reader must know besides
	Failures []string  `json:"failures,omitempty"`
}

// Machine is where it was measured.
type Machine struct {
	Kernel string `json:"kernel"`
	CPU    string `json:"cpu"`
	CPUs   int    `json:"cpus"`
	Go     string `json:"go"`
	Arch   string `json:"arch"`
	Load   string `json:"load"` // of 1, 5 and 15 minutes, before it began
}

// String writes the machine in a line.
func (m Machine) String() string {
	return fmt.Sprintf("Linux %s, %d x %s, %s, %s, load before %s", m.Kernel, m.CPUs, m.CPU, m.Go, m.Arch, m.Load)
}

// JSON writes the report for programs.
func (r *Report) JSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

// Read reads a report that JSON has written.
func Read(from io.Reader) (*Report, error) {
	r := new(Report)
	dec := json.NewDecoder(from)
	dec.DisallowUnknownFields()
	if err := dec.Decode(r); err != nil {
		return nil, fmt.Errorf("a report as vsbench run -o json writes it: %w", err)
	}
	if r.Schema != Schema {
		return nil, fmt.Errorf("schema %d; this vsbench reads %d: use the one that wrote it", r.Schema, Schema)
	}
	return r, nil
}
