package helper

import (
	"encoding/json"
	"fmt"

	"bulkhead/vswitch/config"
)

// files is what the configuration file has said to the helper: the ports that may be
// opened. The last two readings count, for the switch may hold on to the one before:
// a reload that fails half-way opens again what it had closed.
type files struct {
	load     func() (*config.Config, error)
	readings [2]reading // the last one first
}

// reading is the ports of one reading, by what their devices are made of.
type reading map[string]allowed

// allowed is a port that may be opened, with the helper's own words for it.
type allowed struct {
	port    config.Port
	segment *config.Segment
	vtep    *config.VTEP
}

// read reads the file. One that cannot be read leaves what was.
func (f *files) read() (*config.Config, error) {
	cfg, err := f.load()
	if err != nil {
		return nil, err
	}
	r := reading{}
	for i := range cfg.Ports {
		c := &cfg.Ports[i]
		s := cfg.Segment(c.Segment)
		r[key(wantOf(c, s, cfg.VTEP))] = allowed{*c, s, cfg.VTEP}
	}
	f.readings = [2]reading{r, f.readings[0]}
	return cfg, nil
}

// find finds a port that the switch wants in the file, which is read again if it has
// none such. How many queues it has is the switch's affair: they follow its workers.
func (f *files) find(w *want) (*allowed, error) {
	k := key(*w)
	if a, found := f.known(k); found {
		return a, nil
	}
	if _, err := f.read(); err != nil {
		return nil, fmt.Errorf("port %q is not in the configuration as the port helper knows it, and that cannot be read again: %w", w.Port.Name, err)
	}
	if a, found := f.known(k); found {
		return a, nil
	}
	return nil, fmt.Errorf("port %q as it is wanted is not in the configuration file, which the port helper goes by: reload once the file is as it should be", w.Port.Name)
}

func (f *files) known(k string) (*allowed, bool) {
	for _, r := range f.readings {
		if a, found := r[k]; found {
			return &a, true
		}
	}
	return nil, false
}

// key is a port as text, without its queues.
func key(w want) string {
	w.Port.Queues = 0
	text, _ := json.Marshal(w) // of plain values
	return string(text)
}
