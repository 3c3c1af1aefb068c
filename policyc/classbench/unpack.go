package classbench

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// maxText bounds a rule set when it is unpacked: ten million rules.
const maxText = 1 << 30

// Open opens a rule set, unpacking one that is called .zst.
func Open(name string) (io.ReadCloser, error) {
	f, err := os.Open(name)
	if err != nil || !strings.HasSuffix(name, ".zst") {
		return f, err
	}
	z, err := zstd.NewReader(f, zstd.WithDecoderMaxMemory(256<<20))
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return &unpacked{&bounded{z, maxText}, z, f}, nil
}

// bounded refuses to go on behind so many bytes: a text that was cut off would
// be another rule set.
type bounded struct {
	from io.Reader
	left int
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.from.Read(p)
	if b.left -= n; b.left < 0 {
		return 0, fmt.Errorf("unpacked it is more than %d MiB", maxText>>20)
	}
	return n, err
}

type unpacked struct {
	io.Reader
	z *zstd.Decoder
	f *os.File
}

// Close closes the file.
func (u *unpacked) Close() error {
	u.z.Close()
	return u.f.Close()
}
