package helper

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"bulkhead/dataplane/packet"
	"bulkhead/vswitch"
	"bulkhead/vswitch/config"
	"bulkhead/vswitch/port"
)

// Keeper makes the privileged half of a port anew that a helper before had opened:
// by its driver's Keep.
type Keeper func(*config.Port, vswitch.Opening, port.Handed) (port.Port, error)

// Options is what a Server needs.
type Options struct {
	Path    string                         // of the socket
	UID     int                            // whom it serves, besides root
	Linger  time.Duration                  // how long it holds ports for a switch that has died
	Forever bool                           // it outlives its switch
	Load    func() (*config.Config, error) // the configuration file
	// Begin is called before the first port of a switch is opened; held tells which
	// ports are open already, and are to be left alone.
	Begin func(c *config.Config, held func(*config.Port) bool) error
	Open  vswitch.Opener // what Opening says of region and queues holds
	Keep  Keeper
	Log   *slog.Logger
}

// Server is the privileged process: it opens ports for a switch, and holds them.
type Server struct {
	Options
	listener *net.UnixListener
	files    files
	ports    map[packet.PortID]*held
	left     []*held // a dead switch's, for which the next has not asked yet
	memory   memory
	kept     kept
	leaving  bool
}

// Listen makes the socket, in place of one that a helper which was killed has left.
// Who is to be refused has been by the switch's own lock.
func Listen(o Options) (*Server, error) {
	if err := os.MkdirAll(filepath.Dir(o.Path), 0o750); err != nil {
		return nil, fmt.Errorf("port helper's socket: %w", err)
	}
	if info, err := os.Lstat(o.Path); err == nil && info.Mode().Type() != os.ModeSocket {
		return nil, fmt.Errorf("port helper's socket: %s is there and is no socket; move it away", o.Path)
	} else if err == nil {
		_ = os.Remove(o.Path)
	}
	old := syscall.Umask(0o177)
	l, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: o.Path, Net: "unixpacket"})
	syscall.Umask(old)
	if err != nil {
		return nil, fmt.Errorf("port helper's socket: %w", err)
	}
	if o.UID != os.Getuid() {
		if err := os.Chown(o.Path, o.UID, -1); err != nil {
			return nil, errors.Join(fmt.Errorf("give the port helper's socket to user %d: %w", o.UID, err), l.Close())
		}
	}
	return &Server{Options: o, listener: l, files: files{load: o.Load}, ports: map[packet.PortID]*held{}, kept: kept{now: -1, before: -1}}, nil
}

// Serve serves one switch after the other, until one says good-bye, or none has come
// for too long, or the listener is closed. It closes every port at its end.
func (s *Server) Serve() error {
	defer s.memory.close()
	defer s.kept.drop()
	for !s.leaving {
		if !s.Forever || s.holds() > 0 {
			_ = s.listener.SetDeadline(time.Now().Add(s.Linger))
		}
		c, err := s.listener.AcceptUnix()
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			s.Log.Warn("helper-alone", "ports", s.holds(), "effect", "no switch has come for them: they are closed")
			if err := s.closeAll(); err != nil || !s.Forever {
				return err
			}
			_ = s.listener.SetDeadline(time.Time{})
			continue
		case err != nil:
			return errors.Join(s.closeAll(), ignoreClosed(err))
		}
		s.serve(conn{c})
		c.Close()
	}
	return errors.Join(s.closeAll(), s.listener.Close())
}

// Close makes Serve end.
func (s *Server) Close() error { return s.listener.Close() }

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// serve answers one switch until it goes.
func (s *Server) serve(c conn) {
	uid, err := c.caller()
	if err != nil || uid != 0 && uid != s.UID {
		s.Log.Warn("helper-refused", "uid", uid, "error", err)
		return
	}
	for !s.leaving {
		var r request
		fds, err := c.receive(&r, func() int { return r.Parts })
		if err != nil {
			s.Log.Warn("helper-switch-gone", "ports", s.holds(), "effect", "they are held as they are; what comes in is queued, or dropped", "for", s.Linger)
			return
		}
		a, out := s.answer(&r, fds)
		a.Parts = parts(out)
		_ = c.SetWriteDeadline(time.Now().Add(callTime))
		if err := c.send(a, out); err != nil {
			s.Log.Warn("helper-answer", "op", r.Op, "error", err)
			return
		}
	}
}

// answer does what is asked. The descriptors that came are its to close or keep.
func (s *Server) answer(r *request, fds []int) (a answer, out []int) {
	var err error
	switch r.Op {
	case opHello:
		if err = s.hello(r, fds); err == nil && !r.Resume {
			out, a.Cold = s.kept.hand()
		}
		if a.Cold != "" {
			s.Log.Warn("helper-remains-dropped", "why", a.Cold, "effect", "the switch begins cold: what was open must begin anew")
		}
	case opBegun:
		closeAll(fds)
		err = s.begun()
	case opOpen:
		closeAll(fds)
		a.Handed, err = s.open(r)
		if a.Handed != nil {
			out = a.Handed.FDs
		}
	case opKeep:
		err = s.keep(r, fds)
	case opUp, opStatus, opClose:
		closeAll(fds)
		a.Status, err = s.of(r)
	case opBye:
		closeAll(fds)
		err = s.closeAll()
		s.leaving = !s.Forever
	default:
		closeAll(fds)
		err = fmt.Errorf("%q is nothing that can be asked", r.Op)
	}
	if err != nil {
		a.Error = err.Error()
	}
	return a, out
}

// hello begins with a switch: its frame memory comes along, and the memory that the
// one after it may want. What is held of a switch that died, and is still in the
// file, waits to be asked for; the rest is closed.
func (s *Server) hello(r *request, fds []int) error {
	if r.Layout != layout || len(fds) != 2 {
		closeAll(fds)
		return fmt.Errorf("the switch speaks layout %d and the port helper %d: start both of one build", r.Layout, layout)
	}
	if err := s.memory.take(fds[0]); err != nil {
		closeAll(fds[1:])
		return err
	}
	if r.Resume {
		s.kept.resume(fds[1], r.Begun)
		return s.closeBut(r.Ports)
	}
	s.kept.next(fds[1])
	s.leave()
	cfg, err := s.files.read()
	if err != nil {
		return err
	}
	if err := s.sift(); err != nil {
		s.Log.Error("helper-close", "error", err)
	}
	return s.Begin(cfg, s.isLeft)
}

// begun notes that the switch has started, with all the ports that it wants.
func (s *Server) begun() error {
	s.kept.begin()
	return s.closeLeft()
}

// open opens a port of the file, or hands on one that is open.
func (s *Server) open(r *request) (*port.Handed, error) {
	c, o, err := s.opening(r)
	if err != nil {
		return nil, err
	}
	p := s.takeLeft(r.Want)
	if p == nil {
		opened, err := s.Open(c, o)
		if err != nil {
			return nil, err
		}
		p = &held{Port: opened, want: *r.Want}
	}
	g, is := p.Port.(port.Giver)
	if !is {
		return nil, errors.Join(fmt.Errorf("a port of driver %s cannot be handed over", p.Info().Driver), p.Close())
	}
	h, err := g.Hand()
	if err != nil {
		return nil, errors.Join(err, p.Close())
	}
	h.Info.Inherited = p.inherited
	s.ports[r.ID] = p
	return &h, nil
}

// opening is what a driver is told, in the words of the helper's own reading.
func (s *Server) opening(r *request) (*config.Port, vswitch.Opening, error) {
	var o vswitch.Opening
	switch {
	case s.memory.region == nil:
		return nil, o, errors.New("the first thing to say is hello")
	case r.Want == nil:
		return nil, o, errors.New("no port is named")
	case r.Want.Port.Queues < 1 || r.Want.Port.Queues > maxQueues:
		return nil, o, fmt.Errorf("%d queues: must be 1 to %d", r.Want.Port.Queues, maxQueues)
	case s.ports[r.ID] != nil:
		return nil, o, fmt.Errorf("port number %d is taken", r.ID)
	}
	a, err := s.files.find(r.Want)
	if err != nil {
		return nil, o, err
	}
	c := a.port
	c.Queues = r.Want.Port.Queues
	return &c, vswitch.Opening{
		ID: r.ID, Region: s.memory.region, Loans: &s.memory.loans, Lent: true, Workers: 1,
		Segment: a.segment, VTEP: a.vtep, Log: s.Log,
	}, nil
}

// keep looks after a port that a helper before had opened. One that is here already
// stays: it was only the talk that had broken.
func (s *Server) keep(r *request, fds []int) error {
	if s.ports[r.ID] != nil {
		closeAll(fds)
		return nil
	}
	c, o, err := s.opening(r)
	if err == nil && r.Handed == nil {
		err = errors.New("nothing is said of the port")
	}
	if err != nil {
		closeAll(fds)
		return err
	}
	h := *r.Handed
	h.FDs = fds
	if c.Driver == "auto" {
		c.Driver = h.Info.Driver // what it had chosen
	}
	p, err := s.Keep(c, o, h)
	if err != nil {
		return err
	}
	s.ports[r.ID] = &held{Port: p, want: *r.Want}
	return nil
}

// of is what is asked of a port that is open.
func (s *Server) of(r *request) (port.Status, error) {
	p := s.ports[r.ID]
	if p == nil && r.Op == opClose {
		return port.Status{}, nil // nothing is held
	}
	if p == nil {
		return port.Status{}, fmt.Errorf("the port helper has no port of number %d", r.ID)
	}
	switch r.Op {
	case opUp:
		if p.inherited && p.Status().Up {
			return port.Status{}, nil // what the workload has made of its routes since is its own affair
		}
		return port.Status{}, p.Up()
	case opClose:
		delete(s.ports, r.ID)
		if p.inherited && !s.kept.begun {
			s.left = append(s.left, p) // the switch cannot start: another may
			return port.Status{}, nil
		}
		return port.Status{}, p.Close()
	}
	return p.Status(), nil
}

// closeAll closes every port, and forgets what was kept for a next switch.
func (s *Server) closeAll() error {
	s.kept.drop()
	return errors.Join(s.closeBut(nil), s.closeLeft())
}

// closeBut closes all ports but some.
func (s *Server) closeBut(kept []packet.PortID) error {
	var errs []error
	for _, id := range slices.Sorted(maps.Keys(s.ports)) {
		if slices.Contains(kept, id) {
			continue
		}
		if err := s.ports[id].Close(); err != nil {
			errs = append(errs, fmt.Errorf("close port %q: %w", s.ports[id].Info().Name, err))
		}
		delete(s.ports, id)
	}
	return errors.Join(errs...)
}
