package schema

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// record is a type of record that can be held to its key.
type record interface {
	Cluster | Host | Segment | Endpoint | Placement | Grant | Policy
}

// Decode reads the record of a key, as far as the two can be believed: the error
// says what is wrong.
func Decode(key string, value []byte) (any, Place, error) {
	p, err := ParseKey(key)
	if err != nil {
		return nil, p, err
	}
	if len(value) > maxRecord {
		return nil, p, fmt.Errorf("%s: %d bytes; a record has at most %d", key, len(value), maxRecord)
	}
	var v any
	switch p.Kind {
	case KindCluster:
		v, err = read(value, func(r *Cluster) (int, error) { return r.Schema, r.check() })
	case KindHost:
		v, err = read(value, func(r *Host) (int, error) { return r.Schema, r.check(p) })
	case KindSegment:
		v, err = read(value, func(r *Segment) (int, error) { return r.Schema, r.check(p) })
	case KindEndpoint:
		v, err = read(value, func(r *Endpoint) (int, error) { return r.Schema, r.check(p) })
	case KindPlacement:
		v, err = read(value, func(r *Placement) (int, error) { return r.Schema, r.check(p) })
	case KindGrant:
		v, err = read(value, func(r *Grant) (int, error) { return r.Schema, r.check(p) })
	default:
		v, err = read(value, func(r *Policy) (int, error) { return r.Schema, r.check() })
	}
	if err != nil {
		return nil, p, fmt.Errorf("%s: %w", key, err)
	}
	return v, p, nil
}

// read reads one record. A field that the schema does not have is an error: it
// may be a bound that a later version added, and to overlook it would be to
// believe more than was said.
func read[R record](value []byte, check func(*R) (int, error)) (*R, error) {
	r := new(R)
	dec := json.NewDecoder(bytes.NewReader(value))
	dec.DisallowUnknownFields()
	if err := dec.Decode(r); err != nil {
		return nil, fmt.Errorf("is no record: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("has more behind the record")
	}
	version, err := check(r)
	if version != Version {
		return nil, fmt.Errorf("is of schema %d, and this agent knows %d", version, Version)
	}
	return r, err
}

// Encode writes a record.
func Encode(r any) []byte {
	b, err := json.Marshal(r)
	if err != nil {
		panic(err) // texts and numbers only
	}
	return b
}

func (r *Cluster) check() error {
	if b, err := hex.DecodeString(r.ID); err != nil || len(b) != 16 {
		return fmt.Errorf("id %.40q is not of 32 hexadecimal digits", r.ID)
	}
	return nil
}

func (r *Host) check(p Place) error {
	if r.Name != p.Host {
		return fmt.Errorf("speaks for host %.70q", r.Name)
	}
	if len(r.VTEPs) == 0 || len(r.VTEPs) > 2 {
		return fmt.Errorf("has %d VTEPs, not one of a family or two", len(r.VTEPs))
	}
	families := map[bool]bool{}
	for _, text := range r.VTEPs {
		a, err := address(text)
		if err != nil {
			return err
		}
		if families[a.Is4()] {
			return fmt.Errorf("has two VTEPs of the family of %s", a)
		}
		families[a.Is4()] = true
	}
	return nil
}

func (r *Segment) check(p Place) error {
	switch {
	case r.Name != p.Name:
		return fmt.Errorf("speaks for segment %.70q", r.Name)
	case r.VNI == 0 || r.VNI > maxVNI:
		return fmt.Errorf("vni %d is not from 1 to %d", r.VNI, maxVNI)
	case r.VRF != "" && !GoodName(r.VRF):
		return fmt.Errorf("vrf %.70q is no name", r.VRF)
	case len(r.Gateways) > maxGateways:
		return fmt.Errorf("has %d gateways, and may have %d", len(r.Gateways), maxGateways)
	}
	for _, g := range r.Gateways {
		pre, err := netip.ParsePrefix(g)
		if err != nil || pre.Addr().Is4In6() || pre.String() != g {
			return fmt.Errorf("gateway %.60q is no address with its prefix length, written in full", g)
		}
	}
	if r.GatewayMAC != "" {
		return mac(r.GatewayMAC)
	}
	return nil
}

func (r *Endpoint) check(p Place) error {
	switch {
	case r.Name != p.Name || r.Host != p.Host:
		return fmt.Errorf("speaks for endpoint %.70q of host %.70q", r.Name, r.Host)
	case !GoodName(r.Segment):
		return fmt.Errorf("segment %.70q is no name", r.Segment)
	case r.Epoch == 0 || r.Epoch > MaxEpoch:
		return fmt.Errorf("epoch %d is not from 1 to 2^53", r.Epoch)
	case r.CededTo != "" && (!GoodHost(r.CededTo) || r.CededTo == r.Host):
		return fmt.Errorf("is ceded to %.70q, which can be no other host", r.CededTo)
	case len(r.IPs) == 0 || len(r.IPs) > maxIPs:
		return fmt.Errorf("has %d addresses, not 1 to %d", len(r.IPs), maxIPs)
	}
	for i, text := range r.IPs {
		if _, err := address(text); err != nil {
			return err
		}
		if slices.Contains(r.IPs[:i], text) {
			return fmt.Errorf("has %s twice", text)
		}
	}
	if err := mac(r.MAC); err != nil {
		return err
	}
	return labels(r.Labels)
}

func (r *Placement) check(p Place) error {
	switch {
	case r.Name != p.Name:
		return fmt.Errorf("speaks for endpoint %.70q", r.Name)
	case !GoodHost(r.Host):
		return fmt.Errorf("host %.70q is no host's name", r.Host)
	case r.Epoch == 0 || r.Epoch > MaxEpoch:
		return fmt.Errorf("epoch %d is not from 1 to 2^53", r.Epoch)
	}
	return nil
}

func (r *Grant) check(p Place) error {
	if r.Host != p.Host {
		return fmt.Errorf("speaks for host %.70q", r.Host)
	}
	if n := max(len(r.VTEPs), len(r.Segments), len(r.Prefixes), len(r.Labels)); n > maxGrants {
		return fmt.Errorf("has a list of %d entries, and may have %d", n, maxGrants)
	}
	for _, a := range r.VTEPs {
		if _, err := address(a); err != nil {
			return err
		}
	}
	for _, s := range r.Segments {
		if !GoodName(s) {
			return fmt.Errorf("segment %.70q is no name", s)
		}
	}
	for _, text := range r.Prefixes {
		if pre, err := netip.ParsePrefix(text); err != nil || pre != pre.Masked() || pre.String() != text {
			return fmt.Errorf("prefix %.60q is none, or has bits behind its length", text)
		}
	}
	for _, l := range r.Labels {
		if k, _, has := strings.Cut(l, "="); !has || k == "" {
			return fmt.Errorf("label %.80q is not key=value or key=*", l)
		}
	}
	return nil
}

func (r *Policy) check() error {
	b, err := hex.DecodeString(r.SHA256)
	switch {
	case err != nil || len(b) != 32 || r.SHA256 != strings.ToLower(r.SHA256):
		return fmt.Errorf("sha256 %.70q is not of 64 hexadecimal digits", r.SHA256)
	case r.Size < 1 || r.Size > MaxPolicy:
		return fmt.Errorf("size %d is not from 1 to %d", r.Size, MaxPolicy)
	case r.Parts != PartsOf(r.Size):
		return fmt.Errorf("%d parts, and %d bytes have %d", r.Parts, r.Size, PartsOf(r.Size))
	case r.Generation > MaxEpoch:
		return fmt.Errorf("generation %d is above 2^53", r.Generation)
	}
	return nil
}

// PartsOf is how many parts so many bytes have.
func PartsOf(size int) int { return (size + PartSize - 1) / PartSize }

// address reads an address that a host can have, written in one way only.
func address(text string) (netip.Addr, error) {
	a, err := netip.ParseAddr(text)
	if err != nil || a.Zone() != "" || a.Is4In6() || a.String() != text {
		return a, fmt.Errorf("%.60q is no address, written in full", text)
	}
	if a.IsUnspecified() || a.IsMulticast() || a.IsLoopback() || a == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
		return a, fmt.Errorf("%s is no address of a host", a)
	}
	return a, nil
}

// mac holds a text to be a unicast MAC in the usual form.
func mac(text string) error {
	m, err := net.ParseMAC(text)
	if err != nil || len(m) != 6 || m.String() != text {
		return fmt.Errorf("%.40q is no MAC, written as 02:00:00:00:00:01", text)
	}
	if m[0]&1 != 0 || bytes.Equal(m, make([]byte, 6)) {
		return fmt.Errorf("%s is a group's MAC, or nobody's", text)
	}
	return nil
}

// reserved begins labels that are the switch's own.
const reserved = "bulkhead/"

func labels(m map[string]string) error {
	if len(m) > maxLabels {
		return fmt.Errorf("has %d labels, and may have %d", len(m), maxLabels)
	}
	for k, v := range m {
		switch {
		case strings.HasPrefix(k, reserved):
			return fmt.Errorf("label %.80q is the switch's own", k)
		case k == "" || len(k) > maxLabel || !printable(k) || strings.ContainsAny(k, "=, "):
			return fmt.Errorf("%.80q is no label's key", k)
		case len(v) > maxLabel || !printable(v):
			return fmt.Errorf("%.80q is no label's value", v)
		}
	}
	return nil
}

func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}
