// Package roster reads who is who: the addresses of endpoints and their labels,
// as `vsctl endpoints -o json` prints them. A policy names no address; what was
// observed on the wire has nothing else.
//
// It is pure but for what it reads, and belongs to one goroutine.
package roster

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
)

// Endpoint is one workload.
type Endpoint struct {
	Name   string            `json:"name"`
	IPs    []netip.Addr      `json:"ips"`
	Labels map[string]string `json:"labels"`
}

// maxBytes bounds a roster: room for a million endpoints.
const maxBytes = 512 << 20

// Read reads a list of endpoints. Keys that it does not know are passed over:
// a switch says more of an endpoint than a policy asks.
func Read(r io.Reader) ([]Endpoint, error) {
	var all []Endpoint
	limited := &io.LimitedReader{R: r, N: maxBytes}
	d := json.NewDecoder(limited)
	if err := d.Decode(&all); err != nil {
		if limited.N == 0 {
			err = fmt.Errorf("more than %d bytes", maxBytes)
		}
		return nil, fmt.Errorf("endpoints: %w; give what vsctl endpoints -o json prints", err)
	}
	if d.More() {
		return nil, errors.New("endpoints: something stands behind the list; give what vsctl endpoints -o json prints")
	}
	return all, apart(all)
}

// apart refuses an address that two have: whose label would it be?
func apart(all []Endpoint) error {
	whose := map[netip.Addr]string{}
	var errs []error
	for i := range all {
		for _, a := range all[i].IPs {
			first, taken := whose[a]
			if taken && first != all[i].Name {
				errs = append(errs, fmt.Errorf("endpoints: %s is of %q and of %q", a, first, all[i].Name))
			}
			whose[a] = all[i].Name
		}
	}
	return errors.Join(errs...)
}
