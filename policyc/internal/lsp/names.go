package lsp

import (
	"strings"

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

// fresh is full of documents that may have changed.
func (s *Server) fresh(d *document, w word) string {
	s.names = nil
	return s.full(d, w)
}

// full is a name as it is called from outside the scope that its document is of:
// its own first, then those of documents without a scope, as check reads them.
func (s *Server) full(d *document, w word) string {
	scope := d.indexed().scope
	if scope == "" {
		return w.text
	}
	own := scope + "/" + w.text
	if w.declares || s.declared(d)[own] {
		return own
	}
	return w.text
}

// declared are the full names that the documents of a policy declare.
func (s *Server) declared(d *document) map[string]bool {
	if s.names != nil {
		return s.names
	}
	s.names = map[string]bool{}
	for _, other := range s.together(d) {
		x := other.indexed()
		for _, w := range x.words {
			if w.declares {
				name := w.text
				if x.scope != "" {
					name = x.scope + "/" + name
				}
				s.names[name] = true
			}
		}
	}
	return s.names
}

// each calls f for every word that names one thing, in all documents of the
// policy; name is a full one.
func (s *Server) each(d *document, name string, f func(*document, word)) {
	s.names = nil
	for _, other := range s.together(d) {
		for _, w := range other.indexed().words {
			if w.names() && strings.HasSuffix(name, w.text) && s.full(other, w) == name {
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
	s.each(d, s.fresh(d, w), func(other *document, at word) {
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
	s.each(d, s.fresh(d, w), func(other *document, at word) {
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
	if fault != nil || w.text == "" || !s.defined(d, s.fresh(d, w)) {
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
	case w.text == "" || !s.defined(d, s.fresh(d, w)):
		return nil, faultf(codeFailed, "there is no service or network here to rename")
	}
	old := s.full(d, w)
	scope, plain := "", old
	if i := strings.LastIndex(old, "/"); i >= 0 {
		scope, plain = old[:i+1], old[i+1:]
	}
	if p.NewName = strings.TrimPrefix(p.NewName, scope); p.NewName == plain {
		return workspaceEdit{map[string][]textEdit{}}, nil
	}
	if problem := check.NewName(p.NewName); problem != nil {
		return nil, faultf(codeFailed, "%v", problem)
	}
	if s.defined(d, scope+p.NewName) || scope != "" && s.defined(d, p.NewName) {
		return nil, faultf(codeFailed, "%q is already defined", p.NewName)
	}
	edits := map[string][]textEdit{}
	s.each(d, old, func(other *document, at word) {
		text := syntax.Quote(p.NewName)
		if at.text == old {
			text = syntax.Quote(scope + p.NewName) // as others call it
		}
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
