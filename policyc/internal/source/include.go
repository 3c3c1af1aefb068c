package source

import (
	"bytes"

	"bulkhead/policyc/internal/diag"
)

// Includes are the files that a text asks for beside itself: patterns, as
// written, from its head. Who reads files resolves them; what is wrong with the text
// is for ParseAll to say.
func Includes(src *diag.Source) []Text {
	if !bytes.Contains(src.Text, []byte("include")) && !bytes.ContainsRune(src.Text, '\\') {
		return nil // most files, some of them large; a key may have escapes
	}
	var list diag.List
	root := open(src, false, &list).root
	if root == nil {
		return nil
	}
	r := &reader{list: &list}
	return r.texts(root, "include", false).Items
}

// ScopeOf is the scope that a text says it is of; "" for none.
func ScopeOf(src *diag.Source) string {
	if !bytes.Contains(src.Text, []byte("scope")) && !bytes.ContainsRune(src.Text, '\\') {
		return ""
	}
	var list diag.List
	root := open(src, false, &list).root
	if root == nil {
		return ""
	}
	return scopeName(root)
}
