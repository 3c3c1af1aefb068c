package peers

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"bulkhead/bench/rig"
	"bulkhead/bench/traffic"
)

// Open vSwitch with the datapath in user space, by each kind of port that it
// has for a namespace. Its database, sockets and logs are in the rig's
// directory; both daemons are our children and end with the rig.
//
// The policy is the switch's own: OpenFlow rules on tracked connections, as its
// tutorial on conntrack has them.
var (
	ovsTAP = Peer{
		Name: "ovs-tap", Tools: toolsOVS,
		Up: func(r *rig.Rig) (Link, error) {
			return Link{To: addressB.Addr(), Note: "Open vSwitch in user space, TAP (internal) ports, OpenFlow with conntrack"}, upOVSInternal(r)
		},
	}
	ovsPacket = Peer{
		Name: "ovs-packet", Tools: toolsOVSVeth, OffloadsOff: true,
		Up: func(r *rig.Rig) (Link, error) {
			return Link{To: addressB.Addr(), Note: "Open vSwitch in user space, AF_PACKET on veths, OpenFlow with conntrack; " + offloadsOff}, upOVSVeths(r, "")
		},
	}
	ovsXDP = Peer{
		Name: "ovs-afxdp", Tools: toolsOVSVeth, OffloadsOff: true,
		Up: func(r *rig.Rig) (Link, error) {
			return Link{To: addressB.Addr(), Note: "Open vSwitch in user space, AF_XDP on veths in native mode, a polling thread, OpenFlow with conntrack; " + offloadsOff},
				upOVSVeths(r, "afxdp", "options:xdp-mode=native", "options:n_rxq=1")
		},
	}
)

// Who takes frames from a veth as they are gets TCP with unfinished checksums
// and superframes that are too long for a buffer; the usual advice is to turn
// both off at the far end. Without it no connection comes about.
const offloadsOff = "the workloads' tx offloads are off, without which it carries no TCP"

const schemaOVS = "/usr/share/openvswitch/vswitch.ovsschema"

// ovs is one Open vSwitch of a rig.
type ovs struct {
	rig *rig.Rig
	env []string
}

func (o *ovs) path(name string) string { return filepath.Join(o.rig.Dir, name) }

// vsctl changes the database and waits until the daemon has done it.
func (o *ovs) vsctl(words ...string) error {
	_, err := o.rig.Output(o.env, append([]string{"ovs-vsctl", "--timeout=10", "--db=unix:" + o.path("db.sock")}, words...)...)
	return err
}

// upOVS starts both daemons, with a bridge that drops everything.
func upOVS(r *rig.Rig) (*ovs, error) {
	o := &ovs{rig: r}
	for _, dir := range []string{"RUNDIR", "LOGDIR", "DBDIR", "SYSCONFDIR"} {
		o.env = append(o.env, "OVS_"+dir+"="+r.Dir)
	}
	if _, err := r.Output(o.env, "ovsdb-tool", "create", o.path("conf.db"), schemaOVS); err != nil {
		return nil, err
	}
	if err := o.daemon("db.ctl", func(string) bool { return exists(o.path("db.sock")) },
		"ovsdb-server", o.path("conf.db"), "--remote=punix:"+o.path("db.sock")); err != nil {
		return nil, err
	}
	if err := o.vsctl("--no-wait", "init"); err != nil {
		return nil, err
	}
	if err := o.daemon("v.ctl", func(string) bool { return exists(o.path("v.ctl")) }, "ovs-vswitchd", "unix:"+o.path("db.sock")); err != nil {
		return nil, err
	}
	return o, o.vsctl("add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=netdev", "fail_mode=secure")
}

// daemon starts one; it stops when it is told to by its control socket.
func (o *ovs) daemon(control string, ready func(string) bool, words ...string) error {
	stop := func(io.Writer) error {
		_, err := o.appctl(control, "exit")
		return err
	}
	return o.rig.Service(rig.Service{Command: append(words, "--unixctl="+o.path(control)), Env: o.env, Ready: ready, Stop: stop})
}

// appctl speaks to a daemon; also when the run was interrupted.
func (o *ovs) appctl(control string, words ...string) (string, error) {
	return rig.Command(o.env, append([]string{"ovs-appctl", "--timeout=5", "-t", o.path(control)}, words...)...)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// upOVSInternal has Open vSwitch make TAP devices, and moves them.
func upOVSInternal(r *rig.Rig) error {
	o, err := upOVS(r)
	if err != nil {
		return err
	}
	if err := o.vsctl("add-port", "br0", "pa", "--", "set", "interface", "pa", "type=internal",
		"--", "add-port", "br0", "pb", "--", "set", "interface", "pb", "type=internal"); err != nil {
		return err
	}
	if err := r.Run(
		"ip -n "+r.Middle+" link set pa netns "+r.A+" name eth0",
		"ip -n "+r.Middle+" link set pb netns "+r.B+" name eth0",
	); err != nil {
		return err
	}
	return errors.Join(o.policy(), addresses(r))
}

// upOVSVeths gives Open vSwitch the middle ends of two veths.
func upOVSVeths(r *rig.Rig, kind string, options ...string) error {
	if err := plainVeths(r); err != nil {
		return err
	}
	o, err := upOVS(r)
	if err != nil {
		return err
	}
	var words []string
	for _, port := range []string{"pa", "pb"} {
		if words = append(words, "--", "add-port", "br0", port); kind != "" {
			words = append(append(words, "--", "set", "interface", port, "type="+kind), options...)
		}
	}
	if err := o.vsctl(words[1:]...); err != nil {
		return err
	}
	if err := o.healthy(); err != nil {
		return err
	}
	return o.policy()
}

// healthy asks whether both ports came up as they were asked for: Open vSwitch
// takes the wish and tells what came of it only on question.
func (o *ovs) healthy() error {
	for _, port := range []string{"pa", "pb"} {
		said, err := o.rig.Output(o.env, "ovs-vsctl", "--timeout=10", "--db=unix:"+o.path("db.sock"), "get", "interface", port, "error", "ofport")
		if err != nil {
			return err
		}
		if words := strings.Fields(said); len(words) != 2 || words[0] != "[]" || words[1] == "-1" {
			return fmt.Errorf("ovs-vswitchd did not take port %s: %s", port, strings.TrimSpace(said))
		}
	}
	return nil
}

// policy loads the flows: what is open goes on, what is allowed opens, and all
// else is dropped.
func (o *ovs) policy() error {
	file, err := o.rig.Write("flows", []byte(flows()))
	if err != nil {
		return err
	}
	_, err = o.rig.Output(o.env, "ovs-ofctl", "add-flows", o.path("br0.mgmt"), file)
	return err
}

func flows() string {
	var b strings.Builder
	b.WriteString(`table=0,priority=10,arp,actions=NORMAL
table=0,priority=10,ip,ct_state=-trk,actions=ct(table=1)
table=1,priority=20,ip,ct_state=+trk+est,actions=NORMAL
table=1,priority=20,ip,ct_state=+trk+rel,actions=NORMAL
`)
	for port := traffic.FirstPort; port <= traffic.LastPort; port++ {
		for _, proto := range []string{"tcp", "udp"} {
			fmt.Fprintf(&b, "table=1,priority=10,%s,ct_state=+trk+new,nw_src=%s,nw_dst=%s,tp_dst=%d,actions=ct(commit),NORMAL\n",
				proto, addressA.Addr(), addressB.Addr(), port)
		}
	}
	return b.String()
}

// plainVeths makes veths with addresses whose far ends have their offloads off.
func plainVeths(r *rig.Rig) error {
	if err := veths(r, "pa", "pb"); err != nil {
		return err
	}
	if err := r.Run(
		"ip -n "+r.Middle+" link set pa up",
		"ip -n "+r.Middle+" link set pb up",
		rig.Within(r.A, "ethtool -K eth0 tx off"),
		rig.Within(r.B, "ethtool -K eth0 tx off"),
	); err != nil {
		return err
	}
	return addresses(r)
}
