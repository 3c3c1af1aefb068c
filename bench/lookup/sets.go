package lookup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"bulkhead/bench/classbench"
	"bulkhead/bench/report"
	rules "bulkhead/policyc/classbench"
)

// sets are the rule sets of a scenario, where they are.
var sets = []string{"acl1_1k", "fw1_1k", "ipc1_1k", "acl1_10k", "fw1_10k", "ipc1_10k", "acl1_100k", "fw1_100k", "ipc1_100k"}

// mostHeaders bounds a trace, so that a round stays short.
const mostHeaders = 1 << 16

// ours and theirs are the subjects.
const (
	ours   = "bulkhead"
	theirs = "rte_acl"
)

// Sets are what a scenario measures.
type Sets struct {
	Dir     string // of the files, as classbench.Dir has it
	Options Options
	found   []report.Figure
	remarks []string
}

// Measure asks every set that is in the directory, beside rte_acl in the same
// rounds; what cannot run is told in the remarks.
func (m *Sets) Measure(ctx context.Context) ([]report.Figure, []string, error) {
	if _, err := os.Stat(filepath.Join(m.Dir, "rules")); err != nil {
		return nil, []string{fmt.Sprintf("classify: no rule sets: %v; set CLASSBENCH to where they are", err)}, nil
	}
	dir, err := os.MkdirTemp("", fmt.Sprintf("vsbench.%d.", os.Getpid()))
	if err != nil {
		return nil, nil, err
	}
	defer os.RemoveAll(dir)
	for _, name := range sets {
		err := m.set(ctx, name, dir)
		if errors.Is(err, fs.ErrNotExist) {
			m.remarks = append(m.remarks, fmt.Sprintf("classify: %s is left out: %v", name, err))
			continue
		}
		if err != nil {
			return nil, m.remarks, fmt.Errorf("%s: %w", name, err)
		}
	}
	return m.found, m.remarks, nil
}

// set measures one.
func (m *Sets) set(ctx context.Context, name, dir string) error {
	list, err := classbench.ReadRules(m.Dir, name)
	if err != nil {
		return err
	}
	trace, err := classbench.ReadTrace(m.Dir, name, "trace", mostHeaders)
	if err != nil {
		return err
	}
	crossed, err := classbench.ReadTrace(m.Dir, name, "xtrace", mostHeaders)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	m.Options.Progress(fmt.Sprintf("classify: %s, making the tables", name))
	s, err := New(list)
	if err != nil {
		return err
	}
	plain, err := s.column(name, trace)
	if err != nil {
		return err
	}
	columns := []*column{plain}
	if crossed != nil {
		x, err := s.column(name+", adversarial", crossed)
		if err != nil {
			return err
		}
		columns = append(columns, x)
	}
	acl, err := m.peer(ctx, name, dir, len(list), trace)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		m.remarks = append(m.remarks, fmt.Sprintf("classify: rte_acl is left out on %s: %v", name, err))
	}
	m.remarks = append(m.remarks, fmt.Sprintf("classify: %s: tables of %.1f MiB built in %.0f ms, at most %d loads a packet", name, float64(s.Bytes())/(1<<20), Milli(s.Build.Total()), s.Touches()))
	return m.rounds(ctx, s, columns, acl)
}

// column is a trace, and what was found of it.
type column struct {
	trace         []classbench.Header
	known         []int32
	single, batch report.Figure
}

// column judges a trace before it is timed: a wrong answer is no measurement.
func (s *Set) column(name string, trace []classbench.Header) (*column, error) {
	v, err := s.Judge(trace, nil, 1_000_000/len(s.Rules)+1)
	if err != nil {
		return nil, err
	}
	if v.Wrong() {
		return nil, fmt.Errorf("%d of %d answers differ from a search of the list, %d from batch to single", v.Disagree, v.Searched, v.Unstable)
	}
	return &column{trace: trace, known: v.Answers, single: figure(name+", one at a time", "ns/packet"), batch: figure(name, "ns/packet")}, nil
}

func figure(name, unit string) report.Figure {
	return report.Figure{Scenario: "classify", Case: name, Subject: ours, Unit: unit, Better: report.Lower,
		Note: "two addresses to identities and the policy's tables, parsed headers in batches of 64, CPU time of one thread"}
}

// peer gives rte_acl the same rules and headers, as plain text.
func (m *Sets) peer(ctx context.Context, name, dir string, lines int, trace []classbench.Header) (*RTEACL, error) {
	m.Options.Progress(fmt.Sprintf("classify: %s, rte_acl", name))
	ruleFile, traceFile := filepath.Join(dir, "rules"), filepath.Join(dir, "trace")
	if err := unpack(filepath.Join(m.Dir, "rules", name+".zst"), ruleFile); err != nil {
		return nil, err
	}
	if err := writeTrace(traceFile, trace); err != nil {
		return nil, err
	}
	return NewRTEACL(ctx, ruleFile, traceFile, lines, len(trace), fmt.Sprintf("vsb%dm", os.Getpid()))
}

func unpack(from, to string) error {
	in, err := rules.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

func writeTrace(name string, trace []classbench.Header) error {
	out, err := os.Create(name)
	if err != nil {
		return err
	}
	var text []byte
	for _, h := range trace {
		text = fmt.Appendf(text, "%d\t%d\t%d\t%d\t%d\t0\t0\n", h.Src, h.Dst, h.Sport, h.Dport, h.Proto)
	}
	_, err = out.Write(text)
	return errors.Join(err, out.Close())
}

// rounds times ours and theirs in turn.
func (m *Sets) rounds(ctx context.Context, s *Set, columns []*column, acl *RTEACL) error {
	name := columns[0].batch.Case
	peer := report.Figure{Scenario: "classify", Case: name, Subject: theirs, Unit: "ns/packet", Better: report.Lower, Note: "DPDK's rte_acl by dpdk-test-acl, 256 headers a call, its fastest method on this set here"}
	one := Options{Rounds: 1, For: m.Options.For / time.Duration(2*len(sets)), Progress: func(string) {}}
	for round := range m.Options.Rounds {
		m.Options.Progress(fmt.Sprintf("classify: %s, round %d of %d", name, round+1, m.Options.Rounds))
		for _, c := range columns {
			single, batch, err := s.Time(ctx, c.trace, c.known, one)
			if err != nil {
				return err
			}
			c.single.Add(report.Value{Value: single.Rounds[0], Samples: single.Samples})
			c.batch.Add(report.Value{Value: batch.Rounds[0], Samples: batch.Samples})
		}
		if acl != nil {
			ns, err := acl.Time(ctx)
			if err != nil {
				return err
			}
			peer.Add(report.Value{Value: ns})
		}
	}
	for _, c := range columns {
		m.found = append(m.found, c.batch, c.single)
	}
	if acl != nil {
		m.found = append(m.found, peer)
	}
	return nil
}
