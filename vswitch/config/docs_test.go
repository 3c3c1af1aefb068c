package config_test

import (
	"cmp"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"bulkhead/vswitch/config"
)

const manual = "../../docs/config.md"

func readManual(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(manual)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// row is a key as the manual must have it, but for its example and its meaning.
func row(k fileKey) string {
	r := config.Keys[k.path]
	bounds, otherwise := r.Form, r.Derived
	switch {
	case k.kind == "true or false":
		bounds, otherwise = "", "false"
	case len(r.Words) > 0:
		bounds, otherwise = strings.Join(r.Words, ", "), cmp.Or(r.Derived, r.Words[0])
	case r.Most != 0:
		bounds = fmt.Sprintf("%d to %d", r.Least, r.Most)
	}
	if otherwise == "" && r.Otherwise != nil {
		otherwise = fmt.Sprint(r.Otherwise)
	}
	return fmt.Sprintf("| `%s` | %s | %s | %s | %s |", k.path, k.kind, r.Unit, bounds, otherwise)
}

// The manual has every key with its type, unit, bounds and default, as the
// code has them, and no other key.
func TestManualHasEveryKey(t *testing.T) {
	text := readManual(t)
	for _, k := range fileKeys() {
		if _, known := config.Keys[k.path]; !known {
			t.Errorf("%s has no rule", k.path)
		}
		if !strings.Contains(text, "\n"+row(k)) {
			t.Errorf("the manual has no row\n%s", row(k))
		}
	}
	if rows, keys := strings.Count(text, "\n| `"), len(fileKeys()); rows != keys || keys != len(config.Keys) {
		t.Errorf("%d rows in the manual, %d rules, %d keys", rows, len(config.Keys), keys)
	}
}

// example is the complete file of the manual.
func example(t *testing.T) string {
	t.Helper()
	blocks := regexp.MustCompile("(?s)```toml\n(.*?)```").FindAllStringSubmatch(readManual(t), -1)
	if len(blocks) == 0 {
		t.Fatal("the manual has no example")
	}
	for _, b := range blocks {
		if _, err := config.Parse("manual.toml", []byte(b[1])); err != nil {
			t.Errorf("an example of the manual has mistakes:\n%v", err)
		}
	}
	return blocks[len(blocks)-1][1]
}

// The examples are without mistakes; each row's example is in the complete one.
func TestManualExamples(t *testing.T) {
	lines := map[string]bool{}
	table := ""
	blanks := regexp.MustCompile(`\s+`)
	for line := range strings.Lines(example(t)) {
		line = strings.TrimSpace(strings.SplitN(line, " #", 2)[0])
		switch {
		case strings.HasPrefix(line, "[["):
			table = strings.Trim(line, "[]") + "[]."
		case strings.HasPrefix(line, "["):
			table = strings.Trim(line, "[]") + "."
		default:
			lines[blanks.ReplaceAllString(table+line, " ")] = true
		}
	}
	cells := regexp.MustCompile("(?m)^\\| `([^`]+)` (?:\\|[^|]*){4}\\| `([^`]+)` \\|")
	found := cells.FindAllStringSubmatch(readManual(t), -1)
	if len(found) != len(config.Keys) {
		t.Errorf("%d rows with an example, %d keys", len(found), len(config.Keys))
	}
	for _, f := range found {
		if line := f[1] + " = " + f[2]; !lines[line] {
			t.Errorf("the complete example has no line %s", line)
		}
	}
}

// The defaults that the manual states are those that an almost empty file has.
func TestDefaults(t *testing.T) {
	cfg, err := config.Parse("/etc/bulkhead/d.toml", []byte("[[segments]]\nname = \"s\"\n[[ports]]\nname = \"p\"\nsegment = \"s\"\n"))
	if err != nil {
		t.Fatal(err)
	}
	s, p, l := cfg.Segments[0], cfg.Ports[0], cfg.Limits
	for _, c := range []struct{ key, got string }{
		{"workers", fmt.Sprint(cfg.Workers)}, {"control", cfg.Control}, {"metrics", cfg.Metrics},
		{"limits.sessions", fmt.Sprint(l.Sessions)}, {"limits.frames", fmt.Sprint(l.Frames)},
		{"segments[].vrf", s.VRF}, {"segments[].mtu", fmt.Sprint(s.MTU)}, {"ports[].mtu", fmt.Sprint(p.MTU)},
		{"segments[].unknown", s.Unknown}, {"segments[].broadcast", s.Broadcast},
		{"ports[].driver", p.Driver}, {"ports[].role", p.Role}, {"ports[].mode", p.Mode},
	} {
		r := config.Keys[c.key]
		want := fmt.Sprint(r.Otherwise)
		if len(r.Words) > 0 {
			want = r.Words[0]
		}
		if c.got != want {
			t.Errorf("%s is %s by default, documented as %s", c.key, c.got, want)
		}
	}
	if l.SessionsPerPort != l.Sessions/4 || l.EmbryonicPerPort != l.SessionsPerPort/4 || p.Queues != cfg.Workers {
		t.Errorf("what is worked out from other keys: %+v, %d queues", l, p.Queues)
	}
	if cfg.Policy != "" || cfg.ControlGroup != "" || cfg.VTEP != nil || s.VNI != 0 || s.Learning || p.NoRoute || s.GatewayMAC.IsMulticast() {
		t.Errorf("what is off by default: %+v", cfg)
	}
}

// The MTU of a segment in the overlay is by default what fits the uplink.
func TestDefaultMTUInATunnel(t *testing.T) {
	const file = "[[segments]]\nname=\"s\"\nvni=5\n[[segments]]\nname=\"local\"\n[[ports]]\nname=\"w\"\nsegment=\"s\"\n[[ports]]\nname=\"up\"\nrole=\"uplink\"\nmtu=%d\n[vtep]\nuplink=\"up\"\naddresses=[%s]\n"
	const v4, v6 = `"192.0.2.1/24"`, `"2001:db8::1/64"`
	for _, c := range []struct {
		uplink    int
		addresses string
		want      int
	}{{1500, v4, 1450}, {1500, v6, 1430}, {1500, v4 + "," + v6, 1430}, {9000, v6, 8930}, {1550, v4, 1500}, {1549, v4, 1499}} {
		cfg, err := config.Parse("f", fmt.Appendf(nil, file, c.uplink, c.addresses))
		if err != nil {
			t.Fatal(err)
		}
		if s, p, local := cfg.Segments[0].MTU, cfg.Ports[0].MTU, cfg.Segments[1].MTU; s != c.want || p != c.want || local != 1500 {
			t.Errorf("uplink %d, %s: segment %d, its port %d, want %d; a local segment %d", c.uplink, c.addresses, s, p, c.want, local)
		}
	}
}

// Relative paths are relative to the file.
func TestPathsAreBesideTheFile(t *testing.T) {
	cfg, err := config.Parse("/etc/bulkhead/x.toml", []byte("policy = \"p.bhp\"\ncontrol = \"/run/s\"\n"))
	if err != nil || cfg.Policy != "/etc/bulkhead/p.bhp" || cfg.Control != "/run/s" {
		t.Errorf("%+v, %v", cfg, err)
	}
}
