package lookup

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"bulkhead/bench/classbench"
	"bulkhead/bench/report"
)

// Result is what one rule set and trace gave. As JSON it is for programs.
type Result struct {
	Schema     int            `json:"schema"`
	Command    string         `json:"command"`
	Revision   string         `json:"revision"`
	Machine    report.Machine `json:"machine"`
	Rules      Rules          `json:"rules"`
	Trace      Trace          `json:"trace"`
	Compared   int            `json:"compared"` // headers with an answer expected
	Differ     int            `json:"differ"`
	Searched   int            `json:"searched"` // headers searched in the list, too
	Disagree   int            `json:"disagree"` // of those
	Unstable   int            `json:"unstable"` // answered otherwise in a batch than alone
	Different  []Difference   `json:"different,omitempty"`
	Single     *Spread        `json:"single_ns,omitempty"`
	Batched    *Spread        `json:"batch_ns,omitempty"`
	Batch      int            `json:"batch"`
	Gain       *Spread        `json:"batch_gain,omitempty"` // single : batch, of the same round
	TableBytes int            `json:"table_bytes"`
	Touches    int            `json:"worst_case_touches"`
	Build      BuildTimes     `json:"build"`
}

// Schema is the version of the JSON form.
const Schema = 1

// Rules and Trace are what was read.
type (
	Rules struct {
		File   string `json:"file"`
		Number int    `json:"number"`
	}
	Trace struct {
		File   string `json:"file"`
		Number int    `json:"number"`
		NoRule int    `json:"no_rule"`
	}
)

// BuildTimes are in milliseconds.
type BuildTimes struct {
	Milliseconds  float64 `json:"ms"`
	Read          float64 `json:"read_ms"` // not in the sum: the text is no policy
	Ruleset       float64 `json:"ruleset_ms"`
	Artifact      float64 `json:"artifact_ms"`
	Addresses     float64 `json:"addresses_ms"`
	Link          float64 `json:"link_ms"`
	ArtifactBytes int     `json:"artifact_bytes"`
	NoArtifact    string  `json:"no_artifact,omitempty"`
}

// Spread is the rounds of a quantity.
type Spread struct {
	Median float64   `json:"median"`
	Min    float64   `json:"min"`
	Max    float64   `json:"max"`
	Rounds []float64 `json:"rounds"`
}

func spread(rounds []float64) *Spread {
	if len(rounds) == 0 {
		return nil
	}
	return &Spread{report.Quantile(rounds, 0.5), report.Quantile(rounds, 0), report.Quantile(rounds, 1), rounds}
}

// Take fills in what a set is and what it answered.
func (r *Result) Take(s *Set, v *Verdicts) {
	r.Schema, r.Batch, r.Rules.Number, r.TableBytes, r.Touches = Schema, Batch, len(s.Rules), s.Bytes(), s.Touches()
	r.Trace.Number, r.Trace.NoRule = len(v.Answers), v.NoRule
	r.Compared, r.Differ, r.Searched, r.Disagree, r.Unstable, r.Different = v.Compared, v.Differ, v.Searched, v.Disagree, v.Unstable, v.Different
	b := &s.Build
	r.Build = BuildTimes{Read: r.Build.Read, Milliseconds: Milli(b.Total()), Ruleset: Milli(b.Ruleset), Artifact: Milli(b.Artifact),
		Addresses: Milli(b.Addresses), Link: Milli(b.Link), ArtifactBytes: b.ArtifactBytes, NoArtifact: b.NoArtifact}
}

// TakeTimes fills in how long it took.
func (r *Result) TakeTimes(single, batched *report.Figure) {
	var gains []float64
	for i := range single.Rounds {
		gains = append(gains, single.Rounds[i]/batched.Rounds[i])
	}
	r.Single, r.Batched, r.Gain = spread(single.Rounds), spread(batched.Rounds), spread(gains)
}

// Milli writes a duration in milliseconds.
func Milli(d time.Duration) float64 { return float64(d.Microseconds()) / 1e3 }

// JSON writes the result for programs.
func (r *Result) JSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

// Text writes it for people; rules are for the lines of differences.
func (r *Result) Text(w io.Writer, rules []classbench.Rule) error {
	out := &printer{w: w}
	out.row("rules", "%d of %s", r.Rules.Number, r.Rules.File)
	out.row("headers", "%d of %s, %d of them match no rule", r.Trace.Number, r.Trace.File, r.Trace.NoRule)
	if r.Compared > 0 {
		out.row("differ", "%d of %d from what is expected%s", r.Differ, r.Compared, r.rest())
	}
	if r.Searched > 0 {
		out.row("searched", "%d of %d differ from a search of the list", r.Disagree, r.Searched)
	}
	out.row("batches", "%d answered otherwise than alone", r.Unstable)
	for _, d := range r.Different {
		out.row("", "header %d: %s, %s %s", d.Header, r.rule(d.Got, rules), d.What, r.rule(d.Expected, rules))
	}
	if r.Single != nil {
		out.row("one at a time", "%s ns a packet", r.Single)
		out.row(fmt.Sprintf("batches of %d", r.Batch), "%s ns a packet, %s x as fast", r.Batched, r.Gain)
	}
	out.row("tables", "%d bytes", r.TableBytes)
	out.row("touches", "%d loads a packet at the most", r.Touches)
	b := &r.Build
	out.row("build", "%.0f ms: ruleset %.0f, artifact %.0f, addresses %.0f, tables %.0f; before, %.0f to read the text",
		b.Milliseconds, b.Ruleset, b.Artifact, b.Addresses, b.Link, b.Read)
	if b.NoArtifact != "" {
		out.row("artifact", "none: %s; linked as read", b.NoArtifact)
	} else {
		out.row("artifact", "%d bytes", b.ArtifactBytes)
	}
	return out.err
}

// rest says how many headers nothing was expected of.
func (r *Result) rest() string {
	if n := r.Trace.Number - r.Compared; n > 0 {
		return fmt.Sprintf("; nothing is expected of the last %d", n)
	}
	return ""
}

func (r *Result) rule(n int32, rules []classbench.Rule) string {
	if n < 0 || int(n) >= len(rules) {
		return "no rule"
	}
	return fmt.Sprintf("rule %d (%s:%d)", n, r.Rules.File, rules[n].Line)
}

// String writes the median, the least and the most.
func (s *Spread) String() string {
	return fmt.Sprintf("%s (%s-%s)", short(s.Median), short(s.Min), short(s.Max))
}

// short writes a number with the digits that count.
func short(v float64) string {
	if v >= 100 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3g", v)
}

// printer keeps the first error.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) row(name, format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, "%-15s "+format+"\n", append([]any{name}, args...)...)
	}
}
