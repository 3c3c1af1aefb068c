package config_test

import (
	"maps"
	"testing"

	"bulkhead/dataplane/policy"
	"bulkhead/vswitch/config"
)

// A host has the label that the policy calls host by, and nobody else can have
// it: not by the file, and not by what others state.
func TestOnlyTheConfigurationMakesAHost(t *testing.T) {
	const file = `
[[segments]]
name = "s"
[[ports]]
name = "node"
segment = "s"
mac = "02:00:00:00:00:01"
ips = ["10.0.0.1"]
labels = { rack = "a" }
host = true
[[ports]]
name = "web"
segment = "s"
mac = "02:00:00:00:00:02"
ips = ["10.0.0.2"]
[[endpoints]]
name = "other"
port = "web"
mac = "02:00:00:00:00:03"
ips = ["10.0.0.3"]
host = true
`
	cfg, err := config.Parse("f", []byte(file))
	if err != nil {
		t.Fatal(err)
	}
	host := map[string]string{policy.HostLabel: policy.HostValue}
	if got, want := cfg.Ports[0].Labels, map[string]string{"rack": "a", policy.HostLabel: policy.HostValue}; !maps.Equal(got, want) {
		t.Errorf("the port of a host: %v", got)
	}
	if got := cfg.Ports[1].Labels; len(got) > 0 {
		t.Errorf("the port of a workload: %v", got)
	}
	if got := cfg.Endpoints[0].Labels; !maps.Equal(got, host) {
		t.Errorf("an endpoint that is a host: %v", got)
	}
	stated := config.Endpoint{Name: "new", Segment: "s", Labels: host}
	if e, err := cfg.ReadEndpoint(stated, "02:00:00:00:00:09", []string{"10.0.0.9"}); err == nil {
		t.Errorf("stated by hand it was taken: %v", e.Labels)
	}
	stated.Host = true
	e, err := cfg.ReadEndpoint(stated, "02:00:00:00:00:09", []string{"10.0.0.9"})
	if err != nil || !maps.Equal(e.Labels, host) {
		t.Errorf("a host that moves: %v, %v", e.Labels, err)
	}
}
