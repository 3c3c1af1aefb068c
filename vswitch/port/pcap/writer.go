package pcap

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"sync"
	"time"
)

// A pcapng file (draft-ietf-opsawg-pcapng) is a row of blocks, each
//
//	+-------------------+-------------------+--------------+-------------------+
//	| type, 4 bytes     | total length, 4   | body, padded | total length, 4   |
//	+-------------------+-------------------+--------------+-------------------+
//
// of which we write three: a section header, an interface description a port,
// and an enhanced packet a frame.
const (
	blockSection   = 0x0a0d0d0a
	blockInterface = 1
	blockPacket    = 6

	byteOrderMagic = 0x1a2b3c4d
	linkEthernet   = 1 // LINKTYPE_ETHERNET

	optEnd        = 0
	optComment    = 1
	optSectionApp = 4 // shb_userappl
	optIfName     = 2 // if_name
	optIfResol    = 9 // if_tsresol
	optFlags      = 2 // epb_flags
	optDropCount  = 4 // epb_dropcount
	nanoseconds   = 9 // 10^-9 s
	maxOption     = 65535
	maxInterfaces = 1 << 16
)

// Direction is which way a frame went, seen from the port.
type Direction uint32

// The values of epb_flags, bits 0 and 1.
const (
	DirectionUnknown Direction = 0
	Inbound          Direction = 1
	Outbound         Direction = 2
)

// Record is one frame of a capture.
type Record struct {
	Interface int // as AddInterface returned it
	Time      time.Time
	Direction Direction
	// Length is the frame's length on the wire, in bytes; 0: len(Bytes).
	Length  int
	Bytes   []byte // possibly cut short
	Comment string // e.g. why it was dropped; empty: none
	Lost    uint64 // frames lost just before this one
}

// Writer writes a pcapng file. Its methods may be called from any goroutine.
type Writer struct {
	mu         sync.Mutex // guards the rest
	out        *bufio.Writer
	body       []byte // the block in the making
	interfaces int
	err        error // the first, for good: half a block makes the rest unreadable
}

// NewWriter begins a pcapng file: the section header says that bulkhead wrote
// it.
func NewWriter(w io.Writer) (*Writer, error) {
	p := &Writer{out: bufio.NewWriter(w)}
	p.begin()
	p.u32(byteOrderMagic)
	p.u16(1) // version 1.0
	p.u16(0)
	p.u32(0xffffffff) // the section's length is not known
	p.u32(0xffffffff)
	p.option(optSectionApp, []byte("bulkhead"))
	p.endOptions()
	if err := p.finish(blockSection); err != nil {
		return nil, err
	}
	return p, p.Flush()
}

// AddInterface describes a port and returns its number for Record. At most
// 65536 are taken.
func (p *Writer) AddInterface(name, comment string) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.interfaces == maxInterfaces {
		return 0, fmt.Errorf("write capture: more than %d interfaces", maxInterfaces)
	}
	p.begin()
	p.u16(linkEthernet)
	p.u16(0)
	p.u32(0) // frames are cut at no common length
	p.option(optIfName, []byte(name))
	p.comment(comment)
	p.option(optIfResol, []byte{nanoseconds})
	p.endOptions()
	p.interfaces++
	return p.interfaces - 1, p.finish(blockInterface)
}

// Write adds a frame.
func (p *Writer) Write(r *Record) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r.Interface < 0 || r.Interface >= p.interfaces {
		return fmt.Errorf("write capture: interface %d of %d", r.Interface, p.interfaces)
	}
	at := uint64(r.Time.UnixNano())
	p.begin()
	p.u32(uint32(r.Interface))
	p.u32(uint32(at >> 32))
	p.u32(uint32(at))
	p.u32(uint32(len(r.Bytes)))
	p.u32(uint32(max(r.Length, len(r.Bytes))))
	p.padded(r.Bytes)
	p.comment(r.Comment)
	if r.Direction != DirectionUnknown {
		p.option(optFlags, binary.LittleEndian.AppendUint32(nil, uint32(r.Direction)))
	}
	if r.Lost != 0 {
		p.option(optDropCount, binary.LittleEndian.AppendUint64(nil, r.Lost))
	}
	p.endOptions()
	return p.finish(blockPacket)
}

// Flush gives everything written so far to the file.
func (p *Writer) Flush() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		p.err = p.out.Flush()
	}
	return wrap(p.err)
}

// begin, the appends and finish make one block.
func (p *Writer) begin()       { p.body = p.body[:0] }
func (p *Writer) u16(v uint16) { p.body = binary.LittleEndian.AppendUint16(p.body, v) }
func (p *Writer) u32(v uint32) { p.body = binary.LittleEndian.AppendUint32(p.body, v) }

// padded appends b and zeros up to a multiple of four bytes.
func (p *Writer) padded(b []byte) {
	p.body = append(p.body, b...)
	for len(p.body)%4 != 0 {
		p.body = append(p.body, 0)
	}
}

func (p *Writer) option(code uint16, value []byte) {
	value = value[:min(len(value), maxOption)]
	p.u16(code)
	p.u16(uint16(len(value)))
	p.padded(value)
}

func (p *Writer) comment(text string) {
	if text != "" {
		p.option(optComment, []byte(text))
	}
}

func (p *Writer) endOptions() { p.u32(optEnd) }

func (p *Writer) finish(kind uint32) error {
	if p.err != nil {
		return wrap(p.err)
	}
	n := uint32(len(p.body) + 12)
	head := binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(nil, kind), n)
	p.u32(n)
	if _, p.err = p.out.Write(head); p.err == nil {
		_, p.err = p.out.Write(p.body)
	}
	return wrap(p.err)
}

func wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("write capture: %w", err)
}
