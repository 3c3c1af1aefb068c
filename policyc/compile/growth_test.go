package compile

import (
	"fmt"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"

	"bulkhead/dataplane/policy"
)

// cost is what a build took.
type cost struct {
	rules  int
	build  float64 // ms of the processors, the least of three, text to bytes: another load on the machine is not in it
	bytes  float64 // KiB of the artifact
	memory float64 // KiB allocated on the way
	peak   float64 // KiB that the process has had at most, the least of three
}

// mostHeld bounds what a build of 100,000 rules holds at most, in KiB.
const mostHeld = 400 << 10

// steepest is the growth that is still near linear: the exponent of a power of
// the rules, fitted. Linear is 1, n log n about 1.1, quadratic 2.
const steepest = 1.3

// What a build takes, in time, bytes and memory, grows with the rules, and not
// with their square. BULKHEAD_PLOT=file.svg goes on to 100,000 rules and draws
// it (make growth).
func TestGrowthIsNearLinear(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: it compiles 40,000 rules")
	}
	plot := os.Getenv("BULKHEAD_PLOT")
	sizes := []int{1_000, 3_000, 10_000}
	if plot != "" || long {
		sizes = append(sizes, 30_000, 100_000)
	}
	var all []cost
	for _, n := range sizes {
		c := measure(t, n)
		t.Logf("%6d rules: %7.1f ms, artifact %7.0f KiB, %8.0f KiB allocated, %7.0f held at most", c.rules, c.build, c.bytes, c.memory, c.peak)
		if n == 100_000 && c.peak > mostHeld {
			t.Errorf("a build of 100,000 rules holds %.0f KiB at most, more than %d", c.peak, mostHeld)
		}
		all = append(all, c)
	}
	for i, of := range curves {
		if e := exponent(all, of.value); e > steepest {
			t.Errorf("%s grows with the rules to the power of %.2f, more than %.1f", of.name, e, steepest)
		} else {
			curves[i].exponent = e
			t.Logf("%s: rules^%.2f", of.name, e)
		}
	}
	if plot != "" {
		if err := os.WriteFile(plot, []byte(draw(all)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func measure(t *testing.T, rules int) cost {
	t.Helper()
	sources := city(max(100, rules/10), rules)
	c := cost{rules: rules, build: math.Inf(1), peak: math.Inf(1)}
	for range 3 {
		debug.FreeOSMemory()
		forgetPeak(t)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		start := processorTime(t)
		rs, findings := Compile(sources, Options{})
		if findings.Failed() {
			t.Fatal("it does not compile")
		}
		data, err := policy.Encode(rs)
		if err != nil {
			t.Fatal(err)
		}
		c.build = min(c.build, processorTime(t)-start)
		runtime.ReadMemStats(&after)
		c.peak = min(c.peak, peak(t))
		c.bytes, c.memory = float64(len(data))/1024, float64(after.TotalAlloc-before.TotalAlloc)/1024
	}
	return c
}

// processorTime is what the process has had of the processors, in ms.
func processorTime(t testing.TB) float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e6
}

// forgetPeak has the kernel forget what the process has had of memory (proc(5),
// clear_refs), and peak is what it has had since, in KiB.
func forgetPeak(t testing.TB) {
	t.Helper()
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
		t.Fatal(err)
	}
}

func peak(t testing.TB) float64 {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	var kib float64
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		t.Fatal(err)
	}
	return kib
}

// exponent fits value = a * rules^e: the slope of the least squares through the
// logarithms.
func exponent(all []cost, value func(cost) float64) float64 {
	var n, sx, sy, sxx, sxy float64
	for _, c := range all {
		x, y := math.Log(float64(c.rules)), math.Log(value(c))
		n, sx, sy, sxx, sxy = n+1, sx+x, sy+y, sxx+x*x, sxy+x*y
	}
	return (n*sxy - sx*sy) / (n*sxx - sx*sx)
}

// curves are what is drawn.
var curves = []struct {
	name, unit, colour string
	value              func(cost) float64
	exponent           float64
}{
	{"processor time", "ms", "#1f6feb", func(c cost) float64 { return c.build }, 0},
	{"artifact", "KiB", "#2da44e", func(c cost) float64 { return c.bytes }, 0},
	{"memory allocated", "KiB", "#bf3989", func(c cost) float64 { return c.memory }, 0},
	{"memory held at most", "KiB", "#bc4c00", func(c cost) float64 { return c.peak }, 0},
}

// draw draws the costs, both axes logarithmic: what is linear rises as the grey
// lines do.
func draw(all []cost) string {
	const width, height, left, bottom = 720, 460, 70, 400
	x := func(v float64) float64 { return left + (math.Log10(v)-3)/2*420 }
	y := func(v float64) float64 { return bottom - math.Log10(math.Max(v, 1))/7*360 }
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", width, height)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#fff"/><text x="%d" y="24" font-size="15">What a build of policyc takes, by rules</text>`+"\n", width, height, left)
	for p := range 8 {
		v := math.Pow10(p)
		fmt.Fprintf(&b, `<line x1="%d" x2="490" y1="%.1f" y2="%.1f" stroke="#eee"/><text x="62" y="%.1f" text-anchor="end">%.0f</text>`+"\n", left, y(v), y(v), y(v)+4, v)
	}
	for _, c := range all {
		v := float64(c.rules)
		fmt.Fprintf(&b, `<text x="%.1f" y="418" text-anchor="middle">%d</text>`+"\n", x(v), c.rules)
	}
	for _, from := range []float64{10, 1000} {
		fmt.Fprintf(&b, `<line x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f" stroke="#bbb" stroke-dasharray="4"/>`+"\n", x(1e3), x(1e5), y(from), y(100*from))
	}
	for _, of := range curves {
		var points []string
		for _, c := range all {
			points = append(points, fmt.Sprintf("%.1f,%.1f", x(float64(c.rules)), y(of.value(c))))
			fmt.Fprintf(&b, `<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>`+"\n", x(float64(c.rules)), y(of.value(c)), of.colour)
		}
		last := y(of.value(all[len(all)-1]))
		fmt.Fprintf(&b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/><text x="500" y="%.1f" fill="%s">%s, %s: rules^%.2f</text>`+"\n",
			strings.Join(points, " "), of.colour, last+4, of.colour, of.name, of.unit, of.exponent)
	}
	b.WriteString(`<text x="280" y="440" text-anchor="middle">rules; dashed: linear growth</text>` + "\n</svg>\n")
	return b.String()
}
