package traffic

import (
	"bytes"
	"math"
	"testing"
	"time"
)

func TestPayloadIsOfTheSeed(t *testing.T) {
	a, b := Options{Seed: 1}.payload(1000), Options{Seed: 1}.payload(1000)
	if !bytes.Equal(a, b) {
		t.Error("one seed gave two payloads")
	}
	if bytes.Equal(a, Options{Seed: 2}.payload(1000)) {
		t.Error("two seeds gave one payload")
	}
}

// A percentile is stated by nearest rank, and only if a sample lies beyond.
func TestPercentiles(t *testing.T) {
	upTo := func(n int) *Times {
		var x Times
		for i := range n {
			x.Sorted = append(x.Sorted, time.Duration(i+1)*time.Microsecond)
		}
		return &x
	}
	cases := []struct {
		n      int
		p      float64
		want   float64
		enough bool
	}{
		{100, 50, 50, true}, {100, 90, 90, true}, {100, 99, 99, true}, {101, 50, 51, true},
		{99, 99, 0, false}, {100, 99.9, 0, false}, {300, 99, 297, true},
		{10_000, 99.99, 9_999, true}, {9_999, 99.99, 0, false},
		{0, 50, 0, false}, {1, 50, 0, false}, {2, 50, 1, true},
	}
	for _, c := range cases {
		got, enough := upTo(c.n).Percentile(c.p)
		if enough != c.enough || math.Abs(got-c.want) > 1e-9 {
			t.Errorf("p%v of 1 to %d us: %v, %v; want %v, %v", c.p, c.n, got, enough, c.want, c.enough)
		}
	}
	if m := upTo(7).Max(); m != 7 {
		t.Errorf("max of 1 to 7 us is %v", m)
	}
	if m := upTo(0).Max(); m != 0 {
		t.Errorf("max of nothing is %v", m)
	}
}

func TestCountArithmetic(t *testing.T) {
	c := Count{Sent: 1000, Arrived: 750, For: 250 * time.Millisecond}
	if c.Loss() != 25 || c.Rate() != 3 {
		t.Errorf("loss %v %%, rate %v kpps", c.Loss(), c.Rate())
	}
	if (Count{}).Loss() != 0 {
		t.Error("a loss of nothing")
	}
}

// The kernel adds columns with the years: they are found by name.
func TestUDPCountersByName(t *testing.T) {
	const text = "Tcp: A B\nTcp: 1 2\nUdp: InDatagrams RcvbufErrors New InCsumErrors MemErrors\nUdp: 100 7 9 3 1\nUdpLite: RcvbufErrors\nUdpLite: 5\n"
	c, err := parseUDPCounters(text)
	if err != nil || c.overflow != 8 || c.badChecksum != 3 {
		t.Errorf("%+v, %v", c, err)
	}
	for _, bad := range []string{"", "Udp: InDatagrams\nUdp: 1\n", "Udp: RcvbufErrors InCsumErrors MemErrors\nUdp: 1 2\n", "Udp: RcvbufErrors InCsumErrors MemErrors\nUdp: 1 2 x\n"} {
		if c, err := parseUDPCounters(bad); err == nil {
			t.Errorf("%q gave %+v", bad, c)
		}
	}
}
