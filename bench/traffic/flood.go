package traffic

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

// burst is how many datagrams the sender gives its kernel at a call
// (sendmmsg), and the receiver takes. Each is a packet of its own: no
// segmentation is asked for.
const burst = 64

// receiveBuffer is room for what the receiver has not read yet.
const receiveBuffer = 16 << 20

// settleWithin is how long what is on its way may take to arrive; as long as
// something does, settleStep by settleStep.
const (
	settleWithin = time.Second
	settleStep   = 20 * time.Millisecond
)

// flood is a sender, a receiver, and what they have counted.
type flood struct {
	client, server *net.UDPConn
	payload        []byte
	space          string // the server's
	port           uint16 // the server's
	before         udpCounters
	sent, read     atomic.Uint64
	stop           atomic.Bool // no more is sent
}

// floods counts the floods that were opened.
var floods atomic.Uint32

// floodPort is the port of the next flood: another one than those of the floods
// before it. What a path still held of one when it ended comes late, to a port
// where nobody listens, and is not counted with the next.
func floodPort() uint16 {
	return firstFlood + uint16(floods.Add(1)%(LastPort-firstFlood+1))
}

func openFlood(p Path, payload []byte) (f *flood, err error) {
	f = &flood{space: p.B, payload: payload, port: floodPort()}
	at := net.UDPAddrFromAddrPort(netip.AddrPortFrom(p.To, f.port))
	if err := inside(p.B, func() error {
		if f.before, err = readUDPCounters(); err != nil {
			return err
		}
		f.server, err = net.ListenUDP("udp4", at)
		return err
	}); err != nil {
		return nil, fmt.Errorf("listen on %s: %w", at, err)
	}
	if err := inside(p.A, func() error { f.client, err = net.DialUDP("udp4", nil, at); return err }); err != nil {
		f.server.Close()
		return nil, fmt.Errorf("connect to %s: %w", at, err)
	}
	if err := f.room(receiveBuffer); err != nil {
		f.close()
		return nil, fmt.Errorf("receive buffer of %d bytes: %w", receiveBuffer, err)
	}
	return f, nil
}

// room gives the receiver's socket so much, also beyond the system's limit.
func (f *flood) room(bytes int) error {
	raw, err := f.server.SyscallConn()
	if err != nil {
		return err
	}
	var set error
	err = raw.Control(func(fd uintptr) {
		set = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, bytes)
	})
	return errors.Join(err, set)
}

func (f *flood) close() {
	f.client.Close()
	f.server.Close()
}

// begin sends single datagrams until one arrives: neighbours are found and the
// session is open before the flood.
func (f *flood) begin(ctx context.Context) error {
	for end := time.Now().Add(connectWithin); time.Now().Before(end); {
		if _, err := f.client.Write(f.payload); err != nil {
			return fmt.Errorf("send: %w", err)
		}
		f.sent.Add(1)
		for range 10 {
			if err := Wait(ctx, patience/10); err != nil {
				return err
			}
			if f.read.Load() > 0 {
				return nil
			}
		}
	}
	return fmt.Errorf("no datagram arrived within %s", connectWithin)
}

// send sends until it is told to stop.
func (f *flood) send() error {
	conn, messages := ipv4.NewPacketConn(f.client), make([]ipv4.Message, burst)
	for i := range messages {
		messages[i].Buffers = [][]byte{f.payload}
	}
	for !f.stop.Load() {
		n, err := conn.WriteBatch(messages, 0)
		f.sent.Add(uint64(max(n, 0)))
		if err != nil && !again(err) {
			return fmt.Errorf("send: %w", err)
		}
	}
	return nil
}

// receive reads until finish.
func (f *flood) receive() error {
	conn, messages := ipv4.NewPacketConn(f.server), make([]ipv4.Message, burst)
	for i := range messages {
		messages[i].Buffers = [][]byte{make([]byte, maxFrame)}
	}
	for {
		n, err := conn.ReadBatch(messages, 0)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		if err != nil && !again(err) {
			return fmt.Errorf("receive: %w", err)
		}
		for i := range max(n, 0) {
			if messages[i].N != len(f.payload) {
				return fmt.Errorf("a datagram of %d bytes arrived as one of %d", len(f.payload), messages[i].N)
			}
		}
		f.read.Add(uint64(max(n, 0)))
	}
}

// settle waits for what is on its way.
func (f *flood) settle() {
	last := f.read.Load()
	for end := time.Now().Add(settleWithin); time.Now().Before(end); {
		time.Sleep(settleStep)
		now := f.read.Load()
		if now == last {
			return
		}
		last = now
	}
}

// finish ends the receiver.
func (f *flood) finish() error { return f.server.SetReadDeadline(time.Now()) }

// count adds up, and refuses sums that cannot be.
func (f *flood) count(c Count) (Count, error) {
	var after udpCounters
	if err := inside(f.space, func() (err error) { after, err = readUDPCounters(); return err }); err != nil {
		return c, err
	}
	c.Sent, c.Overflow = f.sent.Load(), after.overflow-f.before.overflow
	c.Arrived = f.read.Load() + c.Overflow
	if bad := after.badChecksum - f.before.badChecksum; bad > 0 {
		return c, fmt.Errorf("%d datagrams arrived with a wrong checksum", bad)
	}
	if c.Arrived > c.Sent {
		return c, fmt.Errorf("%d datagrams arrived of %d that were sent: something makes copies", c.Arrived, c.Sent)
	}
	return c, nil
}
