package pcap

import (
	"io"
	"time"
)

// Recording writes what a switch captures, as pcapng: an interface for each
// port, and how each frame ended as its comment.
type Recording struct {
	w     *Writer
	ports map[string]int
}

// NewRecording begins a recording of these ports; "" is no port.
func NewRecording(out io.Writer, ports []string) (*Recording, error) {
	w, err := NewWriter(out)
	if err != nil {
		return nil, err
	}
	r := &Recording{w: w, ports: map[string]int{}}
	for _, name := range ports {
		if name == "" {
			continue
		}
		if err := r.add(name); err != nil {
			return nil, err
		}
	}
	return r, w.Flush()
}

func (r *Recording) add(port string) (err error) {
	r.ports[port], err = r.w.AddInterface(port, "")
	return err
}

// Frame writes one frame, at once: who captures is watching. A port that was
// opened since is added.
func (r *Recording) Frame(at time.Time, port, comment string, length int, bytes []byte) error {
	if _, known := r.ports[port]; !known {
		if err := r.add(port); err != nil {
			return err
		}
	}
	err := r.w.Write(&Record{
		Interface: r.ports[port], Time: at, Direction: Inbound, Length: length, Bytes: bytes, Comment: comment,
	})
	if err != nil {
		return err
	}
	return r.w.Flush()
}
