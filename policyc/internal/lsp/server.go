package lsp

import (
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Server is the language server of one editor.
type Server struct {
	out                         io.Writer
	writeErr                    error
	initialized, shutdown, exit bool
	version                     string
	files                       []string // of the policy, absolute
	docs                        map[string]*document
	dirty                       bool // a document changed since findings were published
	typing                      bool // the last message was a change
	published                   map[string]bool
	names                       map[string]bool // while one request is answered: what the policy declares
}

// Collect is how much a process that serves an editor lets its memory grow before it
// looks for what is not used any more, in percent of what is: see debug.SetGCPercent.
// Each answer makes anew what it needs of the policy, and forgets it: at 100 half of
// its time goes to the collector, which finds nothing to keep. BenchmarkAnswers has
// both.
const Collect = 400

// New makes a server. Files are those of one policy, which are checked
// together.
func New(version string, files []string) *Server {
	s := &Server{version: version, docs: map[string]*document{}, published: map[string]bool{}}
	for _, f := range files {
		if abs, err := filepath.Abs(f); err == nil {
			f = abs
		}
		s.files = append(s.files, f)
	}
	return s
}

var methods map[string]method

func init() { // the methods name the table, through call
	methods = map[string]method{
		"initialize":                 with((*Server).initialize),
		"initialized":                nothing,
		"shutdown":                   with((*Server).askShutdown),
		"exit":                       nothing,
		"$/cancelRequest":            nothing, // everything is answered before the next is read
		"$/setTrace":                 nothing,
		"textDocument/didOpen":       with((*Server).open),
		"textDocument/didChange":     with((*Server).changed),
		"textDocument/didClose":      with((*Server).close),
		"textDocument/didSave":       nothing,
		"textDocument/completion":    with((*Server).complete),
		"textDocument/hover":         with((*Server).hover),
		"textDocument/definition":    with((*Server).definition),
		"textDocument/references":    with((*Server).references),
		"textDocument/prepareRename": with((*Server).prepareRename),
		"textDocument/rename":        with((*Server).rename),
		"textDocument/formatting":    with((*Server).format),
	}
}

var nothing = with(func(*Server, *struct{}) (any, *fault) { return nil, nil })

func (s *Server) initialize(*struct{}) (any, *fault) {
	if s.initialized {
		return nil, faultf(codeInvalid, "initialize was called before")
	}
	s.initialized = true
	return map[string]any{
		"serverInfo": map[string]string{"name": "policyc", "version": s.version},
		"capabilities": map[string]any{
			"positionEncoding":           "utf-16",
			"textDocumentSync":           map[string]any{"openClose": true, "change": 2},
			"completionProvider":         map[string]any{"triggerCharacters": []string{`"`, "[", "/"}},
			"hoverProvider":              true,
			"definitionProvider":         true,
			"referencesProvider":         true,
			"renameProvider":             map[string]bool{"prepareProvider": true},
			"documentFormattingProvider": true,
		},
	}, nil
}

func (s *Server) askShutdown(*struct{}) (any, *fault) {
	s.shutdown = true
	return nil, nil
}

func (s *Server) open(p *openParams) (any, *fault) {
	s.docs[p.TextDocument.URI] = newDocument(p.TextDocument.URI, p.TextDocument.Version, p.TextDocument.Text)
	s.dirty = true
	return nil, nil
}

func (s *Server) changed(p *changeParams) (any, *fault) {
	d, fault := s.doc(p.TextDocument.URI)
	if fault != nil {
		return nil, fault
	}
	for _, c := range p.ContentChanges {
		d.change(c)
	}
	d.version, s.dirty, s.typing = p.TextDocument.Version, true, true
	return nil, nil
}

func (s *Server) close(p *documentParams) (any, *fault) {
	delete(s.docs, p.TextDocument.URI)
	s.dirty = true
	return nil, nil
}

func (s *Server) doc(uri string) (*document, *fault) {
	d, open := s.docs[uri]
	if !open {
		return nil, faultf(codeParams, "%s is not open", uri)
	}
	return d, nil
}

// indexed is a document's index.
func (d *document) indexed() *index {
	if d.index == nil {
		d.index = makeIndex(d.uri, d.text)
	}
	return d.index
}

// together are the documents that are one policy with this one, itself among
// them; those that are not open as they are on disk.
func (s *Server) together(d *document) []*document {
	if !slices.Contains(s.files, fileOf(d.uri)) {
		return []*document{d}
	}
	var out []*document
	for _, file := range s.files {
		if other := s.openOrRead(file); other != nil {
			out = append(out, other)
		}
	}
	return out
}

func (s *Server) openOrRead(file string) *document {
	for uri, d := range s.docs {
		if fileOf(uri) == file {
			return d
		}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	return newDocument(uriOf(file), 0, string(text))
}

// fileOf is the file of a URI, "" for one that is not of a file.
func fileOf(uri string) string {
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "file" {
		return ""
	}
	return filepath.Clean(u.Path)
}

func uriOf(file string) string {
	u := url.URL{Scheme: "file", Path: filepath.ToSlash(file)}
	return u.String()
}

// shown is how findings name a document.
func shown(uri string) string {
	if file := fileOf(uri); file != "" {
		return filepath.Base(file)
	}
	return strings.TrimPrefix(uri, "untitled:")
}
