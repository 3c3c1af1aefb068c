package lsp

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bulkhead/policyc/compile"
)

const doc = "untitled:policy"

const good = `version = 1
[services.web]
labels = { app = "shop", tier = "web" }
[services.db]
labels = { app = "shop", tier = "db" }
[networks.office]
cidrs = ["192.0.2.0/24"]
[[rules]]
name = "web-to-db"
allow = { from = ["web", "office"], to = ["db"], ports = ["tcp/5432"] }
[[tests]]
name = "t"
from = "web"
to = "db"
port = "tcp/5432"
expect = "allow"
`

func TestLifecycle(t *testing.T) {
	c := begin(t)
	if r := c.ask("textDocument/hover", at(doc, 0, 0)); r.Error == nil || r.Error.Code != codeNotInitialized {
		t.Errorf("before initialize: %+v", r)
	}
	if got := c.call("initialize", `{}`); !strings.Contains(got, `"positionEncoding":"utf-16"`) {
		t.Errorf("capabilities: %s", got)
	}
	if r := c.ask("initialize", `{}`); r.Error == nil || r.Error.Code != codeInvalid {
		t.Errorf("initialize twice: %+v", r)
	}
	c.open(doc, good)
	if n := len(c.findings[doc].Diagnostics); n != 0 {
		t.Errorf("%d findings: %+v", n, c.findings[doc])
	}
	if got := c.call("shutdown", `null`); got != "null" {
		t.Errorf("shutdown: %s", got)
	}
	if r := c.ask("textDocument/hover", at(doc, 0, 0)); r.Error == nil || r.Error.Code != codeInvalid {
		t.Errorf("after shutdown: %+v", r)
	}
	c.tell("exit", `null`)
	if orderly := <-c.ended; !orderly {
		t.Error("the end was not orderly")
	}
}

func TestAnEditorThatJustGoes(t *testing.T) {
	c := connect(t)
	c.to.Close()
	if orderly := <-c.ended; orderly {
		t.Error("the end was orderly without shutdown")
	}
}

// Every finding of check comes, at its place in UTF-16, with its cure and its
// notes; and goes when the mistake does.
func TestFindings(t *testing.T) {
	c := connect(t)
	c.open(doc, "version = 1\n# 😀é\n[services.a]\nlabels = { \"😀\" = \"x\", app = 3 }\n[services.a]\n")
	found := c.findings[doc].Diagnostics
	if len(found) != 1 || found[0].Severity != 1 || found[0].Range.Start != (position{4, 10}) || len(found[0].Related) != 1 ||
		found[0].Related[0].Location.Range.Start != (position{2, 10}) || !strings.Contains(found[0].Message, "\ncure: ") {
		t.Fatalf("defined twice: %+v", found)
	}
	c.change(2, `{"text": "version = 1\n[services.a]\nlabels = { \"😀\" = \"x\", app = 3 }\n"}`)
	found = c.published(doc, 2)
	if len(found) != 1 || found[0].Range != (span{position{2, 30 - 7}, position{2, 24 + 0}}) && found[0].Range.Start.Line != 2 {
		t.Fatalf("a wrong type: %+v", found)
	}
	if want := (position{2, len(`labels = { "..` + `" = "x", app = `)}); found[0].Range.Start != want {
		t.Errorf("at %v, want %v", found[0].Range.Start, want)
	}
	c.change(3, `{"text": "version = 1\n[services.a]\nlabels = { a = \"1\" }\n"}`)
	if found = c.published(doc, 3); len(found) != 1 || found[0].Severity != 2 {
		t.Errorf("a service that no rule names: %+v", found)
	}
	c.tell("textDocument/didClose", fmt.Sprintf(`{"textDocument": {"uri": %q}}`, doc))
	for c.findings[doc].Version != nil {
		c.next()
	}
	if n := len(c.findings[doc].Diagnostics); n != 0 {
		t.Errorf("%d findings of a closed document", n)
	}
}

func (c *client) change(version int, changes ...string) {
	c.t.Helper()
	c.tell("textDocument/didChange", fmt.Sprintf(`{"textDocument": {"uri": %q, "version": %d}, "contentChanges": [%s]}`, doc, version, strings.Join(changes, ", ")))
}

// Changes of ranges, one after the other, come to what the editor shows.
func TestIncrementalChanges(t *testing.T) {
	c := connect(t)
	c.open(doc, good)
	c.change(2, `{"range": {"start": {"line": 9, "character": 19}, "end": {"line": 9, "character": 22}}, "text": "😀w"}`,
		`{"range": {"start": {"line": 9, "character": 19}, "end": {"line": 9, "character": 21}}, "text": "v"}`)
	found := c.published(doc, 2)
	if len(found) != 1 || found[0].Range != (span{position{9, 18}, position{9, 22}}) || !strings.Contains(found[0].Message, `no service or network is called "vw"`) {
		t.Fatalf("%+v", found)
	}
	c.change(3, `{"range": {"start": {"line": 9, "character": 19}, "end": {"line": 9, "character": 21}}, "text": "web"}`)
	if found = c.published(doc, 3); len(found) != 0 {
		t.Errorf("%+v", found)
	}
	c.change(4, `{"range": {"start": {"line": 99, "character": 0}, "end": {"line": -1, "character": 7}}, "text": ""}`)
	if found = c.published(doc, 4); len(found) != 1 {
		t.Errorf("an empty text: %+v", found)
	}
}

func TestCompletion(t *testing.T) {
	for _, k := range []struct{ situation, before, want, not string }{
		{"names_in_from", "[[rules]]\nallow = { from = [\"", `"web"`, `"tcp"`},
		{"names_begun", "[[rules]]\nallow = { from = [\"web\"], to = [\"d", `"db"`, `"web"`},
		{"networks_too", "[[rules]]\nallow = { from = [\"o", `"office"`, `"db"`},
		{"names_on_a_later_line", "[[rules]]\nallow.from = [\n  \"web\", # \"x\n  \"", `"db"`, `"tcp"`},
		{"host", "[[rules]]\nallow = { from = [\"ho", `"host"`, `"any"`},
		{"outside", "[[rules]]\nallow = { from = [\"ou", `"outside"`, `"host"`},
		{"names_in_a_test", "[[tests]]\nto = \"", `"any"`, `"tcp"`},
		{"protocols", "[[rules]]\nallow = { from = [\"web\"], to = [\"db\"], ports = [\"", `"icmp/echo"`, `"web"`},
		{"protocol_of_a_test", "[[tests]]\nport = \"t", `"tcp"`, `"udp"`},
		{"verdicts", "[[tests]]\nexpect = \"", `"deny"`, `"web"`},
		{"keys_of_a_rule", "[[rules]]\nna", `"name"`, `"cidrs"`},
		{"keys_of_a_clause", "[[rules]]\nallow = { ", `"ports"`, `"cidrs"`},
		{"keys_behind_a_comma", "[[rules]]\nallow = { from = [\"web\"], t", `"to"`, `"name"`},
		{"keys_of_a_network", "[networks.n]\n", `"except"`, `"labels"`},
		{"keys_of_the_file", "v", `"version"`, `"labels"`},
		{"nothing_in_a_header", "[services.w", `[]`, `"label"`},
		{"nothing_in_a_name", "[[rules]]\nname = \"w", `[]`, `"label"`},
	} {
		t.Run(k.situation, func(t *testing.T) {
			c := connect(t)
			text := k.before + "\n" + good
			if k.situation != "keys_of_the_file" {
				text = good + k.before
			}
			c.open(doc, text)
			d := newDocument(doc, 1, text)
			p := d.position(len(k.before))
			if k.situation != "keys_of_the_file" {
				p = d.position(len(text))
			}
			got := c.call("textDocument/completion", at(doc, p.Line, p.Character))
			if !strings.Contains(got, k.want) || strings.Contains(got, k.not) {
				t.Errorf("got %s, want %s and not %s", got, k.want, k.not)
			}
		})
	}
}

// Each key that is proposed is one: check knows it.
func TestProposedKeysAreKeys(t *testing.T) {
	for path, names := range keys {
		table, inner, _ := strings.Cut(path, ".")
		for _, name := range names {
			text := fmt.Sprintf("version = 1\n[%s.x]\n%s = 0\n", table, name)
			switch {
			case table == "":
				text = name + " = 0\n"
			case table == "scope":
				text = fmt.Sprintf("version = 1\n[scope]\n%s = 0\n", name)
			case table == "rules" || table == "tests":
				text = fmt.Sprintf("version = 1\n[[%s]]\n%s = 0\n", table, name)
				if inner != "" {
					text = fmt.Sprintf("version = 1\n[[%s]]\n%s = { %s = 0 }\n", table, inner, name)
				}
			}
			_, findings := compile.Check([]compile.Source{{Name: "p", Text: []byte(text)}})
			for _, f := range findings.All() {
				if strings.Contains(f.Message, "has no key") {
					t.Errorf("%s: %s", path, f.Message)
				}
			}
		}
	}
}

func TestHover(t *testing.T) {
	c := connect(t)
	c.open(doc, good)
	for _, k := range []struct {
		situation       string
		line, character int
		want            string
	}{
		{"a_service_that_is_used", 9, 20, "```toml\\n[services.web]\\nlabels = { app = \\\"shop\\\", tier = \\\"web\\\" }\\n```\\nnamed in 2 places"},
		{"where_it_is_defined", 1, 12, "named in 2 places"},
		{"a_network", 9, 28, "cidrs = [\\\"192.0.2.0/24\\\"]"},
		{"a_rule", 8, 10, "**web** or **office** may connect to **db** on **tcp/5432**"},
		{"a_port", 14, 9, "tcp/5432"},
	} {
		if got := c.call("textDocument/hover", at(doc, k.line, k.character)); !strings.Contains(got, k.want) {
			t.Errorf("%s: %s, want %s", k.situation, got, k.want)
		}
	}
	if got := c.call("textDocument/hover", at(doc, 0, 1)); got != "null" {
		t.Errorf("a key: %s", got)
	}
}

func TestDefinitionAndReferences(t *testing.T) {
	c := connect(t)
	c.open(doc, good)
	want := `[{"uri":"untitled:policy","range":{"start":{"line":1,"character":10},"end":{"line":1,"character":13}}}]`
	if got := c.call("textDocument/definition", at(doc, 12, 9)); got != want {
		t.Errorf("definition: %s", got)
	}
	if got := c.call("textDocument/references", at(doc, 12, 9)); strings.Count(got, "uri") != 3 {
		t.Errorf("references: %s", got)
	}
	if got := c.call("textDocument/definition", at(doc, 8, 9)); got != "null" {
		t.Errorf("definition of a rule's name: %s", got)
	}
}

// A policy of two files: names are found, renamed and checked over both, the
// one that is open as it stands in the editor.
func TestSeveralFiles(t *testing.T) {
	dir := t.TempDir()
	services, rules := filepath.Join(dir, "services.toml"), filepath.Join(dir, "rules.toml")
	write(t, services, "version = 1\n[services.web]\nlabels = { a = \"1\" }\n")
	write(t, rules, "version = 1\n[[rules]]\nname = \"r\"\nallow = { from = [\"web\"], to = [\"web\"], ports = [\"any\"] }\n")
	c := connect(t, services, rules)
	uri := uriOf(rules)
	c.open(uri, "version = 1\n[[rules]]\nname = \"r\"\nallow = { from = [\"web\"], to = [\"wbe\"], ports = [\"any\"] }\n")
	if found := c.findings[uri].Diagnostics; len(found) != 1 || !strings.Contains(found[0].Message, `did you mean "web"`) {
		t.Errorf("%+v", found)
	}
	edit := c.call("textDocument/rename", strings.Replace(at(uri, 3, 20), `{"text`, `{"newName": "front.end", "text`, 1))
	for _, want := range []string{uriOf(services), `"newText":"\"front.end\""`, `{"line":1,"character":10}`, `{"line":3,"character":18}`} {
		if !strings.Contains(edit, want) {
			t.Errorf("no %s in %s", want, edit)
		}
	}
	for name, want := range map[string]string{"any": "built-in", "9": "is no name", "": "is no name"} {
		r := c.ask("textDocument/rename", strings.Replace(at(uri, 3, 20), `{"text`, fmt.Sprintf(`{"newName": %q, "text`, name), 1))
		if r.Error == nil || !strings.Contains(r.Error.Message, want) {
			t.Errorf("rename to %q: %+v", name, r)
		}
	}
	if got := c.call("textDocument/prepareRename", at(uri, 3, 34)); got != "null" {
		t.Errorf("a name that is not defined can be renamed: %s", got)
	}
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestRenameIsRefusedForATakenName(t *testing.T) {
	c := connect(t)
	c.open(doc, good)
	r := c.ask("textDocument/rename", strings.Replace(at(doc, 12, 9), `{"text`, `{"newName": "db", "text`, 1))
	if r.Error == nil || r.Error.Message != `"db" is already defined` {
		t.Errorf("%+v", r)
	}
}

func TestFormatting(t *testing.T) {
	c := connect(t)
	c.open(doc, "version=1\n[services.a]\nlabels={a=\"1\"}\n")
	got := c.call("textDocument/formatting", fmt.Sprintf(`{"textDocument": {"uri": %q}, "options": {}}`, doc))
	if want := `version = 1\n\n[services.a]\nlabels = { a = \"1\" }\n`; !strings.Contains(got, want) || !strings.Contains(got, `"end":{"line":3,"character":0}`) {
		t.Errorf("got %s", got)
	}
	c.change(2, `{"text": "x = ["}`)
	if got := c.call("textDocument/formatting", fmt.Sprintf(`{"textDocument": {"uri": %q}}`, doc)); got != "[]" {
		t.Errorf("what is no TOML: %s", got)
	}
}

func TestBadRequestsAreAnswered(t *testing.T) {
	c := connect(t)
	for body, want := range map[string]int{
		`{"jsonrpc": "2.0", "id": 7, "method": "no/such"}`:                                   codeNoMethod,
		`{"jsonrpc": "2.0", "id": "x", "method": "textDocument/hover", "params": 3}`:         codeParams,
		`{"jsonrpc": "2.0", "id": 7, "method": "textDocument/hover", "params": {}}`:          codeParams,
		`{"jsonrpc": "2.0", "id": 7, "method": "textDocument/rename", "params": {"x": "y"}}`: codeParams,
		`{"jsonrpc": "1.0", "id": 7, "method": "shutdown"}`:                                  codeInvalid,
		`{"jsonrpc": "2.0", "id": {}, "method": "shutdown"}`:                                 codeInvalid,
		`{"jsonrpc": "2.0", "id": 7}`:                                                        codeInvalid,
		`[]`:                                                                                 codeInvalid,
		`{`:                                                                                  codeParse,
		``:                                                                                   codeParse,
		"\xff\xfe":                                                                           codeParse,
		strings.Repeat("[", 1<<16):                                                           codeParse,
	} {
		c.send(body)
		if r := c.answer(); r.Error == nil || r.Error.Code != want {
			t.Errorf("%.40s: %+v, want %d", body, r.Error, want)
		}
	}
	c.tell("no/such", `{}`) // notifications that are not known mean nothing
	c.send(`{"jsonrpc": "2.0", "id": 1, "result": null}`)
	if got := c.call("shutdown", `{}`); got != "null" {
		t.Errorf("it goes on: %s", got)
	}
}

// Two scopes may each have a web: what is found and renamed is the one of the
// scope that the cursor is in, and as others call it.
func TestScopesAreNotMixed(t *testing.T) {
	dir := t.TempDir()
	shop, pay, all := filepath.Join(dir, "shop.toml"), filepath.Join(dir, "pay.toml"), filepath.Join(dir, "all.toml")
	for name, file := range map[string]string{"shop": shop, "pay": pay} {
		write(t, file, fmt.Sprintf("version = 1\n[scope]\nname = %q\nlabels = { tenant = %q }\n[services.web]\nlabels = { tier = \"web\" }\n"+
			"[[rules]]\nname = \"r\"\nallow = { from = [\"web\"], to = [\"any\"], ports = [\"any\"] }\n", name, name))
	}
	text := "version = 1\n[[rules]]\nname = \"r\"\nallow = { from = [\"shop/web\"], to = [\"pay/web\"], ports = [\"any\"] }\n"
	write(t, all, text)
	c := connect(t, shop, pay, all)
	c.open(uriOf(all), text)
	got := c.call("textDocument/definition", at(uriOf(all), 3, 20))
	if strings.Count(got, "uri") != 1 || !strings.Contains(got, uriOf(shop)) {
		t.Errorf("definition of shop/web: %s", got)
	}
	body, err := os.ReadFile(shop)
	if err != nil {
		t.Fatal(err)
	}
	c.open(uriOf(shop), string(body))
	edit := c.call("textDocument/rename", strings.Replace(at(uriOf(shop), 4, 11), `{"text`, `{"newName": "front", "text`, 1))
	if strings.Contains(edit, uriOf(pay)) || strings.Count(edit, `"newText":"\"front\""`) != 1 || strings.Count(edit, `"newText":"front"`) != 1 || !strings.Contains(edit, `"newText":"\"shop/front\""`) {
		t.Errorf("rename: %s", edit)
	}
	if got := c.call("textDocument/hover", at(uriOf(shop), 4, 11)); !strings.Contains(got, "named in 2 places") {
		t.Errorf("hover: %s", got)
	}
}

func TestHoverOfSourcePorts(t *testing.T) {
	c := connect(t)
	c.open(doc, "version = 1\n[[rules]]\nname = \"r\"\nallow = { from = [\"any\"], to = [\"any\"], ports = [\"tcp\"], source_ports = [\"1024-65535\", \"x\"] }\n")
	for character, want := range map[int]string{
		62: "the ports that the connection comes from", 78: "source ports 1024 to 65535", 88: "is no source port",
	} {
		if got := c.call("textDocument/hover", at(doc, 3, character)); !strings.Contains(got, want) {
			t.Errorf("at %d: %s, want %s", character, got, want)
		}
	}
	if got, want := c.call("textDocument/hover", at(doc, 2, 8)), "from source port **1024-65535**"; !strings.Contains(got, want) {
		t.Errorf("%s, want %s", got, want)
	}
}
