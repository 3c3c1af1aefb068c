package classbench

import (
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
		return nil, err
	}
	return &unpacked{io.LimitReader(z, maxText), z, f}, nil
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
