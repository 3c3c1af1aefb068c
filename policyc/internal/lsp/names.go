package lsp

import (
	"bulkhead/policyc/internal/check"
	"bulkhead/policyc/internal/diag"
	"bulkhead/policyc/internal/format"
	"bulkhead/policyc/internal/syntax"
)

// named finds the service or network whose name stands at a position.
func (s *Server) named(p *positionParams) (*document, word, *fault) {
	d, fault := s.doc(p.TextDocument.URI)
	if fault != nil {
		return nil, word{}, fault
	}
	w, found := d.indexed().at(d.offset(p.Position))
	if !found || !w.names() {
		return d, word{}, nil
	}
	return d, w, nil
}

// each calls f for every word that names something, in all documents of the
// policy.
func (s *Server) each(d *document, name string, f func(*document, word)) {
	for _, other := range s.together(d) {
		for _, w := range other.indexed().words {
			if w.text == name && w.names() {
				f(other, w)
			}
		}
	}
}

// definition goes to where a name is defined: the first place, and further ones
// if it is so by mistake.
func (s *Server) definition(p *positionParams) (any, *fault) {
	d, w, fault := s.named(p)
	if fault != nil || w.text == "" {
		return nil, fault
	}
	out := []location{}
	s.each(d, w.text, func(other *document, at word) {
		if at.declares {
			out = append(out, location{other.uri, other.span(at.off, at.n)})
		}
	})
	return out, nil
}

func (s *Server) references(p *positionParams) (any, *fault) {
	d, w, fault := s.named(p)
	if fault != nil || w.text == "" {
		return nil, fault
	}
	out := []location{}
	s.each(d, w.text, func(other *document, at word) {
		out = append(out, location{other.uri, other.span(at.off, at.n)})
	})
	return out, nil
}

// defined tells whether a name is one of the policy's own.
func (s *Server) defined(d *document, name string) bool {
	found := false
	s.each(d, name, func(_ *document, w word) { found = found || w.declares })
	return found
}

func (s *Server) prepareRename(p *positionParams) (any, *fault) {
	d, w, fault := s.named(p)
	if fault != nil || w.text == "" || !s.defined(d, w.text) {
		return nil, fault
	}
	return d.span(w.off, w.n), nil
}

// rename writes the new name wherever the old one stands.
func (s *Server) rename(p *renameParams) (any, *fault) {
	d, w, fault := s.named(&p.positionParams)
	switch {
	case fault != nil:
		return nil, fault
	case w.text == "" || !s.defined(d, w.text):
		return nil, faultf(codeFailed, "there is no service or network here to rename")
	case p.NewName == w.text:
		return workspaceEdit{map[string][]textEdit{}}, nil
	}
	if problem := check.NewName(p.NewName); problem != nil {
		return nil, faultf(codeFailed, "%v", problem)
	}
	if s.defined(d, p.NewName) {
		return nil, faultf(codeFailed, "%q is already defined", p.NewName)
	}
	edits := map[string][]textEdit{}
	s.each(d, w.text, func(other *document, at word) {
		text := syntax.Quote(p.NewName)
		if at.isKey {
			text = syntax.QuoteKey(p.NewName)
		}
		edits[other.uri] = append(edits[other.uri], textEdit{other.span(at.off, at.n), text})
	})
	return workspaceEdit{edits}, nil
}

// format is policyc fmt; a text that is no TOML stays as it is.
func (s *Server) format(p *documentParams) (any, *fault) {
	d, fault := s.doc(p.TextDocument.URI)
	if fault != nil {
		return nil, fault
	}
	var list diag.List
	out := format.Source(diag.NewSource(shown(d.uri), []byte(d.text)), &list)
	if out == nil || string(out) == d.text {
		return []textEdit{}, nil
	}
	return []textEdit{{d.whole(), string(out)}}, nil
}
