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
	l := &loader{known: map[string]bool{}, who: newAuthority()}
	for _, arg := range args {
		names, err := inFolder(arg)
		l.errs = append(l.errs, err)
		for _, name := range names {
			if name == arg {
				l.named(name)
				continue
			}
			l.who.granted[placeOfFile(name)] = true
			l.file(name, nil)
		}
	}
	return l.sources, errors.Join(append(l.errs, l.who.lacking()...)...)
}

type loader struct {
	sources []compile.Source
	known   map[string]bool // by place in the file system
	errs    []error
	who     *authority
}

// step is a file on the way to an included one.
type step struct{ name, place string }

// named reads an argument and what it includes. It may be a pipe, as a shell
// makes one of the output of a command.
func (l *loader) named(name string) {
	place := name
	if name != "-" {
		place = placeOfFile(name)
	}
	l.who.granted[place] = true
	if l.known[place] {
		return
	}
	text, err := readOne(name)
	l.take(step{name, place}, text, err, nil)
}

// file reads a file that nobody named, and what it includes; path is the files
// that led to it. It must be a policy file by its name, wherever links lead: an
// error quotes the line that it is about, and who may write a policy is not to
// read other files of this machine by that.
func (l *loader) file(name string, path []step) {
	place := placeOfFile(name)
	here := step{name, place}
	if i := slices.IndexFunc(path, func(s step) bool { return s.place == place }); i >= 0 {
		l.errs = append(l.errs, fmt.Errorf("files include each other in a circle: %s", trail(append(slices.Clone(path[i:]), here))))
		return
	}
	if l.known[place] {
		return
	}
	if !strings.HasSuffix(place, ".toml") {
		l.known[place] = true
		l.errs = append(l.errs, fmt.Errorf("%s is no policy file: only names that end in .toml are included", place))
		return
	}
	text, err := readRegular(name)
	l.take(here, text, err, path)
}

// take adds what was read of a file, and goes on with what that includes.
func (l *loader) take(here step, text []byte, err error, path []step) {
	l.known[here.place] = true
	if err != nil {
		l.errs = append(l.errs, err)
		return
	}
	s := compile.Source{Name: shown(here.name), Text: text}
	l.sources = append(l.sources, s)
	l.who.files[here.place] = s
	for _, include := range compile.Includes(s) {
		l.include(here.name, include, append(slices.Clone(path), here))
	}
}

// placeOfFile is where a file is, without the links on the way: a folder that
// kubelet keeps for a ConfigMap has each file twice. What cannot be found will
// not be read either.
func placeOfFile(name string) string {
	place, err := filepath.EvalSymlinks(name)
	if err != nil {
		place = name
	}
	if whole, err := filepath.Abs(place); err == nil {
		return whole
	}
	return place
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
		l.who.includes = append(l.who.includes, inclusion{path[len(path)-1].place, placeOfFile(name), include.Place})
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
