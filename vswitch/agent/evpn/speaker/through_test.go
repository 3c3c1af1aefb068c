package speaker

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/osrg/gobgp/v4/pkg/packet/bgp"

	"bulkhead/vswitch/agent/evpn"
)

// A neighbour that says, as we do, that it may have started again is through when it
// says so, and not with its OPEN: until then it has said nothing of what it has.
func TestThroughAfterEnd(t *testing.T) {
	hear, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer hear.Close()
	at := hear.Addr().(*net.TCPAddr)
	s, err := Start(&evpn.Config{AS: 65001, RouterID: addr("192.0.2.1"), Neighbours: []evpn.Neighbour{
		{Address: addr("127.0.0.1"), AS: 65002, Port: uint16(at.Port), MaxRoutes: 100, Hops: 1},
	}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	conn, err := hear.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	open, err := bgp.NewBGPOpenMessage(bgp.AS_TRANS, 90, netip.MustParseAddr("192.0.2.2"), []bgp.OptionParameterInterface{
		bgp.NewOptionParameterCapability([]bgp.ParameterCapabilityInterface{
			bgp.NewCapMultiProtocol(bgp.RF_EVPN), bgp.NewCapFourOctetASNumber(65002),
			bgp.NewCapGracefulRestart(true, false, 120, []*bgp.CapGracefulRestartTuple{bgp.NewCapGracefulRestartTuple(bgp.RF_EVPN, true)}),
		}),
	})
	if err != nil {
		t.Fatal(err)
	}
	send(t, conn, open)
	send(t, conn, bgp.NewBGPKeepAliveMessage())

	until(t, s, "up", func(st evpn.Status) bool { return st.Up })
	if st := one(t, s); !st.Up || st.Through {
		t.Fatalf("before the end: %+v", st)
	}
	send(t, conn, bgp.NewEndOfRib(bgp.RF_EVPN))
	until(t, s, "through", func(st evpn.Status) bool { return st.Through })
}

func send(t *testing.T, conn net.Conn, m *bgp.BGPMessage) {
	t.Helper()
	wire, err := m.Serialize()
	if err == nil {
		_, err = conn.Write(wire)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func until(t *testing.T, s *Speaker, what string, holds func(evpn.Status) bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !holds(one(t, s)); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("in 30 s it is not %s: %+v", what, one(t, s))
		}
	}
}

// one is how it goes with the only neighbour.
func one(t *testing.T, s *Speaker) evpn.Status {
	t.Helper()
	all, err := s.Hear()
	if err != nil || len(all) != 1 {
		t.Fatalf("%v, %v", all, err)
	}
	return all[0]
}
