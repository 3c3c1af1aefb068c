package lookup

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// RTEACL is DPDK's access control library on one rule set and trace, by its own
// test program.
//
// Its default prints every verdict within the time that it takes; so it is told
// to print one line a call, and to classify 256 headers a call: with fewer it is
// slower. It gets all the vector registers that the processor has.
type RTEACL struct {
	rules, trace   string // files, not packed
	headers, lines int
	prefix         string // of what DPDK shares between processes
	method         string // the fastest here, on this set
}

// rteMethods are its ways to search. Which is the fastest depends on the set.
var rteMethods = []string{"avx512x32", "avx512x16", "avx2", "sse", "scalar"}

// rteHeaders is how many headers a run classifies at the least; a third of a
// second on a slow set.
const rteHeaders = 4_000_000

// rteWithin is how long a run may take, the building of its tables included.
const rteWithin = 2 * time.Minute

// NewRTEACL tries its methods and keeps the fastest. prefix names what DPDK keeps
// in its directory, which is removed after every run.
func NewRTEACL(ctx context.Context, rules, trace string, lines, headers int, prefix string) (*RTEACL, error) {
	if _, err := exec.LookPath("dpdk-test-acl"); err != nil {
		return nil, errors.New("dpdk-test-acl: not found; apt-get install dpdk-dev")
	}
	r := &RTEACL{rules: rules, trace: trace, lines: lines, headers: headers, prefix: prefix}
	var errs []error
	best, least := "", math.Inf(1)
	for _, r.method = range rteMethods {
		ns, err := r.run(ctx, rteHeaders/4/r.headers+1)
		if err == nil && ns < least {
			best, least = r.method, ns
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", r.method, err))
		}
		if ctx.Err() != nil {
			break
		}
	}
	if r.method = best; best == "" {
		return nil, errors.Join(errs...)
	}
	return r, nil
}

// Time builds its tables anew and returns ns a packet.
func (r *RTEACL) Time(ctx context.Context) (ns float64, err error) {
	return r.run(ctx, rteHeaders/r.headers+1)
}

func (r *RTEACL) run(ctx context.Context, iterations int) (ns float64, err error) {
	ctx, cancel := context.WithTimeout(ctx, rteWithin)
	defer cancel()
	defer func() { err = errors.Join(err, os.RemoveAll(filepath.Join("/var/run/dpdk", r.prefix))) }()
	cmd := exec.CommandContext(ctx, "dpdk-test-acl", "--no-huge", "-m", "4000", "--no-pci", "-l", fmt.Sprint(runtime.NumCPU()-1), "--no-telemetry", "--no-shconf",
		"--file-prefix="+r.prefix, "--force-max-simd-bitwidth=512", "--",
		"--rulesf="+r.rules, "--tracef="+r.trace, fmt.Sprintf("--rulenum=%d", r.lines+1), fmt.Sprintf("--tracenum=%d", r.headers+1),
		"--tracestep=256", fmt.Sprintf("--iter=%d", iterations), "--alg="+r.method, "--verbose=1")
	// Killed with us, and not by an interrupt of the terminal, which is for us.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("dpdk-test-acl: %w: %s", err, lastLine(string(out)))
	}
	return packetTime(string(out))
}

// packets finds the sum that it ends with.
var packets = regexp.MustCompile(`search_ip5tuples +@lcore.* ([0-9.]+) pkt/sec`)

func packetTime(said string) (ns float64, err error) {
	m := packets.FindStringSubmatch(said)
	if m == nil {
		return 0, fmt.Errorf("dpdk-test-acl told no rate: %s", lastLine(said))
	}
	rate, err := strconv.ParseFloat(m[1], 64)
	if err != nil || rate <= 0 {
		return 0, fmt.Errorf("dpdk-test-acl told a rate of %s", m[1])
	}
	return 1e9 / rate, nil
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}
