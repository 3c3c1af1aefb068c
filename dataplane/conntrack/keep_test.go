package conntrack

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
)

// churned is how many tables a process churns that is to be killed, each on a thread of
// its own: at the kill some threads run, the others were stopped wherever they were.
const (
	churned      = 32
	churnRows    = 64
	churnFlows   = 96
	churnAddress = "BULKHEAD_TEST_CHURN"
)

// span is how far the sequence numbers of one flow are from another's.
const span = 1 << 24

// churnKey is the key of a flow: every field tells which it is.
func churnKey(n int) packet.Key {
	k := packet.Key{
		Src: packet.AddrFrom4([4]byte{10, 0, 0, byte(n)}), Dst: packet.AddrFrom4([4]byte{10, 1, byte(n), byte(n)}),
		SrcPort: uint16(1000 + n), DstPort: uint16(2000 + n), Zone: uint16(n), Proto: packet.ProtoTCP,
	}
	if n%4 == 3 {
		k.Proto = packet.ProtoUDP
	}
	return k
}

// churnFrame is a packet of a flow in either direction.
func churnFrame(n int, reply bool, flags uint8, seq, ack uint32, window uint16) *packet.Frame {
	k, from, to := churnKey(n), uint32(2*n)*span, uint32(2*n+1)*span
	if reply {
		k, from, to = k.Reverse(), to, from
	}
	f := frameOf(k, packet.PortID(n%8), 20)
	h := &f.Headers
	h.TCPFlags, h.TCPSeq, h.TCPAck, h.TCPWindow = flags, from+seq, to+ack, window
	return f
}

// churn has a table go through all that can happen to a session, for ever. There is no
// RST: what comes in a connection that was reset at once has no window to be held to.
func churn(table *Table, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 7))
	var frames [churnFlows][]*packet.Frame
	for n := range frames {
		frames[n] = []*packet.Frame{
			churnFrame(n, false, syn, 0, 0, 1000), churnFrame(n, true, syn|ack, 0, 1, 2000), churnFrame(n, false, ack, 1, 1, 1000),
			churnFrame(n, false, ack|psh, 1, 1, 1500), churnFrame(n, true, ack|psh, 1, 21, 2500), churnFrame(n, false, ack|psh, 21, 21, 3000),
			churnFrame(n, false, syn, 100, 0, 500), churnFrame(n, true, syn|ack, 300, 121, 700), churnFrame(n, true, ack|psh, 21, 41, 2500),
			churnFrame(n, false, fin|ack, 41, 41, 1000), churnFrame(n, true, fin|ack, 41, 62, 1000),
		}
	}
	for now := Time(second); ; now += second / 50 {
		n := r.IntN(churnFlows)
		for _, f := range frames[n] {
			if r.IntN(4) == 0 {
				continue
			}
			k := &f.Headers.Key
			hash := table.Hash(k)
			s, d := table.Find(k, hash, now)
			if s != nil && !table.Renews(s, d, f) {
				_ = table.Advance(s, d, f, now)
				continue
			}
			if s != nil {
				table.Remove(s)
			}
			if s, reason := table.Open(f, hash, now); reason == drop.None && r.IntN(2) == 0 {
				table.SetTag(s, uint32(n)+1)
			}
		}
		if s, _ := find(table, churnKey(n), now); s != nil && r.IntN(3) == 0 {
			table.Remove(s)
		}
		table.Expire(now, 8)
	}
}

// The process that is killed: the test itself, called anew.
func TestChurnChild(t *testing.T) {
	path := os.Getenv(churnAddress)
	if path == "" {
		t.Skip("only as a child of TestKilledAnywhere")
	}
	runtime.GOMAXPROCS(churned)
	memory, seed := mapFile(t, path, churned*MemorySize(churnRows)), uint64(os.Getpid())
	for i := range churned {
		table, err := New(Config{
			Sessions: churnRows, Ports: 8, PortQuota: 9, EmbryonicQuota: 4, Secret: testSecret, Seal: testSecret,
			Memory: memory[i*MemorySize(churnRows):][:MemorySize(churnRows)], Ended: func(uint32) {},
		})
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			runtime.LockOSThread()
			churn(table, seed+uint64(i))
		}()
	}
	fmt.Println("churning")
	time.Sleep(time.Minute)
}

func mapFile(t testing.TB, path string, size int) []byte {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err == nil {
		err = f.Truncate(int64(size))
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	mem, err := syscall.Mmap(int(f.Fd()), 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Munmap(mem) })
	return mem
}

// However a process is killed while its tables change, what survives is whole: each
// session's key, owner, windows and tag are of one flow, it is there once, and another
// table takes it in.
func TestKilledAnywhere(t *testing.T) {
	kills := 25
	if n, err := strconv.Atoi(os.Getenv("BULKHEAD_KILLS")); err == nil {
		kills = n
	}
	seed := uint64(time.Now().UnixNano())
	r := rand.New(rand.NewPCG(seed, 1))
	sessions, torn := 0, 0
	for k := range kills {
		path := filepath.Join(t.TempDir(), "memory")
		cmd := exec.Command(os.Args[0], "-test.run", "TestChurnChild$")
		cmd.Env = append(os.Environ(), churnAddress+"="+path)
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		_, _ = out.Read(make([]byte, 8))
		time.Sleep(time.Duration(r.IntN(20_000)) * time.Microsecond)
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		memory := mapFile(t, path, churned*MemorySize(churnRows))
		for i := range churned {
			mem := memory[i*MemorySize(churnRows):][:MemorySize(churnRows)]
			table := newTable(t, Config{Sessions: churnRows, Ports: 8})
			seen := map[packet.Key]bool{}
			n, err := Survivors(mem, churnRows, testSecret, func(s *Session, tag uint32) {
				sessions++
				if seen[s.Key] {
					t.Errorf("kill %d of seed %d: %v survives twice", k, seed, s.Key)
				}
				seen[s.Key] = true
				if err := whole(s, tag); err != nil {
					t.Errorf("kill %d of seed %d: %v", k, seed, err)
				}
				if !s.plausible() {
					t.Errorf("kill %d of seed %d: no table holds %+v", k, seed, *s)
				}
				now := Time(s.deadline-1) << tickShift // alive, whatever the time was
				if got, reason := table.Adopt(s, s.Key, s.owner, table.Hash(&s.Key), now); reason != drop.None || got.Generation != 0 {
					t.Errorf("kill %d of seed %d: %v is refused: %v", k, seed, s.Key, reason)
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			torn += n
			if n > 1 {
				t.Errorf("kill %d of seed %d: %d rows of one table are torn, and it had one in hand", k, seed, n)
			}
		}
	}
	t.Logf("%d kills: %d sessions of %d tables are whole, %d torn", kills, sessions, kills*churned, torn)
	if sessions < kills*churned {
		t.Errorf("%d sessions survive: the test proves nothing", sessions)
	}
}

// whole tells whether every part of a session is of the same flow.
func whole(s *Session, tag uint32) error {
	key := s.Key
	if key.Proto == packet.ProtoUDP && key.SrcPort >= 2000 {
		key = key.Reverse() // either end may begin
	}
	n := int(key.SrcPort) - 1000
	if n < 0 || n >= churnFlows || key != churnKey(n) || s.owner != packet.PortID(n%8) {
		return fmt.Errorf("the key is of two flows: %+v of port %d", s.Key, s.owner)
	}
	if tag != 0 && tag != uint32(n)+1 {
		return fmt.Errorf("flow %d has tag %d", n, tag)
	}
	for d := range s.windows {
		w, from := &s.windows[d], uint32(2*n+d)*span
		if w.maxWin == 0 {
			continue // this end has not spoken
		}
		for _, v := range []uint32{w.end, w.maxEnd} {
			if v-from > 1<<17 {
				return fmt.Errorf("flow %d: a window has %d, far from %d: %+v", n, v, from, *w)
			}
		}
		if w.maxWin > 1<<17 {
			return fmt.Errorf("flow %d: a window of %d", n, w.maxWin)
		}
	}
	return nil
}

// Whatever is done to the bytes of what never changes of a session, or to its seal, it is
// not accepted: 10,000 rows are damaged, a bit to all of it.
func TestDamagedRowsAreRefused(t *testing.T) {
	const rows = 200
	seed := uint64(time.Now().UnixNano())
	r := rand.New(rand.NewPCG(seed, 1))
	memory := mapFile(t, filepath.Join(t.TempDir(), "memory"), MemorySize(rows))
	table := newTable(t, Config{Sessions: rows, EmbryonicQuota: rows, Memory: memory, Seal: testSecret})
	for n := range rows {
		if _, reason := put(table, frameOf(keyOf(packet.ProtoUDP, n), 1, 10), 0); reason != drop.None {
			t.Fatal(reason)
		}
	}
	good := map[packet.Key]packet.PortID{}
	for i := range table.rows {
		good[table.rows[i].Key] = table.rows[i].owner
	}
	accepted := 0
	for range 10_000 {
		i := r.IntN(rows)
		s, seal := table.rows[i], table.seals[i]
		row := &table.rows[i]
		switch r.IntN(5) {
		case 0:
			row.Key.Dst[r.IntN(16)] ^= 1 << r.IntN(8)
		case 1:
			row.Key.SrcPort ^= 1 << r.IntN(16)
		case 2:
			row.owner ^= 1 << r.IntN(12)
		case 3:
			table.seals[i] ^= 1 << (1 + r.IntN(31))
		case 4:
			row.Key = table.rows[(i+1+r.IntN(rows-1))%rows].Key // another's, whole
		}
		_, err := Survivors(memory, rows, testSecret, func(s *Session, _ uint32) {
			if owner, there := good[s.Key]; !there || owner != s.owner {
				accepted++
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		_, _ = Survivors(memory, rows, testSecret, func(*Session, uint32) { n++ })
		if n != rows-1 {
			accepted++
		}
		table.rows[i], table.seals[i] = s, seal
	}
	if accepted != 0 {
		t.Errorf("%d of 10,000 damaged rows are taken for sessions (seed %d)", accepted, seed)
	}
}

// What is adopted is what it was: its state, windows and counts, to the tick in which it
// ends; its owner is charged; the policy has said nothing; and the bounds of the table
// that adopts hold.
func TestAdopt(t *testing.T) {
	memory := mapFile(t, filepath.Join(t.TempDir(), "memory"), MemorySize(100))
	first := newTable(t, Config{Sessions: 100, Memory: memory, Seal: testSecret, EmbryonicQuota: 50})
	for n := range 20 {
		open(t, first, n, 1, second)
		s, _ := find(first, keyOf(packet.ProtoTCP, n), second)
		s.Generation, s.Rule = 7, 3
		put(first, synOf(1000+n, 2), second)
	}
	now := 60 * second // the half-open ones are over
	second := newTable(t, Config{Sessions: 30, PortQuota: 15})
	refused := map[drop.Reason]int{}
	adopted := 0
	torn, err := Survivors(memory, 100, testSecret, func(old *Session, _ uint32) {
		was := *old
		key := old.Key
		key.Zone = 9
		s, reason := second.Adopt(old, key, 5, second.Hash(&key), now)
		if reason != drop.None {
			refused[reason]++
			return
		}
		adopted++
		if s.state != was.state || s.windows != was.windows || s.bytes != was.bytes || s.deadline != was.deadline || s.Owner() != 5 || s.Key.Zone != 9 {
			t.Errorf("%+v has become %+v", was, *s)
		}
		if s.Generation != 0 || s.Rule != 0 || s.Embryonic() {
			t.Errorf("generation %d, rule %d, embryonic %v", s.Generation, s.Rule, s.Embryonic())
		}
	})
	if torn != 0 || err != nil || adopted != 15 || refused[drop.SessionQuota] != 5 || refused[drop.TCPInvalid] != 20 {
		t.Errorf("%d adopted, refused %v, torn %d, %v", adopted, refused, torn, err)
	}
	if sessions, embryonic := second.Charged(5); sessions != 15 || embryonic != 0 {
		t.Errorf("charged with %d, %d embryonic", sessions, embryonic)
	}
	last := now + Time(2*time.Hour+5*time.Minute)
	for at := now; at < last; at += Time(time.Minute) {
		second.Expire(at, 1<<20)
	}
	if second.Len() != 0 {
		t.Errorf("%d sessions outlive their time", second.Len())
	}
}
