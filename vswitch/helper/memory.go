package helper

import (
	"fmt"

	"bulkhead/vswitch/internal/sys"
	"bulkhead/vswitch/port"
)

// memory is the switch's frame memory as the helper has it mapped: AF_XDP sockets
// are made over it. The helper itself neither reads it nor writes to it.
type memory struct {
	mem    []byte
	region *port.Region
	loans  port.Loans // drivers ask for it; nothing is received into it
}

// take maps the memory of a descriptor, and closes that. Sockets over memory that
// was there before keep it.
func (m *memory) take(fd int) error {
	mem, err := sys.MapDescriptor(fd)
	if err != nil {
		return err
	}
	region, err := port.NewRegion(mem)
	if err != nil {
		_ = sys.Unmap(mem)
		return fmt.Errorf("the switch's frame memory: %w", err)
	}
	m.unmap()
	m.mem, m.region = mem, region
	return nil
}

func (m *memory) unmap() {
	if m.mem != nil {
		_ = sys.Unmap(m.mem)
	}
	m.mem, m.region = nil, nil
}

func (m *memory) close() {
	m.unmap()
	m.loans.Close()
}
