package helper

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"bulkhead/dataplane/packet"
	"bulkhead/vswitch"
	"bulkhead/vswitch/config"
	"bulkhead/vswitch/port"
)

// Taker makes the running half of a port of what its driver has handed over: by the
// driver's Take.
type Taker func(*config.Port, vswitch.Opening, port.Handed) (port.Port, error)

// Client is a switch's way to its port helper.
type Client struct {
	path string
	take Taker
	log  *slog.Logger
	done chan struct{}
	lost chan struct{} // tells the caller-back that the talk has broken
	gone chan struct{} // closed by it as its last act

	// awayNow is away for those who would have to wait for mu to hear of it: while a
	// helper that hangs is called again, a call holds it.
	awayNow  atomic.Pointer[error]
	patience time.Duration // for an answer

	letting sync.Mutex // guards later, and that awayNow ends; taken under mu, and never held for long
	later   []*lent    // ports that were closed while there was no helper to be told

	mu     sync.Mutex // one call at a time; guards what follows
	conn   conn
	away   error // why there is no helper; nil: there is one
	shared []int // descriptors of the frame memory, and of what the next switch is to have
	before int   // that of the last switch, until Before takes it; -1: none
	cold   error // why it was not handed over, though there was one
	begun  bool
	ports  map[packet.PortID]*lent
	closed bool
	// closing are running halves that must not close before the helper's: see lent.Close.
	closing []port.Port
}

// again is how often a helper that is away is called.
const again = 100 * time.Millisecond

// Dial waits until a helper answers at a path, and says hello with the descriptors
// of the frame memory and of the memory that the next switch is to have, which both
// stay the caller's.
func Dial(path string, within time.Duration, frames, keep int, take Taker, log *slog.Logger) (*Client, error) {
	c := &Client{
		patience: callTime, path: path, take: take, log: log, shared: []int{frames, keep}, before: -1, ports: map[packet.PortID]*lent{},
		done: make(chan struct{}), lost: make(chan struct{}, 1), gone: make(chan struct{}),
	}
	deadline := time.Now().Add(within)
	for {
		err := c.connect(false)
		if err == nil {
			go c.callBack()
			return c, nil
		}
		var refused refusal
		if errors.As(err, &refused) || time.Now().After(deadline) {
			return nil, fmt.Errorf("port helper: %w", err)
		}
		time.Sleep(again / 5)
	}
}

// refusal is what a helper has said: to ask again is no use.
type refusal struct{ error }

// connect connects and says hello. A helper that comes after one that died is told
// what is open.
func (c *Client) connect(resume bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	if resume && c.away == nil {
		return nil // it was the break before
	}
	u, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Name: c.path, Net: "unixpacket"})
	if err != nil {
		return err
	}
	c.conn, c.away = conn{u}, nil
	for _, p := range c.takeLater(false) {
		c.forget(p)
	}
	hello := &request{Op: opHello, Layout: layout, Resume: resume, Begun: c.begun, Ports: slices.Collect(maps.Keys(c.ports))}
	a, left, err := c.call(hello, c.shared)
	if err != nil {
		if c.away == nil { // refused: it is not to wait for more of us
			c.breakOff(err)
		}
		return err
	}
	if a.Cold != "" {
		c.cold = errors.New(a.Cold)
	}
	if len(left) > 0 && !resume {
		c.before, left = left[0], left[1:]
	}
	closeAll(left)
	for _, p := range c.closing {
		_ = p.Close()
	}
	c.closing = nil
	for _, p := range c.ports {
		if err := c.lend(p); err != nil {
			if c.away != nil {
				return err
			}
			c.log.Error("helper-keep", "port", p.want.Port.Name, "error", err, "effect", "it goes on; its link and guard are not looked after")
		}
	}
	return c.back()
}

// lend tells a helper of a port that one before had opened. The caller holds mu.
func (c *Client) lend(p *lent) error {
	h, err := c.again(p)
	if h == nil || err != nil {
		return err
	}
	defer closeAll(h.FDs)
	_, _, err = c.call(&request{Op: opKeep, ID: p.id, Want: &p.want, Handed: h}, h.FDs)
	return err
}

// callBack connects again whenever the talk has broken, until Close.
func (c *Client) callBack() {
	defer close(c.gone)
	look := time.NewTicker(time.Second)
	defer look.Stop()
	for {
		select {
		case <-c.done:
			return
		case <-look.C:
			_ = c.Away() // looks
			continue
		case <-c.lost:
		}
		for c.connect(true) != nil {
			select {
			case <-c.done:
				return
			case <-time.After(again):
			}
		}
		c.log.Info("helper-back", "effect", "ports can be opened again")
	}
}

// call asks, and waits for the answer. The caller holds mu. If the talk breaks the
// helper is away from then on.
func (c *Client) call(r *request, fds []int) (*answer, []int, error) {
	if c.away != nil {
		return nil, nil, c.away
	}
	if c.conn.UnixConn == nil {
		return nil, nil, net.ErrClosed
	}
	within := c.patience
	if r.Op == opHello && !r.Resume {
		within = helloTime
	}
	_ = c.conn.SetDeadline(time.Now().Add(within))
	r.Parts = parts(fds)
	var a answer
	err := c.conn.send(r, fds)
	var got []int
	if err == nil {
		got, err = c.conn.receive(&a, func() int { return a.Parts })
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = fmt.Errorf("it hangs: no answer to %q within %s", r.Op, within)
	}
	if err != nil {
		c.breakOff(err)
		return nil, nil, c.away
	}
	if a.Error != "" {
		closeAll(got)
		return nil, nil, refusal{errors.New(a.Error)}
	}
	return &a, got, nil
}

// breakOff notes that there is no helper. The caller holds mu.
func (c *Client) breakOff(why error) {
	c.conn.Close()
	c.away = fmt.Errorf("the port helper is away (%w): what is open goes on, ports cannot be opened, set up or taken away until it is back", why)
	said := c.away
	c.awayNow.Store(&said)
	c.log.Error("helper-away", "error", why, "effect", "ports cannot be opened, set up or taken away", "cure", "it is started again by itself, or by systemd: see bulkhead-ports.service")
	select {
	case c.lost <- struct{}{}:
	default:
	}
}

// ask is call for those who do not hold mu.
func (c *Client) ask(r *request) (*answer, error) {
	if why := c.awayNow.Load(); why != nil {
		return nil, *why
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	a, fds, err := c.call(r, nil)
	closeAll(fds)
	return a, err
}

// Away says why there is no helper; "" while there is one. It looks: a helper that
// has died shows by its end of the talk.
func (c *Client) Away() string {
	if why := c.awayNow.Load(); why != nil {
		return (*why).Error()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.away == nil && !c.closed && c.conn.ended() {
		c.breakOff(io.EOF)
	}
	if c.away != nil {
		return c.away.Error()
	}
	return ""
}

// Chunks is how many chunks of frame memory ports hold that are closed as soon as a
// helper is back. While a call is under way it is not sure, and does not wait.
func (c *Client) Chunks() (n int, sure bool) {
	if !c.mu.TryLock() {
		return 0, false
	}
	defer c.mu.Unlock()
	for _, p := range c.closing {
		n += p.Chunks()
	}
	c.letting.Lock()
	defer c.letting.Unlock()
	for _, p := range c.later {
		if p.waits() {
			n += p.Chunks()
		}
	}
	return n, true
}

// Open has the helper open a port, and makes queues of what it hands over. It is a
// vswitch.Opener.
func (c *Client) Open(cfg *config.Port, o vswitch.Opening) (port.Port, error) {
	if why := c.awayNow.Load(); why != nil {
		return nil, *why
	}
	p := &lent{client: c, id: o.ID, want: wantOf(cfg, o.Segment, o.VTEP)}
	c.mu.Lock()
	defer c.mu.Unlock()
	a, fds, err := c.call(&request{Op: opOpen, ID: o.ID, Want: &p.want}, nil)
	if err != nil {
		return nil, err
	}
	if a.Handed == nil {
		closeAll(fds)
		return nil, errors.New("the port helper has opened nothing")
	}
	p.handed = *a.Handed
	p.handed.FDs = fds
	if p.Port, err = c.take(cfg, o, p.handed); err != nil {
		_, _, undo := c.call(&request{Op: opClose, ID: o.ID}, nil)
		return nil, errors.Join(err, undo)
	}
	c.ports[o.ID] = p
	return p, nil
}

// Before hands over the descriptor of the memory that the last switch has left; -1:
// there is none. It is the caller's from now on. cold is why the helper has dropped it;
// nil: it has not.
func (c *Client) Before() (fd int, cold error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	fd = c.before
	c.before = -1
	return fd, c.cold
}

// Begun tells the helper that the switch has started: what a switch before has left
// and this one did not ask for is closed. If the helper is away the next is told.
func (c *Client) Begun() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.begun = true
	_, fds, err := c.call(&request{Op: opBegun}, nil)
	closeAll(fds)
	if c.away != nil {
		return nil
	}
	return err
}

// Leave ends the talk without a good-bye: the helper holds what is open for the next
// switch, as it does for one that has died.
func (c *Client) Leave() { c.end() }

// Close says good-bye: what the helper still holds is closed, and one that is there
// for this switch only ends.
func (c *Client) Close() error {
	c.mu.Lock()
	var err error
	if c.away == nil {
		_, _, err = c.call(&request{Op: opBye}, nil)
	}
	c.mu.Unlock()
	c.end()
	return err
}

// end ends the talk, and does not begin it anew.
func (c *Client) end() {
	c.mu.Lock()
	c.closed = true
	if c.conn.UnixConn != nil {
		c.conn.Close()
	}
	closeOne(&c.before)
	c.mu.Unlock()
	close(c.done)
	<-c.gone
}
