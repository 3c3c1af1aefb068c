package run

import (
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"runtime/debug"
	"strings"

	"golang.org/x/sys/unix"

	"bulkhead/bench/report"
)

// Machine says where this runs.
func Machine() report.Machine {
	m := report.Machine{Kernel: "unknown", CPUs: runtime.NumCPU(), Go: runtime.Version(), Arch: runtime.GOOS + "/" + runtime.GOARCH}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		m.Kernel = unix.ByteSliceToString(u.Release[:])
	}
	info, _ := os.ReadFile("/proc/cpuinfo")
	m.CPU = cpu(string(info))
	load, _ := os.ReadFile("/proc/loadavg")
	words := strings.Fields(string(load))
	m.Load = strings.Join(words[:min(3, len(words))], " ")
	return m
}

// Versions says of which version the programs are that are measured, a line
// each; of those that are not installed nothing.
func Versions() (out []string) {
	for _, words := range [][]string{{"nft", "--version"}, {"ip", "-V"}, {"ovs-vswitchd", "--version"}, {"dpdk-testpmd", "--version"}} {
		text, err := exec.Command(words[0], words[1:]...).CombinedOutput()
		for line := range strings.Lines(string(text)) {
			if (err == nil || words[0] == "dpdk-testpmd") && version.MatchString(line) {
				out = append(out, words[0]+": "+strings.TrimSpace(line))
				break
			}
		}
	}
	return out
}

// version is a line that tells one.
var version = regexp.MustCompile(`[0-9]+\.[0-9]+`)

// cpu finds the model in /proc/cpuinfo; not every architecture names one.
func cpu(info string) string {
	for line := range strings.Lines(info) {
		if name, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown CPU"
}

// Revision is the commit that this program was built from.
func Revision() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	revision, changed := "unknown", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			revision = s.Value[:min(12, len(s.Value))]
		case s.Key == "vcs.modified" && s.Value == "true":
			changed = " with changes"
		}
	}
	return revision + changed
}
