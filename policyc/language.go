package main

import (
	"fmt"
	"strings"
)

// key is a key of the language as the manual and the help have it.
type key struct {
	name, takes string
	missing     string // what holds where it is not stated
	says        string // what it says, and its bounds
}

// table is what keys stand in. of is what the compiler calls it in an error.
type table struct {
	header, of string
	keys       []key
}

const (
	must    = "an error"
	nothing = "none"
)

// language is every key there is. A test holds it to what the compiler reads, and
// docs/policy.md to this.
var language = []table{
	{"the file", "a policy file", []key{
		{"version", "1", must, "the version of the language"},
		{"include", "list of patterns", nothing, "further files, relative to this one; each ends in .toml"},
		{"vars", "table of strings", nothing, "what ${NAME} stands for in values"},
		{"scope", "table", "for everybody", "whose file it is"},
		{"services", "tables by name", nothing, "endpoints by labels"},
		{"networks", "tables by name", nothing, "addresses, whoever holds them"},
		{"endpoints", "tables by name", nothing, "endpoints that questions and tests can name"},
		{"tiers", "tables by name", nothing, "platform, security, application, baseline"},
		{"rules", "list of tables", nothing, "who may connect to whom"},
		{"tests", "list of tables", nothing, "what must hold"},
	}},
	{"[scope]", "a scope", []key{
		{"name", "string", must, "a name, at most 128 bytes; SCOPE/NAME is how others call what is in it"},
		{"labels", "table of strings", must, "at least one; each service of the file has them, too"},
	}},
	{"[services.NAME]", "a service", []key{
		{"labels", "table of strings", nothing, "these labels with these values; key 1 to 253 bytes, value 0 to 253"},
		{"match", "list of conditions", nothing, "all of: key in (a, b), key not in (a, b), exists key, not exists key"},
		{"any", "list of alternatives", nothing, "one of them, and labels and match beside them"},
		{"services", "list of names", nothing, "a group: endpoints of any of them, and no other key; all groups come to at most 2097152"},
		{"ports", "table of ports", nothing, "the service's own names for ports, one or a list each"},
	}},
	{"any = [{ ... }]", "an alternative", []key{
		{"labels", "table of strings", nothing, "as of a service; one of the two must be stated"},
		{"match", "list of conditions", nothing, "as of a service"},
	}},
	{"[networks.NAME]", "a network", []key{
		{"cidrs", "list of prefixes", must, "at least one, IPv4 or IPv6; those that rules name come to at most 2031616 different prefixes, exceptions included"},
		{"except", "list of prefixes", nothing, "not these; each inside one of cidrs"},
	}},
	{"[endpoints.\"KIND:NAME\"]", "an endpoint", []key{
		{"labels", "table of strings", must, "its labels, all of them; a host may have none"},
		{"addresses", "list of addresses", nothing, "those that it has"},
		{"host", "true or false", "false", "it is a host, and not a workload on one"},
		{"several", "true or false", "false", "the name is of several that are alike, as replicas are; without addresses"},
	}},
	{"[tiers.NAME]", "a tier", []key{
		{"default", "allow, deny or pass", must, "what the tier says where no rule of it matches; pass for a tier that is not there"},
	}},
	{"[[rules]]", "a rule", []key{
		{"name", "string", must, "unique; characters that print, at most 128 bytes"},
		{"owner", "string", nothing, "whose it is: characters that print, 1 to 256 bytes"},
		{"reason", "string", nothing, "what for: characters that print, 1 to 256 bytes"},
		{"tier", "name of a tier", "application", "platform, security, application or baseline, asked in this order"},
		{"priority", "0 to 4294967294", "1000", "the least decides first, in its tier; at a tie the deny"},
		{"direction", "egress or ingress", "both ends", "it speaks where the connection leaves, or arrives, alone"},
		{"log", "true or false", "false", "of an allow or a deny: what it decides is logged"},
		{"audit", "true or false", "false", "of a deny: it denies nothing, and what it would deny is counted and logged"},
		{"stateless", "true or false", "false", "of an allow: it opens no session"},
		{"valid", "table", "always", "when it speaks"},
		{"allow", "clause", must, "one of allow, deny and pass, and no other"},
		{"deny", "clause", must, "as allow"},
		{"pass", "clause", must, "as allow: the next tier is asked"},
	}},
	{"valid = { ... }", "valid", []key{
		{"from", "time with its zone", "from ever", "the first second at which it speaks, 1970 to 9999"},
		{"until", "time with its zone", "for ever", "the first second at which it speaks no more; one of the two must be stated"},
	}},
	{"allow, deny, pass = { ... }", "key", []key{
		{"from", "list of names", must, "services, networks, any, host, outside"},
		{"to", "list of names", must, "as from"},
		{"ports", "list of ports", must, "as policyc help ports has them, or names of the destinations' own"},
		{"source_ports", "list of ranges", "every port", "the ports of tcp, udp and sctp that it comes from, as 1024-65535"},
	}},
	{"[[tests]]", "a test", []key{
		{"name", "string", must, "what a failure calls it"},
		{"from", "string or table", must, "a service, an endpoint, an address, or { labels = { ... } }"},
		{"to", "string or table", must, "as from"},
		{"port", "string", must, "a port or a range; all of it must be answered so"},
		{"source_port", "string", "every port", "a port that is connected from, or a range; all of it must be answered so"},
		{"at", "time with its zone", "all times", "when it is asked"},
		{"expect", "allow or deny", must, "the answer that it must get"},
	}},
	{"from, to = { ... } of a test", "key", []key{
		{"labels", "table of strings", must, "an endpoint with just these labels"},
	}},
}

// keysText is the language for a terminal.
func keysText() string {
	var b strings.Builder
	b.WriteString("A key that is not here is an error. In brackets is what holds where it is not\nstated.\n")
	for _, t := range language {
		fmt.Fprintf(&b, "\n%s\n", t.header)
		for _, k := range t.keys {
			fmt.Fprintf(&b, "  %-10s %s [%s]\n", k.name, k.takes, k.missing)
			fmt.Fprintf(&b, "             %s\n", strings.ReplaceAll(wrapped(k.says), "\n", "\n             "))
		}
	}
	return strings.TrimRight(b.String(), "\n")
}

// wrapped breaks a sentence so that it fits behind the names of keys.
func wrapped(text string) string {
	const width = 70
	var b strings.Builder
	at := 0
	for i, word := range strings.Fields(text) {
		switch {
		case i > 0 && at+1+len(word) > width:
			b.WriteByte('\n')
			at = 0
		case i > 0:
			b.WriteByte(' ')
			at++
		}
		b.WriteString(word)
		at += len(word)
	}
	return b.String()
}

// keysTable is the language for the manual, in Markdown.
func keysTable() string {
	var b strings.Builder
	b.WriteString("| in | key | takes | not stated | says |\n|---|---|---|---|---|\n")
	for _, t := range language {
		for _, k := range t.keys {
			fmt.Fprintf(&b, "| `%s` | `%s` | %s | %s | %s |\n", t.header, k.name, k.takes, k.missing, k.says)
		}
	}
	return b.String()
}
