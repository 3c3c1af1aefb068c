package config

import (
	"fmt"
	"strings"
)

// position is where a key stands: line and column, from 1.
type position struct{ line, column int }

// indexPositions finds the line of every table and key of a TOML file, by the
// path that mistakes name: "ports[1].mac". The TOML package checks the syntax
// but tells no places, so this is a reader of lines, not of TOML: what it does
// not find (a key inside an inline table, a value over several lines) is
// placed at the nearest table or key before it.
func indexPositions(data []byte) map[string]position {
	at := map[string]position{}
	count := map[string]int{}
	table := ""
	inText := "" // the delimiter of a multi-line string that is open
	for i, line := range strings.Split(string(data), "\n") {
		text := strings.TrimSpace(line)
		if inText != "" {
			if strings.Contains(text, inText) {
				inText = ""
			}
			continue
		}
		column := len(line) - len(strings.TrimLeft(line, " \t")) + 1
		switch {
		case strings.HasPrefix(text, "[["):
			name := strings.Trim(strings.SplitN(text, "]]", 2)[0], "[ \t")
			table = fmt.Sprintf("%s[%d]", name, count[name])
			count[name]++
			at[table] = position{i + 1, column}
		case strings.HasPrefix(text, "["):
			table = strings.Trim(strings.SplitN(text, "]", 2)[0], "[ \t")
			at[table] = position{i + 1, column}
		default:
			key, value, isKey := strings.Cut(text, "=")
			if !isKey || strings.HasPrefix(text, "#") {
				continue
			}
			path := strings.Trim(strings.TrimSpace(key), `"'`)
			if table != "" {
				path = table + "." + path
			}
			if _, seen := at[path]; !seen {
				at[path] = position{i + 1, column}
			}
			for _, delimiter := range []string{`"""`, "'''"} {
				if strings.Count(value, delimiter) == 1 {
					inText = delimiter
				}
			}
		}
	}
	return at
}

// find returns where a path stands, or its nearest parent.
func find(at map[string]position, path string) position {
	for path != "" {
		if p, found := at[path]; found {
			return p
		}
		cut := strings.LastIndexAny(path, ".[")
		if cut < 0 {
			break
		}
		path = path[:cut]
	}
	return position{1, 1}
}
