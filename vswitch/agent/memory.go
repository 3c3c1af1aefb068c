package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"bulkhead/vswitch/agent/world"
)

// saved is what an agent remembers over a restart, so that one that starts while
// the store is away states what it stated before.
type saved struct {
	Schema  int
	Cluster string      // the cluster's id; empty: none was seen
	Store   uint64      // the etcd cluster's id
	View    *world.View // the last that was believed
	Memory  world.Memory
}

// maxSaved bounds the file, in bytes.
const maxSaved = 1 << 30

func (a *Agent) file() string { return filepath.Join(a.cfg.Dir, "state.json") }

// remember reads what was remembered. A file that cannot be read is an error, not a
// new beginning: which store is believed hangs on it.
func (a *Agent) remember() error {
	a.world = world.World{Me: a.cfg.Host, Grace: a.cfg.Grace}
	if err := os.MkdirAll(a.cfg.Dir, 0o750); err != nil {
		return err
	}
	info, err := os.Stat(a.file())
	if errors.Is(err, fs.ErrNotExist) {
		a.world.Start(nil)
		return nil
	}
	if err == nil && info.Size() > maxSaved {
		err = fmt.Errorf("it has %d bytes", info.Size())
	}
	var text []byte
	if err == nil {
		text, err = os.ReadFile(a.file())
	}
	if err == nil {
		err = json.Unmarshal(text, &a.saved)
	}
	if err == nil && a.saved.Schema != 1 {
		err = fmt.Errorf("it is of schema %d", a.saved.Schema)
	}
	if err != nil {
		return fmt.Errorf("what was remembered in %s: %w; remove it to begin anew, with any store", a.file(), err)
	}
	a.world.Memory = a.saved.Memory
	a.takeSaved()
	return nil
}

// takeSaved begins with the view that was believed last.
func (a *Agent) takeSaved() {
	v := a.saved.View
	if v == nil {
		a.world.Start(nil)
		return
	}
	a.taken, a.records = v, a.reader.Read(v)
	a.world.Start(a.records)
	if a.cfg.NewStore {
		a.saved.Cluster, a.saved.Store, a.saved.View = "", 0, nil
	}
}

// save writes what is to be remembered: whole or not at all.
func (a *Agent) save() error {
	if !a.dirty {
		return nil
	}
	a.saved.Schema, a.saved.Memory = 1, a.world.Memory
	text, err := json.Marshal(&a.saved)
	if err == nil {
		err = replaceFile(a.file(), text)
	}
	if err == nil {
		a.dirty = false
	}
	a.savedAt = time.Now()
	return err
}

// replaceFile writes a file so that whoever reads it finds the old or the new.
func replaceFile(path string, data []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	_, err = f.Write(data)
	if err = errors.Join(err, f.Chmod(0o640), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
