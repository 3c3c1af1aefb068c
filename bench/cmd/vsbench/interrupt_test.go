package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"bulkhead/bench/report"
)

func root(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root, for network namespaces and devices")
	}
}

// binaries makes vsbench and, beside it, vswitchd, once for all tests.
var binaries = sync.OnceValues(func() (dir string, err error) {
	if dir, err = os.MkdirTemp("", "vsbench-test."); err != nil {
		return "", err
	}
	made = dir
	cmd := exec.Command("go", "build", "-o", dir, "bulkhead/bench/cmd/vsbench", "bulkhead/vswitch/cmd/vswitchd")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return dir, fmt.Errorf("build: %w\n%s", err, out)
	}
	return dir, nil
})

// made is the directory of the binaries, if a test wanted them.
var made string

func TestMain(m *testing.M) {
	code := m.Run()
	if made != "" {
		os.RemoveAll(made)
	}
	os.Exit(code)
}

func build(t *testing.T) (vsbench string) {
	t.Helper()
	dir, err := binaries()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "vsbench")
}

// The command as a user runs it: it finds the daemon beside itself, prints a
// report that a program can read, and no progress.
func TestRunPrintsAReport(t *testing.T) {
	root(t)
	cmd := exec.Command(build(t), "run", "tap-tcp", "-o", "json", "--rounds", "1", "--seconds", "0.1", "--seed", "9")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil || stderr.Len() > 0 {
		t.Fatalf("%v: %s", err, stderr.String())
	}
	var r report.Report
	d := json.NewDecoder(&stdout)
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		t.Fatal(err)
	}
	if r.Schema != report.Schema || r.Seed != 9 || r.Command != "vsbench run tap-tcp -o json --rounds 1 --seconds 0.1 --seed 9" || r.Machine.Kernel == "" || r.Started.IsZero() {
		t.Errorf("%+v", r)
	}
	// Four cases of three subjects, which are always there, and of Open vSwitch.
	if n := len(r.Figures); n < 12 || n%4 != 0 || len(r.Ratios) != n-4 {
		t.Errorf("%d figures, %d ratios", n, len(r.Ratios))
	}
}

// Without the tools a scenario fails by name, with the cure, and the exit code
// says that something failed.
func TestRunWithoutTools(t *testing.T) {
	root(t)
	cmd := exec.Command(build(t), "run", "tap-tcp", "--rounds", "1", "--seconds", "0.1")
	cmd.Env = []string{"PATH=" + t.TempDir()}
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != exitFailed || !strings.Contains(string(out), "apt-get install iproute2 ") {
		t.Errorf("%v: %s", err, out)
	}
}

// An interrupt in the middle of a measurement ends it at once, with the exit
// code of an interrupt, and leaves no namespace, process, pin or file.
func TestInterruptLeavesNothing(t *testing.T) {
	root(t)
	vsbench := build(t)
	for _, c := range []struct {
		scenario string
		signal   syscall.Signal
	}{{"tap-lossfree", syscall.SIGTERM}, {"tap-frames", syscall.SIGINT}, {"tap-tcp", syscall.SIGINT}, {"tap-pps", syscall.SIGTERM}, {"xdp-tcp", syscall.SIGTERM}, {"xdp-rtt", syscall.SIGINT}} {
		t.Run(c.scenario, func(t *testing.T) {
			cmd, daemon := begin(t, vsbench, c.scenario)
			start := time.Now()
			if err := cmd.Process.Signal(c.signal); err != nil {
				t.Fatal(err)
			}
			err := cmd.Wait()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != exitInterrupted {
				t.Errorf("ended with %v: %s", err, cmd.Stderr)
			}
			if took := time.Since(start); took > 20*time.Second {
				t.Errorf("took %s", took)
			}
			if left := remains(cmd.Process.Pid, daemon); left != nil {
				t.Errorf("left: %q", left)
			}
		})
	}
}

// Whenever the interrupt comes, also while namespaces and devices are being
// made, nothing is left.
func TestInterruptAtAnyMoment(t *testing.T) {
	root(t)
	vsbench := build(t)
	for i := range 10 {
		cmd := exec.Command(vsbench, "run", []string{"tap-tcp", "xdp-tcp"}[i%2], "--seconds", "600")
		cmd.Stderr = new(bytes.Buffer)
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		delay := time.Duration(i) * 25 * time.Millisecond
		time.Sleep(delay)
		// To the whole group, as a terminal does.
		if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		if left := remains(cmd.Process.Pid, "none"); left != nil {
			t.Errorf("after %s left: %q; %s", delay, left, cmd.Stderr)
		}
	}
}

// A run that is killed cannot clean up: its daemon dies with it, and the next
// run removes the rest.
func TestKillIsSweptByTheNextRun(t *testing.T) {
	root(t)
	vsbench := build(t)
	cmd, daemon := begin(t, vsbench, "xdp-tcp")
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	for deadline := time.Now().Add(5 * time.Second); running(daemon) && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
	}
	if running(daemon) {
		t.Error("the daemon outlived the run")
	}
	// What is left now is the next run's to remove, or that of another run of
	// this machine that happens to start.
	if out, err := exec.Command(vsbench, "run", "tap-tcp", "--rounds", "1", "--seconds", "0.05").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if left := remains(cmd.Process.Pid, daemon); left != nil {
		t.Errorf("left: %q", left)
	}
}

// begin starts a long run and waits until its daemon runs, and a moment more
// for the traffic.
func begin(t *testing.T, vsbench, scenario string) (cmd *exec.Cmd, daemon string) {
	t.Helper()
	cmd = exec.Command(vsbench, "run", scenario, "--seconds", "600")
	cmd.Stderr = new(bytes.Buffer)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	dir := fmt.Sprintf("%s/vsbench.%d.*", os.TempDir(), cmd.Process.Pid)
	for range 1000 {
		logs, _ := filepath.Glob(dir + "/log")
		if len(logs) == 1 {
			if text, _ := os.ReadFile(logs[0]); strings.Contains(string(text), `"ready"`) {
				time.Sleep(200 * time.Millisecond)
				return cmd, child(t, cmd.Process.Pid)
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
	_ = cmd.Process.Kill()
	t.Fatalf("the daemon does not start: %s", cmd.Stderr)
	return nil, ""
}

// child returns the number of the one process that a process has started.
func child(t *testing.T, pid int) string {
	t.Helper()
	out, err := exec.Command("ps", "-o", "pid=", "--ppid", fmt.Sprint(pid)).Output()
	children := strings.Fields(string(out))
	if err != nil || len(children) != 1 {
		t.Fatalf("children %v of the run, %v", children, err)
	}
	return children[0]
}

func running(pid string) bool {
	_, err := os.Stat("/proc/" + pid)
	return err == nil
}

// remains lists what is left of a run.
func remains(pid int, daemon string) (left []string) {
	for _, glob := range []string{"/run/netns/vsb%d[abm]", "/sys/fs/bpf/bulkhead/vsb%d[ab]", "/var/run/dpdk/vsb%dm", os.TempDir() + "/vsbench.%d.*"} {
		found, _ := filepath.Glob(fmt.Sprintf(glob, pid))
		left = append(left, found...)
	}
	if running(daemon) {
		left = append(left, "process "+daemon)
	}
	slices.Sort(left)
	return left
}

// What others' programs are run for a peer ends with the run, however it ends,
// and leaves nothing that the next run does not sweep away.
func TestPeersEndWithTheRun(t *testing.T) {
	root(t)
	vsbench := build(t)
	for _, c := range []struct {
		peer, program string
		signal        syscall.Signal
	}{
		{"ovs-afxdp", "ovs-vswitchd", syscall.SIGINT}, {"ovs-tap", "ovs-vswitchd", syscall.SIGKILL},
		{"testpmd", "dpdk-testpmd", syscall.SIGTERM}, {"testpmd", "dpdk-testpmd", syscall.SIGKILL},
	} {
		t.Run(fmt.Sprintf("%s_%s", c.peer, c.signal), func(t *testing.T) {
			if _, err := exec.LookPath(c.program); err != nil {
				t.Skipf("%v; vsbench peers install", err)
			}
			file := input(t, map[string]string{"own": fmt.Sprintf("[[scenarios]]\nname = \"x\"\nkind = \"tcp\"\nflows = [1]\nsubjects = [%q]\n", c.peer)}) + "/own"
			cmd := exec.Command(vsbench, "run", "all", "--scenarios", file, "--seconds", "600")
			cmd.Stderr = new(bytes.Buffer)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = cmd.Process.Kill() })
			programs := started(t, cmd.Process.Pid, c.program)
			time.Sleep(500 * time.Millisecond) // traffic flows, or the program comes up yet
			if err := cmd.Process.Signal(c.signal); err != nil {
				t.Fatal(err)
			}
			err := cmd.Wait()
			var exit *exec.ExitError
			if c.signal != syscall.SIGKILL && (!errors.As(err, &exit) || exit.ExitCode() != exitInterrupted) {
				t.Errorf("ended with %v: %s", err, cmd.Stderr)
			}
			for _, pid := range programs {
				for deadline := time.Now().Add(5 * time.Second); running(pid) && time.Now().Before(deadline); {
					time.Sleep(10 * time.Millisecond)
				}
			}
			if c.signal == syscall.SIGKILL {
				if out, err := exec.Command(vsbench, "run", "tap-tcp", "--rounds", "1", "--seconds", "0.3").CombinedOutput(); err != nil {
					t.Fatalf("%v: %s", err, out)
				}
			}
			for _, pid := range programs {
				if left := remains(cmd.Process.Pid, pid); left != nil {
					t.Errorf("left: %q", left)
				}
			}
		})
	}
}

// started waits until a program of a run is there, and returns the numbers of
// all that it has started.
func started(t *testing.T, pid int, program string) (pids []string) {
	t.Helper()
	for range 1000 {
		out, _ := exec.Command("ps", "-o", "pid=,args=", "--ppid", fmt.Sprint(pid)).Output()
		if strings.Contains(string(out), program) {
			for line := range strings.Lines(string(out)) {
				pids = append(pids, strings.Fields(line)[0])
			}
			return pids
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("%s does not start", program)
	return nil
}
