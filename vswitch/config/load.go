package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/BurntSushi/toml"
)

// maxFile bounds a configuration file, in bytes.
const maxFile = 64 << 20

// Load reads and checks a configuration file. Relative paths in it are
// relative to it. The error is a Mistakes where the file could be read.
func Load(path string) (*Config, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w; name one with -c FILE", err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxFile {
		return nil, fmt.Errorf("configuration %s: not a regular file of at most %d bytes", path, maxFile)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	return Parse(path, data)
}

// Parse checks a configuration that was read from a file of that name.
func Parse(name string, data []byte) (*Config, error) {
	c := &checker{name: name, at: indexPositions(data)}
	var f file
	meta, err := toml.Decode(string(data), &f)
	var syntax toml.ParseError
	switch {
	case errors.As(err, &syntax):
		c.mistakes = append(c.mistakes, Mistake{File: name, Line: syntax.Position.Line, Column: syntax.Position.Col, Text: syntax.Message})
		return nil, c.mistakes
	case err != nil:
		c.mistakes = append(c.mistakes, Mistake{File: name, Line: 1, Column: 1, Text: err.Error()})
		return nil, c.mistakes
	}
	for _, key := range meta.Undecoded() {
		c.unknownKey(key)
	}
	cfg := c.check(&f, filepath.Dir(name))
	if len(c.mistakes) > 0 {
		c.mistakes.sort()
		return nil, c.mistakes
	}
	return cfg, nil
}
