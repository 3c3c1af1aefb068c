package lsp

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// MaxMessage bounds a message, in bytes; a longer one is read past and refused.
const MaxMessage = 32 << 20

// maxHeader bounds the lines before a message.
const maxHeader = 4 << 10

// errFrame is what is wrong with one message; the next can be read.
var errFrame = errors.New("not a message")

// readFrame reads the next message: lines of a header, one of which is the
// length, an empty line, and that many bytes. io.EOF is the end.
func readFrame(r *bufio.Reader) ([]byte, error) {
	length, err := readHeader(r)
	if err != nil {
		return nil, err
	}
	if length > MaxMessage {
		if _, err := io.CopyN(io.Discard, r, length); err != nil {
			return nil, io.EOF
		}
		return nil, fmt.Errorf("%w: %d bytes, more than %d", errFrame, length, MaxMessage)
	}
	var body bytes.Buffer // it grows with what comes, not with what was said
	if _, err := io.CopyN(&body, r, length); err != nil {
		return nil, io.EOF
	}
	return body.Bytes(), nil
}

// readHeader returns the length that a header states. A header without one is
// an error behind its empty line, where the next message may begin; empty lines
// before a header are nothing.
func readHeader(r *bufio.Reader) (int64, error) {
	length, size, begun := int64(-1), 0, false
	for {
		line, err := readLine(r)
		if err != nil {
			return 0, err
		}
		size += len(line)
		switch {
		case line != "":
			begun = true
		case begun:
			return stated(length)
		}
		name, value, _ := strings.Cut(line, ":")
		if strings.EqualFold(strings.TrimSpace(name), "content-length") {
			length, err = strconv.ParseInt(strings.TrimSpace(value), 10, 64)
			if err != nil {
				length = -1
			}
		}
		if size > maxHeader {
			return 0, fmt.Errorf("%w: a header of more than %d bytes", errFrame, maxHeader)
		}
	}
}

func stated(length int64) (int64, error) {
	if length < 0 {
		return 0, fmt.Errorf("%w: a header without a good Content-Length", errFrame)
	}
	return length, nil
}

// readLine reads a line of a header without its end; a long one in pieces, each
// as if it were a line.
func readLine(r *bufio.Reader) (string, error) {
	line, err := r.ReadSlice('\n')
	if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
		return "", io.EOF
	}
	return strings.TrimRight(string(line), "\r\n"), nil
}

// writeFrame writes a message.
func writeFrame(w io.Writer, body []byte) error {
	_, err := fmt.Fprintf(w, "Content-Length: %d\r\n\r\n%s", len(body), body)
	return err
}
