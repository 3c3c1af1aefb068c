package packet

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"bulkhead/dataplane/packet"
	"bulkhead/vswitch/port"
)

// next waits for one frame.
func next(t *testing.T, q port.Queue, b *packet.Batch) *packet.Frame {
	t.Helper()
	b.Reset()
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end) && b.Len() == 0; time.Sleep(time.Millisecond) {
		if err := q.Recv(b); err != nil {
			t.Fatal(err)
		}
	}
	if b.Len() != 1 {
		t.Fatalf("%d frames instead of one", b.Len())
	}
	return b.Frame(0)
}

// tcp is a TCP frame over IPv4 with a partial checksum, tagged if there are tags.
func tcp(payload int, tags ...uint16) ([]byte, packet.Offload) {
	b := append(bytes.Repeat([]byte{2}, 12), 0x08, 0x00)
	if len(tags) > 0 {
		b = b[:12]
		for _, tag := range tags {
			b = append(b, 0x81, 0x00, byte(tag>>8), byte(tag))
		}
		b = append(b, 0x08, 0x00)
	}
	l3, total := len(b), 40+payload
	b = append(b, 0x45, 0, byte(total>>8), byte(total), 0, 1, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2)
	b = append(b, 0x12, 0x34, 0, 80, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 2, 0, 0, 0, 0, 0)
	for i := range payload {
		b = append(b, byte(i))
	}
	sum := uint32(0)
	for i := 0; i < 20; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[l3+i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	binary.BigEndian.PutUint16(b[l3+10:], ^uint16(sum))
	return b, packet.Offload{Checksum: packet.ChecksumPartial, CsumStart: uint16(l3 + 20), CsumOffset: 16}
}

// TestTagsComeBack: what the kernel takes off is in the frame again, in a slot
// and in the queue, and what points behind it has moved.
func TestTagsComeBack(t *testing.T) {
	root(t)
	rig := workload(t, Config{})
	if err := rig.Port.Up(); err != nil {
		t.Fatal(err)
	}
	q, b := rig.Port.Queues()[0], &packet.Batch{}
	for name, tt := range map[string]struct {
		payload int
		tags    []uint16
	}{
		"no tag":                {100, nil},
		"a tag":                 {100, []uint16{0x2064}},
		"tag of VLAN 0":         {100, []uint16{0}},
		"two tags":              {100, []uint16{7, 8}},
		"superframe":            {9000, nil},
		"superframe with a tag": {9000, []uint16{100}},
	} {
		t.Run(name, func(t *testing.T) {
			frame, o := tcp(tt.payload, tt.tags...)
			if tt.payload > 1460 {
				o.GSO, o.Size, o.HeaderLen = packet.GSOTCP4, 1000, o.CsumStart+20
			}
			if err := rig.End.Inject(frame, o); err != nil {
				t.Fatal(err)
			}
			f := next(t, q, b)
			if !bytes.Equal(f.Bytes(), frame) {
				t.Errorf("sent   %x\ncame   %x", frame[:60], f.Bytes()[:60])
			}
			if got := f.Offload; got != o {
				t.Errorf("offload %+v, want %+v", got, o)
			}
			if f.Start < packet.Headroom {
				t.Errorf("headroom of %d bytes", f.Start)
			}
		})
	}
}

// TestTheHostsStackNeitherHearsNorSpeaks: an address on the device answers
// nobody, and what the host sends does not come out.
func TestTheHostsStackNeitherHearsNorSpeaks(t *testing.T) {
	root(t)
	rig := workload(t, Config{})
	if err := rig.Port.Up(); err != nil {
		t.Fatal(err)
	}
	device := rig.Port.Info().Device
	ip(t, "addr", "add", "198.18.77.1/24", "dev", device)
	mac := rig.Port.Info().MAC
	arp := append(bytes.Repeat([]byte{0xff}, 6), 2, 0, 0, 0, 0, 9, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 9, 198, 18, 77, 2)
	arp = append(append(arp, 0, 0, 0, 0, 0, 0), 198, 18, 77, 1)
	arp = append(arp, make([]byte, 60-len(arp))...)
	if err := rig.End.Inject(arp, packet.Offload{}); err != nil {
		t.Fatal(err)
	}
	b := &packet.Batch{}
	if f := next(t, rig.Port.Queues()[0], b); !bytes.Equal(f.Bytes(), arp) {
		t.Fatalf("the switch got %x", f.Bytes())
	}
	ip(t, "neigh", "replace", "198.18.77.2", "lladdr", "02:00:00:00:00:09", "dev", device)
	if err := speak("198.18.77.2"); err != nil {
		t.Fatal(err)
	}
	if frame, _, ok := rig.End.Take(300 * time.Millisecond); ok {
		t.Errorf("the host spoke: %x (the device's MAC is %x)", frame, mac)
	}
	// The same without the guard, and without who looks after it: the host answers,
	// so the test can fail.
	rig.Port.(*Port).watcher.Close()
	if err := unguard(rig.Port.(*Port).index); err != nil {
		t.Fatal(err)
	}
	if err := rig.End.Inject(arp, packet.Offload{}); err != nil {
		t.Fatal(err)
	}
	if _, _, ok := rig.End.Take(2 * time.Second); !ok {
		t.Error("without the guard nobody answers either: the test proves nothing")
	}
}
