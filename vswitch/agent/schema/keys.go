package schema

import (
	"fmt"
	"strings"
)

// Version is the version of the schema, a part of every key and record.
const Version = 1

// Prefix is before every key; BlobPrefix is before those of the policy's bytes,
// which nobody watches.
const (
	Prefix     = "/bulkhead/v1/"
	BlobPrefix = "/bulkhead/blobs/v1/"
)

// Kind is what a record is about.
type Kind string

// The kinds, as they stand in keys.
const (
	KindCluster   Kind = "cluster"
	KindHost      Kind = "hosts"
	KindSegment   Kind = "segments"
	KindEndpoint  Kind = "endpoints"
	KindPlacement Kind = "placements"
	KindGrant     Kind = "grants"
	KindPolicy    Kind = "policy"
)

// Keys of records.
const (
	ClusterKey = Prefix + string(KindCluster)
	PolicyKey  = Prefix + string(KindPolicy)
)

// HostKey is the key of a host.
func HostKey(host string) string { return Prefix + string(KindHost) + "/" + host }

// SegmentKey is the key of a segment.
func SegmentKey(name string) string { return Prefix + string(KindSegment) + "/" + name }

// EndpointsOf is before the keys of a host's claims.
func EndpointsOf(host string) string { return Prefix + string(KindEndpoint) + "/" + host + "/" }

// EndpointKey is the key of a host's claim of an endpoint.
func EndpointKey(host, name string) string { return EndpointsOf(host) + name }

// PlacementKey is the key of an endpoint's placement.
func PlacementKey(name string) string { return Prefix + string(KindPlacement) + "/" + name }

// GrantKey is the key of a host's grant.
func GrantKey(host string) string { return Prefix + string(KindGrant) + "/" + host }

// BlobKey is the key of a part of a policy.
func BlobKey(sha256 string, part int) string {
	return fmt.Sprintf("%s%s/%05d", BlobPrefix, sha256, part)
}

// Place is what a key says by itself.
type Place struct {
	Kind Kind
	Host string // hosts, endpoints, grants
	Name string // segments, endpoints, placements
}

// ParseKey takes a key apart. A key that is none of the schema's is an error.
func ParseKey(key string) (Place, error) {
	rest, ours := strings.CutPrefix(key, Prefix)
	if !ours {
		return Place{}, fmt.Errorf("key %.100q does not begin with %s", key, Prefix)
	}
	kind, name, _ := strings.Cut(rest, "/")
	p := Place{Kind: Kind(kind)}
	switch p.Kind {
	case KindCluster, KindPolicy:
		if rest == kind {
			return p, nil
		}
	case KindHost, KindGrant:
		if p.Host = name; GoodHost(name) {
			return p, nil
		}
	case KindSegment, KindPlacement:
		if p.Name = name; GoodName(name) {
			return p, nil
		}
	case KindEndpoint:
		if p.Host, p.Name, _ = strings.Cut(name, "/"); GoodHost(p.Host) && GoodName(p.Name) {
			return p, nil
		}
	}
	return Place{}, fmt.Errorf("key %.100q is none of the schema", key)
}

// GoodHost tells whether a text may be a host's name: 1 to 63 of a-z 0-9 - and .,
// beginning with a letter or digit. It has no / so that no host's keys lie under
// another's.
func GoodHost(s string) bool {
	for _, r := range s {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '.' {
			return false
		}
	}
	return s != "" && len(s) <= maxName && s[0] != '-' && s[0] != '.'
}

// GoodName tells whether a text may be the name of an endpoint or segment, as in
// the switch's configuration: 1 to 63 of a-z A-Z 0-9 - _ . /.
func GoodName(s string) bool {
	for _, r := range s {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-_./", r) {
			return false
		}
	}
	return s != "" && len(s) <= maxName && s != "." && s != ".."
}
