// Package progress shows people that long work goes on: a bar on a terminal,
// after a second, and nothing anywhere else. What a command prints is the same
// with and without it.
package progress

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// patience is how long work goes on before a bar is shown, and every how long
// the bar is drawn again.
const (
	patience = time.Second
	again    = 200 * time.Millisecond
)

// Bar is one piece of work. Add and Step may be called from any goroutine; of a
// nil Bar they do nothing.
type Bar struct {
	out   io.Writer
	total int64 // of what Add counts; 0: not known
	done  atomic.Int64
	step  atomic.Pointer[string]
	start time.Time
	end   chan struct{}
	drawn sync.WaitGroup
}

// Start begins a bar on standard error: nil if that is no terminal, or if it is
// to be quiet. End it.
func Start(quiet bool, step string, total int64) *Bar {
	if quiet || !terminal(os.Stderr) {
		return nil
	}
	ticks := time.NewTicker(again)
	b := begin(os.Stderr, step, total, time.Now())
	b.drawn.Go(func() {
		defer ticks.Stop()
		b.run(ticks.C)
	})
	return b
}

func begin(out io.Writer, step string, total int64, now time.Time) *Bar {
	b := &Bar{out: out, total: total, start: now, end: make(chan struct{})}
	b.Step(step)
	return b
}

// terminal tells whether a file is one.
func terminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// Step says what is done now.
func (b *Bar) Step(name string) {
	if b != nil {
		b.step.Store(&name)
	}
}

// Add says that so much more is done.
func (b *Bar) Add(n int) {
	if b != nil {
		b.done.Add(int64(n))
	}
}

// End takes the bar away.
func (b *Bar) End() {
	if b != nil {
		close(b.end)
		b.drawn.Wait()
	}
}

// run draws at every tick after the first second, until the end.
func (b *Bar) run(ticks <-chan time.Time) {
	shown := false
	for {
		select {
		case <-b.end:
			if shown {
				fmt.Fprint(b.out, "\r\x1b[K")
			}
			return
		case now := <-ticks:
			if spent := now.Sub(b.start); spent >= patience {
				fmt.Fprint(b.out, "\r"+b.line(spent)+"\x1b[K")
				shown = true
			}
		}
	}
}

const width = 30

// line is what is drawn.
func (b *Bar) line(spent time.Duration) string {
	text := fmt.Sprintf("%s %.1f s", *b.step.Load(), spent.Seconds())
	if b.total <= 0 {
		return text
	}
	part := min(1, float64(b.done.Load())/float64(b.total))
	full := int(part * width)
	return fmt.Sprintf("%s [%s%s] %d%%", text, strings.Repeat("#", full), strings.Repeat(".", width-full), int(part*100))
}

// Reader reads and adds what it has read to the bar.
func (b *Bar) Reader(r io.Reader) io.Reader {
	if b == nil {
		return r
	}
	return &counted{r, b}
}

type counted struct {
	r io.Reader
	b *Bar
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.b.Add(n)
	return n, err
}
