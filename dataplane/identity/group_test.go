package identity

import (
	"net/netip"
	"slices"
	"testing"
)

// A stranger of a group is of its services and of the networks around its
// address; of a number that nobody knows it is nobody.
func TestInGroup(t *testing.T) {
	b := NewBuilder()
	b.Outside(netip.MustParsePrefix("192.0.2.0/24"), []uint32{0, 7})
	b.Outside(netip.MustParsePrefix("198.51.100.0/24"), []uint32{0, 7})
	b.Group(17, []uint32{0, 3})
	b.Group(18, []uint32{0, 3, 9})
	table := mustBuild(t, b)
	for _, c := range []struct {
		group uint16
		at    string
		want  []uint32
	}{
		{17, "192.0.2.1", []uint32{0, 3, 7}}, {17, "198.51.100.1", []uint32{0, 3, 7}}, {17, "10.0.0.1", []uint32{0, 3}},
		{18, "192.0.2.1", []uint32{0, 3, 7, 9}}, {18, "2001:db8::1", []uint32{0, 3, 9}}, {19, "192.0.2.1", nil},
	} {
		a := addr(c.at)
		outside, _ := table.Identify(1, &a)
		if got := table.Sets(table.InGroup(c.group, outside)); !slices.Equal(got, c.want) {
			t.Errorf("group %d at %s is in sets %v, want %v", c.group, c.at, got, c.want)
		}
	}
	if !table.HasGroups() || mustBuild(t, NewBuilder()).HasGroups() {
		t.Error("whether there are groups is told wrong")
	}
}

// What groups make is in the table, for the policy to be linked to, and stays
// there when endpoints come and go.
func TestGroupsStay(t *testing.T) {
	b := NewBuilder()
	b.Group(17, []uint32{0, 3})
	table := mustBuild(t, b)
	if !slices.ContainsFunc(table.AllSets(), func(s []uint32) bool { return slices.Equal(s, []uint32{0, 3}) }) {
		t.Fatalf("the group's identity is not among %v", table.AllSets())
	}
	web := workload("web", 1)
	b.Endpoint(web, []Address{{addr("10.0.0.1"), []uint32{0, 3}}}, nil)
	mustBuild(t, b)
	if err := b.Remove(web.Segment, web.MAC); err != nil {
		t.Fatal(err)
	}
	last := mustBuild(t, b)
	a := addr("10.0.0.2")
	outside, _ := last.Identify(1, &a)
	if got := last.Sets(last.InGroup(17, outside)); !slices.Equal(got, []uint32{0, 3}) {
		t.Errorf("when the last endpoint of its services has gone, the group is in sets %v", got)
	}
}

// Groups are bounded, and what is beyond is an error that says so.
func TestGroupsAreBounded(t *testing.T) {
	b := NewBuilder()
	for i := range 1 << 8 {
		b.Outside(netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i)}), 16), []uint32{0, uint32(i) + 100})
	}
	for i := range 1 << 8 {
		b.Group(uint16(i+1), []uint32{0, uint32(i) + 1000})
	}
	if _, err := b.Build(); err == nil {
		t.Error("65,792 identities of groups are taken")
	}
}
