package control

import (
	"bytes"
	"encoding/json"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"bulkhead/vswitch/control/api"
)

var rewrite = flag.Bool("rewrite", false, "write what the code says into api/openapi.json")

const specFile = "api/openapi.json"

// object is a JSON object under construction; its keys are written in order.
type object = map[string]any

// describer makes the API's description of the table of calls, of package api's
// types by reflection, and of their comments.
type describer struct {
	t        *testing.T
	comments map[string]string // by Type and Type.Field
	schemas  object
}

// commentsOf reads the comments of package api.
func commentsOf(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	files, err := filepath.Glob("api/*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("package api: %d files, %v", len(files), err)
	}
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.TYPE {
				continue
			}
			spec := g.Specs[0].(*ast.TypeSpec)
			out[spec.Name.Name] = oneLine(g.Doc)
			if s, ok := spec.Type.(*ast.StructType); ok {
				for _, field := range s.Fields.List {
					out[spec.Name.Name+"."+field.Names[0].Name] = oneLine(field.Doc)
				}
			}
		}
	}
	return out
}

func oneLine(c *ast.CommentGroup) string { return strings.Join(strings.Fields(c.Text()), " ") }

// schema describes a type; structs by reference.
func (d *describer) schema(t reflect.Type) object {
	switch t.Kind() {
	case reflect.Pointer:
		return d.schema(t.Elem())
	case reflect.Slice:
		return object{"type": "array", "items": d.schema(t.Elem())}
	case reflect.Map:
		return object{"type": "object", "additionalProperties": d.schema(t.Elem())}
	case reflect.String:
		return object{"type": "string"}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Float64:
		return object{"type": "number"}
	case reflect.Int:
		return object{"type": "integer"}
	case reflect.Uint8, reflect.Uint16, reflect.Uint32:
		return object{"type": "integer", "minimum": 0, "maximum": 1<<t.Bits() - 1}
	case reflect.Uint64:
		return object{"type": "integer", "minimum": 0}
	case reflect.Struct:
		if t == reflect.TypeFor[time.Time]() {
			return object{"type": "string", "format": "date-time"}
		}
		d.component(t)
		return object{"$ref": "#/components/schemas/" + t.Name()}
	}
	d.t.Fatalf("%s cannot be described", t)
	return nil
}

// component describes a struct once. A field that is not described fails.
func (d *describer) component(t reflect.Type) {
	if _, done := d.schemas[t.Name()]; done {
		return
	}
	properties, required := object{}, []string{}
	s := object{"type": "object", "description": d.comments[t.Name()], "properties": properties}
	d.schemas[t.Name()] = s
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		p := d.schema(f.Type)
		if p["description"] = d.comments[t.Name()+"."+f.Name]; p["description"] == "" || name == "" {
			d.t.Errorf("%s.%s has no comment or no JSON name", t.Name(), f.Name)
		}
		if enum := f.Tag.Get("enum"); enum != "" {
			p["enum"] = strings.Split(enum, ",")
		}
		properties[name] = p
		if options != "omitempty" {
			required = append(required, name)
		}
	}
	if len(required) > 0 {
		s["required"] = required
	}
}

// operation describes one call.
func (d *describer) operation(c *call) object {
	op := object{"summary": c.summary, "operationId": strings.ToLower(c.method) + strings.NewReplacer("/v1", "", "/", "-", ".", "-").Replace(c.path)}
	ok := object{"description": "Done."}
	switch {
	case c.stream != "":
		ok["content"] = object{c.stream: object{}}
	default:
		ok["content"] = object{"application/json": object{"schema": d.schema(c.out)}}
	}
	responses := object{"200": ok}
	for _, code := range slices.Sorted(maps.Keys(statusOf)) {
		responses[strconv.Itoa(statusOf[code])] = object{"$ref": "#/components/responses/" + string(code)}
	}
	op["responses"] = responses
	if c.in != nil {
		s := d.schema(c.in)
		d.schemas[c.in.Name()].(object)["additionalProperties"] = false
		op["requestBody"] = object{"required": true, "content": object{"application/json": object{"schema": s}}}
	}
	for _, p := range c.query {
		op["parameters"] = append([]any{}, object{
			"name": p.name, "in": "query", "description": p.meaning,
			"schema": object{"type": "integer", "minimum": p.least, "maximum": p.most, "default": p.most},
		})
	}
	return op
}

// failures describes the errors, which every call may answer with.
func (d *describer) failures() object {
	all := object{}
	for code := range statusOf {
		all[string(code)] = object{
			"description": string(code), "content": object{"application/json": object{"schema": d.schema(reflect.TypeFor[api.Error]())}},
		}
	}
	return all
}

// describe makes the whole description.
func describe(t *testing.T) []byte {
	t.Helper()
	d := &describer{t: t, comments: commentsOf(t), schemas: object{}}
	paths := object{}
	for _, c := range calls(&fake{}) {
		if paths[c.path] == nil {
			paths[c.path] = object{}
		}
		paths[c.path].(object)[strings.ToLower(c.method)] = d.operation(&c)
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetIndent("", " ")
	enc.SetEscapeHTML(false)
	if err := enc.Encode(object{
		"openapi": "3.1.0",
		"info": object{"title": "Bulkhead control API", "version": "1", "description": "HTTP with JSON on the control socket of vswitchd. See docs/api.md.",
			"license": object{"name": "Apache-2.0", "identifier": "Apache-2.0"}},
		"servers":    []any{object{"url": "http://vswitchd", "description": "The host's name means nothing: the socket is a file."}},
		"paths":      paths,
		"components": object{"schemas": d.schemas, "responses": d.failures()},
	}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// The description that is served is what the code says, call by call and field
// by field.
func TestOpenAPIIsWhatTheCodeSays(t *testing.T) {
	want := describe(t)
	if *rewrite {
		if err := os.WriteFile(specFile, want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(api.OpenAPI, want) {
		t.Errorf("%s is not what the code says; write it with go test ./vswitch/control -run OpenAPI -rewrite and read the difference", specFile)
	}
}

// docs/api.md has a row for each call, and no other.
func TestManualListsEveryCall(t *testing.T) {
	b, err := os.ReadFile("../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, c := range calls(&fake{}) {
		n++
		if row := "| `" + c.method + " " + c.path + "` | " + c.summary + " |"; !strings.Contains(string(b), row) {
			t.Errorf("the manual has no row %s", row)
		}
	}
	if rows := strings.Count(string(b), "| `GET ") + strings.Count(string(b), "| `POST "); rows != n {
		t.Errorf("%d rows, %d calls", rows, n)
	}
	for code, status := range statusOf {
		if !strings.Contains(string(b), "| "+strconv.Itoa(status)+" | `"+string(code)+"` |") || http.StatusText(status) == "" {
			t.Errorf("the manual has no row for %d %s", status, code)
		}
	}
}
