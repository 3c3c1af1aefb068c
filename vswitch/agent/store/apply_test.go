package store

import (
	"strings"
	"testing"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"bulkhead/vswitch/agent/world"
)

func event(kind mvccpb.Event_EventType, key string, create, mod, version int64) *clientv3.Event {
	return &clientv3.Event{Type: kind, Kv: &mvccpb.KeyValue{Key: []byte(key), CreateRevision: create, ModRevision: mod, Version: version}}
}

// What does not follow from the view is a gap, and leaves the view as it was.
func TestGaps(t *testing.T) {
	const put, del = mvccpb.PUT, mvccpb.DELETE
	for situation, c := range map[string]struct {
		events []*clientv3.Event
		want   string // empty: it follows
	}{
		"a change":                      {[]*clientv3.Event{event(put, "a", 5, 11, 3)}, ""},
		"a new key":                     {[]*clientv3.Event{event(put, "b", 11, 11, 1)}, ""},
		"two of one revision":           {[]*clientv3.Event{event(put, "b", 11, 11, 1), event(del, "a", 0, 11, 0)}, ""},
		"a key that went and came":      {[]*clientv3.Event{event(del, "a", 0, 11, 0), event(put, "a", 12, 12, 1)}, ""},
		"a version left out":            {[]*clientv3.Event{event(put, "a", 5, 11, 4)}, "a change is missing"},
		"a version again":               {[]*clientv3.Event{event(put, "a", 5, 11, 2)}, "a change is missing"},
		"made anew without a deletion":  {[]*clientv3.Event{event(put, "a", 11, 11, 1)}, "a change is missing"},
		"a new key that is not new":     {[]*clientv3.Event{event(put, "b", 4, 11, 2)}, "a change is missing"},
		"what was never there goes":     {[]*clientv3.Event{event(del, "b", 0, 11, 0)}, "never told"},
		"a revision that we have":       {[]*clientv3.Event{event(put, "a", 5, 10, 3)}, "after 10"},
		"a revision back within":        {[]*clientv3.Event{event(put, "b", 13, 13, 1), event(put, "a", 5, 12, 3)}, "after 13"},
		"nothing":                       {nil, ""},
		"another gap behind good ones":  {[]*clientv3.Event{event(put, "a", 5, 11, 3), event(put, "a", 5, 12, 5)}, "a change is missing"},
		"a gap does not show the first": {[]*clientv3.Event{event(del, "a", 0, 11, 0), event(del, "a", 0, 12, 0)}, "never told"},
	} {
		v := &world.View{Revision: 10, Entries: map[string]world.Entry{"a": {Create: 5, Mod: 9, Version: 2}}}
		next, err := apply(v, c.events)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", situation, err, c.want)
		}
		if err != nil && next != nil || len(v.Entries) != 1 || v.Entries["a"].Version != 2 || v.Revision != 10 {
			t.Errorf("%s: the view has changed: %+v", situation, v)
		}
	}
}
