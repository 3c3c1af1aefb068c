package policy

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// What is written is read back the same, and writing it twice gives the same
// bytes.
func TestAnyRulesetRoundTrips(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rs := drawRuleset(t)
		data, err := Encode(rs)
		if err != nil {
			t.Fatal(err)
		}
		back, err := Decode(data)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(back, rs) {
			t.Fatalf("wrote %+v, read %+v", rs, back)
		}
		if again, _ := Encode(back); !bytes.Equal(again, data) {
			t.Fatal("the same ruleset gave other bytes")
		}
	})
}

// seal makes the length and the checksum of a file right, whatever it says
// otherwise.
func seal(data []byte) []byte {
	binary.LittleEndian.PutUint64(data[16:], uint64(len(data)))
	clear(data[sumAt : sumAt+sha256.Size])
	sum := sha256.Sum256(data)
	copy(data[sumAt:], sum[:])
	return data
}

// refusedOrItself tells whether a file is refused or is the one file of the
// ruleset that is read from it.
func refusedOrItself(data []byte) error {
	rs, err := Decode(data)
	if err != nil {
		return nil
	}
	again, err := Encode(rs)
	if err != nil {
		return fmt.Errorf("was read, but breaks a promise: %w", err)
	}
	if !bytes.Equal(again, data) {
		return errors.New("was read, but is written otherwise")
	}
	return nil
}

// A checksum keeps out damage, not a stranger who makes it right again.
func TestEveryFlippedBitUnderARightChecksum(t *testing.T) {
	good, read := encoded(t), 0
	for i := range good {
		for bit := range 8 {
			data := bytes.Clone(good)
			data[i] ^= 1 << bit
			data = seal(data)
			if err := refusedOrItself(data); err != nil {
				t.Errorf("byte %d bit %d: %v", i, bit, err)
			}
			if _, err := Decode(data); err == nil {
				read++
			}
		}
	}
	if read == 0 || read > 4*len(good) {
		t.Errorf("%d of %d are read: names and lines should be, structure not", read, 8*len(good))
	}
}

func TestEveryTruncationUnderARightChecksumIsRefused(t *testing.T) {
	good := encoded(t)
	for n := headerSize; n < len(good); n++ {
		if _, err := Decode(seal(bytes.Clone(good[:n]))); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%d bytes of %d: %v", n, len(good), err)
		}
	}
}

func TestStructureThatLies(t *testing.T) {
	le := binary.LittleEndian
	row := func(data []byte, section int) []byte { return data[headerSize+sectionSize*(section-1):] }
	for name, lie := range map[string]func(data []byte) []byte{
		"no_sections":         func(d []byte) []byte { le.PutUint32(d[12:], 0); return d },
		"a_third_section":     func(d []byte) []byte { le.PutUint32(d[12:], 3); return d },
		"2^32-1_sections":     func(d []byte) []byte { le.PutUint32(d[12:], 1<<32-1); return d },
		"unknown_section":     func(d []byte) []byte { le.PutUint32(row(d, 2), 99); return d },
		"section_twice":       func(d []byte) []byte { le.PutUint32(row(d, 2), 1); return d },
		"count_too_large":     func(d []byte) []byte { le.PutUint32(row(d, 2)[4:], 1<<32-1); return d },
		"count_one_more":      func(d []byte) []byte { le.PutUint32(row(d, 2)[4:], 3); return d },
		"count_one_less":      func(d []byte) []byte { le.PutUint32(row(d, 2)[4:], 1); return d },
		"offset_in_header":    func(d []byte) []byte { le.PutUint64(row(d, 1)[8:], 0); return d },
		"offset_past_the_end": func(d []byte) []byte { le.PutUint64(row(d, 2)[8:], uint64(len(d))+8); return d },
		"offset_wraps":        func(d []byte) []byte { le.PutUint64(row(d, 2)[8:], 1<<64-8); return d },
		"length_past_the_end": func(d []byte) []byte { le.PutUint64(row(d, 2)[16:], uint64(len(d))); return d },
		"length_wraps":        func(d []byte) []byte { le.PutUint64(row(d, 2)[16:], 1<<64-1); return d },
		"sections_overlap": func(d []byte) []byte {
			le.PutUint64(row(d, 2)[8:], le.Uint64(row(d, 1)[8:]))
			return d
		},
		"bytes_of_no_section": func(d []byte) []byte { return append(d, 0) },
		"padding_not_zero": func(d []byte) []byte {
			end := le.Uint64(row(d, 1)[8:]) + le.Uint64(row(d, 1)[16:])
			if end%8 == 0 {
				panic("the sample has no padding")
			}
			d[end] = 1
			return d
		},
	} {
		if _, err := Decode(seal(lie(encoded(t)))); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A count is held against the bytes that are there before memory is taken: no
// file takes more than so many times its size, and a constant.
func TestMemoryIsBoundedByTheFile(t *testing.T) {
	good := encoded(t)
	most := uint64(0)
	for at := headerSize; at+4 <= len(good); at++ {
		for _, lie := range []uint32{1 << 31, 1<<32 - 1, uint32(len(good)), uint32(len(good)) / 2} {
			data := bytes.Clone(good)
			binary.LittleEndian.PutUint32(data[at:], lie)
			data = seal(data)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, _ = Decode(data)
			runtime.ReadMemStats(&after)
			most = max(most, after.TotalAlloc-before.TotalAlloc)
		}
	}
	if limit := uint64(16*len(good) + 64<<10); most > limit {
		t.Errorf("%d bytes were taken for a file of %d; the limit is %d", most, len(good), limit)
	}
}

func TestOtherVersionsAreNamed(t *testing.T) {
	for v, want := range map[uint32]string{0: "an older release's", version - 1: "an older release's", version + 1: "a newer release's", 1<<32 - 1: "a newer release's"} {
		data := encoded(t)
		binary.LittleEndian.PutUint32(data[8:], v)
		_, err := Decode(seal(data))
		if !errors.Is(err, ErrVersion) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), fmt.Sprintf("version %d;", v)) {
			t.Errorf("version %d: %v", v, err)
		}
	}
}

// Generation and source are of the header: they change no other byte than
// their own and the checksum.
func TestGenerationIsOnlyInTheHeader(t *testing.T) {
	rs := sample()
	rs.Generation = MaxGeneration
	data, err := Encode(rs)
	if err != nil {
		t.Fatal(err)
	}
	back, err := Decode(data)
	if err != nil || back.Generation != MaxGeneration {
		t.Fatalf("%+v, %v", back, err)
	}
	old := encoded(t)
	clear(data[24:32])
	clear(old[24:32])
	if !bytes.Equal(seal(data), seal(old)) {
		t.Error("another byte depends on the generation")
	}
}

// A ruleset that breaks a promise is neither written nor, were it written by
// another hand, read.
func TestBrokenPromisesAreRefused(t *testing.T) {
	for name, break_ := range map[string]func(*Ruleset){
		"no_sets":                 func(rs *Ruleset) { rs.Sets = nil },
		"any_twice":               func(rs *Ruleset) { rs.Sets[1] = rs.Sets[0] },
		"sets_out_of_order":       func(rs *Ruleset) { rs.Sets[1], rs.Sets[2] = rs.Sets[2], rs.Sets[1] },
		"set_twice":               func(rs *Ruleset) { rs.Sets = append(rs.Sets, rs.Sets[2]) },
		"except_outside":          func(rs *Ruleset) { rs.Sets[2].Except = []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")} },
		"except_wider":            func(rs *Ruleset) { rs.Sets[2].Except = []netip.Prefix{netip.MustParsePrefix("192.0.0.0/16")} },
		"prefix_with_host_bits":   func(rs *Ruleset) { rs.Sets[2].Prefixes[0] = netip.MustParsePrefix("192.0.2.1/24") },
		"network_with_selector":   func(rs *Ruleset) { rs.Sets[2].Selector = rs.Sets[1].Selector },
		"unknown_set":             func(rs *Ruleset) { rs.Rules[0].To = []SetID{3} },
		"no_source":               func(rs *Ruleset) { rs.Rules[0].From = nil },
		"no_ports":                func(rs *Ruleset) { rs.Rules[0].Ports = nil },
		"range_backwards":         func(rs *Ruleset) { rs.Rules[1].Ports[0].DstLo = 6000 },
		"protocol_257":            func(rs *Ruleset) { rs.Rules[0].Ports[0].Proto = 257 },
		"any_protocol_some_ports": func(rs *Ruleset) { rs.Rules[0].Ports[0].DstLo = 1 },
		"gre_with_a_port":         func(rs *Ruleset) { rs.Rules[1].Ports[0].Proto = 47 },
		"icmp_from_a_port":        func(rs *Ruleset) { rs.Rules[1].Ports[0].Proto, rs.Rules[1].Ports[0].SrcLo = 1, 1 },
		"verdict_3":               func(rs *Ruleset) { rs.Rules[1].Verdict = 3 },
		"direction_3":             func(rs *Ruleset) { rs.Rules[1].Direction = 3 },
		"pass_before_allow":       func(rs *Ruleset) { rs.Rules[0].Verdict = Pass },
		"tier_4":                  func(rs *Ruleset) { rs.Rules[1].Tier = 4 },
		"tier_falls":              func(rs *Ruleset) { rs.Rules[0].Tier = 1 },
		"allow_before_deny":       func(rs *Ruleset) { slices.Reverse(rs.Rules) },
		"precedence_falls":        func(rs *Ruleset) { rs.Rules[0].Precedence = 1 },
		"audit_of_an_allow":       func(rs *Ruleset) { rs.Rules[1].Audit = true },
		"stateless_deny":          func(rs *Ruleset) { rs.Rules[0].Stateless = true },
		"logged_pass":             func(rs *Ruleset) { rs.Rules[1].Verdict, rs.Rules[1].Log = Pass, true },
		"dormant":                 func(rs *Ruleset) { rs.Rules[0].Dormant = true },
		"before_1970":             func(rs *Ruleset) { rs.Rules[0].Valid.From = -1 },
		"after_9999":              func(rs *Ruleset) { rs.Rules[0].Valid.Until = MaxTime + 1 },
		"ends_as_it_begins":       func(rs *Ruleset) { rs.Rules[0].Valid = Period{5, 5} },
		"owner_of_two_lines":      func(rs *Ruleset) { rs.Rules[0].Owner = "a\nb" },
		"reason_too_long":         func(rs *Ruleset) { rs.Rules[0].Reason = strings.Repeat("x", MaxRemark+1) },
		"reason_not_text":         func(rs *Ruleset) { rs.Rules[0].Reason = "\xff" },
		"outside_of_a_block": func(rs *Ruleset) {
			rs.Sets = append(rs.Sets, Set{Kind: KindOutside, Name: "outside", Prefixes: Everywhere()[:1]})
		},
		"outside_with_the_link": func(rs *Ruleset) {
			rs.Sets = append(rs.Sets, Set{Kind: KindOutside, Name: "outside", Prefixes: Everywhere()})
		},
		"outside_twice": func(rs *Ruleset) {
			for _, name := range []string{"outside", "outside2"} {
				rs.Sets = append(rs.Sets, Set{Kind: KindOutside, Name: name, Prefixes: Everywhere(), Except: OnTheLink()})
			}
		},
	} {
		rs := sample()
		break_(rs)
		if _, err := Encode(rs); err == nil {
			t.Errorf("%s: was written", name)
		}
	}
}

// Precedence is 32 bits, and an allow may stand before a deny of a later one.
func TestPrecedenceOrdersBeforeVerdict(t *testing.T) {
	rs := sample()
	slices.Reverse(rs.Rules)
	rs.Rules[0].Precedence, rs.Rules[1].Precedence = 70_000, 1<<32-1
	data, err := Encode(rs)
	if err != nil {
		t.Fatal(err)
	}
	if back, err := Decode(data); err != nil || !reflect.DeepEqual(back, rs) {
		t.Errorf("%+v, %v", back, err)
	}
}

// Atoms are what membership says, for any networks: at the edges of each.
func TestAtomsAgreeWithMembershipOfAnyNetworks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rs := &Ruleset{Sets: []Set{{Kind: KindAny}}}
		for range rapid.IntRange(1, 6).Draw(t, "networks") {
			s := drawSet(t)
			if s.Kind == KindNetwork {
				rs.Sets = append(rs.Sets, s)
			}
		}
		if rapid.Bool().Draw(t, "outside") {
			rs.Sets = append(rs.Sets, Set{Kind: KindOutside, Prefixes: Everywhere(), Except: OnTheLink()})
		}
		atoms := rs.Atoms()
		for _, outer := range atoms {
			for _, a := range []netip.Addr{outer.Prefix.Addr(), outer.Prefix.Addr().Prev(), lastOf(outer.Prefix), lastOf(outer.Prefix).Next()} {
				if !a.IsValid() {
					continue
				}
				got := []SetID{Any}
				for _, atom := range atoms {
					if atom.Prefix.Contains(a) {
						got = atom.Sets
					}
				}
				if want := rs.OutsideOf(a); !slices.Equal(got, want) && !a.Is4In6() {
					t.Fatalf("%v: atoms say %v, the sets %v", a, got, want)
				}
			}
		}
	})
}

func lastOf(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for bit := p.Bits(); bit < 8*len(b); bit++ {
		b[bit/8] |= 0x80 >> (bit % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}
