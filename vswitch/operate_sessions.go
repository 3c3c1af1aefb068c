package vswitch

import (
	"bulkhead/dataplane"
	"bulkhead/dataplane/conntrack"
	"bulkhead/dataplane/nat"
	"bulkhead/dataplane/packet"
	"bulkhead/vswitch/control/api"
)

// Sessions lists at most limit open sessions.
func (o *Operator) Sessions(limit int) (*api.Sessions, error) {
	l, err := o.live()
	if err != nil {
		return nil, err
	}
	out := &api.Sessions{Sessions: []api.Session{}}
	now := o.sw.now()
	ok := o.sw.onWorker(0, func(w *worker) {
		w.lane.State.Sessions.Each(func(t *conntrack.Table) {
			out.Total += t.Stats().Sessions
			_, done := t.Range(0, limit-len(out.Sessions), now, func(s *conntrack.Session, left dataplane.Time) {
				out.Sessions = append(out.Sessions, describeSession(l, s, left))
				if tag := nat.Tag(t.Tag(s)); tag != 0 {
					out.Sessions[len(out.Sessions)-1].Outside = w.lane.State.NAT.Of(tag).Outside.String()
				}
			})
			out.More = out.More || !done
		})
	})
	if !ok {
		return nil, errStopping
	}
	return out, nil
}

func describeSession(l *live, s *conntrack.Session, left dataplane.Time) api.Session {
	k := &s.Key
	frames, bytes := s.Traffic(conntrack.Original)
	replyFrames, replyBytes := s.Traffic(conntrack.Reply)
	out := api.Session{
		VRF: k.Zone, Proto: packet.ProtoName(k.Proto), State: s.State().String(),
		Source: k.Src.String(), Destination: k.Dst.String(), Port: portAt(l, s.Owner()),
		Generation: s.Generation, Frames: frames, Bytes: bytes, ReplyFrames: replyFrames, ReplyBytes: replyBytes,
		ExpiresAfter: float64(left) / 1e9,
	}
	if k.SrcPort != 0 || k.DstPort != 0 {
		out.Source, out.Destination = hostPort(k.Src, k.SrcPort), hostPort(k.Dst, k.DstPort)
	}
	if rules := l.snapshot.Rules; rules != nil && s.Generation == l.snapshot.Generation && s.Rule > 0 && int(s.Rule) <= len(rules.Rules) {
		out.Rule = rules.Rules[s.Rule-1].Name
	}
	return out
}
