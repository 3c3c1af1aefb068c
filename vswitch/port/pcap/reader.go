package pcap

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"
)

// source is a pcap or a pcapng file.
type source interface {
	ReadPacketData() ([]byte, gopacket.CaptureInfo, error)
}

// errCut says of a frame that the capture holds only its beginning: replayed,
// it would be another frame.
var errCut = errors.New("the capture cut the frame short")

// openSource recognizes a file by its first bytes.
func openSource(r io.Reader) (source, error) {
	b := bufio.NewReader(r)
	magic, err := b.Peek(4)
	if err != nil {
		return nil, fmt.Errorf("not a capture: %w", err)
	}
	var s source
	var link layers.LinkType
	if [4]byte(magic) == [4]byte{0x0a, 0x0d, 0x0d, 0x0a} {
		ng, err := pcapgo.NewNgReader(b, pcapgo.DefaultNgReaderOptions)
		if err != nil {
			return nil, fmt.Errorf("read pcapng: %w", err)
		}
		s, link = ng, ng.LinkType()
	} else {
		old, err := pcapgo.NewReader(b)
		if err != nil {
			return nil, fmt.Errorf("read pcap: %w", err)
		}
		s, link = old, old.LinkType()
	}
	if link != layers.LinkTypeEthernet {
		return nil, fmt.Errorf("the capture is of %v, want Ethernet", link)
	}
	return s, nil
}

// next returns the next whole frame, io.EOF at the end.
func next(s source) ([]byte, error) {
	frame, info, err := s.ReadPacketData()
	if err != nil {
		return nil, err
	}
	if info.CaptureLength < info.Length {
		return nil, errCut
	}
	return frame, nil
}
