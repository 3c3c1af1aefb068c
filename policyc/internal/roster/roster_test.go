package roster

import (
	"net/netip"
	"strings"
	"testing"
)

func TestRead(t *testing.T) {
	const two = `[{"name": "a", "ips": ["10.0.0.1", "fd00::1"], "labels": {"app": "shop"}, "mac": "02:00:00:00:00:01", "services": ["web"]}, {"name": "b"}]`
	all, err := Read(strings.NewReader(two))
	if err != nil || len(all) != 2 || all[0].IPs[1] != netip.MustParseAddr("fd00::1") || all[0].Labels["app"] != "shop" {
		t.Errorf("%+v, %v", all, err)
	}
	for situation, c := range map[string]struct{ text, says string }{
		"no_list":       {`{"name": "a"}`, "give what vsctl endpoints"},
		"no_address":    {`[{"name": "a", "ips": ["ten"]}]`, "ten"},
		"cut":           {two[:40], "unexpected EOF"},
		"one_more":      {two + two, "behind the list"},
		"two_have_one":  {`[{"name": "a", "ips": ["10.0.0.1"]}, {"name": "b", "ips": ["10.0.0.1"]}]`, `10.0.0.1 is of "a" and of "b"`},
		"empty_text":    {``, "EOF"},
		"labels_number": {`[{"labels": {"a": 1}}]`, "number"},
	} {
		if _, err := Read(strings.NewReader(c.text)); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", situation, err)
		}
	}
}
