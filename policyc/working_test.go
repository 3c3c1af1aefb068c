package main

import (
	"strings"
	"testing"
)

// What a command prints comes when the bar has gone: once, before the first byte.
func TestTheBarEndsBeforeTheAnswer(t *testing.T) {
	var screen strings.Builder
	ends := 0
	w := &after{func() { ends++; screen.WriteString("<end>") }, &screen}
	_, err := w.Write([]byte("answer"))
	if err != nil || ends != 1 || screen.String() != "<end>answer" {
		t.Errorf("%q after %d ends: %v", screen.String(), ends, err)
	}
}

// Whatever reads a policy may take long, says so, and can be told not to.
func TestWhatMayTakeLongCanBeQuiet(t *testing.T) {
	short := map[string]bool{"init": true, "fmt": true, "lsp": true, "keygen": true, "sign": true, "verify": true, "help": true, "version": true, "completion": true}
	for _, cmd := range leaves(command()) {
		if has := cmd.Flags().Lookup("quiet") != nil; has == short[cmd.Name()] {
			t.Errorf("%s: --quiet %v", cmd.CommandPath(), has)
		}
	}
}
