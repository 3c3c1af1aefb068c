package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/BurntSushi/toml"
)

// maxFile bounds a configuration file, in bytes: room for ten thousand ports.
const maxFile = 16 << 20

// Load reads and checks a configuration file. Relative paths in it are
// relative to it. The error is a Mistakes where the file could be read.
func Load(path string) (*Config, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w; name one with -c FILE", err)
	}
	// Before it is opened: to open a pipe is to wait for its writer.
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("configuration: %s is not a regular file; name one with -c FILE", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w; let the daemon's user read it", err)
	}
	defer f.Close()
	// Not by the size it says it has: it may grow meanwhile.
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("configuration: %w; is the disk in order?", err)
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("configuration: %s has more than the %d bytes a configuration may have; is it another file?", path, maxFile)
	}
	return Parse(path, data)
}

// Parse checks a configuration that was read from a file of that name. A text
// that is no TOML has one mistake, the first; any other has all of them.
func Parse(name string, data []byte) (*Config, error) {
	text := string(data)
	table := map[string]any{}
	if _, err := toml.Decode(text, &table); err != nil {
		return nil, Mistakes{notTOML(name, err)}
	}
	c := newChecker(name, findPlaces(text))
	if len(table) == 0 {
		c.wrong("", "add a segment and the ports on it, see docs/config.md", "the file says nothing")
	}
	var f file
	c.decodeTable("", table, reflect.ValueOf(&f).Elem())
	cfg := c.check(&f, filepath.Dir(name))
	if len(c.mistakes) > 0 {
		c.mistakes.sort()
		return nil, c.mistakes
	}
	return cfg, nil
}

// notTOML makes a mistake of the TOML package's error.
func notTOML(name string, err error) Mistake {
	m := Mistake{File: name, Line: 1, Column: 1, Text: err.Error(), Cure: "the file must be TOML (https://toml.io)"}
	var syntax toml.ParseError
	if errors.As(err, &syntax) {
		m.Line, m.Column, m.Text = max(1, syntax.Position.Line), max(1, syntax.Position.Col), strings.TrimSuffix(syntax.Message, ".")
	}
	return m
}
