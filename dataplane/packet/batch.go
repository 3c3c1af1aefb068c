package packet

// BatchSize is the most frames one receive takes in.
const BatchSize = 64

// BatchCopies is the most copies that flooding may add to a batch.
const BatchCopies = 192

// Batch is the frames that a worker carries through the switch together. It
// is allocated once a worker and used again; Run adds copies behind the
// frames received.
type Batch struct {
	frames [BatchSize + BatchCopies]Frame
	n      int
}

// Len returns the number of frames in the batch.
func (b *Batch) Len() int { return b.n }

// Frame returns frame i; i must be below Len.
func (b *Batch) Frame(i int) *Frame { return &b.frames[i] }

// Room returns how many more frames a driver may add.
func (b *Batch) Room() int { return max(0, BatchSize-b.n) }

// Next adds a frame to the batch and returns it for Begin, or nil if a driver
// has no more room. What the slot held before is still in it until Begin.
func (b *Batch) Next() *Frame {
	if b.n >= BatchSize {
		return nil
	}
	b.n++
	return &b.frames[b.n-1]
}

// NextCopy adds a frame for a copy made inside the switch, or returns nil if
// the batch can hold no more.
func (b *Batch) NextCopy() *Frame {
	if b.n >= len(b.frames) {
		return nil
	}
	b.n++
	return &b.frames[b.n-1]
}

// Undo takes back the frame that Next or NextCopy added last.
func (b *Batch) Undo() { b.n-- }

// Reset empties the batch.
func (b *Batch) Reset() { b.n = 0 }
