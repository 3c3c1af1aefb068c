package traffic

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// question is what a round trip carries: its number, so that an answer that
// comes late is not taken for the next one's.
const question = 8

// How often the patience of a socket may run out before a question counts as
// lost. A stream loses nothing: what is late is late, and in the percentiles.
const (
	datagramTries = 1
	streamTries   = int(connectWithin / patience)
)

// TCPEcho measures round trips over one open TCP connection, one at a time.
func TCPEcho(ctx context.Context, p Path, o Options) (*Times, error) {
	client, server, err := p.pair(echoPort)
	if err != nil {
		return nil, err
	}
	defer unix.Close(client)
	defer unix.Close(server)
	for _, fd := range []int{client, server} {
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
			return nil, fmt.Errorf("TCP_NODELAY: %w", err)
		}
	}
	t, err := echo(ctx, asker{fd: client, tries: streamTries}, server, o)
	if err == nil && t.Lost > 0 {
		return nil, fmt.Errorf("no answer over TCP within %s", connectWithin)
	}
	return t, err
}

// UDPEcho measures round trips of datagrams, one at a time.
func UDPEcho(ctx context.Context, p Path, o Options) (*Times, error) {
	at := netip.AddrPortFrom(p.To, echoPort)
	server, err := bound(p.B, unix.SOCK_DGRAM, at)
	if err != nil {
		return nil, err
	}
	defer unix.Close(server)
	client, err := connected(p.A, unix.SOCK_DGRAM, at)
	if err != nil {
		return nil, err
	}
	defer unix.Close(client)
	return echo(ctx, asker{fd: client, tries: datagramTries}, server, o)
}

func echo(ctx context.Context, client asker, server int, o Options) (*Times, error) {
	var stop atomic.Bool
	answering := alone(func() error { return answer(server, &stop) })
	t := &Times{Sorted: make([]time.Duration, 0, 1<<20)}
	err := <-alone(func() error { return client.ask(ctx, t, o) })
	stop.Store(true)
	if err = errors.Join(err, <-answering); err != nil {
		return nil, err
	}
	if len(t.Sorted) == 0 {
		return nil, fmt.Errorf("no round trip was measured; %d questions were lost", t.Lost)
	}
	slices.Sort(t.Sorted)
	return t, nil
}

// answer sends back what comes, to whoever spoke first.
func answer(fd int, stop *atomic.Bool) error {
	b := make([]byte, question)
	if err := meet(fd, b, stop); err != nil {
		return err
	}
	for !stop.Load() {
		n, err := unix.Read(fd, b)
		if err != nil && !again(err) {
			return fmt.Errorf("receive: %w", err)
		}
		if n <= 0 {
			continue
		}
		if _, err := unix.Write(fd, b[:n]); err != nil && !again(err) {
			return fmt.Errorf("answer: %w", err)
		}
	}
	return nil
}

// meet connects a datagram socket to the first that speaks to it.
func meet(fd int, b []byte, stop *atomic.Bool) error {
	for !stop.Load() {
		_, from, err := unix.Recvfrom(fd, b, unix.MSG_PEEK)
		switch {
		case err != nil && !again(err):
			return fmt.Errorf("receive: %w", err)
		case err == nil && from == nil: // a stream has one other side
			return nil
		case err == nil:
			return unix.Connect(fd, from)
		}
	}
	return nil
}

// asker is the side that asks and takes the time.
type asker struct {
	fd    int
	tries int
}

// ask sends a question, waits for its answer, and so on. The first round trips
// are not counted: they find the neighbour and open the session.
func (a asker) ask(ctx context.Context, t *Times, o Options) error {
	number := binary.BigEndian.Uint64(o.payload(question))
	begin := time.Now()
	warm, end := begin.Add(time.Duration(slowStart*float64(o.For))), begin.Add(o.For)
	for ; ctx.Err() == nil; number++ {
		start := time.Now()
		if start.After(end) {
			return nil
		}
		answered, err := a.roundTrip(ctx, number)
		took := time.Since(start)
		switch {
		case err != nil:
			return err
		case start.Before(warm):
		case answered:
			t.Sorted = append(t.Sorted, took)
		default:
			t.Lost++
		}
	}
	return ctx.Err()
}

// roundTrip asks one question. Answers to earlier ones are passed over. Eight
// bytes are one segment, so a stream gives them whole.
func (a asker) roundTrip(ctx context.Context, number uint64) (answered bool, err error) {
	var out, in [question]byte
	binary.BigEndian.PutUint64(out[:], number)
	if _, err := unix.Write(a.fd, out[:]); err != nil && !again(err) {
		return false, fmt.Errorf("ask: %w", err)
	}
	for tries := 0; tries < a.tries && ctx.Err() == nil; {
		n, err := unix.Read(a.fd, in[:])
		switch {
		case err != nil && again(err):
			tries++
		case err != nil:
			return false, fmt.Errorf("receive the answer: %w", err)
		case n == 0:
			return false, errors.New("receive the answer: the connection was closed")
		case binary.BigEndian.Uint64(in[:]) == number:
			return true, nil
		}
	}
	return false, nil
}
