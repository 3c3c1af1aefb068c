package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"bulkhead/bench/scenario"
	"bulkhead/vswitch/cli/clitest"
)

func execute(args ...string) (stdout string, err error) {
	cmd := command()
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SetArgs(args)
	err = cmd.ExecuteContext(context.Background())
	return out.String(), err
}

func TestListNamesEveryScenario(t *testing.T) {
	out, err := execute("list")
	if err != nil || out != strings.Join(scenario.Names(scenario.All()), "\n")+"\n" || !strings.HasPrefix(out, "walk\nsetup\n") {
		t.Errorf("%q, %v", out, err)
	}
	long, err := execute("list", "--long")
	if err != nil || !strings.Contains(long, "  TCP throughput of one connection and of eight, both ways, AF_XDP ports on veths") || !strings.Contains(long, " bulkhead-xdp ovs-afxdp testpmd bridge nftables\n") || !strings.Contains(long, " in memory\n") {
		t.Errorf("%q, %v", long, err)
	}
}

func TestMistakesAreTold(t *testing.T) {
	cases := []struct {
		args []string
		want string
	}{
		{[]string{"run"}, "one of walk, setup"},
		{[]string{"run", "walk", "tap-tpc"}, `"tap-tpc"; one of walk`},
		{[]string{"run", "walk", "--rounds", "0"}, "--rounds is at least 1"},
		{[]string{"run", "walk", "--seconds", "0"}, "--seconds is 0.05"},
		{[]string{"run", "walk", "-o", "yaml"}, `"yaml": text or json`},
		{[]string{"list", "walk"}, "unknown command"},
	}
	for _, c := range cases {
		if out, err := execute(c.args...); err == nil || !strings.Contains(err.Error(), c.want) || out != "" {
			t.Errorf("%v: %v, printed %q; want %q", c.args, err, out, c.want)
		}
	}
}

func TestFindTakesEachOnce(t *testing.T) {
	got, err := find(scenario.All(), []string{"xdp-rtt", "walk", "xdp-rtt"})
	if err != nil || len(got) != 2 || got[0].Name != "xdp-rtt" || got[1].Name != "walk" {
		t.Errorf("%v, %v", got, err)
	}
	if all, err := find(scenario.All(), []string{"all"}); err != nil || len(all) != len(scenario.All()) {
		t.Errorf("%d scenarios, %v", len(all), err)
	}
}

// The command line of a report can be pasted into a shell.
func TestCommandLineIsQuoted(t *testing.T) {
	got := commandLine([]string{"/usr/local/bin/vsbench", "run", "walk", "--vswitchd", "/tmp/it's here", "--seed=2", ""})
	if want := `vsbench run walk --vswitchd '/tmp/it'\''s here' --seed=2 ''`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestExitCodes(t *testing.T) {
	for err, want := range map[error]int{
		fmt.Errorf("x: %w", context.Canceled): exitInterrupted,
		fmt.Errorf("%w: x", errFailed):        exitFailed,
		errors.New("x"):                       exitError,
	} {
		if got := exitCode(err); got != want {
			t.Errorf("%v: exit code %d, want %d", err, got, want)
		}
	}
}

func TestDaemonIsWhereItIsNamed(t *testing.T) {
	if got := daemon("/opt/vswitchd"); got != "/opt/vswitchd" {
		t.Error(got)
	}
	t.Setenv("PATH", t.TempDir())
	if got := daemon(""); got != "" {
		t.Errorf("found %q where there is none", got)
	}
}

// A terminal sees what is under way, on one line that is cleared at the end; a
// file sees nothing.
func TestProgressIsForTerminals(t *testing.T) {
	file, err := os.Create(t.TempDir() + "/log")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	p := newProgress(file)
	p.show("round 1")
	p.clear()
	if text, _ := os.ReadFile(file.Name()); len(text) != 0 {
		t.Errorf("a file got %q", text)
	}
	master, slave := terminal(t)
	p = newProgress(slave)
	p.show("round 1")
	p.clear()
	if _, err := slave.WriteString("."); err != nil {
		t.Fatal(err)
	}
	got, err := bufio.NewReader(master).ReadString('.')
	if err != nil || got != "\r\x1b[Kround 1\r\x1b[K." {
		t.Errorf("a terminal got %q, %v", got, err)
	}
}

func terminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("this machine gives no terminals: %v", err)
	}
	t.Cleanup(func() { master.Close() })
	fd := int(master.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetUint32(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("this machine gives no terminals: %v", err)
	}
	t.Cleanup(func() { slave.Close() })
	return master, slave
}

func TestHelp(t *testing.T) { clitest.Help(t, command) }

// The scenarios that are listed as TOML are those that are run from it.
func TestScenariosOfAFile(t *testing.T) {
	text, err := execute("list", "--toml")
	if err != nil {
		t.Fatal(err)
	}
	read, err := scenario.Read("x", text)
	if err != nil || len(read) != len(scenario.All()) {
		t.Fatalf("%d, %v", len(read), err)
	}
	dir := input(t, map[string]string{"own": "[[scenarios]]\nname = \"mine\"\nkind = \"policies\"\nsizes = [2, 5]\n", "bad": "[[scenarios]]\nname = \"x\"\nkind = \"tpc\"\n"})
	out, err := execute("run", "mine", "--scenarios", dir+"/own", "--rounds", "3", "--seconds", "0.05", "--dir", dir+"/page")
	if err != nil || !strings.Contains(out, "5 rules, first packets") {
		t.Fatalf("%v: %s", err, out)
	}
	page, err := os.ReadFile(dir + "/page/REPORT.md")
	if err != nil || !strings.Contains(string(page), "![mine](mine-ns-frame.svg)") {
		t.Errorf("%v: %s", err, page)
	}
	again := t.TempDir()
	if _, err := execute("report", dir+"/page/report.json", "--dir", again); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"REPORT.md", "mine-ns-frame.svg"} {
		first, err1 := os.ReadFile(dir + "/page/" + name)
		second, err2 := os.ReadFile(again + "/" + name)
		if err1 != nil || err2 != nil || !bytes.Equal(first, second) {
			t.Errorf("%s is another when made anew: %v, %v", name, err1, err2)
		}
	}
	if _, err := execute("run", "all", "--scenarios", dir+"/bad"); err == nil || !strings.Contains(err.Error(), `scenario "x": kind "tpc"; one of walk`) {
		t.Errorf("%v", err)
	}
}

// What is missing is installed by one call, each package once, and nothing is
// started by it; a policy of the host's own stays.
func TestPackagesOfPeers(t *testing.T) {
	none := func(string) (string, error) { return "", os.ErrNotExist }
	if got := strings.Join(lacking(none), " "); got != "iproute2 nftables openvswitch-switch ethtool dpdk-dev coreutils" {
		t.Error(got)
	}
	policy := t.TempDir() + "/policy-rc.d"
	undo, err := startNothing(policy)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(policy); err != nil || !strings.Contains(string(text), "exit 101") {
		t.Errorf("%q, %v", text, err)
	}
	if keep, err := startNothing(policy); err != nil || keep() != nil {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(policy); err != nil {
		t.Errorf("took away what was there: %v", err)
	}
	if err := undo(); err != nil {
		t.Error(err)
	}
}
