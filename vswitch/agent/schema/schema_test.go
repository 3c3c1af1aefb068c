package schema

import (
	"reflect"
	"strings"
	"testing"
)

func goodEndpoint() *Endpoint {
	return &Endpoint{Schema: 1, Name: "db", Host: "h1", Segment: "back", MAC: "02:00:00:00:00:01", IPs: []string{"10.0.0.1", "2001:db8::1"}, Labels: map[string]string{"app": "shop"}, Epoch: 1}
}

// What is written is read again, under its key.
func TestRoundTrip(t *testing.T) {
	for key, r := range map[string]any{
		ClusterKey:              &Cluster{Schema: 1, ID: strings.Repeat("0f", 16), GrantsRequired: true},
		HostKey("h1"):           &Host{Schema: 1, Name: "h1", VTEPs: []string{"192.0.2.1", "2001:db8::1"}},
		SegmentKey("a/b"):       &Segment{Schema: 1, Name: "a/b", VNI: 7, VRF: "red", Gateways: []string{"10.0.0.1/24"}, GatewayMAC: "02:00:00:00:00:01"},
		EndpointKey("h1", "db"): goodEndpoint(),
		PlacementKey("db"):      &Placement{Schema: 1, Name: "db", Host: "h2", Epoch: 3},
		GrantKey("h1"):          &Grant{Schema: 1, Host: "h1", VTEPs: []string{"192.0.2.1"}, Segments: []string{"back"}, Prefixes: []string{"10.0.0.0/8"}, Labels: []string{"app=*"}},
		PolicyKey:               &Policy{Schema: 1, Generation: 4, SHA256: strings.Repeat("ab", 32), Size: PartSize + 1, Parts: 2},
	} {
		got, _, err := Decode(key, Encode(r))
		if err != nil || !reflect.DeepEqual(got, r) {
			t.Errorf("%s: %+v, %v", key, got, err)
		}
	}
}

// A claim that does not hold is refused, and says why.
func TestEndpointRefused(t *testing.T) {
	for situation, c := range map[string]struct {
		change func(*Endpoint)
		want   string
	}{
		"another host's":         {func(e *Endpoint) { e.Host = "h2" }, "speaks for"},
		"another endpoint's":     {func(e *Endpoint) { e.Name = "web" }, "speaks for"},
		"of a later schema":      {func(e *Endpoint) { e.Schema = 2 }, "of schema 2"},
		"no address":             {func(e *Endpoint) { e.IPs = nil }, "0 addresses"},
		"33 addresses":           {func(e *Endpoint) { e.IPs = make([]string, 33) }, "33 addresses"},
		"an address twice":       {func(e *Endpoint) { e.IPs = []string{"10.0.0.1", "10.0.0.1"} }, "twice"},
		"a group's address":      {func(e *Endpoint) { e.IPs[0] = "224.0.0.1" }, "no address of a host"},
		"loopback":               {func(e *Endpoint) { e.IPs[0] = "::1" }, "no address of a host"},
		"IPv4 as IPv6":           {func(e *Endpoint) { e.IPs[0] = "::ffff:10.0.0.1" }, "written in full"},
		"a zone":                 {func(e *Endpoint) { e.IPs[0] = "fe80::1%eth0" }, "written in full"},
		"a group's MAC":          {func(e *Endpoint) { e.MAC = "01:00:5e:00:00:01" }, "group"},
		"nobody's MAC":           {func(e *Endpoint) { e.MAC = "00:00:00:00:00:00" }, "nobody"},
		"a MAC of eight bytes":   {func(e *Endpoint) { e.MAC = "02:00:00:00:00:00:00:01" }, "no MAC"},
		"the label of a host":    {func(e *Endpoint) { e.Labels["bulkhead/host"] = "true" }, "the switch's own"},
		"a key with a blank":     {func(e *Endpoint) { e.Labels["a b"] = "" }, "label's key"},
		"a value not to be seen": {func(e *Endpoint) { e.Labels["a"] = "\x1b[2J" }, "label's value"},
		"no epoch":               {func(e *Endpoint) { e.Epoch = 0 }, "epoch 0"},
		"ceded to itself":        {func(e *Endpoint) { e.CededTo = "h1" }, "no other host"},
		"ceded into a path":      {func(e *Endpoint) { e.CededTo = "h2/../h1" }, "no other host"},
		"a segment with a blank": {func(e *Endpoint) { e.Segment = "a b" }, "no name"},
	} {
		e := goodEndpoint()
		c.change(e)
		if _, _, err := Decode(EndpointKey("h1", "db"), Encode(e)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", situation, err, c.want)
		}
	}
}

// Other records are held to the same, and so are keys.
func TestRecordsRefused(t *testing.T) {
	for _, c := range []struct{ key, value, want string }{
		{HostKey("h1"), `{"schema":1,"name":"h2","vteps":["192.0.2.1"]}`, "speaks for"},
		{HostKey("h1"), `{"schema":1,"name":"h1","vteps":[]}`, "0 VTEPs"},
		{HostKey("h1"), `{"schema":1,"name":"h1","vteps":["192.0.2.1","192.0.2.2"]}`, "two VTEPs"},
		{HostKey("h1"), `{"schema":1,"name":"h1","vteps":["192.0.2.1"],"root":true}`, "unknown field"},
		{HostKey("h1"), `{"schema":1,"name":"h1","vteps":["192.0.2.1"]}{}`, "more behind"},
		{HostKey("h1"), `null`, "schema 0"},
		{HostKey("h1"), ``, "no record"},
		{HostKey("h1"), strings.Repeat(" ", maxRecord+1), "at most"},
		{SegmentKey("s"), `{"schema":1,"name":"s","vni":0}`, "vni 0"},
		{SegmentKey("s"), `{"schema":1,"name":"s","vni":16777216}`, "vni"},
		{SegmentKey("s"), `{"schema":1,"name":"s","vni":7,"gateways":["10.0.0.1"]}`, "prefix length"},
		{PolicyKey, `{"schema":1,"sha256":"ab","size":5,"parts":1}`, "sha256"},
		{PolicyKey, `{"schema":1,"sha256":"` + strings.Repeat("ab", 32) + `","size":5,"parts":2}`, "parts"},
		{ClusterKey, `{"schema":1,"id":"x"}`, "32 hexadecimal"},
		{GrantKey("h1"), `{"schema":1,"host":"h1","prefixes":["10.0.0.1/8"]}`, "behind its length"},
		{Prefix + "hosts/a/b", `{}`, "none of the schema"},
		{Prefix + "hosts/", `{}`, "none of the schema"},
		{Prefix + "cluster/x", `{}`, "none of the schema"},
		{Prefix + "endpoints/h1", `{}`, "none of the schema"},
		{Prefix + "endpoints/../hosts/h1", `{}`, "none of the schema"},
		{"/registry/x", `{}`, "does not begin"},
	} {
		if _, _, err := Decode(c.key, []byte(c.value)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %.60s: %v, want %q", c.key, c.value, err, c.want)
		}
	}
}
