package evpn

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "secret"), []byte("swordfish\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := Parse(filepath.Join(dir, "evpn.toml"), []byte(strings.Replace(scriptConfig, `as = 65000`, "as = 65000\npassword_file = \"secret\"\nhops = 3\nmax_routes = 7", 1)))
	if err != nil {
		t.Fatal(err)
	}
	if n := cfg.Neighbours[0]; n.Password != "swordfish" || n.Hops != 3 || n.MaxRoutes != 7 || n.Port != 179 {
		t.Errorf("neighbour: %+v", n)
	}
	if s := cfg.Segments[1]; s.MaxEndpoints != defaultEndpoints || len(s.Targets) != 2 || s.Targets[1].String() != "192.0.2.9:5" {
		t.Errorf("segment: %+v", s)
	}
	if cfg.Keep != defaultKeep {
		t.Errorf("keep: %v", cfg.Keep)
	}
}

// Each mistake is told, with its key.
func TestMistakes(t *testing.T) {
	for _, c := range []struct{ name, old, new, want string }{
		{"no_as", `as = 65001`, ``, "as: add our AS"},
		{"router_id_of_v6", `router_id = "192.0.2.1"`, `router_id = "2001:db8::1"`, "router_id: 2001:db8::1 is no IPv4 address"},
		{"unknown_key", `as = 65001`, "as = 65001\nkeeep = 3", "keeep: there is no such key"},
		{"keep", `as = 65001`, "as = 65001\nkeep = \"9000h\"", "keep: \"9000h\" is no time"},
		{"listen", `as = 65001`, "as = 65001\nlisten = \"192.0.2.1\"", "listen: \"192.0.2.1\" is no address and port"},
		{"peer_twice", `"192.0.2.12"`, `"192.0.2.11"`, `peers[1].name: peer "leaf2" has the name or the address of "leaf1"`},
		{"segment_of_peer", `segments = ["front", "back"]`, `segments = ["frnt"]`, `peers[0].segments[0]: "frnt" is none of [[segments]]`},
		{"target", `"65000:77"`, `"65000"`, `segments[1].targets[0]: "65000" is no route target`},
		{"target_too_big", `"65000:77"`, `"4200000000:70000"`, "the number is at most 65535"},
		{"community", `community = "65000:17"`, `community = "65000:70000"`, "labels[0].community"},
		{"community_twice", `community = "65000:18"`, `community = "65000:17"`, "labels[1].community: 65000:17 is there twice"},
		{"label_peer", `peers = ["leaf1", "leaf2"]`, `peers = ["leaf9"]`, `labels[0].peers[0]: "leaf9" is none of [[peers]]`},
		{"neighbour_twice", `"192.0.2.101"`, `"192.0.2.100"`, "neighbours[1].address: 192.0.2.100 is there twice"},
		{"neighbour_group", `"192.0.2.101"`, `"224.0.0.1"`, `neighbours[1].address: "224.0.0.1" is no address of a host`},
		{"password_file", `as = 65000`, "as = 65000\npassword_file = \"nowhere\"", "neighbours[0].password_file"},
		{"max_endpoints", `max_endpoints = 3`, `max_endpoints = -3`, "segments[0].max_endpoints: -3 is not from 1 to"},
		{"syntax", `as = 65001`, "as = ", "line 2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := strings.Replace(scriptConfig, c.old, c.new, 1)
			if text == scriptConfig {
				t.Fatal("the case changes nothing")
			}
			_, err := Parse(filepath.Join(t.TempDir(), "evpn.toml"), []byte(text))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v; wanted %s", err, c.want)
			}
		})
	}
}

func TestNothingConfigured(t *testing.T) {
	_, err := Parse("evpn.toml", []byte("as = 1\nrouter_id = \"192.0.2.1\"\n"))
	for _, want := range []string{"[[neighbours]]", "[[peers]]", "[[segments]]"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; wanted %s", err, want)
		}
	}
}
