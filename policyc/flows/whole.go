package flows

import (
	"encoding/binary"
	"errors"
	"io"
)

// whole passes a capture on, and tells its end from a cut: the readers that it
// goes to take a file that ends within a packet for one that has ended. Half a
// record that is all allowed must not be a yes.
type whole struct {
	r    io.Reader
	next func(head []byte) (rest uint64, size int) // of a piece whose head is there: what follows, and the next head's size
	size int                                       // of the head that begins
	head []byte
	left uint64 // of the piece beyond its head
}

// Read passes bytes on.
func (w *whole) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	w.follow(p[:n])
	if errors.Is(err, io.EOF) && (w.left > 0 || len(w.head) > 0) {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// follow goes along the pieces.
func (w *whole) follow(b []byte) {
	for len(b) > 0 {
		if w.left > 0 {
			n := min(w.left, uint64(len(b)))
			w.left, b = w.left-n, b[n:]
			continue
		}
		n := min(w.size-len(w.head), len(b))
		w.head, b = append(w.head, b[:n]...), b[n:]
		if len(w.head) == w.size {
			w.left, w.size = w.next(w.head)
			w.head = w.head[:0]
		}
	}
}

// wholeNg follows pcapng: blocks, each with its type and its length over all,
// and a section header with the magic of the order of bytes: 12 bytes, which
// every block has.
func wholeNg(r io.Reader) io.Reader {
	const head = 12
	var order binary.ByteOrder = binary.LittleEndian
	return &whole{r: r, size: head, next: func(b []byte) (uint64, int) {
		if string(b[:4]) == "\x0a\x0d\x0d\x0a" {
			order = binary.LittleEndian
			if b[8] == 0x1a {
				order = binary.BigEndian
			}
		}
		return uint64(max(order.Uint32(b[4:]), head) - head), head
	}}
}

// wholePcap follows pcap: a head of the file, which tells the order of bytes,
// then packets, each with a head that has its length.
func wholePcap(r io.Reader) io.Reader {
	const file, head = 24, 16
	var order binary.ByteOrder
	return &whole{r: r, size: file, next: func(b []byte) (uint64, int) {
		if order != nil {
			return uint64(order.Uint32(b[8:])), head
		}
		order = binary.LittleEndian
		if b[0] == 0xa1 {
			order = binary.BigEndian
		}
		return 0, head
	}}
}
