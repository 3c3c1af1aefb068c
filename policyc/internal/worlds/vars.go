package worlds

import (
	"math/rand/v2"
	"strings"
)

// variables are what a world may say by variables: the value, and the name that
// stands for it.
var variables = strings.NewReplacer(`a = "1"`, `a = "${one}"`, `"a in (1)"`, `"a in (${one})"`, `"tcp/80-90"`, `"tcp/${web}-90"`, `"tcp/80"`, `"tcp/${web}"`, `"10.0.0.0/`, `"${net}/`)

// vars is the statement of the variables.
const vars = "[vars]\none = \"1\"\nweb = \"80\"\nnet = \"10.0.0.0\"\n"

// Values puts their values for variables, as they stand in a text.
var Values = strings.NewReplacer("${one}", "1", "${web}", "80", "${net}", "10.0.0.0")

// putVars has every fourth world say a part of itself by variables: of no scope, so
// that the files of all scopes know them.
func (w *World) putVars(r *rand.Rand) {
	if r.IntN(4) != 0 {
		return
	}
	for i := range w.Statements {
		if s := &w.Statements[i]; r.IntN(2) == 0 {
			s.Text = variables.Replace(s.Text)
		}
	}
	w.Statements = append(w.Statements, Statement{Text: vars})
}
