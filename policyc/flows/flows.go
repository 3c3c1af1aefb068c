// Package flows reads what connected to what: from lines of JSON, or from the
// packets of a capture.
//
// It reads as it goes and holds no more than its bounds, however long the
// record is. One goroutine.
package flows

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/netip"
)

// Flow is a connection, or several that differ in nothing.
type Flow struct {
	Src, Dst netip.Addr
	Proto    uint8
	// Sport and Dport are ports; of ICMP Dport is type<<8|code.
	Sport, Dport uint16
	Count        uint64
	// SrcLabels and DstLabels are the ends' labels where the record has them.
	SrcLabels, DstLabels map[string]string
}

// Reader reads flows; Next returns io.EOF after the last.
type Reader interface {
	Next() (*Flow, error)
	// Skipped counts what was read and is no connection, by why.
	Skipped() map[string]uint64
}

// Open tells by its first bytes what a record is.
func Open(r io.Reader) (Reader, error) {
	b := bufio.NewReaderSize(r, 1<<16)
	head, err := b.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	switch {
	case bytes.Equal(head, []byte{0x0a, 0x0d, 0x0d, 0x0a}):
		return newNg(b)
	case len(head) == 4 && isPcap([4]byte(head)):
		return newPcap(b)
	}
	return newLines(b), nil
}

// isPcap tells whether a file begins as a capture: either order of bytes, micro-
// or nanoseconds.
func isPcap(head [4]byte) bool {
	switch head {
	case [4]byte{0xa1, 0xb2, 0xc3, 0xd4}, [4]byte{0xd4, 0xc3, 0xb2, 0xa1},
		[4]byte{0xa1, 0xb2, 0x3c, 0x4d}, [4]byte{0x4d, 0x3c, 0xb2, 0xa1}:
		return true
	}
	return false
}
