package config_test

import (
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"

	"bulkhead/vswitch/config"
)

// fileKey is one key that the file can have, by reflection.
type fileKey struct{ path, kind string }

func fileKeys() []fileKey { return keysUnder("", config.FileType) }

func keysUnder(table string, t reflect.Type) (all []fileKey) {
	for i := range t.NumField() {
		f := t.Field(i)
		path, ft := strings.TrimPrefix(table+"."+f.Tag.Get("toml"), "."), f.Type
		for ft.Kind() == reflect.Pointer || ft.Kind() == reflect.Slice && ft.Elem().Kind() == reflect.Struct {
			if ft.Kind() == reflect.Slice {
				path += "[]"
			}
			ft = ft.Elem()
		}
		if ft.Kind() == reflect.Struct {
			all = append(all, keysUnder(path, ft)...)
			continue
		}
		all = append(all, fileKey{path, map[reflect.Kind]string{
			reflect.String: "text", reflect.Int: "whole number", reflect.Bool: "true or false",
			reflect.Slice: "list of texts", reflect.Map: "table of texts",
		}[ft.Kind()]})
	}
	return all
}

// with writes a file that sets one key, and the path that mistakes name.
func with(key, value string) (text, path string) {
	table, last := "", key
	if i := strings.LastIndex(key, "."); i >= 0 {
		table, last = key[:i], key[i+1:]
	}
	switch {
	case table == "":
		text = ""
	case strings.HasSuffix(table, "[]"):
		text = "[[" + strings.TrimSuffix(table, "[]") + "]]\n"
	default:
		text = "[" + table + "]\n"
	}
	return text + last + " = " + value + "\n", strings.Replace(key, "[]", "[0]", 1)
}

// mistakesAt returns what is said of a path.
func mistakesAt(text, path string) (at []config.Mistake) {
	_, err := config.Parse("f.toml", []byte(text))
	all, _ := err.(config.Mistakes)
	for _, m := range all {
		if m.Key == path {
			at = append(at, m)
		}
	}
	return at
}

// Every key, given every type that it does not take, says so at the value.
func TestEveryKeyEveryWrongType(t *testing.T) {
	values := map[string][]string{
		"text": {`"x"`}, "whole number": {"7"}, "true or false": {"true"}, "list of texts": {`["x"]`}, "table of texts": {`{ a = "x" }`},
		"": {"1.5", "1979-05-27", "[[1]]", "{ a = { b = 1 } }"},
	}
	for _, k := range fileKeys() {
		for kind, texts := range values {
			for _, value := range texts {
				if kind == k.kind || k.kind == "list of texts" && value == "[[1]]" || k.kind == "table of texts" && kind == "" && value[0] == '{' {
					continue
				}
				text, path := with(k.path, value)
				got := mistakesAt(text, path)
				line := strings.Count(text, "\n")
				column := strings.Index(text[strings.LastIndex(text[:len(text)-1], "\n")+1:], value) + 1
				if len(got) != 1 || !strings.HasPrefix(got[0].Text, "takes ") || got[0].Line != line || got[0].Column != column {
					t.Errorf("%s: of %s it is said %+v; want one at %d:%d", strings.TrimSpace(text), path, got, line, column)
				}
			}
		}
	}
}

// Every key, misspelled, is told the right name, and not missed as well.
func TestEveryKeyMisspelled(t *testing.T) {
	for _, k := range fileKeys() {
		last := k.path[strings.LastIndex(k.path, ".")+1:]
		wrong := last[:len(last)-1] + "x" + last[len(last)-1:]
		text, path := with(strings.TrimSuffix(k.path, last)+wrong, "1")
		got := mistakesAt(text, path)
		if len(got) != 1 || got[0].Text != "no such key" || !strings.Contains(got[0].Cure, fmt.Sprintf("%q", last)) {
			t.Errorf("%s: %+v", strings.TrimSpace(text), got)
		}
		if _, right := with(k.path, "1"); len(mistakesAt(text, right)) != 0 {
			t.Errorf("%s: %s is reported as well: %+v", strings.TrimSpace(text), right, mistakesAt(text, right))
		}
	}
}

// Every number is held in its bounds, and takes both ends of them.
func TestEveryNumberInItsBounds(t *testing.T) {
	for _, k := range fileKeys() {
		if k.kind != "whole number" {
			continue
		}
		r := config.Keys[k.path]
		for _, n := range []int{math.MinInt64, -1, 0, r.Least - 1, r.Most + 1, math.MaxInt64} {
			text, path := with(k.path, fmt.Sprint(n))
			got := mistakesAt(text, path)
			if n >= r.Least && n <= r.Most {
				continue
			}
			if len(got) == 0 || !strings.Contains(got[0].Text, "out of range") || !strings.Contains(got[0].Cure, fmt.Sprint(r.Most)) {
				t.Errorf("%s = %d: %+v", k.path, n, got)
			}
		}
		for _, n := range []int{r.Least, r.Most} {
			text, path := with(k.path, fmt.Sprint(n))
			for _, m := range mistakesAt(text, path) {
				if strings.Contains(m.Text, "out of range") {
					t.Errorf("%s = %d is refused: %v", k.path, n, m)
				}
			}
		}
	}
}
