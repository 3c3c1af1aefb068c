package check

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"bulkhead/dataplane/policy"
)

const matchCure = `write it as "tier in (web, api)", "env not in (dev)", "exists team" or "not exists legacy"`

// ParseMatch reads one condition on one label: "tier in (web, api)", "env not
// in (dev)", "exists team" or "not exists legacy". A key with
// parentheses and a value with blanks, commas or parentheses stand in double
// quotes.
func ParseMatch(text string) (policy.Requirement, *Problem) {
	r, problem := parseMatch(text)
	if problem == nil {
		problem = badRequirement(r)
	}
	return r, problem
}

func parseMatch(text string) (policy.Requirement, *Problem) {
	words, closed := matchWords(text)
	n := len(words)
	switch {
	case !closed:
	case n == 2 && words[0].is("exists") && words[1].isText():
		return policy.Requirement{Key: words[1].text, Op: policy.OpExists}, nil
	case n == 3 && words[0].is("not") && words[1].is("exists") && words[2].isText():
		return policy.Requirement{Key: words[2].text, Op: policy.OpNotExists}, nil
	case n >= 4 && words[0].isText() && words[1].is("in"):
		return parseValues(text, policy.Requirement{Key: words[0].text, Op: policy.OpIn}, words[2:])
	case n >= 5 && words[0].isText() && words[1].is("not") && words[2].is("in"):
		return parseValues(text, policy.Requirement{Key: words[0].text, Op: policy.OpNotIn}, words[3:])
	}
	return policy.Requirement{}, &Problem{Text: fmt.Sprintf("%q is no condition on a label", text), Cure: matchCure}
}

// parseValues reads "(a, b)".
func parseValues(text string, r policy.Requirement, words []matchWord) (policy.Requirement, *Problem) {
	last := len(words) - 1
	fine := words[0].mark == '(' && words[last].mark == ')' && last%2 == 0
	for i, w := range words[1:max(last, 1)] {
		if i%2 == 1 {
			fine = fine && w.mark == ','
			continue
		}
		fine = fine && w.isText()
		r.Values = append(r.Values, w.text)
	}
	if !fine {
		return r, &Problem{Text: fmt.Sprintf("%q has no list of values", text), Cure: "write them as (web, api); one with blanks or commas stands in double quotes"}
	}
	slices.Sort(r.Values)
	r.Values = slices.Compact(r.Values)
	return r, nil
}

// matchWord is a word, or one of the marks ( ) and comma.
type matchWord struct {
	text   string
	quoted bool
	mark   byte
}

func (w matchWord) isText() bool        { return w.mark == 0 && (w.text != "" || w.quoted) }
func (w matchWord) is(word string) bool { return w.mark == 0 && !w.quoted && w.text == word }

// matchWords cuts a condition into words; false: a quote is not closed, or what
// it holds is none.
func matchWords(text string) ([]matchWord, bool) {
	var out []matchWord
	for {
		text = strings.TrimLeft(text, " \t")
		switch {
		case text == "":
			return out, true
		case strings.IndexByte("(),", text[0]) >= 0:
			out = append(out, matchWord{mark: text[0]})
			text = text[1:]
		case text[0] == '"':
			quoted, err := strconv.QuotedPrefix(text)
			if err != nil {
				return nil, false
			}
			value, _ := strconv.Unquote(quoted)
			out = append(out, matchWord{text: value, quoted: true})
			text = text[len(quoted):]
		default:
			end := strings.IndexAny(text+" ", " \t(),\"")
			out = append(out, matchWord{text: text[:end]})
			text = text[end:]
		}
	}
}
