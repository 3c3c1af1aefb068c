package fdb

import (
	"reflect"

	"bulkhead/dataplane/internal/hugemem"
	"bulkhead/dataplane/packet"
)

// What was learned can outlive the process: the buckets lie in memory that is given
// (Config.Memory). A kill may leave a bucket while it is written to, and its version is
// odd then, so nothing in it is believed; in any other each key has its value, since
// both are written between two versions. What was learned is learned again by who
// adopts it, at the time at which it was seen.

// Row is the type of the rows of a kept table.
func Row() reflect.Type { return reflect.TypeFor[bucket]() }

// Entries returns how many entries a table of a configuration has.
func Entries(cfg Config) int { return orDefault(cfg.Entries, 65536) }

// MaxEntries bounds the entries of a table.
const MaxEntries = maxEntries

// MemorySize returns how much memory a table of so many entries takes that is to be
// kept; 0 stands for the default.
func MemorySize(entries int) int { return hugemem.Size[bucket](bucketsFor(entries)) }

func bucketsFor(entries int) int { return orDefault(entries, 65536)/fill + 2 }

func bucketsOf(memory []byte, n int) (*hugemem.Table[bucket], error) {
	if memory == nil {
		return hugemem.Make[bucket](n)
	}
	t, _, err := hugemem.Over[bucket](memory, n)
	return t, err
}

// Survivors visits what a table of so many entries has learned and left in its memory,
// and returns how many entries were in buckets that are not whole. seen is when the MAC
// last was.
func Survivors(memory []byte, entries int, visit func(segment uint16, mac packet.MAC, d Dest, seen Time)) (torn int, err error) {
	buckets, err := bucketsOf(memory, bucketsFor(entries))
	if err != nil {
		return 0, err
	}
	for at := range buckets.Rows {
		b := &buckets.Rows[at]
		whole := b.version.Load()&1 == 0
		for i := range b.keys {
			key, v := b.keys[i].Load(), value(b.values[i].Load())
			switch {
			case key == 0 || v.isStatic():
			case !whole:
				torn++
			default:
				e := entryOf(key, v, v.tick())
				visit(e.Segment, e.MAC, e.Dest, Time(v.tick())<<tickShift)
			}
		}
	}
	return torn, nil
}

// Adopt learns what another table had: where a MAC was when it was seen. What is older
// than anything may be, or was seen later than now, is refused.
func (t *Table) Adopt(segment uint16, mac packet.MAC, d Dest, seen, now Time) Event {
	if seen > now || t.old(valueOf(d, tickOf(seen)), tickOf(now)) {
		return Refused
	}
	return t.Learn(segment, mac, d, seen)
}
