package endpoints

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"
)

var web = []Endpoint{{"web-1", map[string]string{"tier": "web"}, []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("fd00::1")}}}

func TestEveryNotationSaysTheSame(t *testing.T) {
	for name, text := range map[string]string{
		"a.toml":    "[[endpoints]]\nname = \"web-1\"\nlabels = { tier = \"web\" }\nips = [\"10.0.0.1\", \"fd00::1\"]\n",
		"bulk.toml": "workers = 1\n[[ports]]\nname = \"web-1\"\ndriver = \"tap\"\nlabels = { tier = \"web\" }\nips = [\"10.0.0.1\", \"fd00::1\"]\n",
		"a.json":    `{"endpoints": [{"name": "web-1", "labels": {"tier": "web"}, "ips": ["10.0.0.1", "fd00::1"]}]}`,
		"list.json": `[{"name": "web-1", "labels": {"tier": "web"}, "ips": ["10.0.0.1", "fd00::1"], "mac": "02:00:00:00:00:01", "services": ["web"]}]`,
	} {
		if got, err := Read(name, []byte(text)); err != nil || !reflect.DeepEqual(got, web) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

func TestMistakesAreReportedAtOnce(t *testing.T) {
	_, err := Read("e.toml", []byte("[[endpoints]]\nname = \"a\"\nips = [\"10.0.0.1\", \"10.0.0\"]\n[[endpoints]]\nname = \"b\"\nips = [\"10.0.0.1\", \"::ffff:1.2.3.4\"]\n"))
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{`a: "10.0.0" is no address`, "a and b both have 10.0.0.1", `b: "::ffff:1.2.3.4" is no address`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v: no word of %s", err, want)
		}
	}
	// Who makes the list from what workloads say of themselves makes no hosts.
	if _, err := Read("e.json", []byte(`[{"name": "c", "labels": {"bulkhead/host": "true"}, "ips": ["10.0.0.1"]}]`)); err == nil || !strings.Contains(err.Error(), `c: label "bulkhead/host" is the switch's own; a host has host = true`) {
		t.Errorf("a label of the switch's own: %v", err)
	}
	for name, text := range map[string]string{"empty.toml": "", "cut.json": "{", "other.toml": "endpoints = 3"} {
		if _, err := Read(name, []byte(text)); err == nil || !strings.HasPrefix(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
