package source

import (
	"strings"
	"testing"

	"bulkhead/policyc/internal/diag"
)

const shop = "\xef\xbb\xbfversion = 1\r\n[services.web]\r\nlabels = { app = \"shop\", tier = \"web\" } # c\r\n" +
	"[networks.office]\ncidrs = [\n  \"192.0.2.0/24\", # v4\n  \"2001:db8::/48\",\n]\n" +
	"[[rules]]\nname = \"r\"\nallow.from = [\"web\"]\nallow.to = [\"any\"]\nallow.ports = [\"tcp/1\"]\n" +
	"[[tests]]\nname = 't'\nfrom = { labels = { app = \"x\" } }\nto = \"web\"\nport = \"tcp/1\"\nexpect = \"deny\"\n"

func TestParsePlacesEveryWord(t *testing.T) {
	var list diag.List
	f := Parse(diag.NewSource("shop.toml", []byte(shop)), &list)
	if len(list.All) != 0 {
		t.Fatalf("findings: %s", list.All[0].Line())
	}
	v6, to := f.Networks[0].CIDRs.Items[1], f.Rules[0].Allow.To.Items[0]
	if v6.At.Line() != 7 || v6.At.Col() != 3 || to.Value != "any" || to.At.Line() != 12 {
		t.Errorf("cidr at %d:%d, to %q at line %d", v6.At.Line(), v6.At.Col(), to.Value, to.At.Line())
	}
	if web := f.Services[0].Name.At; web.Line() != 2 || web.Col() != 11 {
		t.Errorf("service name at %d:%d, want 2:11", web.Line(), web.Col())
	}
}

func TestParseReportsAllAtOnce(t *testing.T) {
	for _, c := range []struct {
		situation, text string
		want            []string
	}{
		{"unknown_keys_and_wrong_types", "version = 1\n[[rules]]\nnam = \"x\"\nallow = { frm = [\"a\"], to = 3 }\n",
			[]string{`3:1: error: a rule has no key "nam"; did you mean "name"?`, `4:11: error: allow has no key "frm"; did you mean "from"?`, `4:29: error: to must be a list`}},
		{"two_names_defined_twice", "version = 1\n[services.a]\n[services.a]\n[services.b]\n[services.b]\n",
			[]string{`3:11: error: "a" is already defined`, `5:11: error: "b" is already defined`}},
		{"no_version", "[services]\n", []string{"1:1: error: the file does not say which version"}},
		{"not_toml", "version = 1\nx = [1,\n", []string{"not valid TOML"}},
		{"too_deep", "a = " + strings.Repeat("[", 100000), []string{"nested more than 32 deep"}},
	} {
		t.Run(c.situation, func(t *testing.T) {
			var list diag.List
			Parse(diag.NewSource("p", []byte(c.text)), &list)
			var out strings.Builder
			if err := list.Render(&out); err != nil {
				t.Fatal(err)
			}
			if list.Count(diag.Error) < len(c.want) {
				t.Errorf("%d errors, want %d", list.Count(diag.Error), len(c.want))
			}
			for _, w := range c.want {
				if !strings.Contains(out.String(), w) {
					t.Errorf("missing %q in\n%s", w, out.String())
				}
			}
		})
	}
}

func TestAFileHasABound(t *testing.T) {
	var list diag.List
	f := Parse(&diag.Source{Name: "huge.toml", Text: make([]byte, MaxSize+1)}, &list)
	if f.Whole || len(list.All) != 1 || list.All[0].Line() != "error: huge.toml: the file has 268435457 bytes, more than the 268435456 a policy file may have" {
		t.Errorf("%v", list.All)
	}
}
