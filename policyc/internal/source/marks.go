package source

import (
	"strings"
	"time"
)

// flag is true or false under a key.
func (r *reader) flag(n *node, key string) Flag {
	e := n.get(key)
	if e == nil {
		return Flag{}
	}
	v, isBool := e.node.scalar.(bool)
	if !isBool {
		r.list.Errorf(e.node.at, "%s must be true or false", key).With("%s = true", key)
	}
	return Flag{Value: v, At: e.node.at, Set: true, Bad: !isBool}
}

// valid is the table under valid.
func (r *reader) valid(rule *node) Valid {
	e := rule.get("valid")
	if e == nil {
		return Valid{}
	}
	v := Valid{At: e.at, Set: true}
	if e.node.kind != tableNode {
		r.list.Errorf(e.node.at, "valid must be a table").With("valid = { from = 2026-01-01T00:00:00Z, until = 2026-06-30T00:00:00Z }, or one of the two")
		v.Bad = true
		return v
	}
	strange := r.keys(e.node, "valid", "from", "until")
	v.From, v.Until = r.time(e.node, "from"), r.time(e.node, "until")
	v.Bad = strange || v.From.Bad || v.Until.Bad
	return v
}

// time is the date and time under a key. Without a zone it would be another
// moment on each machine.
func (r *reader) time(n *node, key string) Time {
	e := n.get(key)
	if e == nil {
		return Time{}
	}
	const cure = "%s = 2026-01-01T00:00:00Z, or with another zone as 2026-01-01T00:00:00+02:00"
	v, isTime := e.node.scalar.(time.Time)
	local := isTime && strings.HasSuffix(v.Location().String(), "-local") // as the TOML parser marks it
	isText := e.node.isText
	switch {
	case local:
		r.list.Errorf(e.node.at, "%s has no time zone, or no date and time of day", key).With(cure, key)
	case isText:
		r.list.Errorf(e.node.at, "%s must be a date and time, without quotes", key).With(cure, key)
	case !isTime:
		r.list.Errorf(e.node.at, "%s must be a date and time", key).With(cure, key)
	}
	return Time{Value: v, At: e.node.at, Set: true, Bad: !isTime || local}
}
