package main

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// progress is a line on a terminal that says what is under way. Where stderr
// is no terminal it says nothing: logs need no progress.
type progress struct{ to *os.File }

func newProgress(f *os.File) *progress {
	if _, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS); err != nil {
		return &progress{}
	}
	return &progress{to: f}
}

// show replaces the line.
func (p *progress) show(text string) {
	if p.to != nil {
		fmt.Fprintf(p.to, "\r\033[K%s", text)
	}
}

// clear takes the line away.
func (p *progress) clear() { p.show("") }
