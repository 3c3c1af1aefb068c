package progress

import (
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// drawn is what a bar has drawn after ticks at these times.
func drawn(t *testing.T, total int64, do func(*Bar), at ...time.Duration) string {
	t.Helper()
	var out strings.Builder
	start := time.Unix(0, 0)
	b := begin(&out, "check", total, start)
	do(b)
	ticks := make(chan time.Time)
	b.drawn.Go(func() { b.run(ticks) })
	for _, d := range at {
		ticks <- start.Add(d)
	}
	b.End()
	return out.String()
}

func TestBar(t *testing.T) {
	half := func(b *Bar) { _, _ = io.Copy(io.Discard, b.Reader(strings.NewReader(strings.Repeat("x", 50)))) }
	for situation, c := range map[string]struct {
		total int64
		do    func(*Bar)
		at    []time.Duration
		want  string
	}{
		"short_work_shows_nothing": {100, half, []time.Duration{200 * time.Millisecond, 999 * time.Millisecond}, ""},
		"half":                     {100, half, []time.Duration{1500 * time.Millisecond}, "\rcheck 1.5 s [###############...............] 50%\x1b[K\r\x1b[K"},
		"more_than_all":            {10, half, []time.Duration{time.Second}, "\rcheck 1.0 s [##############################] 100%\x1b[K\r\x1b[K"},
		"unknown_total_and_a_step": {0, func(b *Bar) { b.Step("lower") }, []time.Duration{2 * time.Second}, "\rlower 2.0 s\x1b[K\r\x1b[K"},
	} {
		if got := drawn(t, c.total, c.do, c.at...); got != c.want {
			t.Errorf("%s: %q, want %q", situation, got, c.want)
		}
	}
}

func TestNoBarIsFine(t *testing.T) {
	var b *Bar
	b.Add(1)
	b.Step("x")
	if r := strings.NewReader("x"); b.Reader(r) != io.Reader(r) {
		t.Error("a reader that nobody counts is another")
	}
	b.End()
}

func TestTerminal(t *testing.T) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if terminal(null) {
		t.Error("/dev/null is no terminal")
	}
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer slave.Close()
	if !terminal(slave) {
		t.Error("a terminal is one")
	}
}
