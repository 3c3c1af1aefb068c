package main

import (
	"encoding/binary"
	"fmt"
	"os"
)

// comments is a command of the scripts: it prints a line for each frame of a
// pcapng file: the port, how much of it there is, and its comment.
func comments() {
	b, err := os.ReadFile(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var ports []string
	for len(b) >= 12 {
		kind, n := binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:])
		body := b[8 : n-4]
		switch kind {
		case 1: // interface
			ports = append(ports, option(body[8:], 2))
		case 6: // enhanced packet
			kept, length := binary.LittleEndian.Uint32(body[12:]), binary.LittleEndian.Uint32(body[16:])
			fmt.Printf("%s: %d of %d bytes: %s\n", ports[binary.LittleEndian.Uint32(body)], kept, length, option(body[20+(kept+3)/4*4:], 1))
		}
		b = b[n:]
	}
}

// option returns the text of a block's option.
func option(b []byte, code uint16) string {
	for len(b) >= 4 {
		n := binary.LittleEndian.Uint16(b[2:])
		if binary.LittleEndian.Uint16(b) == code {
			return string(b[4 : 4+n])
		}
		b = b[4+(int(n)+3)/4*4:]
	}
	return ""
}
