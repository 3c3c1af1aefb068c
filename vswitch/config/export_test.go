package config

import "reflect"

// FileType is what a file can have, for tests that go through every key.
var FileType = reflect.TypeFor[file]()

// Key is a rule as tests outside the package see it.
type Key struct {
	Least, Most         int
	Words               []string
	Otherwise           any
	Derived, Unit, Form string
}

// Keys is the table of rules.
var Keys = func() map[string]Key {
	all := map[string]Key{}
	for k, r := range keys {
		all[k] = Key{r.least, r.most, r.words, r.otherwise, r.derived, r.unit, r.form}
	}
	return all
}()
