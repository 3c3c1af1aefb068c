package world

import (
	"fmt"
	"maps"
	"slices"

	"bulkhead/vswitch/agent/schema"
)

// Entry is a key of the store: its value and the store's account of it.
type Entry struct {
	Value   []byte
	Create  int64 // the revision that made it
	Mod     int64 // the revision that wrote it last
	Version int64 // how often it was written since it was made
}

// View is the whole of the store under schema.Prefix at one revision. It is not
// changed once it is handed on.
type View struct {
	Store    uint64 // the id of the etcd cluster
	Revision int64
	Entries  map[string]Entry
}

// Claim is a host's claim of an endpoint.
type Claim struct {
	schema.Endpoint
	Create int64
	Lost   bool `json:",omitempty"` // its host is gone, and it is remembered
}

// HostRecord is a host.
type HostRecord struct {
	schema.Host
	Create int64
}

// Records is what a view says, as far as each record holds by itself.
type Records struct {
	Revision   int64
	Cluster    *schema.Cluster // nil: the store says none
	Hosts      map[string]HostRecord
	Segments   []schema.Segment // by name
	Claims     map[string][]Claim
	Placements map[string]schema.Placement
	Grants     map[string]schema.Grant
	Policy     *schema.Policy
	Refused    []string // why, a sentence each
}

// Reader reads views into records. It keeps what it has read, so that a view costs
// what changed in it.
type Reader struct {
	read map[string]parsed
}

type parsed struct {
	mod    int64
	record any
	place  schema.Place
	err    error
}

// Read reads a view.
func (rd *Reader) Read(v *View) *Records {
	r := &Records{
		Revision: v.Revision, Hosts: map[string]HostRecord{}, Claims: map[string][]Claim{},
		Placements: map[string]schema.Placement{}, Grants: map[string]schema.Grant{},
	}
	next := make(map[string]parsed, len(v.Entries))
	for _, key := range slices.Sorted(maps.Keys(v.Entries)) {
		e := v.Entries[key]
		p, known := rd.read[key]
		if !known || p.mod != e.Mod {
			p = parsed{mod: e.Mod}
			p.record, p.place, p.err = schema.Decode(key, e.Value)
		}
		next[key] = p
		r.add(&p, e.Create)
	}
	rd.read = next
	return r
}

func (r *Records) add(p *parsed, create int64) {
	if p.err != nil {
		r.Refused = append(r.Refused, p.err.Error())
		return
	}
	switch v := p.record.(type) {
	case *schema.Cluster:
		r.Cluster = v
	case *schema.Host:
		r.Hosts[v.Name] = HostRecord{*v, create}
	case *schema.Segment:
		r.Segments = append(r.Segments, *v)
	case *schema.Endpoint:
		r.Claims[v.Name] = append(r.Claims[v.Name], Claim{Endpoint: *v, Create: create})
	case *schema.Placement:
		r.Placements[v.Name] = *v
	case *schema.Grant:
		r.Grants[v.Host] = *v
	case *schema.Policy:
		r.Policy = v
	default:
		panic(fmt.Sprintf("no place for a %T", v))
	}
}

// of finds a host's claim of an endpoint; nil: it has none.
func of(claims []Claim, host string) *Claim {
	for i := range claims {
		if claims[i].Host == host {
			return &claims[i]
		}
	}
	return nil
}
