package main

import (
	"fmt"

	"bulkhead/policyc/compile"
)

// Whoever names the files of a policy gives them their say, and a file without a
// scope speaks for everybody. A team's file must not bring such a file, or another
// team's, with it: one line in it would be the way out of its scope. So a file of a
// scope includes files of the same scope only, or such as somebody else lets in:
// those that are named, and those that a file without a scope includes.

// inclusion is one file that another one includes.
type inclusion struct {
	from, to string // places
	at       string // where it says so
}

// authority says who lets which file in.
type authority struct {
	files    map[string]compile.Source // by place
	granted  map[string]bool           // by place
	includes []inclusion
}

func newAuthority() *authority {
	return &authority{files: map[string]compile.Source{}, granted: map[string]bool{}}
}

// scopes are the scopes of the files by place, "" where a file has none. They are
// read only where files include others.
func (a *authority) scopes() map[string]string {
	out := map[string]string{}
	if len(a.includes) > 0 {
		for place, s := range a.files {
			out[place] = compile.ScopeOf(s)
		}
	}
	return out
}

// lacking are the mistakes: files that nobody who may let them in lets in. Each
// round grants one file at least, or is the last.
func (a *authority) lacking() []error {
	scopes := a.scopes()
	for more := true; more; {
		more = false
		for _, i := range a.includes {
			scope := scopes[i.from]
			if a.granted[i.from] && !a.granted[i.to] && (scope == "" || scope == scopes[i.to]) {
				a.granted[i.to], more = true, true
			}
		}
	}
	var errs []error
	for _, i := range a.includes {
		if s, read := a.files[i.to]; read && a.granted[i.from] && !a.granted[i.to] {
			errs = append(errs, fmt.Errorf("%s: a file of scope %q includes %s, which is of %s; name that file to the command, or include it in a file without a scope",
				i.at, scopes[i.from], s.Name, ofScope(scopes[i.to])))
		}
	}
	return errs
}

func ofScope(name string) string {
	if name == "" {
		return "no scope and so speaks for everybody"
	}
	return fmt.Sprintf("scope %q", name)
}
