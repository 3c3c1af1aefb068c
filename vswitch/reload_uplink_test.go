package vswitch_test

import (
	"fmt"
	"io"
	"log/slog"
	"slices"
	"testing"

	"bulkhead/vswitch"
	"bulkhead/vswitch/config"
	"bulkhead/vswitch/port"
	"bulkhead/vswitch/port/mem"
)

// A driver's filter knows the VTEP that the uplink was opened with: when the
// VTEP changes the uplink is opened anew, and the workloads' ports are not.
func TestReloadOfTheVTEPOpensTheUplinkAnew(t *testing.T) {
	cfg := func(vtep string) *config.Config {
		c, err := config.Parse("test", fmt.Appendf(nil, `metrics = ""
limits.frames = 512
limits.sessions = 64
[[segments]]
name = "s"
vni = 7
[[ports]]
name = "web"
segment = "s"
[[ports]]
name = "up"
role = "uplink"
[vtep]
addresses = [%q]
uplink = "up"
`, vtep))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	var opened []string
	open := func(c *config.Port, o vswitch.Opening) (port.Port, error) {
		text := c.Name
		if c.Role == config.RoleUplink {
			text += " " + o.VTEP.Addresses[0].String()
		}
		opened = append(opened, text)
		return mem.New(mem.Config{Name: c.Name, Port: o.ID})
	}
	sw, err := vswitch.New(cfg("192.0.2.1/24"), open, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer sw.Close()
	if err := sw.Start(); err != nil {
		t.Fatal(err)
	}
	for _, vtep := range []string{"192.0.2.1/24", "192.0.2.9/24"} {
		if err := sw.Reload(cfg(vtep)); err != nil {
			t.Fatal(err)
		}
	}
	if want := []string{"web", "up 192.0.2.1/24", "up 192.0.2.9/24"}; !slices.Equal(opened, want) {
		t.Errorf("opened %q, want %q", opened, want)
	}
}
