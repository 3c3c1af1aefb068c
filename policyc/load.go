package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"bulkhead/policyc/compile"
)

// read reads the files of a policy: those named, those in folders that are
// named, and those that any of them includes; each once. Or it says of each that
// cannot be read why.
func read(args []string) ([]compile.Source, error) {
	l := &loader{known: map[string]bool{}}
	for _, arg := range args {
		names, err := inFolder(arg)
		l.errs = append(l.errs, err)
		for _, name := range names {
			l.file(name, nil)
		}
	}
	return l.sources, errors.Join(l.errs...)
}

type loader struct {
	sources []compile.Source
	known   map[string]bool // by place in the file system
	errs    []error
}

// step is a file on the way to an included one.
type step struct{ name, place string }

// file reads a file and what it includes; path is the files that led to it.
func (l *loader) file(name string, path []step) {
	place, err := filepath.Abs(name)
	if err != nil {
		l.errs = append(l.errs, err)
		return
	}
	here := step{name, place}
	if i := slices.IndexFunc(path, func(s step) bool { return s.place == place }); i >= 0 {
		l.errs = append(l.errs, fmt.Errorf("files include each other in a circle: %s", trail(append(slices.Clone(path[i:]), here))))
		return
	}
	if l.known[place] {
		return
	}
	l.known[place] = true
	text, err := readOne(name)
	if err != nil {
		l.errs = append(l.errs, err)
		return
	}
	s := compile.Source{Name: shown(name), Text: text}
	l.sources = append(l.sources, s)
	for _, include := range compile.Includes(s) {
		l.include(name, include, append(slices.Clone(path), here))
	}
}

func trail(path []step) string {
	var names []string
	for _, s := range path {
		names = append(names, s.name)
	}
	return strings.Join(names, " includes ")
}

// include reads the files of a pattern, which is relative to the file it is in.
func (l *loader) include(in string, include compile.Include, path []step) {
	pattern := include.Pattern
	if !filepath.IsAbs(pattern) {
		pattern = filepath.Join(filepath.Dir(in), pattern)
	}
	names, err := filepath.Glob(pattern)
	switch {
	case err != nil:
		l.errs = append(l.errs, fmt.Errorf("%s: include %q is no pattern: %w", include.Place, include.Pattern, err))
	case len(names) == 0:
		l.errs = append(l.errs, fmt.Errorf("%s: include %q matches no file; patterns are relative to the file they are in", include.Place, include.Pattern))
	}
	for _, name := range names {
		l.file(name, path)
	}
}

// namesOf are the names of the files that were read.
func namesOf(sources []compile.Source) []string {
	var names []string
	for _, s := range sources {
		names = append(names, s.Name)
	}
	return names
}
