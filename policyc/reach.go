package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"bulkhead/policyc/compile"
	"bulkhead/policyc/internal/analyze"
	"bulkhead/policyc/internal/check"
)

// routeJSON is what a rule allows, for programs.
type routeJSON struct {
	From    []string    `json:"from"`
	To      []string    `json:"to"`
	Ports   []string    `json:"ports"`
	Rule    string      `json:"rule,omitempty"`
	Place   string      `json:"place,omitempty"`
	Witness *packetJSON `json:"witness"`
}

// reach answers a question that leaves something out.
func reach(w io.Writer, p *compile.Policy, q analyze.Question, output string) error {
	found, err := analyze.Reach(p, q)
	if errors.Is(err, analyze.ErrNetworks) && q.From == nil && q.To == nil {
		err = fmt.Errorf("%w; or name an end, by --from or --to, or fewer ports", err)
	}
	if err != nil {
		return err
	}
	routes := []routeJSON{}
	for _, r := range found {
		j := routeJSON{r.From, r.To, r.Ports, ruleOr(r.Rule, ""), "", packetOf(&r.Witness)}
		if r.Rule != nil {
			j.Place = placeOf(r.Rule.At)
		}
		routes = append(routes, j)
	}
	if output == "json" {
		err = printJSON(w, map[string]any{"allowed": routes})
	} else {
		_, err = io.WriteString(w, reachText(routes))
	}
	if err == nil && len(routes) == 0 {
		err = answerNo{}
	}
	return err
}

func reachText(routes []routeJSON) string {
	if len(routes) == 0 {
		return "nothing is allowed\n"
	}
	var b strings.Builder
	for _, r := range routes {
		by := "by default"
		if r.Rule != "" {
			by = fmt.Sprintf("by %s (%s)", r.Rule, r.Place)
		}
		fmt.Fprintf(&b, "%s -> %s: %s %s\n", strings.Join(r.From, ", "), strings.Join(r.To, ", "), strings.Join(r.Ports, ", "), by)
	}
	return b.String()
}

// ruleOr is a rule's name, or another word for the default.
func ruleOr(r *check.Rule, none string) string {
	if r == nil {
		return none
	}
	return r.Name
}
