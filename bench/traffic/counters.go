package traffic

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

// udpCounters are those of a network namespace's UDP (SNMP's UDP-MIB) that
// tell why a datagram which arrived was not read.
type udpCounters struct{ overflow, badChecksum uint64 }

// readUDPCounters reads them in the namespace of the calling thread.
func readUDPCounters() (udpCounters, error) {
	text, err := os.ReadFile("/proc/thread-self/net/snmp")
	if err != nil {
		return udpCounters{}, err
	}
	return parseUDPCounters(string(text))
}

// parseUDPCounters finds them by their names: the kernel writes a line of names
// and below it a line of numbers, and adds columns with the years.
func parseUDPCounters(text string) (c udpCounters, err error) {
	var names, numbers []string
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		switch {
		case len(words) == 0 || words[0] != "Udp:":
		case names == nil:
			names = words
		default:
			numbers = words
		}
	}
	get := func(name string) (uint64, error) {
		at := slices.Index(names, name)
		if at < 0 || at >= len(numbers) {
			return 0, fmt.Errorf("/proc/net/snmp has no %s", name)
		}
		return strconv.ParseUint(numbers[at], 10, 64)
	}
	full, err1 := get("RcvbufErrors")
	memory, err2 := get("MemErrors")
	bad, err3 := get("InCsumErrors")
	return udpCounters{overflow: full + memory, badChecksum: bad}, errors.Join(err1, err2, err3)
}
