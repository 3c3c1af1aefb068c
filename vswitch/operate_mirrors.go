package vswitch

import (
	"bulkhead/vswitch/config"
	"bulkhead/vswitch/control/api"
)

// Mirrors lists the mirrors, and what they have shown.
func (o *Operator) Mirrors() ([]api.Mirror, error) {
	o.sw.mu.Lock()
	defer o.sw.mu.Unlock()
	l, err := o.live()
	if err != nil {
		return nil, err
	}
	out := []api.Mirror{}
	for i := range o.sw.cfg.Mirrors {
		c := &o.sw.cfg.Mirrors[i]
		s := o.sw.mirrors[c.Name]
		if s == nil {
			continue
		}
		m := api.Mirror{
			Name: c.Name, Port: c.Port, Of: append(append([]string{}, c.From...), sortedLabels(c.FromLabels)...),
			For: append(append([]string{}, c.To...), sortedLabels(c.ToLabels)...), Replies: c.Replies, Ports: c.Ports,
			Direction: directionOf(c), Reasons: c.Drops, Snaplen: c.Snaplen, Rate: c.Rate.String(),
			Unknown:  unknownOf(c, l.snapshot.Rules),
			Selected: s.Selected.Load(), Sent: s.Sent.Load(), SentBytes: s.Bytes.Load(), Cut: s.Cut.Load(),
			Limited: s.Limited.Load(), Full: s.Full.Load(), Lost: s.Lost.Load(),
		}
		if p := o.sw.cfg.Port(c.Port); p != nil && p.Driver == "erspan" {
			m.Collector, m.ERSPAN, m.Session = p.Collector.Remote.String(), p.Collector.Type, c.Session
		}
		out = append(out, m)
	}
	return out, nil
}

func directionOf(c *config.Mirror) string {
	switch {
	case c.In && c.Out:
		return "both"
	case c.Out:
		return "out"
	}
	return "in"
}
