package main

import (
	"io"
	"time"

	"bulkhead/vswitch"
	"bulkhead/vswitch/port/pcap"
)

func init() { vswitch.NewRecording = newRecording }

// recording writes a capture as pcapng, with an interface for each port and
// how each frame ended as its comment.
type recording struct {
	w     *pcap.Writer
	ports map[string]int
}

func newRecording(out io.Writer, ports []string) (vswitch.Recording, error) {
	w, err := pcap.NewWriter(out)
	if err != nil {
		return nil, err
	}
	r := &recording{w: w, ports: map[string]int{}}
	for _, name := range ports {
		if name == "" {
			continue
		}
		if r.ports[name], err = w.AddInterface(name, ""); err != nil {
			return nil, err
		}
	}
	return r, w.Flush()
}

// Frame writes one frame, at once: who captures is watching.
func (r *recording) Frame(at time.Time, port, comment string, length int, bytes []byte) error {
	err := r.w.Write(&pcap.Record{
		Interface: r.ports[port], Time: at, Direction: pcap.Inbound, Length: length, Bytes: bytes, Comment: comment,
	})
	if err != nil {
		return err
	}
	return r.w.Flush()
}
