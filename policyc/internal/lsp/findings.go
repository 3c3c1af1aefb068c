package lsp

import (
	"maps"
	"slices"
	"time"

	"bulkhead/policyc/compile"
	"bulkhead/policyc/internal/diag"
)

// publish sends the findings of all documents, if one has changed.
func (s *Server) publish() {
	if !s.dirty {
		return
	}
	s.dirty = false
	done := map[string]bool{}
	for _, uri := range slices.Sorted(maps.Keys(s.docs)) {
		if !done[uri] {
			s.check(s.together(s.docs[uri]), done)
		}
	}
	for uri := range s.published {
		if !done[uri] { // closed, or part of nothing any more
			s.notify("textDocument/publishDiagnostics", publishParams{URI: uri, Diagnostics: []diagnostic{}})
		}
	}
	s.published = done
}

// check checks documents that are one policy.
func (s *Server) check(docs []*document, done map[string]bool) {
	by := map[string]*document{}
	var sources []compile.Source
	for _, d := range docs {
		by[d.uri] = d
		sources = append(sources, compile.Source{Name: d.uri, Text: []byte(d.text)})
	}
	_, findings := compile.CheckAt(sources, compile.Moments{Now: time.Now().Unix()})
	found := map[string][]diagnostic{}
	for _, f := range findings.All() {
		uri := f.At.File()
		if by[uri] == nil {
			uri = docs[0].uri // of no place: at the top of the first
		}
		found[uri] = append(found[uri], shownAs(by, by[uri], &f))
	}
	for _, d := range docs {
		done[d.uri] = true
		p := publishParams{URI: d.uri, Diagnostics: found[d.uri]}
		if p.Diagnostics == nil {
			p.Diagnostics = []diagnostic{}
		}
		if s.docs[d.uri] == d {
			p.Version = &d.version
		}
		s.notify("textDocument/publishDiagnostics", p)
	}
}

// shownAs writes a finding as the protocol does.
func shownAs(by map[string]*document, d *document, f *diag.Diagnostic) diagnostic {
	out := diagnostic{Range: d.span(int(f.At.Off), int(f.At.Len)), Severity: 1, Source: "policyc", Message: f.Message}
	if f.Severity == diag.Warning {
		out.Severity = 2
	}
	if f.Suggest != "" {
		out.Message += "; did you mean \"" + f.Suggest + "\"?"
	}
	if f.Cure != "" {
		out.Message += "\ncure: " + f.Cure
	}
	for _, n := range f.Notes {
		if other := by[n.At.File()]; other != nil {
			at := location{other.uri, other.span(int(n.At.Off), int(n.At.Len))}
			out.Related = append(out.Related, related{at, n.Message})
		}
	}
	return out
}
