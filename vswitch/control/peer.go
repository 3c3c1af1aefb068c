package control

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/user"
	"slices"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"

	"bulkhead/vswitch/internal/sys"
)

// guarded hands out only connections of those who may call, and only so many
// at a time.
type guarded struct {
	net.Listener
	gid  int           // -1: no group
	room chan struct{} // a place for each caller
	over chan struct{} // and for each that is told to come back later
	log  *slog.Logger
}

// Accept waits for a caller who may call. Others are hung up on at once: they
// get no byte, and none of theirs is read.
func (g *guarded) Accept() (net.Conn, error) {
	for {
		conn, err := g.Listener.Accept()
		if err != nil {
			return nil, err
		}
		who, err := callerOf(conn)
		if err != nil || !who.mayCall(g.gid, os.Getuid()) {
			g.log.Warn("control-refused", "uid", who.uid, "gid", who.gid, "error", err)
			conn.Close()
			continue
		}
		select {
		case g.room <- struct{}{}:
			return &counted{Conn: conn, place: g.room}, nil
		default:
		}
		select {
		case g.over <- struct{}{}:
			return &counted{Conn: conn, place: g.over, over: true}, nil
		default:
			conn.Close()
		}
	}
}

// counted gives its place back when it is closed, once: the server closes a
// connection from more than one goroutine.
type counted struct {
	net.Conn
	place chan struct{}
	over  bool // there was no room: it is told so, and no more
	once  sync.Once
}

func (c *counted) Close() error {
	c.once.Do(func() { <-c.place })
	return c.Conn.Close()
}

// caller is who is at the other end of a connection, by the kernel's word as
// of when it connected. Its pid is not believed: pids come again.
type caller struct {
	uid, gid int
	groups   []uint32
}

func callerOf(conn net.Conn) (caller, error) {
	who := caller{uid: -1, gid: -1}
	u, ok := conn.(*net.UnixConn)
	if !ok {
		return who, errors.New("not a unix socket")
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return who, err
	}
	var inner error
	err = raw.Control(func(fd uintptr) { who, inner = askKernel(int(fd)) })
	return who, errors.Join(err, inner)
}

func askKernel(fd int) (caller, error) {
	cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return caller{uid: -1, gid: -1}, fmt.Errorf("ask who is calling: %w", err)
	}
	who := caller{uid: int(cred.Uid), gid: int(cred.Gid)}
	who.groups, err = sys.PeerGroups(fd)
	return who, err
}

// mayCall tells whether a caller may use the API: root, our own user, or one
// whose process is in the group.
func (c *caller) mayCall(gid, self int) bool {
	if c.uid == 0 || c.uid == self {
		return true
	}
	return gid >= 0 && (c.gid == gid || slices.Contains(c.groups, uint32(gid)))
}

// groupID finds a group's number; -1 for none.
func groupID(name string) (int, error) {
	if name == "" {
		return -1, nil
	}
	g, err := user.LookupGroup(name)
	if err != nil {
		return -1, fmt.Errorf("control_group: %w; create it with groupadd, or take the key away", err)
	}
	return strconv.Atoi(g.Gid)
}
