package vswitch_test

import (
	"os/exec"
	"regexp"
	"strconv"
	"testing"
)

// A18, the order of rules and the arithmetic of the compiler: policies are drawn, and
// the interpreter, the tables and the switch are asked the same questions (package
// policyc/internal/oracle, which every test run has; make differential asks a kernel,
// too). Here the whole numbers are run for the table of attacks: what would get
// through is an answer that is another.
func TestAttackMeaning(t *testing.T) {
	if !long() {
		t.Skip("every day package policyc/internal/oracle runs it by itself; make attack adds its whole numbers to the table")
	}
	out, err := exec.Command("go", "test", "-count=1", "-timeout=50m", "-v", "-run", "^TestEverythingMeansTheSame$", "../policyc/internal/oracle").CombinedOutput()
	if err != nil {
		t.Errorf("%v: %s", err, out[max(0, len(out)-4000):])
	}
	m := regexp.MustCompile(`(\d+) questions, (\d+) allowed`).FindSubmatch(out)
	if m == nil {
		t.Fatalf("no number of questions in %s", out[max(0, len(out)-4000):])
	}
	n, _ := strconv.ParseUint(string(m[1]), 10, 64)
	attackRow{
		id: "A18", what: "questions about drawn policies: interpreter, tables and switch", sent: n, reasons: map[string]uint64{},
		figures: string(m[2]) + " of them are allowed, by all alike",
	}.report(t)
	if n < 1_000_000 {
		t.Errorf("%d questions are not the whole number", n)
	}
}
