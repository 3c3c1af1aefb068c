package dataplane_test

import (
	"fmt"
	"sync"
	"testing"

	"bulkhead/dataplane"
	"bulkhead/dataplane/conntrack"
	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/nat"
	"bulkhead/dataplane/packet"
)

// Workers that share the tables translate as one does: whoever has a packet that
// comes back gives it to who asked, while others open and end sessions of the same
// inside ends. At the end nothing is left of either.
func TestWorkersShareTranslations(t *testing.T) {
	const workers, rounds, flows = 4, 30, 24
	r := newScriptRun(t)
	r.run(edgeWorld + "generation\n")
	state, err := dataplane.NewState(dataplane.StateConfig{
		Sessions: conntrack.Config{Sessions: 1 << 14, Secret: scriptSecret}, NAT: nat.Config{Mappings: 1 << 12, Secret: scriptSecret}, Workers: workers,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer state.Close()
	var all sync.WaitGroup
	for n := range workers {
		all.Add(1)
		go func() {
			defer all.Done()
			w := shareWorker{dataplane.NewWorker(state, n, workers), r.snapshot, new(packet.Batch)}
			for round := range rounds {
				for i := range flows {
					// Few inside ends, which all workers use, to other ends of each.
					if err := w.converse(uint16(1000+i), uint16(n), uint16(round), int64(round)*1e9+1); err != nil {
						t.Error(err)
						return
					}
				}
			}
		}()
	}
	all.Wait()
	if n := state.NAT.Stats().Mappings; n != flows {
		t.Errorf("%d mappings of %d inside ends", n, flows)
	}
	w := shareWorker{dataplane.NewWorker(state, 0, 1), r.snapshot, new(packet.Batch)}
	for i := range 20_000 { // shards in turn, a few sessions each
		w.Worker.Counters.Rules = nil
		dataplane.Run(w.Worker, w.s, int64(1000e9)+int64(i)*1e7, w.batch)
		w.batch.Reset()
	}
	if s := state.NAT.Stats(); s.Mappings != 0 || s.Lingering != 0 {
		t.Errorf("%+v is left of sessions that have ended", s)
	}
}

type shareWorker struct {
	*dataplane.Worker
	s     *dataplane.Snapshot
	batch *packet.Batch
}

// converse sends a datagram out and its answer in.
func (w *shareWorker) converse(port, worker, round uint16, now dataplane.Time) error {
	far := packet.AddrFrom4([4]byte{198, 51, byte(worker), byte(round)})
	web, out := packet.AddrFrom4([4]byte{10, 0, 0, 1}), packet.AddrFrom4([4]byte{203, 0, 113, 7})
	f, err := w.send(1, now, packet.Spec{SrcMAC: packet.MAC{2, 0, 0, 0, 0, 1}, Src: web, Dst: far, SrcPort: port, DstPort: 53})
	if err != nil {
		return err
	}
	k := f.Headers.Key
	if f.Reason != drop.None || k.Src != out {
		return fmt.Errorf("port %d out: %s, from %s", port, f.Reason, k.Src)
	}
	f, err = w.send(2, now, packet.Spec{SrcMAC: packet.MAC{2, 0, 0, 0, 0, 2}, Src: far, Dst: out, SrcPort: 53, DstPort: k.SrcPort})
	if err != nil {
		return err
	}
	if back := f.Headers.Key; f.Reason != drop.None || back.Dst != web || back.DstPort != port {
		return fmt.Errorf("port %d back: %s, for %s:%d", port, f.Reason, back.Dst, back.DstPort)
	}
	return nil
}

func (w *shareWorker) send(port packet.PortID, now dataplane.Time, s packet.Spec) (*packet.Frame, error) {
	s.DstMAC, s.Proto = gatewayMAC, packet.ProtoUDP
	b, err := packet.Build(s)
	if err != nil {
		return nil, err
	}
	w.batch.Reset()
	f := w.batch.Next()
	*f = *packet.NewFrame(b, port)
	dataplane.Run(w.Worker, w.s, now, w.batch)
	return f, nil
}
