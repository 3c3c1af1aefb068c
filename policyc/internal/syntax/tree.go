package syntax

import "bulkhead/policyc/internal/diag"

// Tree is a text, statement by statement.
type Tree struct {
	Src        *diag.Source
	Statements []Statement
	// Tail is the comments behind the last statement; see Statement.Lead.
	Tail []string
}

// StatementKind is one of TOML's three statements.
type StatementKind uint8

const (
	// Pair is key = value.
	Pair StatementKind = iota
	// Table is [key].
	Table
	// ArrayTable is [[key]].
	ArrayTable
)

// Statement is a header or a pair with the comments that belong to it.
type Statement struct {
	Kind StatementKind
	// Lead is the comment lines above, each with its '#'; "" is a blank line
	// (several in a row are one).
	Lead  []string
	Key   []Part
	Value *Value // Pair only
	// Comment is the one behind the statement on its line, with its '#'.
	Comment string
	Off     int // of the first byte of the key or bracket
}

// Part is one name of a dotted key.
type Part struct {
	Name     string // without quotes and escapes
	Off, Len int    // of the name as written, quotes included
}

// ValueKind is the form of a value.
type ValueKind uint8

const (
	// String is a string in any of the four notations.
	String ValueKind = iota
	// Plain is a number, a truth value or a time.
	Plain
	// Array is [...].
	Array
	// Inline is an inline table {...}.
	Inline
)

// Value is a value as written.
type Value struct {
	Kind     ValueKind
	Off, Len int
	Elements []Element // Array, Inline
	// Tail is the comments before the closing bracket.
	Tail []string
}

// Element is an item of an array, or a pair of an inline table.
type Element struct {
	Lead    []string
	Key     []Part // Inline only
	Value   *Value
	Comment string
}

// Raw is the value as it stands in the text.
func (v *Value) Raw(src *diag.Source) string {
	return string(src.Text[v.Off : v.Off+v.Len])
}

// Commented tells whether a comment stands anywhere inside the value.
func (v *Value) Commented() bool {
	if hasComment(v.Tail) {
		return true
	}
	for _, e := range v.Elements {
		if e.Comment != "" || hasComment(e.Lead) || e.Value.Commented() {
			return true
		}
	}
	return false
}

func hasComment(lines []string) bool {
	for _, l := range lines {
		if l != "" {
			return true
		}
	}
	return false
}
