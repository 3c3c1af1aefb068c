package flows

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"
)

// all reads a record to its end.
func all(t *testing.T, b []byte) (said []string, skipped map[string]uint64, err error) {
	t.Helper()
	r, err := Open(bytes.NewReader(b))
	if err != nil {
		return nil, nil, err
	}
	for {
		f, err := r.Next()
		if errors.Is(err, io.EOF) {
			return said, r.Skipped(), nil
		}
		if err != nil {
			return said, nil, err
		}
		said = append(said, fmt.Sprintf("%s>%s %d %d>%d x%d", f.Src, f.Dst, f.Proto, f.Sport, f.Dport, f.Count))
	}
}

func TestLines(t *testing.T) {
	text := `{"src": "10.0.0.1", "dst": "10.0.0.2", "proto": "tcp", "sport": 40000, "dport": 443, "count": 3, "time": "2026-01-01T00:00:00Z", "bytes": 9}

{"src": "::ffff:10.0.0.1", "dst": "10.0.0.2", "proto": 17, "dport": 0, "time": 1.5}
{"src": "fe80::1%eth0", "dst": "fd00::2", "proto": "icmp6", "type": 128}
{"src": "10.0.0.1", "dst": "10.0.0.2", "proto": "GRE"}`
	said, _, err := all(t, []byte(text))
	want := []string{"10.0.0.1>10.0.0.2 6 40000>443 x3", "10.0.0.1>10.0.0.2 17 0>0 x1", "fe80::1>fd00::2 58 0>32768 x1", "10.0.0.1>10.0.0.2 47 0>0 x1"}
	if err != nil || !slices.Equal(said, want) {
		t.Errorf("%q, %v", said, err)
	}
	for situation, c := range map[string]struct{ text, says string }{
		"no_json":        {"\n\nGET / HTTP/1.1", "line 3: "},
		"no_port":        {`{"src": "10.0.0.1", "dst": "10.0.0.2", "proto": "udp"}`, "no dport"},
		"no_destination": {`{"src": "10.0.0.1", "proto": "udp", "dport": 1}`, "no dst"},
		"two_families":   {`{"src": "10.0.0.1", "dst": "fd00::1", "proto": "udp", "dport": 1}`, "two families"},
		"port_65536":     {`{"src": "10.0.0.1", "dst": "10.0.0.2", "proto": "tcp", "dport": 65536}`, "65536"},
		"a_negative":     {`{"src": "10.0.0.1", "dst": "10.0.0.2", "proto": "tcp", "dport": 1, "count": -1}`, "-1"},
		"strange_proto":  {`{"src": "10.0.0.1", "dst": "10.0.0.2", "proto": "tpc", "dport": 1}`, `"tpc" is no protocol`},
		"endless_line":   {strings.Repeat("x", maxLine+1), "too long"},
	} {
		if _, _, err := all(t, []byte(c.text)); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", situation, err)
		}
	}
}

// frame builds a packet of IPv4 between .1 and .2.
func frame(from, to byte, transport ...gopacket.SerializableLayer) []byte {
	proto := map[gopacket.LayerType]layers.IPProtocol{layers.LayerTypeTCP: 6, layers.LayerTypeUDP: 17, layers.LayerTypeICMPv4: 1}
	eth := &layers.Ethernet{SrcMAC: net.HardwareAddr{2, 0, 0, 0, 0, 1}, DstMAC: net.HardwareAddr{2, 0, 0, 0, 0, 2}, EthernetType: layers.EthernetTypeIPv4}
	ip := &layers.IPv4{Version: 4, TTL: 64, SrcIP: net.IP{10, 0, 0, from}, DstIP: net.IP{10, 0, 0, to}, Protocol: proto[transport[0].LayerType()]}
	b := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true}, append([]gopacket.SerializableLayer{eth, ip}, transport...)...); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func seg(src, dst layers.TCPPort, syn, ack bool) *layers.TCP {
	return &layers.TCP{SrcPort: src, DstPort: dst, SYN: syn, ACK: ack}
}

// written is a capture of packets, in either form.
func written(t *testing.T, ng bool, packets ...[]byte) []byte {
	t.Helper()
	var out bytes.Buffer
	var write func([]byte) error
	if ng {
		w, err := pcapgo.NewNgWriter(&out, layers.LinkTypeEthernet)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		write = func(p []byte) error {
			return errors.Join(w.WritePacket(gopacket.CaptureInfo{Timestamp: time.Unix(1, 0), CaptureLength: len(p), Length: len(p)}, p), w.Flush())
		}
	} else {
		w := pcapgo.NewWriter(&out)
		if err := w.WriteFileHeader(65536, layers.LinkTypeEthernet); err != nil {
			t.Fatal(err)
		}
		write = func(p []byte) error {
			return w.WritePacket(gopacket.CaptureInfo{Timestamp: time.Unix(1, 0), CaptureLength: len(p), Length: len(p)}, p)
		}
	}
	for _, p := range packets {
		if err := write(p); err != nil {
			t.Fatal(err)
		}
	}
	return out.Bytes()
}

// Each connection counts once, from the side that opened it.
func TestCapture(t *testing.T) {
	echo := func(kind uint8) *layers.ICMPv4 { return &layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(kind, 0)} }
	udp := func(src, dst layers.UDPPort) *layers.UDP { return &layers.UDP{SrcPort: src, DstPort: dst} }
	later := frame(1, 2, udp(9, 9))
	later[20], later[21] = 0, 7 // a fragment, not the first
	for situation, c := range map[string]struct {
		packets [][]byte
		want    []string
		skipped map[string]uint64
	}{
		"handshake_and_data":     {[][]byte{frame(1, 2, seg(40000, 80, true, false)), frame(2, 1, seg(80, 40000, true, true)), frame(1, 2, seg(40000, 80, false, true))}, []string{"10.0.0.1>10.0.0.2 6 40000>80 x1"}, nil},
		"answer_to_a_syn_only":   {[][]byte{frame(2, 1, seg(50000, 40000, true, true))}, []string{"10.0.0.1>10.0.0.2 6 40000>50000 x1"}, nil},
		"open_before_it_began":   {[][]byte{frame(2, 1, seg(80, 40000, false, true)), frame(1, 2, seg(40000, 80, false, true))}, []string{"10.0.0.1>10.0.0.2 6 40000>80 x1"}, nil},
		"a_syn_to_a_higher_port": {[][]byte{frame(1, 2, seg(1000, 8080, true, false))}, []string{"10.0.0.1>10.0.0.2 6 1000>8080 x1"}, nil},
		"question_and_answer":    {[][]byte{frame(1, 2, udp(5353, 53)), frame(2, 1, udp(53, 5353)), frame(1, 2, udp(5354, 53))}, []string{"10.0.0.1>10.0.0.2 17 5353>53 x1", "10.0.0.1>10.0.0.2 17 5354>53 x1"}, nil},
		"ping":                   {[][]byte{frame(1, 2, echo(8)), frame(2, 1, echo(0))}, []string{"10.0.0.1>10.0.0.2 1 0>2048 x1"}, nil},
		"an_answer_to_a_ping":    {[][]byte{frame(2, 1, echo(0))}, []string{"10.0.0.1>10.0.0.2 1 0>2048 x1"}, nil},
		"unreachable":            {[][]byte{frame(2, 1, echo(3))}, nil, map[string]uint64{"ICMP about others": 1}},
		"later_fragment":         {[][]byte{later}, nil, map[string]uint64{"later fragments": 1}},
		"broadcast":              {[][]byte{frame(1, 2, udp(1, 2)), append(append(frame(1, 2, udp(1, 2))[:30:30], 255, 255, 255, 255), frame(1, 2, udp(1, 2))[34:]...)}, []string{"10.0.0.1>10.0.0.2 17 1>2 x1"}, map[string]uint64{"to many": 1}},
		"cut_before_the_ports":   {[][]byte{frame(1, 2, seg(1, 2, true, false))[:36]}, nil, map[string]uint64{"cut or damaged": 1}},
		"noise":                  {[][]byte{{1, 2, 3}}, nil, map[string]uint64{"no IP": 1}},
	} {
		for _, ng := range []bool{false, true} {
			said, skipped, err := all(t, written(t, ng, c.packets...))
			if err != nil || !slices.Equal(said, c.want) || fmt.Sprint(skipped) != fmt.Sprint(orEmpty(c.skipped)) {
				t.Errorf("%s, pcapng %v: %q, skipped %v, %v", situation, ng, said, skipped, err)
			}
		}
	}
}

// A capture that is cut anywhere but between two packets is an error, in either
// form: what is missing might have been denied.
func TestCaptureThatIsCut(t *testing.T) {
	for _, ng := range []bool{false, true} {
		empty := len(written(t, ng))
		one := len(written(t, ng, frame(1, 2, seg(1, 2, true, false))))
		file := written(t, ng, frame(1, 2, seg(1, 2, true, false)), frame(1, 2, seg(3, 4, true, false)))
		between := map[int]bool{empty: true, one: true, len(file): true}
		if ng {
			between[int(binary.LittleEndian.Uint32(file[4:]))] = true // a section without an interface
		}
		for n := 4; n <= len(file); n++ {
			if _, _, err := all(t, file[:n]); (err == nil) != between[n] {
				t.Errorf("pcapng %v: %d of %d bytes: %v", ng, n, len(file), err)
			}
		}
	}
}

func orEmpty(m map[string]uint64) map[string]uint64 {
	if m == nil {
		return map[string]uint64{}
	}
	return m
}

// What is remembered of connections is bounded.
func TestSeenIsBounded(t *testing.T) {
	var s seen
	f := Flow{Src: mustAddr("10.0.0.1"), Dst: mustAddr("10.0.0.2"), Proto: tcp, Dport: 80}
	for i := range 3 * maxSeen {
		f.Sport, f.Dport = uint16(i), uint16(i>>16)
		if !s.first(&f) || s.first(&f) {
			t.Fatalf("connection %d is not new once", i)
		}
	}
	if len(s.young) > maxSeen || len(s.old) > maxSeen {
		t.Errorf("%d and %d are kept", len(s.young), len(s.old))
	}
}

func mustAddr(text string) netip.Addr { return netip.MustParseAddr(text) }
