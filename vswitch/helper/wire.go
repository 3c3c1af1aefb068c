package helper

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"

	"bulkhead/dataplane/packet"
	"bulkhead/vswitch/config"
	"bulkhead/vswitch/port"
)

// Bounds of the talk between the two.
const (
	maxMessage = 64 << 10         // bytes; the longest, a port with its addresses, has a tenth
	maxFDs     = 200              // of one message; the kernel takes 253
	maxParts   = 4                // messages that carry the rest of them: 64 lanes of two families, 128 queues
	maxQueues  = 64               // of a port
	helloTime  = 30 * time.Second // of the first hello, which closes the devices of all workloads
	callTime   = 5 * time.Second  // of anything else
)

// layout is the version of these messages. Two programs of different layouts do not
// talk to each other.
const layout = 2

// What may be asked.
const (
	opHello  = "hello"  // the first: layout, frame memory and kept memory; answers with that of a switch that died
	opBegun  = "begun"  // the switch has started: what it has not asked for is nobody's
	opOpen   = "open"   // a port; answers with its descriptors
	opKeep   = "keep"   // a port that a helper before had opened; brings its descriptors
	opUp     = "up"     // its link
	opStatus = "status" // what only the privileged half sees
	opClose  = "close"
	opBye    = "bye" // the switch ends; nothing is to be held
)

// request is what a switch asks.
type request struct {
	Op     string
	Layout int             `json:",omitempty"`
	Resume bool            `json:",omitempty"` // hello: the same switch, which has ports
	Begun  bool            `json:",omitempty"` // hello: and has started
	Ports  []packet.PortID `json:",omitempty"` // hello: those that it has
	ID     packet.PortID   `json:",omitempty"`
	Want   *want           `json:",omitempty"` // open, keep
	Handed *port.Handed    `json:",omitempty"` // keep
	Parts  int             `json:",omitempty"` // messages with more descriptors that follow
}

// answer is what comes of it.
type answer struct {
	Error  string       `json:",omitempty"`
	Handed *port.Handed `json:",omitempty"` // open
	Status port.Status
	Cold   string `json:",omitempty"` // hello: why what a switch has left does not come along
	Parts  int    `json:",omitempty"`
}

// want is a port as the switch wants it: what its device is made of, by which the
// helper finds it in its own reading of the file.
type want struct {
	Port     config.Port
	Gateways []netip.Prefix
	VTEP     *config.VTEP
}

// wantOf leaves out what a device is not made of.
func wantOf(c *config.Port, s *config.Segment, v *config.VTEP) want {
	w := want{Port: *c}
	w.Port.Labels, w.Port.Prefixes, w.Port.L2 = nil, nil, config.PortL2{}
	if s != nil {
		w.Gateways = s.Gateways
	}
	if c.Role == config.RoleUplink {
		w.VTEP = v
	}
	return w
}

// conn is one end of the talk: whole messages, with descriptors beside them.
type conn struct{ *net.UnixConn }

// send sends a message; its Parts must be parts(fds).
func (c conn) send(message any, fds []int) error {
	text, err := json.Marshal(message)
	if err != nil {
		return err
	}
	if len(text) > maxMessage {
		return fmt.Errorf("a message of %d bytes, and %d are the most", len(text), maxMessage)
	}
	for {
		n := min(len(fds), maxFDs)
		var rights []byte
		if n > 0 {
			rights = syscall.UnixRights(fds[:n]...)
		}
		if _, _, err := c.WriteMsgUnix(text, rights, nil); err != nil {
			return err
		}
		if fds = fds[n:]; len(fds) == 0 {
			return nil
		}
		text = []byte("{}") // a part
	}
}

// parts is how many messages follow the first.
func parts(fds []int) int { return max(0, (len(fds)-1)/maxFDs) }

// receive fills message in, and returns the descriptors; more tells how many parts
// follow, when it is filled in. On an error there are none.
func (c conn) receive(message any, more func() int) (fds []int, err error) {
	defer func() {
		if err != nil {
			closeAll(fds)
			fds = nil
		}
	}()
	text, fds, err := c.part(nil)
	if err != nil {
		return fds, err
	}
	if err := json.Unmarshal(text, message); err != nil {
		return fds, fmt.Errorf("a message that is none: %w", err)
	}
	left := more()
	if left < 0 || left > maxParts {
		return fds, fmt.Errorf("a message of %d parts, and %d are the most", left, maxParts)
	}
	for range left {
		if _, fds, err = c.part(fds); err != nil {
			return fds, err
		}
	}
	return fds, nil
}

// part receives one message, and adds its descriptors to those that there are.
func (c conn) part(fds []int) ([]byte, []int, error) {
	text, rights := make([]byte, maxMessage), make([]byte, syscall.CmsgSpace(4*maxFDs))
	n, oobn, flags, _, err := c.ReadMsgUnix(text, rights)
	if err != nil {
		return nil, fds, err
	}
	got, err := descriptors(rights[:oobn])
	fds = append(fds, got...)
	switch {
	case err != nil:
		return nil, fds, err
	case flags&(syscall.MSG_TRUNC|syscall.MSG_CTRUNC) != 0:
		return nil, fds, errors.New("a message that is too long")
	case n == 0:
		return nil, fds, net.ErrClosed
	}
	return text[:n], fds, nil
}

func descriptors(rights []byte) (fds []int, err error) {
	list, err := syscall.ParseSocketControlMessage(rights)
	if err != nil {
		return nil, err
	}
	for i := range list {
		got, err := syscall.ParseUnixRights(&list[i])
		if err != nil {
			return fds, err
		}
		fds = append(fds, got...)
	}
	return fds, nil
}

func closeAll(fds []int) {
	for _, fd := range fds {
		_ = syscall.Close(fd)
	}
}

// ended tells whether the other end is closed. It takes no message away.
func (c conn) ended() bool {
	raw, err := c.SyscallConn()
	if err != nil {
		return true
	}
	ended := false
	err = raw.Control(func(fd uintptr) {
		var b [1]byte
		n, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		ended = n == 0 && err == nil || errors.Is(err, syscall.ECONNRESET)
	})
	return ended || err != nil
}

// caller is the user at the other end, by the kernel's word.
func (c conn) caller() (uid int, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return -1, err
	}
	var inner error
	err = raw.Control(func(fd uintptr) {
		var who *syscall.Ucred
		if who, inner = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED); inner == nil {
			uid = int(who.Uid)
		}
	})
	return uid, errors.Join(err, inner)
}
