package dataplane

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"reflect"
	"strings"

	"bulkhead/dataplane/conntrack"
	"bulkhead/dataplane/fdb"
	"bulkhead/dataplane/internal/hashtab"
	"bulkhead/dataplane/nat"
)

// What packets have made can outlive the process that they made it in: sessions, address
// translations and learned MACs lie in memory that is given (StateConfig.Keep), a memory
// file that another process holds as well. The next switch has it as [Remains], makes
// tables of its own, and takes in what is whole (restore.go). It does not go on in the
// old memory: so indices, lists, clocks of wheels and accounts need not be true when a
// process is killed between two stores, hashes get a new secret, and every bound may be
// another.
//
//	 0            4 KiB        1 MiB         2 MiB
//	┌────────────┬────────────┬─────────────┬──────────────────────┬──────────┬──────┐
//	│ what it is │ first note │ second note │ sessions, by shard   │ mappings │ MACs │
//	└────────────┴────────────┴─────────────┴──────────────────────┴──────────┴──────┘
//
// The head says of which layout the rest is, and how large; a process that knows another
// layout takes nothing. The layout is worked out from the rows themselves, field by
// field, so nobody can change one and forget to say so.
//
// Sessions go by numbers, of ports, VRFs, segments and peers, that mean nothing to
// another process. Who gave them leaves a note of which is which ([State.Note]), in turn
// in two places, so that one is always whole.

const (
	keepMagic = "bulkhead"
	keepHead  = 4 << 10
	noteAt    = keepHead
	noteRoom  = 1 << 20 // of each of the two, its head included
	noteHead  = 24      // number, length and sum
	tablesAt  = noteAt + 2*noteRoom
	headEnd   = 128 // where its sum stands
	// keepVersion is to be raised when the same fields come to mean something else.
	keepVersion = 1
)

// keepSalt makes a build one of another layout, for tests of what is done then: go build
// -ldflags "-X bulkhead/dataplane.keepSalt=x".
var keepSalt string

// keepLayout is the number of the layout that this build reads and writes.
func keepLayout() uint64 {
	h := fnv.New64a()
	fmt.Fprintln(h, keepVersion, keepSalt, reflect.TypeFor[uintptr]().Size(), binary.NativeEndian.Uint16([]byte{1, 0}))
	for _, row := range []reflect.Type{reflect.TypeFor[conntrack.Session](), reflect.TypeFor[nat.Mapping](), fdb.Row()} {
		describe(h, row)
	}
	return h.Sum64()
}

// describe writes down how a type lies in memory.
func describe(w interface{ Write([]byte) (int, error) }, t reflect.Type) {
	fmt.Fprintln(w, t.Kind(), t.Size())
	switch t.Kind() {
	case reflect.Array:
		fmt.Fprintln(w, t.Len())
		describe(w, t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			fmt.Fprintln(w, t.Field(i).Name, t.Field(i).Offset)
			describe(w, t.Field(i).Type)
		}
	}
}

// extent is how much a kept memory holds.
type extent struct {
	sessions uint32 // of a shard
	shards   uint32
	mappings uint32
	entries  uint32
}

func extentOf(cfg *StateConfig) extent {
	n := shardsFor(max(1, cfg.Workers))
	return extent{sessions: partOf(cfg.Sessions.Sessions, n), shards: uint32(n), mappings: nat.Mappings(cfg.NAT), entries: uint32(fdb.Entries(cfg.FDB))}
}

// within tells whether the numbers are such as tables may have.
func (e extent) within() bool {
	return e.sessions > 0 && e.shards > 0 && e.shards <= sessionShards && uint64(e.sessions)*uint64(e.shards) <= conntrack.MaxSessions &&
		e.mappings > 0 && e.mappings <= nat.MaxMappings && e.entries > 0 && e.entries <= fdb.MaxEntries
}

func (e extent) size() int {
	return tablesAt + int(e.shards)*conntrack.MemorySize(e.sessions) + nat.MemorySize(e.mappings) + fdb.MemorySize(int(e.entries))
}

// parts cuts the memory into that of each table.
func (e extent) parts(mem []byte) (sessions [][]byte, mappings, entries []byte) {
	rest := mem[tablesAt:]
	cut := func(n int) (part []byte) {
		part, rest = rest[:n:n], rest[n:]
		return part
	}
	for range e.shards {
		sessions = append(sessions, cut(conntrack.MemorySize(e.sessions)))
	}
	return sessions, cut(nat.MemorySize(e.mappings)), cut(fdb.MemorySize(int(e.entries)))
}

// KeepSize returns how much memory StateConfig.Keep has to have, in bytes: whole pages.
func KeepSize(cfg StateConfig) int { return extentOf(&cfg).size() }

// keeping is a kept memory as who writes it has it.
type keeping struct {
	extent
	mem     []byte
	notes   uint64
	seal    hashtab.Secret
	pairing hashtab.Secret
}

// keepIn lays the kept memory out for the tables of a configuration, and has them lie
// there; those of the sessions are returned.
func keepIn(cfg *StateConfig) (*keeping, [][]byte, error) {
	e := extentOf(cfg)
	if !e.within() || len(cfg.Keep) < e.size() {
		return nil, nil, fmt.Errorf("memory to be kept of %d bytes: the tables take %d", len(cfg.Keep), e.size())
	}
	k := &keeping{extent: e, mem: cfg.Keep, seal: hashtab.NewSecret(), pairing: hashtab.NewSecret()}
	k.writeHead()
	sessions, mappings, entries := e.parts(k.mem)
	cfg.Sessions.Seal, cfg.NAT.Seal, cfg.NAT.Pairing = k.seal, k.seal, k.pairing
	cfg.NAT.Memory, cfg.FDB.Memory = mappings, entries
	return k, sessions, nil
}

// writeHead says what the memory holds.
func (k *keeping) writeHead() {
	b := append([]byte(keepMagic), make([]byte, headEnd-len(keepMagic))...)
	binary.NativeEndian.PutUint64(b[8:], keepLayout())
	for i, n := range [...]uint32{k.sessions, k.shards, k.mappings, k.entries} {
		binary.NativeEndian.PutUint32(b[16+4*i:], n)
	}
	for i := range k.seal {
		binary.NativeEndian.PutUint64(b[32+8*i:], k.seal[i])
		binary.NativeEndian.PutUint64(b[80+8*i:], k.pairing[i])
	}
	copy(k.mem, b)
	binary.NativeEndian.PutUint64(k.mem[headEnd:], sumOf(b))
}

func sumOf(b []byte) uint64 {
	h := fnv.New64a()
	h.Write(b)
	return h.Sum64()
}

// Note leaves a note for who takes the state over, in place of the one before: which
// number is whose. A note that is too long, or a kill meanwhile, leaves the one before.
// It is called by one goroutine at a time, before anything goes by a number that is new.
func (s *State) Note(text []byte) error {
	k := s.keeping
	if k == nil {
		return nil
	}
	if len(text) > noteRoom-noteHead {
		return fmt.Errorf("a note of %d bytes, and %d are the most", len(text), noteRoom-noteHead)
	}
	k.notes++
	at := k.mem[noteAt+int(k.notes%2)*noteRoom:]
	binary.NativeEndian.PutUint64(at[16:], 0) // it is none from here on
	copy(at[noteHead:noteRoom], text)
	binary.NativeEndian.PutUint64(at, k.notes)
	binary.NativeEndian.PutUint64(at[8:], uint64(len(text)))
	binary.NativeEndian.PutUint64(at[16:], noteSum(k.notes, text))
	return nil
}

// noteSum is never zero.
func noteSum(number uint64, text []byte) uint64 {
	return sumOf(binary.NativeEndian.AppendUint64(text[:len(text):len(text)], number)) | 1
}

// Remains is the kept memory of a process that is no more. Nothing in it is believed
// that has not been checked.
type Remains struct {
	extent
	mem           []byte
	seal, pairing hashtab.Secret
}

// ErrLayout says that what remains was left by a build with other tables.
var ErrLayout = errors.New("it was left by a build whose tables are laid out otherwise")

// OpenRemains looks at the kept memory of a process that is no more: nobody writes to it.
// It must stay mapped as long as the remains are used.
func OpenRemains(mem []byte) (*Remains, error) {
	if len(mem) < tablesAt {
		return nil, fmt.Errorf("what is left is %d bytes and can hold nothing", len(mem))
	}
	head := mem[:headEnd]
	switch {
	case strings.Trim(string(mem[:headEnd+8]), "\x00") == "":
		return nil, errors.New("nothing was kept in it")
	case string(head[:8]) != keepMagic || binary.NativeEndian.Uint64(mem[headEnd:]) != sumOf(head):
		return nil, errors.New("its head is damaged")
	case binary.NativeEndian.Uint64(head[8:]) != keepLayout():
		return nil, ErrLayout
	}
	r := &Remains{mem: mem}
	for i, n := range [...]*uint32{&r.sessions, &r.shards, &r.mappings, &r.entries} {
		*n = binary.NativeEndian.Uint32(head[16+4*i:])
	}
	for i := range r.seal {
		r.seal[i] = binary.NativeEndian.Uint64(head[32+8*i:])
		r.pairing[i] = binary.NativeEndian.Uint64(head[80+8*i:])
	}
	if !r.within() || len(mem) < r.size() {
		return nil, fmt.Errorf("what is left is %d bytes, and its head speaks of others", len(mem))
	}
	return r, nil
}

// Note returns the last note that is whole; nil: there is none.
func (r *Remains) Note() (text []byte) {
	last := uint64(0)
	for i := range 2 {
		at := r.mem[noteAt+i*noteRoom : noteAt+(i+1)*noteRoom]
		number, n := binary.NativeEndian.Uint64(at), binary.NativeEndian.Uint64(at[8:])
		if n > noteRoom-noteHead || number <= last {
			continue
		}
		if t := at[noteHead : noteHead+n]; noteSum(number, t) == binary.NativeEndian.Uint64(at[16:]) {
			last, text = number, t
		}
	}
	return text
}
