package fuzz

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"bulkhead/policyc/flows"
)

// FuzzFlows: any bytes are a record of flows, or are refused; a flow that is
// read is whole, and each read takes something: a record ends.
func FuzzFlows(f *testing.F) {
	f.Add([]byte(`{"src": "10.0.0.1", "dst": "10.0.0.2", "proto": "tcp", "dport": 443}` + "\n"))
	f.Add(append([]byte{0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 0, 0, 1, 0, 0, 0,
		1, 0, 0, 0, 0, 0, 0, 0, 42, 0, 0, 0, 42, 0, 0, 0}, bytes.Repeat([]byte{0x45}, 42)...))
	f.Add(append([]byte{0x0a, 0x0d, 0x0d, 0x0a, 28, 0, 0, 0, 0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0}, bytes.Repeat([]byte{255}, 12)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := flows.Open(bytes.NewReader(b))
		if err != nil {
			return
		}
		for n := 0; ; n++ {
			flow, err := r.Next()
			if errors.Is(err, io.EOF) || err != nil {
				return
			}
			if !flow.Src.IsValid() || !flow.Dst.IsValid() || flow.Src.Is4() != flow.Dst.Is4() {
				t.Fatalf("half a flow: %+v", flow)
			}
			if n > len(b) {
				t.Fatalf("%d flows of %d bytes", n, len(b))
			}
		}
	})
}
