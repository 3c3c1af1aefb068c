package lookup

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"bulkhead/bench/report"
)

// pack writes a file as the sets are packed.
func pack(t *testing.T, name, text string) {
	t.Helper()
	z, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, z.EncodeAll([]byte(text), nil), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Every set that is there is measured, both kinds of traces, beside rte_acl
// where that is installed; what is not there is told.
func TestSets(t *testing.T) {
	dir := t.TempDir()
	pack(t, dir+"/rules/acl1_1k.zst", draw(random(t), 100, false)+"\n")
	var trace strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&trace, "%d\t%d\t%d\t80\t6\t0\t0\n", addresses[i%len(addresses)], addresses[i/7%len(addresses)], i)
	}
	pack(t, dir+"/traces/acl1_1k_trace.zst", trace.String())
	pack(t, dir+"/traces/acl1_1k_xtrace.zst", trace.String())
	m := Sets{Dir: dir, Options: Options{Rounds: 2, Progress: func(string) {}}}
	figures, remarks, err := m.Measure(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	find := func(name, subject string) *report.Figure {
		at := slices.IndexFunc(figures, func(f report.Figure) bool { return f.Case == name && f.Subject == subject })
		if at < 0 {
			return &report.Figure{}
		}
		return &figures[at]
	}
	for _, name := range []string{"acl1_1k", "acl1_1k, one at a time", "acl1_1k, adversarial", "acl1_1k, adversarial, one at a time"} {
		if f := find(name, ours); len(f.Rounds) != 2 || f.Min() <= 0 {
			t.Errorf("%s: %+v", name, f)
		}
	}
	said := strings.Join(remarks, "\n")
	if !strings.Contains(said, "fw1_10k is left out") || !strings.Contains(said, "acl1_1k: tables of") {
		t.Errorf("%s", said)
	}
	_, lacks := exec.LookPath("dpdk-test-acl")
	switch f := find("acl1_1k", theirs); {
	case lacks != nil && !strings.Contains(said, "apt-get install dpdk-dev"):
		t.Errorf("rte_acl is not installed, and nobody says so: %s", said)
	case lacks == nil && (len(f.Rounds) != 2 || f.Min() <= 0):
		t.Errorf("rte_acl: %+v: %s", f, said)
	}
	if left, _ := filepath.Glob(fmt.Sprintf("/var/run/dpdk/vsb%dm", os.Getpid())); left != nil {
		t.Errorf("left: %v", left)
	}
}

// Without the sets nothing is measured, and the cure is told.
func TestNoSets(t *testing.T) {
	m := Sets{Dir: t.TempDir(), Options: Options{Rounds: 1, Progress: func(string) {}}}
	figures, remarks, err := m.Measure(context.Background())
	if err != nil || figures != nil || len(remarks) != 1 || !strings.Contains(remarks[0], "set CLASSBENCH") {
		t.Errorf("%v, %q, %v", figures, remarks, err)
	}
}

func TestPacketTime(t *testing.T) {
	said := "num_tries=1\nsearch_ip5tuples  @lcore 1: 20 iterations, 188400 pkts, 1 categories, 6380920 cycles (0.00 sec), 33.87 cycles/pkt, 50000000.00 pkt/sec\n"
	if ns, err := packetTime(said); err != nil || ns != 20 {
		t.Errorf("%v, %v", ns, err)
	}
	for _, bad := range []string{"", "search_ip5tuples  @lcore 1: 0.00 pkt/sec", "EAL: Error\n  Cause: no memory"} {
		if _, err := packetTime(bad); err == nil {
			t.Errorf("read %q", bad)
		}
	}
}
