package vswitch

import (
	"strings"
	"testing"

	"bulkhead/dataplane/policy"
	"bulkhead/vswitch/config"
	"bulkhead/vswitch/control/api"
)

const rosterFile = `
[[segments]]
name = "a"
gateways = ["10.0.0.1/24"]
[[segments]]
name = "b"
gateways = ["10.0.1.1/24"]
[[ports]]
name = "web"
segment = "a"
mac = "02:00:00:00:00:01"
ips = ["10.0.0.10"]
labels = { app = "shop" }
prefixes = ["10.9.0.0/16"]
[[ports]]
name = "spare"
segment = "a"
[[ports]]
name = "other"
segment = "b"
`

func rosterConfig(t *testing.T, text string) *config.Config {
	t.Helper()
	cfg, err := config.Parse("roster.toml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// with is the roster with a change.
func (r roster) with(c *api.EndpointChange, cfg *config.Config) (roster, error) {
	e, err := r.change(c, cfg)
	if err == nil {
		r.apply(e)
	}
	return r, err
}

// An endpoint that the API states is held to the rules of the configuration;
// what is refused says everything that is wrong, and changes nothing.
func TestEndpointChangeRefused(t *testing.T) {
	cfg := rosterConfig(t, rosterFile)
	good := api.EndpointChange{Op: "add", Name: "db", Port: "spare", MAC: "02:00:00:00:00:02", IPs: []string{"10.0.0.20"}}
	for _, c := range []struct {
		situation string
		change    func(*api.EndpointChange)
		want      string
	}{
		{"no such change", func(c *api.EndpointChange) { c.Op = "ad" }, "use add, move or del"},
		{"no name", func(c *api.EndpointChange) { c.Name = "" }, "no name"},
		{"a name with a blank", func(c *api.EndpointChange) { c.Name = "a b" }, "no name"},
		{"a name that is there", func(c *api.EndpointChange) { c.Name = "web" }, "exists"},
		{"a group's MAC", func(c *api.EndpointChange) { c.MAC = "01:00:5e:00:00:01" }, "group"},
		{"nobody's MAC", func(c *api.EndpointChange) { c.MAC = "00:00:00:00:00:00" }, "nobody"},
		{"no MAC", func(c *api.EndpointChange) { c.MAC = "" }, "no MAC"},
		{"no address", func(c *api.EndpointChange) { c.IPs = nil }, "needs ips"},
		{"the gateway's address", func(c *api.EndpointChange) { c.IPs = []string{"10.0.0.1"} }, "the gateway of segment"},
		{"an address of another segment", func(c *api.EndpointChange) { c.IPs = []string{"10.0.1.20"} }, "no prefix of segment"},
		{"IPv4 as IPv6", func(c *api.EndpointChange) { c.IPs = []string{"::ffff:10.0.0.20"} }, "write 10.0.0.20"},
		{"an address twice", func(c *api.EndpointChange) { c.IPs = []string{"10.0.0.20", "10.0.0.20"} }, "also that of"},
		{"a label without a key", func(c *api.EndpointChange) { c.Labels = map[string]string{"": "x"} }, "label's key"},
		{"the label of a host", func(c *api.EndpointChange) { c.Labels = map[string]string{policy.HostLabel: policy.HostValue} }, "the switch's own"},
		{"on no port", func(c *api.EndpointChange) { c.Port = "" }, "one of port and peer"},
		{"in two places", func(c *api.EndpointChange) { c.Peer = "h" }, "one of port and peer"},
		{"on an unknown port", func(c *api.EndpointChange) { c.Port = "spre" }, "not known"},
		{"behind an unknown peer", func(c *api.EndpointChange) { c.Port, c.Peer = "", "h" }, "not known"},
		{"two mistakes", func(c *api.EndpointChange) { c.MAC, c.IPs = "x", []string{"y"} }, `"y" is no IP`},
		{"moved from nowhere", func(c *api.EndpointChange) { c.Op = "move" }, "not known"},
		{"moved to nowhere", func(c *api.EndpointChange) { c.Op, c.Name, c.Port = "move", "web", "" }, "one of port and peer"},
		{"moved where its address is not", func(c *api.EndpointChange) { c.Op, c.Name, c.Port = "move", "web", "other" }, "no prefix of segment"},
		{"nobody deleted", func(c *api.EndpointChange) { c.Op = "del" }, "not known"},
	} {
		r, change := rosterOf(cfg), good
		c.change(&change)
		_, err := r.change(&change, cfg)
		if err == nil || !strings.Contains(err.Error(), c.want) || api.As(err).Code == api.CodeInternal || len(r) != 1 {
			t.Errorf("%s: %v, want %q", c.situation, err, c.want)
		}
	}
	next, err := rosterOf(cfg).with(&good, cfg)
	if e := next["db"]; err != nil || e.Segment != "a" || !e.FromAPI || e.IPs[0].String() != "10.0.0.20" {
		t.Errorf("a good one: %+v, %v", e, err)
	}
}

// A reload keeps what the API changed, as long as the configuration has the
// endpoint that was moved, and the place where it is.
func TestReloadCarriesChangesOver(t *testing.T) {
	cfg := rosterConfig(t, rosterFile)
	r := rosterOf(cfg)
	for _, c := range []api.EndpointChange{
		{Op: "move", Name: "web", Port: "spare"}, {Op: "move", Name: "web", Port: "spare"},
		{Op: "add", Name: "db", Port: "other", MAC: "02:00:00:00:00:02", IPs: []string{"10.0.1.20"}},
	} {
		var err error
		if r, err = r.with(&c, cfg); err != nil {
			t.Fatal(err)
		}
	}
	if e := r["web"]; e.Port != "spare" || len(e.Prefixes) != 1 || e.Labels["app"] != "shop" {
		t.Errorf("moved: %+v", e)
	}
	withoutWeb := strings.Replace(rosterFile, "name = \"web\"", "name = \"www\"", 1)
	withoutOther := strings.Replace(rosterFile, "name = \"other\"", "name = \"another\"", 1)
	withoutSpare := strings.Replace(rosterFile, "name = \"spare\"", "name = \"sp\"", 1)
	for situation, c := range map[string]struct{ text, web, db string }{
		"nothing changed": {rosterFile, "spare", "other"}, "the endpoint is gone": {withoutWeb, "", "other"},
		"the added one's port is gone": {withoutOther, "spare", ""}, "the moved one's port is gone": {withoutSpare, "web", "other"},
	} {
		next := rosterOf(rosterConfig(t, c.text))
		next.carryOver(r, rosterConfig(t, c.text))
		if next["web"].Port != c.web || next["db"].Port != c.db {
			t.Errorf("%s: web on %q, db on %q; want %q and %q", situation, next["web"].Port, next["db"].Port, c.web, c.db)
		}
	}
}

// What the configuration says of an endpoint is in force after a reload, also
// where the API has moved it: a label that is taken away is gone, and an address
// that has become the gateway's is nobody's.
func TestReloadSaysWhoAMovedEndpointIs(t *testing.T) {
	cfg := rosterConfig(t, rosterFile)
	r := rosterOf(cfg)
	for _, c := range []api.EndpointChange{
		{Op: "move", Name: "web", Port: "spare"},
		{Op: "add", Name: "db", Port: "spare", MAC: "02:00:00:00:00:02", IPs: []string{"10.0.0.20"}, Labels: map[string]string{"app": "shop"}},
	} {
		var err error
		if r, err = r.with(&c, cfg); err != nil {
			t.Fatal(err)
		}
	}
	stated := "[[endpoints]]\nname = \"db\"\nport = \"other\"\nmac = \"02:00:00:00:00:03\"\nips = [\"10.0.1.20\"]\nlabels = { app = \"old\" }\n"
	for situation, c := range map[string]struct {
		text, name, port, mac, ip, app string
	}{
		"another label":       {strings.Replace(rosterFile, "shop", "quarantine", 1), "web", "spare", "02:00:00:00:00:01", "10.0.0.10", "quarantine"},
		"no label":            {strings.Replace(rosterFile, "labels = { app = \"shop\" }", "", 1), "web", "spare", "02:00:00:00:00:01", "10.0.0.10", ""},
		"another address":     {strings.Replace(rosterFile, "10.0.0.10", "10.0.0.11", 1), "web", "spare", "02:00:00:00:00:01", "10.0.0.11", "shop"},
		"another MAC":         {strings.Replace(rosterFile, "00:01", "00:07", 1), "web", "spare", "02:00:00:00:00:07", "10.0.0.10", "shop"},
		"what was added too":  {rosterFile + stated, "db", "other", "02:00:00:00:00:03", "10.0.1.20", "old"},
		"a gateway's address": {strings.Replace(rosterFile, "10.0.0.1/24", "10.0.0.20/24", 1), "db", "", "", "", ""},
	} {
		cfg := rosterConfig(t, c.text)
		next := rosterOf(cfg)
		next.carryOver(r, cfg)
		e, found := next[c.name]
		if found != (c.port != "") {
			t.Errorf("%s: %s is there: %v", situation, c.name, found)
		} else if found && (e.Port != c.port || e.MAC.String() != c.mac || e.IPs[0].String() != c.ip || e.Labels["app"] != c.app) {
			t.Errorf("%s: %+v", situation, e)
		}
	}
}

// Behind a peer that is not in the endpoint's segment nothing could reach it.
func TestEndpointBehindAPeerOfAnotherSegment(t *testing.T) {
	cfg := rosterConfig(t, strings.ReplaceAll(rosterFile, "[[segments]]\nname = \"b\"", "[[segments]]\nvni = 7\nname = \"b\"")+`
[[ports]]
name = "up"
role = "uplink"
device = "u0"
[vtep]
addresses = ["192.0.2.1/24"]
uplink = "up"
[[peers]]
name = "h"
address = "192.0.2.2"
segments = ["b"]
`)
	change := api.EndpointChange{Op: "add", Name: "db", Peer: "h", Segment: "a", MAC: "02:00:00:00:00:02", IPs: []string{"10.0.0.20"}}
	if _, err := rosterOf(cfg).change(&change, cfg); err == nil || !strings.Contains(err.Error(), `peer "h" is not in segment "a"`) {
		t.Errorf("added: %v", err)
	}
	change.Segment, change.IPs = "b", []string{"10.0.1.20"}
	if _, err := rosterOf(cfg).change(&change, cfg); err != nil {
		t.Error(err)
	}
}
