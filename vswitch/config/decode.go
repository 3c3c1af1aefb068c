package config

import (
	"fmt"
	"math"
	"reflect"
	"strings"
	"time"
)

// decode puts a value of the TOML package into a field of file, and notes
// every unknown key and every value of the wrong type; the TOML package itself
// would stop at the first.
func (c *checker) decode(path string, in any, out reflect.Value) {
	c.set[path] = true
	switch out.Kind() {
	case reflect.Pointer:
		out.Set(reflect.New(out.Type().Elem()))
		c.decode(path, in, out.Elem())
	case reflect.Struct:
		if table, fits := in.(map[string]any); fits {
			c.decodeTable(path, table, out)
			return
		}
		c.wrongType(path, in, "a table", fmt.Sprintf("write it as [%s] with its keys below", path))
	case reflect.Slice:
		c.decodeList(path, in, out)
	case reflect.Map:
		c.decodeTexts(path, in, out)
	default:
		c.decodeScalar(path, in, out)
	}
}

// decodeTable reads the keys of a table.
func (c *checker) decodeTable(path string, table map[string]any, out reflect.Value) {
	fields := map[string]int{}
	for i := range out.NumField() {
		fields[out.Type().Field(i).Tag.Get("toml")] = i
	}
	for key, in := range table {
		if i, known := fields[key]; known {
			c.decode(under(path, key), in, out.Field(i))
			continue
		}
		c.unknownKey(path, key, out.Type())
	}
}

// unknownKey notes a key that nothing reads. The key that it seems to mean is
// not also reported as missing.
func (c *checker) unknownKey(table, key string, t reflect.Type) {
	var names []string
	for i := range t.NumField() {
		names = append(names, t.Field(i).Tag.Get("toml"))
	}
	path := under(table, key)
	at := c.places.keyOf(path)
	cure := "the keys here are " + strings.Join(names, ", ")
	if name := near(key, names); name != "" {
		cure = fmt.Sprintf("did you mean %q?", name)
		c.silent[under(table, name)] = true
	}
	c.mistakes = append(c.mistakes, Mistake{File: c.name, Line: at.line, Column: at.column, Key: path, Text: "no such key", Cure: cure})
}

// decodeList reads [a, b] and [[tables]]. An element of the wrong type keeps
// its place, so that the others keep their numbers.
func (c *checker) decodeList(path string, in any, out reflect.Value) {
	list := reflect.ValueOf(in)
	if list.Kind() != reflect.Slice {
		cure := `write it in brackets, as ["a", "b"]`
		if out.Type().Elem().Kind() == reflect.Struct {
			cure = fmt.Sprintf("write [[%s]], with two brackets, before each", path)
		}
		c.wrongType(path, in, "a list", cure)
		return
	}
	out.Set(reflect.MakeSlice(out.Type(), list.Len(), list.Len()))
	for i := range list.Len() {
		c.decode(fmt.Sprintf("%s[%d]", path, i), list.Index(i).Interface(), out.Index(i))
	}
}

// decodeTexts reads a table of texts: labels.
func (c *checker) decodeTexts(path string, in any, out reflect.Value) {
	table, fits := in.(map[string]any)
	if !fits {
		c.wrongType(path, in, "a table of texts", `write it as { app = "shop", tier = "web" }`)
		return
	}
	texts := map[string]string{}
	for key, value := range table {
		text := reflect.New(reflect.TypeFor[string]()).Elem()
		c.decode(under(path, key), value, text)
		texts[key] = text.String()
	}
	out.Set(reflect.ValueOf(texts))
}

// decodeScalar reads a text, a whole number or a truth.
func (c *checker) decodeScalar(path string, in any, out reflect.Value) {
	switch v := in.(type) {
	case string:
		if out.Kind() == reflect.String {
			out.SetString(v)
			return
		}
	case int64:
		if out.Kind() == reflect.Int && v >= math.MinInt && v <= math.MaxInt {
			out.SetInt(v)
			return
		}
	case bool:
		if out.Kind() == reflect.Bool {
			out.SetBool(v)
			return
		}
	}
	switch out.Kind() {
	case reflect.String:
		c.wrongType(path, in, "a text", "write one text in quotes")
	case reflect.Bool:
		c.wrongType(path, in, "true or false", "write it without quotes")
	default:
		c.wrongType(path, in, "a whole number", "write it without quotes and without a fraction")
	}
}

// wrongType notes a value of the wrong type; nothing more is said of it.
func (c *checker) wrongType(path string, in any, want, cure string) {
	c.wrong(path, cure, "takes %s, not %s", want, typeName(in))
	c.silent[path] = true
}

// typeName is what people call the type of a TOML value.
func typeName(in any) string {
	switch in.(type) {
	case string:
		return "a text"
	case int64:
		return "a whole number"
	case float64:
		return "a number with a fraction"
	case bool:
		return "true or false"
	case time.Time:
		return "a date"
	case map[string]any:
		return "a table"
	}
	return "a list"
}
