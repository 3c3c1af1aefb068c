package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bulkhead/bench/lookup"
)

// input writes the files of a call.
func input(t *testing.T, files map[string]string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

var small = map[string]string{
	"rules":  "@10.0.0.0/8\t0.0.0.0/0\t1024 : 65535\t80 : 80\t0x06/0xFF\t0x0000/0x0000\t\r\n@0.0.0.0/0 0.0.0.0/0 0:65535 0:65535 0x11/0xFF\r\n",
	"trace":  "167772161\t1\t1024\t80\t6\t0\t0\n167772161 1 1023 80 6 0\n1 1 1 1 17\n",
	"expect": "0\n-1\n",
	"wrong":  "0\n1\n",
	"long":   "0\n-1\n1\n1\n",
	"other":  "0\n2\n",
	"bad":    "@10.0.0.0/8 0.0.0.0/0 0 : 1 2 : 1 6/255\n",
}

func TestClassify(t *testing.T) {
	dir := input(t, small)
	out, err := execute("classify", "--rules", dir+"/rules", "--trace", dir+"/trace", "--expect", dir+"/expect", "--rounds", "3", "--seconds", "0")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"2 of " + dir + "/rules", "3 of " + dir + "/trace, 1 of them match no rule", "0 of 2 from what is expected; nothing is expected of the last 1",
		"0 of 3 differ from a search", "one at a time", "batches of 64", "loads a packet at the most", "build"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
}

func TestClassifyFindsWrongAnswers(t *testing.T) {
	dir := input(t, small)
	out, err := execute("classify", "--rules", dir+"/rules", "--trace", dir+"/trace", "--expect", dir+"/wrong", "--rounds", "0")
	if !errors.Is(err, errWrong) || exitCode(err) != 1 {
		t.Errorf("%v", err)
	}
	if want := "header 1: no rule, expected rule 1 (" + dir + "/rules:2)"; !strings.Contains(out, want) || !strings.Contains(out, "1 of 2 from what is expected") {
		t.Errorf("%q is not in\n%s", want, out)
	}
	if strings.Contains(out, "one at a time") {
		t.Errorf("timed without rounds:\n%s", out)
	}
}

func TestClassifyForPrograms(t *testing.T) {
	dir := input(t, small)
	out, err := execute("classify", "--rules", dir+"/rules", "--trace", dir+"/trace", "--expect", dir+"/expect", "--seconds", "0", "-o", "json")
	if err != nil {
		t.Fatal(err)
	}
	var r lookup.Result
	d := json.NewDecoder(strings.NewReader(out))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		t.Fatal(err)
	}
	if r.Schema != lookup.Schema || r.Rules.Number != 2 || r.Trace.Number != 3 || r.Compared != 2 || r.Differ != 0 || r.Single == nil || len(r.Batched.Rounds) != 5 ||
		r.Single.Median <= 0 || r.TableBytes < 1000 || r.Touches < 4 || r.Build.ArtifactBytes == 0 {
		t.Errorf("%+v", r)
	}
}

// Mistakes of every file are told at once, with the place and the cure.
func TestClassifyRefuses(t *testing.T) {
	dir := input(t, small)
	cases := map[string]struct {
		args []string
		want []string
	}{
		"nothing":  {nil, []string{"--rules FILE and --trace FILE are needed"}},
		"no_file":  {[]string{"--rules", dir + "/none", "--trace", dir + "/none2"}, []string{"none: no such file", "none2: no such file"}},
		"bad_rule": {[]string{"--rules", dir + "/bad", "--trace", dir + "/rules"}, []string{dir + `/bad:1: "2 : 1" is no range`, dir + "/rules:1: 10 columns; write"}},
		"long":     {[]string{"--rules", dir + "/rules", "--trace", dir + "/trace", "--expect", dir + "/long"}, []string{dir + "/long: 4 answers are expected of 3 headers"}},
		"other":    {[]string{"--rules", dir + "/rules", "--trace", dir + "/trace", "--expect", dir + "/other"}, []string{"answer 2 is rule 2, of 2 rules"}},
		"format":   {[]string{"--rules", dir + "/rules", "--trace", dir + "/trace", "-o", "yaml"}, []string{`"yaml": text or json`}},
	}
	for situation, c := range cases {
		out, err := execute(append([]string{"classify"}, c.args...)...)
		if err == nil || exitCode(err) != 2 || out != "" {
			t.Errorf("%s: %v, printed %q", situation, err, out)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q is not in %v", situation, want, err)
			}
		}
	}
}
