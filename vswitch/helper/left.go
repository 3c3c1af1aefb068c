package helper

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"syscall"

	"bulkhead/vswitch/config"
	"bulkhead/vswitch/port"
)

// A switch that dies leaves its ports to the helper, and the next one is handed the
// very same: their descriptors, with what has come in since. A port is the same if it
// is made of the same things, by the file as it is now, and has as many queues: then
// nothing but the number by which the switch calls it is another. All others are
// closed before the first is opened, so no two want one device.
//
// An AF_XDP port is never handed on. Which chunks of the dead switch's frame memory
// the kernel has in hand is not to be known from its rings alone, and a chunk that two
// own carries one workload's bytes in another's frame. It is closed, link first, and
// opened anew.

// held is a port that is open here.
type held struct {
	port.Port
	want      want
	inherited bool // the switch that has it now did not have it opened
}

// same tells whether a port is what a switch wants.
func (h *held) same(w *want) bool {
	return h.want.Port.Queues == w.Port.Queues && key(h.want) == key(*w)
}

// holds is how many ports are open.
func (s *Server) holds() int { return len(s.ports) + len(s.left) }

// leave makes all that a switch had what it has left.
func (s *Server) leave() {
	for _, id := range slices.Sorted(maps.Keys(s.ports)) {
		s.left = append(s.left, s.ports[id])
	}
	clear(s.ports)
}

// sift closes what no next switch can have: what is not in the file, as it was just
// read, what has gone, and what cannot be handed on.
func (s *Server) sift() error {
	var errs []error
	kept := s.left[:0]
	for _, h := range s.left {
		_, wanted := s.files.readings[0][key(h.want)]
		if wanted && h.Info().Driver != "xdp" && !h.Status().Gone {
			h.inherited = true
			kept = append(kept, h)
			continue
		}
		if err := h.Close(); err != nil {
			errs = append(errs, fmt.Errorf("close port %q: %w", h.Info().Name, err))
		}
	}
	s.left = kept
	return errors.Join(errs...)
}

// isLeft tells whether a port of the file is one that was left. How many queues it is
// to have is not known yet, so a device may be left alone and yet opened anew: the
// port that it was is then closed first (takeLeft), link down.
func (s *Server) isLeft(c *config.Port) bool {
	return slices.ContainsFunc(s.left, func(h *held) bool { return h.want.Port.Name == c.Name })
}

// takeLeft takes the port that a switch wants from what was left; nil: there is none.
// One of the same name that is another is closed: the new one wants its device.
func (s *Server) takeLeft(w *want) *held {
	i := slices.IndexFunc(s.left, func(h *held) bool { return h.want.Port.Name == w.Port.Name })
	if i < 0 {
		return nil
	}
	h := s.left[i]
	s.left = slices.Delete(s.left, i, i+1)
	if h.same(w) && !h.Status().Gone {
		return h
	}
	if err := h.Close(); err != nil {
		s.Log.Error("helper-close", "port", h.Info().Name, "error", err)
	}
	return nil
}

// closeLeft closes what nobody has asked for.
func (s *Server) closeLeft() error {
	var errs []error
	for _, h := range s.left {
		if err := h.Close(); err != nil {
			errs = append(errs, fmt.Errorf("close port %q: %w", h.Info().Name, err))
		}
	}
	s.left = nil
	return errors.Join(errs...)
}

// kept is the memory files in which switches keep what the next is to have, by their
// descriptors: the helper looks into none. before is of the last switch that has
// started, and is there until the next has: one that dies before it has taken
// everything over costs nothing. But it may have died of what it took over, and so would
// the next, for ever. So it is handed out maxTries times, and dropped then.
type kept struct {
	now, before int // -1: none
	begun       bool
	tries       int // how often before was handed out
}

// maxTries is how many switches in a row may have what is left: the second, because the
// first may have died of something else.
const maxTries = 2

// hand hands out what the switch before has left; none is nil. If that was dropped, cold
// says why.
func (k *kept) hand() (out []int, cold string) {
	if k.tries == maxTries {
		closeOne(&k.before)
		return nil, fmt.Sprintf("%d switches in a row have not started with what was left: it is dropped", maxTries)
	}
	if k.before < 0 {
		return nil, ""
	}
	k.tries++
	return []int{k.before}, ""
}

// next begins with a switch.
func (k *kept) next(fd int) {
	if k.begun {
		closeOne(&k.before)
		k.before, k.now, k.tries = k.now, -1, 0
	}
	closeOne(&k.now)
	k.now, k.begun = fd, false
}

// resume is told by a switch that was there before this helper, or this talk.
func (k *kept) resume(fd int, begun bool) {
	closeOne(&k.now)
	k.now = fd
	if begun {
		k.begin()
	}
}

// begin notes that the switch has all that it wants.
func (k *kept) begin() {
	closeOne(&k.before)
	k.begun, k.tries = true, 0
}

func (k *kept) drop() {
	closeOne(&k.now)
	closeOne(&k.before)
	k.begun, k.tries = false, 0
}

func closeOne(fd *int) {
	if *fd >= 0 {
		_ = syscall.Close(*fd)
	}
	*fd = -1
}
