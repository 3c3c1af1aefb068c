// Package endpoints reads who has which address: a list of endpoints with their
// labels and IPs, as TOML or JSON. A policy never says so; only what leaves the
// product, as a ruleset for a kernel, needs to know it.
//
//	[[endpoints]]
//	name = "web-1"
//	labels = { app = "shop", tier = "web" }
//	ips = ["10.0.0.1", "fd00::1"]
//
// A host has host = true. The configuration of vswitchd is such a list, too: its
// ports. So is what vsctl endpoints -o json prints: the list alone.
package endpoints

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"

	"bulkhead/dataplane/policy"
)

// Endpoint is who has some addresses.
type Endpoint struct {
	Name   string
	Labels map[string]string
	IPs    []netip.Addr
}

// file is what both notations say.
type file struct {
	Endpoints []entry `toml:"endpoints" json:"endpoints"`
	Ports     []entry `toml:"ports" json:"ports"`
}

type entry struct {
	Name   string            `toml:"name" json:"name"`
	Labels map[string]string `toml:"labels" json:"labels"`
	Host   bool              `toml:"host" json:"host"`
	IPs    []string          `toml:"ips" json:"ips"`
}

// Read reads a list: JSON, if the name ends in .json, else TOML. All mistakes
// are reported at once.
func Read(name string, text []byte) ([]Endpoint, error) {
	var f file
	var err error
	if strings.HasSuffix(name, ".json") {
		err = readJSON(text, &f)
	} else {
		err = toml.Unmarshal(text, &f)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	entries := append(f.Endpoints, f.Ports...)
	if len(entries) == 0 {
		return nil, fmt.Errorf("%s: no endpoint is there; write [[endpoints]] with name, labels and ips", name)
	}
	return check(name, entries)
}

// readJSON reads an object, or the list alone, and nothing behind it.
func readJSON(text []byte, f *file) error {
	var into any = f
	if bytes.HasPrefix(bytes.TrimSpace(text), []byte("[")) {
		into = &f.Endpoints
	}
	return json.Unmarshal(text, into)
}

// check reads the addresses: each is of one endpoint.
func check(name string, entries []entry) ([]Endpoint, error) {
	holder := map[netip.Addr]string{}
	var errs []error
	var out []Endpoint
	for i, e := range entries {
		if e.Name == "" {
			e.Name = fmt.Sprintf("endpoint %d", i+1)
		}
		// Labels that are not given are none; nil would be an address of nobody.
		end := Endpoint{Name: e.Name, Labels: map[string]string{}}
		for _, key := range slices.Sorted(maps.Keys(e.Labels)) {
			if strings.HasPrefix(key, policy.Reserved) {
				errs = append(errs, fmt.Errorf("%s: %s: label %q is the switch's own; a host has host = true", name, e.Name, key))
			}
			end.Labels[key] = e.Labels[key]
		}
		if e.Host {
			end.Labels[policy.HostLabel] = policy.HostValue
		}
		for _, text := range e.IPs {
			a, err := netip.ParseAddr(text)
			switch {
			case err != nil || a.Is4In6() || a.Zone() != "":
				errs = append(errs, fmt.Errorf("%s: %s: %q is no address that a packet has", name, e.Name, text))
			case holder[a] != "":
				errs = append(errs, fmt.Errorf("%s: %s and %s both have %s", name, holder[a], e.Name, a))
			default:
				holder[a] = e.Name
				end.IPs = append(end.IPs, a)
			}
		}
		out = append(out, end)
	}
	return out, errors.Join(errs...)
}
