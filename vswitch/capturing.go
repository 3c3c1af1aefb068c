package vswitch

import (
	"context"
	"fmt"
	"io"
	"time"

	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
	"bulkhead/vswitch/control/api"
)

// Recording writes captured frames: package port/pcap has it; it is handed in
// so that this package knows no driver.
type Recording interface {
	Frame(at time.Time, port string, comment string, length int, bytes []byte) error
}

// NewRecording is set by the command to what makes a Recording of a stream.
var NewRecording func(w io.Writer, ports []string) (Recording, error)

// Capture streams frames as they pass, with how each ended as a comment, until
// the count is reached, the time is over, or the context is.
func (o *Operator) Capture(ctx context.Context, r *api.CaptureRequest, out io.Writer) error {
	l, err := o.live()
	if err != nil {
		return err
	}
	if NewRecording == nil {
		return api.NotFound("this build records nothing", "use vswitchd, which does")
	}
	if _, err := captureOf(l, r); err != nil {
		return err
	}
	if r.Seconds > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(r.Seconds)*time.Second)
		defer cancel()
	}
	one, room := o.sw.captures.add(func(l *live) (captureFilter, error) { return captureOf(l, r) })
	if !room {
		return api.Busy(fmt.Sprintf("%d captures are open", maxCaptures), "end one of them")
	}
	defer o.sw.captures.remove(one)
	var names []string
	for i := range l.ports {
		names = append(names, l.ports[i].name)
	}
	rec, err := NewRecording(out, names)
	if err != nil {
		return err
	}
	for n := 0; r.Count == 0 || n < r.Count; n++ {
		select {
		case <-ctx.Done():
			return nil
		case c := <-one.frames:
			one.behind.Add(-int64(len(c.bytes)))
			comment := c.comment()
			if lost := one.lost.Swap(0); lost > 0 {
				comment += fmt.Sprintf(" (and %d frames lost: the capture is slower than the switch)", lost)
			}
			if err := rec.Frame(c.at, portAt(c.by, c.port), comment, c.length, c.bytes); err != nil {
				return nil // the caller has gone
			}
		}
	}
	return nil
}

// comment says how a frame ended, in the words of the state that judged it.
func (c *captured) comment() string {
	text, l := "", c.by
	switch {
	case c.reason != drop.None:
		text = "drop " + c.reason.String()
	case c.egress != packet.NoPort:
		text = "to " + portAt(l, c.egress)
	default:
		text = "taken in by the switch"
	}
	if rs := l.snapshot.Rules; c.rule != 0 && rs != nil && int(c.rule) <= len(rs.Rules) {
		r := &rs.Rules[c.rule-1]
		text += " rule " + r.Name
		if r.Owner != "" {
			text += ", owner " + r.Owner
		}
		if r.Reason != "" {
			text += ", reason " + r.Reason
		}
	}
	return text
}

func reasonNames() []string {
	var names []string
	for _, r := range drop.All() {
		names = append(names, r.String())
	}
	return names
}

func ruleNames(l *live) []string {
	var names []string
	if rs := l.snapshot.Rules; rs != nil {
		for i := range rs.Rules {
			names = append(names, rs.Rules[i].Name)
		}
	}
	return names
}

// captureOf reads what a request asks for.
func captureOf(l *live, r *api.CaptureRequest) (captureFilter, error) {
	f := captureFilter{port: packet.NoPort, drops: r.Drops, snaplen: r.Snaplen}
	if r.Port != "" {
		id, err := portNamed(l, r.Port)
		if err != nil {
			return f, err
		}
		f.port = id
	}
	if r.Reason != "" {
		reason, known := drop.Parse(r.Reason)
		if !known {
			return f, unknown("drop reason", r.Reason, reasonNames(), "vsctl capture --help")
		}
		f.reason = reason
	}
	if r.Rule != "" {
		if rs := l.snapshot.Rules; rs != nil {
			for i := range rs.Rules {
				if rs.Rules[i].Name == r.Rule {
					f.rule = uint32(i) + 1
				}
			}
		}
		if f.rule == 0 {
			return f, unknown("rule", r.Rule, ruleNames(l), "vsctl policy")
		}
	}
	if r.Count < 0 || r.Snaplen < 0 || r.Seconds < 0 {
		return f, api.Invalid("count, snaplen or seconds is below zero", "leave it away for no bound")
	}
	return f, nil
}
