package main

import (
	"fmt"
	"io"
	"strings"

	"bulkhead/dataplane/policy"
	"bulkhead/policyc/internal/budget"
)

// overrun is a policy that is over its budget, and the rules to blame. nil is
// one that is within it.
type overrun struct {
	MaxTouches int         `json:"max_touches,omitempty"`
	MaxBytes   int         `json:"max_bytes,omitempty"`
	Blamed     []blameJSON `json:"blamed"`
	Fits       bool        `json:"fits_without"` // without all of them it is within
	text       string
}

// blameJSON is a rule, and what the policy would cost without it and those
// before it in the list.
type blameJSON struct {
	Rule    string `json:"rule"`
	Place   string `json:"place"`
	Touches int    `json:"touches"`
	Bytes   int    `json:"bytes"`
}

// within judges a policy by its budget.
func within(limit budget.Limit, rs *policy.Ruleset, identities [][]uint32, cost *budget.Cost) (*overrun, error) {
	if limit.Holds(cost) {
		return nil, nil
	}
	blamed, fits, err := limit.Blame(rs, identities)
	if err != nil {
		return nil, err
	}
	o := &overrun{MaxTouches: limit.Touches, MaxBytes: limit.Bytes, Blamed: []blameJSON{}, Fits: fits, text: excess(limit, cost)}
	for _, b := range blamed {
		o.Blamed = append(o.Blamed, blameJSON{b.Rule.Name, fmt.Sprintf("%s:%d", b.Rule.File, b.Rule.Line), b.Without.Touches, b.Without.Bytes})
	}
	return o, nil
}

func excess(limit budget.Limit, cost *budget.Cost) string {
	var over []string
	if limit.Touches > 0 && cost.Touches > limit.Touches {
		over = append(over, fmt.Sprintf("a lookup takes %d touches, more than %d", cost.Touches, limit.Touches))
	}
	if limit.Bytes > 0 && cost.Bytes > limit.Bytes {
		over = append(over, fmt.Sprintf("the tables take %d bytes, more than %d", cost.Bytes, limit.Bytes))
	}
	return strings.Join(over, "; ")
}

// answer is no for a policy that is over its budget.
func (o *overrun) answer() error {
	if o == nil {
		return nil
	}
	return answerNo{}
}

// report says for people what answer does.
func (o *overrun) report(w io.Writer) error {
	if o == nil {
		return nil
	}
	fmt.Fprintf(w, "over the budget: %s\n", o.text)
	for i, b := range o.Blamed {
		also := ""
		if i > 0 {
			also = " as well"
		}
		fmt.Fprintf(w, "without %q (%s)%s: %d touches, %d bytes\n", b.Rule, b.Place, also, b.Touches, b.Bytes)
	}
	if !o.Fits {
		fmt.Fprintln(w, "that is over it still: no few rules make the policy so large; allow more, or put endpoints in fewer services")
	}
	return answerNo{}
}
