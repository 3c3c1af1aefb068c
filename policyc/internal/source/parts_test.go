package source

import (
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"bulkhead/policyc/internal/diag"
)

// statements are of files that are fine, odd and wrong, in parts and out of them.
var statements = []string{
	"[[rules]]\nname = \"r\"\nallow = { from = [\"${who}\"], to = [\"any\"], ports = [\"tcp/1\"] }", "[[rules]]\nname = \"$${who}\"\npriority = 7\nlog = true",
	"[[rules]]\nname = \"x\"\nalow = {}", "[[rules]]\nname = 3\n[rules.deny]\nfrom = [\"a\", 1]\nto = [\"${nobody}\"]", "[[tests]]\nname = \"t\"\nfrom = { labels = { a = \"${who}\" } }\nexpect = \"deny\"",
	"[[rules]]\nname = \"${open\"", "[services.a]\nlabels = { a = \"${who}\" }", "[services.b]\nlabels = { a = \"b\" }", "[services.b]\nlabls = { a = \"b\" }", "[vars]\nwho = \"web\"", "[networks.n]\ncidrs = [\"10.0.0.0/8\"]", "[[rules]]\nname = \"",
	"[scope]\nname = \"s\"\nlabels = { t = \"${who}\" }", "[endpoints.\"pod:x\"]\nlabels = { a = \"b\" }", "[tiers.platform]\ndefault = \"deny\"", "[[rules]]\nname = '''\n[[rules]]\n'''",
}

// Files that are read in parts say what they say read whole, findings among it,
// also where variables stand behind the rules that use them.
func TestFilesInPartsSayWhatTheySayWhole(t *testing.T) {
	padding := "# " + strings.Repeat("x", partSize) + "\n"
	inParts, rules := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		var sources []*diag.Source
		for _, name := range []string{"a.toml", "b.toml"} {
			text := "version = 1\n"
			for _, s := range rapid.SliceOfN(rapid.SampledFrom(statements), 1, 8).Draw(t, name) {
				text += s + "\n" + padding
			}
			sources = append(sources, diag.NewSource(name, []byte(text+padding)))
		}
		var found, want diag.List
		got := ParseAll(sources, &found)
		whole, _ := readTexts(sources, []bool{true, true}, &want)
		for i, src := range sources {
			inParts += len(open(src, false, &diag.List{}).starts)
			if !reflect.DeepEqual(got[i], whole[i]) {
				t.Errorf("%s is read in parts as %+v,\nwhole as %+v", src.Name, got[i], whole[i])
			}
		}
		rules += len(got[0].Rules)
		found.Sort(sources)
		want.Sort(sources)
		if !reflect.DeepEqual(found.All, want.All) {
			t.Errorf("found in parts %v,\nwhole %v", found.All, want.All)
		}
	})
	if inParts < 10 || rules == 0 {
		t.Errorf("%d parts, %d rules: they prove little", inParts, rules)
	}
}
