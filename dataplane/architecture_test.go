package dataplane_test

import (
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

// allowed says which of our packages each package may import: a prefix ending
// in "/..." stands for everything under it. A package without a row fails.
// It is the import table of the design, row by row.
var allowed = map[string][]string{
	// 0: constants and arithmetic
	"dataplane/drop":               {},
	"dataplane/checksum":           {},
	"dataplane/internal/hugemem":   {},
	"dataplane/internal/hashtab":   {"dataplane/internal/hugemem"},
	"dataplane/internal/invariant": {},
	"dataplane/internal/paged":     {},
	// 1
	"dataplane/packet":            {"dataplane/drop", "dataplane/checksum", "dataplane/internal/..."},
	"dataplane/packet/packettest": {"dataplane/drop", "dataplane/checksum", "dataplane/packet"},
	// 2: tables, which know nothing of each other
	"dataplane/identity":  {"dataplane/drop", "dataplane/packet", "dataplane/internal/..."},
	"dataplane/fdb":       {"dataplane/drop", "dataplane/packet", "dataplane/internal/..."},
	"dataplane/conntrack": {"dataplane/drop", "dataplane/packet", "dataplane/internal/..."},
	"dataplane/fragment":  {"dataplane/drop", "dataplane/packet", "dataplane/internal/..."},
	"dataplane/nat":       {"dataplane/drop", "dataplane/packet", "dataplane/internal/..."},
	"dataplane/route":     {"dataplane/drop", "dataplane/packet", "dataplane/internal/..."},
	"dataplane/group":     {"dataplane/packet", "dataplane/internal/..."}, // who listens to multicast
	"dataplane/vlan":      {"dataplane/drop", "dataplane/packet"},         // tags of a trunk and their segments
	"dataplane/erspan":    {},                                             // headers of mirrored frames
	"dataplane/meter":     {},                                             // rates of ports
	"dataplane/vxlan":     {"dataplane/drop", "dataplane/checksum", "dataplane/packet", "dataplane/internal/..."},
	// 3, 4
	"dataplane/policy":   {"dataplane/drop", "dataplane/packet", "dataplane/identity"},
	"dataplane/classify": {"dataplane/drop", "dataplane/packet", "dataplane/identity", "dataplane/policy", "dataplane/internal/..."},
	// 5: the walk
	"dataplane": {"dataplane/..."},
	// 6: the contract of ports, configuration, the kernel's door
	"vswitch/internal/sys": {},
	"vswitch/port":         {"dataplane/drop", "dataplane/packet", "vswitch/internal/sys"},
	"vswitch/config":       {"dataplane/drop", "dataplane/packet", "dataplane/policy", "vswitch/cli/nearest"},
	// 7: drivers, which know nothing of each other
	"vswitch/port/mem":    {"dataplane/drop", "dataplane/packet", "vswitch/port", "vswitch/internal/sys"},
	"vswitch/port/pcap":   {"dataplane/drop", "dataplane/packet", "vswitch/port", "vswitch/internal/sys"},
	"vswitch/port/tap":    {"dataplane/drop", "dataplane/checksum", "dataplane/packet", "vswitch/port", "vswitch/port/vnet", "vswitch/internal/sys"},
	"vswitch/port/xdp":    {"dataplane/drop", "dataplane/checksum", "dataplane/packet", "vswitch/port", "vswitch/port/netdev", "vswitch/internal/sys"},
	"vswitch/port/packet": {"dataplane/drop", "dataplane/packet", "vswitch/port", "vswitch/port/netdev", "vswitch/port/vnet"},
	"vswitch/port/erspan": {"dataplane/drop", "dataplane/packet", "vswitch/port", "vswitch/port/vnet"}, // a raw socket to a collector
	"vswitch/port/udp":    {"dataplane/drop", "dataplane/checksum", "dataplane/packet", "vswitch/port", "vswitch/port/vnet", "vswitch/internal/sys"},
	// what several drivers share: superframes' headers, devices that are there
	"vswitch/port/vnet":   {"dataplane/drop", "dataplane/packet", "vswitch/port", "vswitch/internal/sys"},
	"vswitch/port/netdev": {},
	// any driver, tried out by TCP and UDP of the kernel's own
	"vswitch/port/selftest":   {"dataplane/drop", "dataplane/packet", "vswitch/port", "vswitch/internal/sys"},
	"vswitch/port/middleware": {"dataplane/drop", "dataplane/packet", "vswitch/port", "vswitch/port/pcap"},
	"vswitch/port/porttest":   {"dataplane/...", "vswitch/port", "vswitch/internal/sys"},
	// 8: the daemon, without drivers
	"vswitch/control/api": {},
	"vswitch/control":     {"vswitch/control/api", "vswitch/internal/sys", "vswitch/config"},
	"vswitch/metrics":     {"dataplane/drop", "vswitch/control/api"},
	"vswitch":             {"dataplane/...", "vswitch/port", "vswitch/config", "vswitch/control/api", "vswitch/internal/sys", "vswitch/cli/nearest"},
	// the agent: the store on one side, the switch's control API on the other. What
	// the store says, and what follows from it, is read and worked out without either
	"vswitch/agent/schema":    {},
	"vswitch/agent/world":     {"vswitch/agent/schema", "vswitch/control/api"},
	"vswitch/agent/store":     {"vswitch/agent/schema", "vswitch/agent/world"},
	"vswitch/agent/member":    {},
	"vswitch/agent/storetest": {"vswitch/agent/member", "vswitch/agent/store"},
	"vswitch/agent":           {"vswitch/agent/schema", "vswitch/agent/world", "vswitch/agent/store", "vswitch/control", "vswitch/control/api"},
	// the same beside a fabric: what neighbours say is judged without BGP itself
	"vswitch/agent/evpn":         {"vswitch/control", "vswitch/control/api"},
	"vswitch/agent/evpn/speaker": {"vswitch/agent/evpn"},
	"vswitch/cmd/vswitch-agent":  {"vswitch/agent/...", "vswitch/cli", "dataplane/policy"},
	// the privileged process beside it, and the switch's way there; drivers are wired in
	"vswitch/helper": {"dataplane/packet", "vswitch", "vswitch/port", "vswitch/config", "vswitch/internal/sys"},
	// 9: commands wire it together
	"vswitch/cmd/vswitchd": {"dataplane/...", "vswitch/...", "vswitch/cli"},
	"vswitch/cmd/vsctl":    {"vswitch/control", "vswitch/control/api", "dataplane/drop", "vswitch/cli"},
	// the compiler; it links a policy as the switch does, by the same code, to say
	// what it costs and what it would have done to flows that were recorded
	"policyc":     {"policyc/...", "dataplane/policy", "dataplane/classify", "dataplane/identity", "dataplane/packet", "vswitch/cli/..."},
	"policyc/...": {"policyc/...", "dataplane/policy", "dataplane/classify", "dataplane/identity", "dataplane/packet", "vswitch/cli/nearest"},
	// what commands share, policyc's among them: how they are called, and the
	// right word for a wrong one; nothing of the switch
	"vswitch/cli/nearest": {},
	"vswitch/cli":         {"vswitch/cli/nearest"},
	"vswitch/cli/clitest": {},
	// what may import anything
	"bench/...": {"..."},
	"fuzz":      {"..."},
	"examples":  {},
}

// outside says through which doors each outside module may come in. Modules
// not named here may not be imported at all.
var outside = map[string][]string{
	"golang.org/x/net":                    {"bench/..."}, // sendmmsg and recvmmsg
	"golang.org/x/sys":                    {"policyc/internal/progress" /* is stderr a terminal */, "vswitch/internal/sys", "vswitch/port/tap", "vswitch/port/xdp", "vswitch/port/packet", "vswitch/port/udp", "vswitch/port/erspan", "vswitch/port/vnet", "vswitch/port/netdev", "vswitch/port/selftest", "vswitch/cmd/vswitchd", "vswitch/control", "bench/..."},
	"github.com/asavie/xdp":               {"vswitch/port/xdp"},
	"github.com/cilium/ebpf":              {"vswitch/port/xdp", "vswitch/port/packet"},
	"github.com/songgao/water":            {"vswitch/port/tap"},
	"github.com/vishvananda/netlink":      {"vswitch/port/tap", "vswitch/port/xdp", "vswitch/port/packet", "vswitch/port/netdev", "vswitch/port/selftest", "vswitch/internal/sys", "vswitch", "bench/..."},
	"github.com/vishvananda/netns":        {"vswitch/port/tap", "vswitch/port/selftest", "vswitch/port/xdp", "vswitch/internal/sys", "bench/..."},
	"github.com/BurntSushi/toml":          {"vswitch/config", "policyc/internal/source", "policyc/internal/endpoints", "vswitch/agent/evpn", "bench/..."}, // endpoints: lists of addresses, which are no policies; evpn: its own file
	"github.com/klauspost/compress":       {"policyc/classbench"},                                                                                         // rule sets come packed with zstd
	"github.com/google/gopacket":          {"vswitch/port/pcap", "bench/...", "dataplane/packet/packettest", "policyc/flows"},                             // captures; never live traffic
	"gonum.org/v1/plot":                   {"bench/..."},                                                                                                  // pictures of reports
	"go.uber.org/goleak":                  {"vswitch/port/porttest"},
	"github.com/rogpeppe/go-internal":     {"vswitch/cli/clitest"}, // testscript: the commands' own tests, and what they share
	"github.com/gaissmai/bart":            {"dataplane/route"},
	"github.com/spf13/cobra":              {"policyc", "bench/...", "vswitch/cmd/...", "vswitch/cli/..."},
	"github.com/spf13/pflag":              {"vswitch/cli/..."},
	"github.com/prometheus/client_golang": {"vswitch/metrics"},
	"github.com/coreos/go-systemd/v22":    {"vswitch/cmd/vswitchd"},
	// the store: never in the daemon, which must not go down with it
	"go.etcd.io/etcd/api/v3":    {"vswitch/agent/store"}, // what its errors and events are called
	"go.etcd.io/etcd/client/v3": {"vswitch/agent/store", "vswitch/agent/storetest", "vswitch/cmd/vswitch-agent"},
	"go.etcd.io/etcd/server/v3": {"vswitch/agent/member"},                        // a member in the agent's process, for small clusters
	"go.uber.org/zap":           {"vswitch/agent/store", "vswitch/agent/member"}, // to keep etcd's own log quiet
	"github.com/osrg/gobgp/v4":  {"vswitch/agent/evpn/speaker"},                  // BGP: never in the daemon either
	// Kubernetes' own types, selectors and readers, so that a manifest means here
	// what it means there; its client is no business of a compiler
	"k8s.io/api":                     {"policyc/internal/kube"},
	"k8s.io/apimachinery":            {"policyc/internal/kube"}, // selectors, names of types
	"sigs.k8s.io/network-policy-api": {"policyc/internal/kube"}, // cluster-wide policies
	"sigs.k8s.io/yaml":               {"policyc/internal/kube"}, // YAML as kubectl reads it
	"sigs.k8s.io/json":               {"policyc/internal/kube"}, // every unknown field, with its path
	"go.yaml.in/yaml/v3":             {"policyc/internal/kube"}, // where things stand
}

// unsafeDoors are the packages that may use unsafe, in *_unsafe.go files only.
var unsafeDoors = []string{
	"dataplane/internal/hugemem", "vswitch/port/xdp", "vswitch/port/tap", "vswitch/port/packet",
	"vswitch/port/udp", // recvmmsg and sendmmsg
	"vswitch/port/packet", "vswitch/internal/sys",
	"bench/traffic", // sendmmsg on a packet socket
}

// linked is the whole of what vswitchd may link besides its own packages, the
// standard library and what these bring in: a new module fails until it is
// written down here with its reason.
var linked = map[string]string{
	"github.com/songgao/water":            "creates TAP devices",
	"github.com/asavie/xdp":               "holds the XDP program and its maps",
	"github.com/cilium/ebpf":              "loads, pins and links the XDP program",
	"github.com/vishvananda/netlink":      "links, addresses, routes and their changes",
	"github.com/vishvananda/netns":        "namespaces, for netlink",
	"golang.org/x/sys":                    "system calls",
	"github.com/BurntSushi/toml":          "the configuration",
	"github.com/prometheus/client_golang": "metrics",
	"github.com/coreos/go-systemd/v22":    "readiness and watchdog",
	"github.com/gaissmai/bart":            "builds route tables",
	"github.com/spf13/cobra":              "the command line",
	"github.com/spf13/pflag":              "its flags: cobra's own",
	"github.com/google/gopacket":          "reads captures, for the pcap port only",
	"golang.org/x/net":                    "brought in by gopacket, to read captures",
	// brought in by client_golang
	"github.com/prometheus/client_model": "", "github.com/prometheus/common": "", "github.com/prometheus/procfs": "",
	"github.com/beorn7/perks": "", "github.com/cespare/xxhash/v2": "", "google.golang.org/protobuf": "",
	"github.com/munnerz/goautoneg": "",
}

// linkedAgent is the same for vswitch-agent. It is a process of its own so that
// what stands here may leak, panic or be breached without a frame being lost.
var linkedAgent = map[string]string{
	"go.etcd.io/etcd/client/v3":  "speaks to the store",
	"go.etcd.io/etcd/server/v3":  "is a member of the store, with --embedded-store",
	"go.uber.org/zap":            "etcd's log, which is kept quiet",
	"github.com/osrg/gobgp/v4":   "speaks BGP EVPN",
	"github.com/BurntSushi/toml": "the file of vswitch-agent evpn",
	"golang.org/x/sys":           "who calls the control API, of package control; and etcd's files",
	"github.com/spf13/cobra":     "the command line",
	"github.com/spf13/pflag":     "its flags: cobra's own",
	// brought in by gobgp: its tables, and readers of configurations that nobody gives it
	"github.com/dgryski/go-farm": "", "github.com/eapache/channels": "", "github.com/eapache/queue": "", "github.com/k-sone/critbitgo": "", "github.com/orcaman/concurrent-map/v2": "", "github.com/segmentio/fasthash": "", "github.com/gaissmai/bart": "",
	"github.com/vishvananda/netlink": "", "github.com/vishvananda/netns": "",
	"github.com/spf13/viper": "", "github.com/spf13/afero": "", "github.com/spf13/cast": "", "github.com/subosito/gotenv": "", "github.com/sourcegraph/conc": "", "github.com/sagikazarmark/locafero": "", "github.com/pelletier/go-toml/v2": "", "github.com/go-viper/mapstructure/v2": "", "github.com/fsnotify/fsnotify": "", "gopkg.in/yaml.v3": "",
	// brought in by etcd: its interfaces, logs, raft and the file that it keeps
	"go.etcd.io/etcd/api/v3": "", "go.etcd.io/etcd/client/pkg/v3": "", "go.etcd.io/etcd/pkg/v3": "", "go.etcd.io/raft/v3": "", "go.etcd.io/bbolt": "",
	"go.uber.org/multierr": "", "github.com/coreos/go-semver": "", "github.com/coreos/go-systemd/v22": "", "github.com/dustin/go-humanize": "", "github.com/xiang90/probing": "", "github.com/jonboulle/clockwork": "",
	"github.com/golang-jwt/jwt/v5": "", "golang.org/x/crypto": "", "github.com/google/uuid": "", "github.com/google/go-cmp": "", "k8s.io/utils": "", "sigs.k8s.io/yaml": "", "golang.org/x/time": "", "gopkg.in/natefinch/lumberjack.v2": "",
	// gRPC, and its gateway, which the server serves besides
	"google.golang.org/grpc": "", "google.golang.org/genproto/googleapis/api": "", "google.golang.org/genproto/googleapis/rpc": "", "google.golang.org/protobuf": "", "github.com/golang/protobuf": "",
	"github.com/grpc-ecosystem/grpc-gateway/v2": "", "github.com/grpc-ecosystem/go-grpc-middleware/v2": "", "github.com/grpc-ecosystem/go-grpc-middleware/providers/prometheus": "",
	"github.com/soheilhy/cmux": "", "github.com/tmc/grpc-websocket-proxy": "", "github.com/gorilla/websocket": "", "github.com/sirupsen/logrus": "", "golang.org/x/net": "", "golang.org/x/text": "",
	// its metrics and traces, which nobody asks for here
	"github.com/prometheus/client_golang": "", "github.com/prometheus/client_model": "", "github.com/prometheus/common": "", "github.com/prometheus/procfs": "",
	"github.com/beorn7/perks": "", "github.com/cespare/xxhash/v2": "", "github.com/munnerz/goautoneg": "", "go.yaml.in/yaml/v2": "",
	"go.opentelemetry.io/otel": "", "go.opentelemetry.io/otel/sdk": "", "go.opentelemetry.io/otel/trace": "", "go.opentelemetry.io/otel/metric": "", "go.opentelemetry.io/auto/sdk": "", "go.opentelemetry.io/proto/otlp": "",
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace": "", "go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc": "", "go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc": "",
	"github.com/cenkalti/backoff/v5": "", "github.com/go-logr/logr": "", "github.com/go-logr/stdr": "",
}

// pkg is what `go list` says of a package.
type pkg struct {
	ImportPath string
	Imports    []string
	GoFiles    []string
	Dir        string
	Doc        string
	Standard   bool
	Module     *struct{ Path string }
}

func list(t *testing.T, args ...string) []pkg {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-json=ImportPath,Imports,GoFiles,Dir,Doc,Standard,Module"}, args...)...)
	cmd.Dir = ".."
	out, err := cmd.Output()
	if err != nil {
		var stderr string
		if exit, ok := err.(*exec.ExitError); ok {
			stderr = string(exit.Stderr)
		}
		t.Fatalf("go list %v: %v\n%s", args, err, stderr)
	}
	var all []pkg
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := dec.Decode(&p); err == io.EOF {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// covers tells whether a row's pattern stands for the package.
func covers(pattern, name string) bool {
	if dir, tree := strings.CutSuffix(pattern, "..."); tree {
		return strings.HasPrefix(name, dir) || name == strings.TrimSuffix(dir, "/")
	}
	return pattern == name
}

func row(name string) ([]string, bool) {
	if r, found := allowed[name]; found {
		return r, true
	}
	for dir := name; dir != "."; dir = path.Dir(dir) {
		if r, found := allowed[dir+"/..."]; found {
			return r, true
		}
	}
	return nil, false
}

func anyCovers(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return covers(p, name) })
}

func TestArchitectureImports(t *testing.T) {
	for _, p := range list(t, "./...") {
		name := strings.TrimPrefix(p.ImportPath, "bulkhead/")
		may, found := row(name)
		if !found {
			t.Errorf("%s has no row in the import table", name)
			continue
		}
		for _, imp := range p.Imports {
			checkImport(t, name, may, imp, p.GoFiles)
		}
		if len(p.GoFiles) > 0 && p.Doc == "" {
			t.Errorf("%s has no package comment", name)
		}
	}
}

func checkImport(t *testing.T, name string, may []string, imp string, files []string) {
	t.Helper()
	if ours, isOurs := strings.CutPrefix(imp, "bulkhead/"); isOurs {
		if !anyCovers(may, ours) && !slices.Contains(may, "...") {
			t.Errorf("%s imports %s, which its row does not allow", name, ours)
		}
		return
	}
	if imp == "unsafe" {
		if !slices.Contains(unsafeDoors, name) {
			t.Errorf("%s imports unsafe and is no door for it", name)
		}
		return
	}
	if imp == "C" {
		t.Errorf("%s uses cgo", name)
		return
	}
	if !strings.Contains(strings.SplitN(imp, "/", 2)[0], ".") {
		return // standard library
	}
	for module, doors := range outside {
		if imp == module || strings.HasPrefix(imp, module+"/") {
			if !anyCovers(doors, name) {
				t.Errorf("%s imports %s; the doors for it are %v", name, imp, doors)
			}
			return
		}
	}
	t.Errorf("%s imports %s, a module with no row", name, imp)
}

// Only files called *_unsafe.go may import unsafe.
func TestArchitectureUnsafeFiles(t *testing.T) {
	out, err := exec.Command("bash", "-c", `cd .. && git ls-files '*.go' | grep -v '_unsafe\(_test\)\?\.go$' | grep -v '_test\.go$' | xargs grep -lE '^(import )?\s*"unsafe"$' || true`).Output()
	if err != nil {
		t.Fatal(err)
	}
	if files := strings.Fields(string(out)); len(files) > 0 {
		t.Errorf("unsafe outside *_unsafe.go: %v", files)
	}
}

// The daemon, and its agent, link what is written down, and no more and no less.
func TestArchitectureLinked(t *testing.T) {
	for binary, may := range map[string]map[string]string{"vswitchd": linked, "vswitch-agent": linkedAgent} {
		seen := map[string]bool{}
		for _, p := range list(t, "-deps", "./vswitch/cmd/"+binary) {
			if p.Standard || p.Module == nil || p.Module.Path == "bulkhead" || seen[p.Module.Path] {
				continue
			}
			seen[p.Module.Path] = true
			if _, found := may[p.Module.Path]; !found {
				t.Errorf("%s links %s (for %s), which is not written down", binary, p.Module.Path, p.ImportPath)
			}
		}
		for module := range may {
			if !seen[module] {
				t.Errorf("%s is written down for %s, which does not link it", module, binary)
			}
		}
	}
}

// The top level is what a user meets first: it holds these and nothing else.
func TestArchitectureTopLevel(t *testing.T) {
	out, err := exec.Command("git", "-C", "..", "ls-tree", "--name-only", "HEAD").Output()
	if err != nil {
		t.Fatal(err)
	}
	known := strings.Fields(`dataplane vswitch policyc bench fuzz examples docs .ci .gitignore
		go.mod go.sum Makefile LICENSE README.md CHANGELOG.md CONTRIBUTING.md`)
	for _, name := range strings.Fields(string(out)) {
		if !slices.Contains(known, name) {
			t.Errorf("%s stands at the top level", name)
		}
	}
}

// go install ./... yields the binaries that users know, and no other.
func TestArchitectureBinaries(t *testing.T) {
	cmd := exec.Command("go", "list", "-f", `{{if eq .Name "main"}}{{.ImportPath}}{{end}}`, "./...")
	cmd.Dir = ".."
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, p := range strings.Fields(string(out)) {
		names = append(names, path.Base(p))
	}
	slices.Sort(names)
	if got, want := fmt.Sprint(names), "[policyc vsbench vsctl vswitch-agent vswitchd]"; got != want {
		t.Errorf("binaries %s, want %s", got, want)
	}
}
