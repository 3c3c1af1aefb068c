package control

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/user"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// guarded hands out only connections of those who may call, and only so many
// at a time.
type guarded struct {
	net.Listener
	gid  int // -1: no group
	room chan struct{}
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
		cred, err := peerOf(conn)
		if err != nil || !mayCall(cred, g.gid, os.Getuid()) {
			g.log.Warn("control-refused", "uid", uidOf(cred), "error", err)
			conn.Close()
			continue
		}
		select {
		case g.room <- struct{}{}:
			return &counted{Conn: conn, room: g.room}, nil
		default:
			conn.Close()
		}
	}
}

func uidOf(cred *unix.Ucred) int {
	if cred == nil {
		return -1
	}
	return int(cred.Uid)
}

// counted gives its place back when it is closed.
type counted struct {
	net.Conn
	room   chan struct{}
	closed bool
}

func (c *counted) Close() error {
	if !c.closed {
		c.closed = true
		<-c.room
	}
	return c.Conn.Close()
}

// peerOf asks the kernel who is at the other end.
func peerOf(conn net.Conn) (*unix.Ucred, error) {
	u, ok := conn.(*net.UnixConn)
	if !ok {
		return nil, errors.New("not a unix socket")
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return nil, err
	}
	var cred *unix.Ucred
	var inner error
	err = raw.Control(func(fd uintptr) { cred, inner = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	return cred, errors.Join(err, inner)
}

// mayCall tells whether a peer may use the API: root, our own user, or one
// whose process is in the group. Its pid is not believed: pids come again.
func mayCall(cred *unix.Ucred, gid, self int) bool {
	if cred == nil {
		return false
	}
	if cred.Uid == 0 || int(cred.Uid) == self || gid >= 0 && int(cred.Gid) == gid {
		return true
	}
	return gid >= 0 && inGroup(cred.Uid, gid)
}

// inGroup tells whether a user is a member of a group.
func inGroup(uid uint32, gid int) bool {
	u, err := user.LookupId(strconv.Itoa(int(uid)))
	if err != nil {
		return false
	}
	groups, err := u.GroupIds()
	if err != nil {
		return false
	}
	for _, g := range groups {
		if g == strconv.Itoa(gid) {
			return true
		}
	}
	return false
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

// lockFile takes a lock that ends with the process.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		holder := make([]byte, 16)
		n, _ := f.ReadAt(holder, 0)
		f.Close()
		return nil, fmt.Errorf("another vswitchd (pid %s) has it; stop that one, or set control = to another path", strings.TrimSpace(string(holder[:n])))
	}
	_ = f.Truncate(0)
	_, _ = f.WriteAt([]byte(strconv.Itoa(os.Getpid())), 0)
	return f, nil
}

// listenPrivately listens on a socket that nobody may use before its mode and
// group are set.
func listenPrivately(path string) (net.Listener, error) {
	old := syscall.Umask(0o177)
	defer syscall.Umask(old)
	return net.Listen("unix", path)
}
