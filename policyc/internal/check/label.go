package check

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"bulkhead/dataplane/policy"
	"bulkhead/policyc/internal/source"
)

// maxLabel bounds a label's key and its value, in bytes. It is the switch's own
// bound of an endpoint's labels.
const maxLabel = 253

// labelsOf reads a table of labels. A label that no endpoint can have is an
// error and not merely useless: "not exists legacy", with a blank behind it that
// no eye sees, would be met by everybody.
func (c *checker) labelsOf(l *source.Labels) map[string]string {
	m := make(map[string]string, len(l.Items))
	for _, label := range l.Items {
		if problem := badKey(label.Key.Value); problem != nil {
			c.list.Errorf(label.Key.At, "%s", problem.Text).With("%s", problem.Cure)
		}
		if problem := badValue(label.Value.Value); problem != nil {
			c.list.Errorf(label.Value.At, "%s", problem.Text).With("%s", problem.Cure)
		}
		m[label.Key.Value] = label.Value.Value
	}
	return m
}

// badRequirement tells what keeps every endpoint from having the labels that a
// condition is about.
func badRequirement(r policy.Requirement) *Problem {
	if problem := badKey(r.Key); problem != nil {
		return problem
	}
	for _, v := range r.Values {
		if problem := badValue(v); problem != nil {
			return problem
		}
	}
	return nil
}

func badKey(key string) *Problem {
	switch {
	case strings.Contains(key, "${"):
		return &Problem{Text: fmt.Sprintf("%q is no label's key: variables are for values", key), Cure: "write the key out"}
	case key == "" || len(key) > maxLabel || !prints(key) || strings.ContainsAny(key, "=, "):
		return &Problem{
			Text: fmt.Sprintf("%q is no label's key: no endpoint can have it", key),
			Cure: fmt.Sprintf("1 to %d bytes that can be printed, without blanks, comma and equals sign", maxLabel),
		}
	}
	return nil
}

func badValue(value string) *Problem {
	if len(value) > maxLabel || !prints(value) {
		return &Problem{
			Text: fmt.Sprintf("%q is no label's value: no endpoint can have it", value),
			Cure: fmt.Sprintf("at most %d bytes that can be printed", maxLabel),
		}
	}
	return nil
}

// prints tells whether a text is nothing but characters that show, and plain
// blanks.
func prints(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}
