package vswitch

import (
	"testing"

	"bulkhead/vswitch/config"
)

// A device has one port at a time, whatever its driver: the successor waits
// until the one before it has let go.
func TestSamePlace(t *testing.T) {
	veth := config.Port{Driver: "xdp", Device: "veth1"}
	for name, tt := range map[string]struct {
		a, b config.Port
		same bool
	}{
		"same":             {veth, veth, true},
		"another driver":   {veth, config.Port{Driver: "packet", Device: "veth1"}, true},
		"auto":             {veth, config.Port{Driver: "auto", Device: "veth1"}, true},
		"another device":   {veth, config.Port{Driver: "xdp", Device: "veth2"}, false},
		"a TAP of a netns": {veth, config.Port{Driver: "tap", Netns: "web", Device: "veth1"}, false},
		"no device":        {config.Port{Driver: "mem"}, config.Port{Driver: "mem"}, false},
	} {
		if got := samePlace(&tt.a, &tt.b); got != tt.same {
			t.Errorf("%s: %v", name, got)
		}
	}
}
