package worlds

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"bulkhead/dataplane/policy"
)

// builtIn are the names that need no statement.
var builtIn = []string{"any", "outside", "host"}

// labelSets are what endpoints and services are drawn from.
var labelSets = []map[string]string{{"a": "1"}, {"b": "1"}, {"a": "1", "b": "1"}, {"a": "2"}, {"b": "1", "c": "2"}, {"a": "1", "b": "1", "c": "2"}}

// hostLabels are those of hosts. No policy can write the first one.
var hostLabels = []map[string]string{{policy.HostLabel: policy.HostValue}, {policy.HostLabel: policy.HostValue, "a": "1"}}

// conditions hold and fail on labelSets, with and without the label.
var conditions = []string{"a in (1)", "a in (1, 2)", "a not in (1)", "b not in (2, 3)", "exists c", "not exists c", "not exists a", "exists b", "z in (1)", "not exists z"}

// scopes are the scopes that are drawn. Not every label set is of one.
var (
	scopes      = []string{"east", "west"}
	scopeLabels = map[string]string{"east": `a = "1"`, "west": `a = "2"`, Everybody: EverybodyLabel + ` = "1"`}
)

// Everybody is a scope that is never drawn: for who puts a world into one. Its
// endpoints are those that have EverybodyLabel with the value 1.
const Everybody, EverybodyLabel = "everybody", "tenant"

// owns are what a service can call the port "own".
var owns = []string{"", "ports = { own = \"tcp/80\" }\n", "ports = { own = [\"udp/53\", \"tcp/85-100\"] }\n", "ports = { own = \"icmp/echo\", other = \"sctp\" }\n"}

// drawService draws what a service selects: labels and conditions, perhaps with
// alternatives, or a group of those before it. Beyond the first few each asks
// for an app of its own: in a city most services are few endpoints.
func (w *World) drawService(r *rand.Rand, i int) {
	if i >= len(labelSets) {
		w.labels = append(w.labels, map[string]string{"a": fmt.Sprint(1 + i%3), "app": fmt.Sprint(i / 2)})
	}
	name := fmt.Sprintf("s%d", i)
	text, own := w.group(r)
	if text == "" {
		ports := oneOf(r, owns)
		text, own = w.service(r, i)+ports, ports != ""
	}
	if own {
		w.own = append(w.own, name)
	}
	w.define(name, "", fmt.Sprintf("[services.%s]\n%s", name, text))
}

// group draws a group of the services before; empty: none. It has a port by name
// if all of them have.
func (w *World) group(r *rand.Rand) (text string, own bool) {
	services := w.sets[2:] // host, too
	if len(services) == 1 || r.IntN(5) != 0 {
		return "", false
	}
	members := some(r, services)
	lacks := func(name string) bool { return !slices.Contains(w.own, name) }
	return "services = [" + quoted(members) + "]\n", !slices.ContainsFunc(members, lacks)
}

func (w *World) service(r *rand.Rand, i int) string {
	plain := func() (labels, match string) {
		if labels = inline(oneOf(r, w.labels)); i >= len(labelSets) {
			labels = inline(w.labels[i])
		}
		return "labels = { " + labels + " }", "match = [" + quoted(some(r, conditions)) + "]"
	}
	choice := func() string {
		labels, match := plain()
		return oneOf(r, []string{"{ " + labels + " }", "{ " + labels + ", " + match + " }"})
	}
	labels, match := plain()
	switch kind := r.IntN(5); {
	case kind == 1:
		return "any = [" + choice() + ", " + choice() + "]\n"
	case kind == 2:
		return labels + "\nany = [" + choice() + ", " + choice() + "]\n"
	case kind == 3 && i < len(labelSets):
		return match + "\n"
	case kind == 4:
		return labels + "\n" + match + "\n"
	}
	return labels + "\n"
}

// drawScoped draws a service of a scope.
func (w *World) drawScoped(r *rand.Rand, i int) {
	scope := oneOf(r, scopes)
	name := fmt.Sprintf("%s/x%d", scope, i)
	text := fmt.Sprintf("[services.x%d]\nmatch = [%s]\n", i, quoted(some(r, conditions)))
	if i >= len(labelSets) {
		text += fmt.Sprintf("labels = { app = \"%d\" }\n", i)
	}
	if ports := oneOf(r, owns); ports != "" {
		text += ports
		w.own = append(w.own, name)
	}
	w.define(name, scope, text)
}

func inline(labels map[string]string) string {
	var out []string
	for k, v := range labels {
		out = append(out, fmt.Sprintf("%s = %q", k, v))
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}
