package kube

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
	kjson "sigs.k8s.io/json"
	kyaml "sigs.k8s.io/yaml"

	"bulkhead/policyc/internal/diag"
	"bulkhead/vswitch/cli/nearest"
)

// MaxSize bounds a manifest file, in bytes.
const MaxSize = 64 << 20

// Read reads manifests, of YAML or JSON. What cannot be read is in the list,
// each mistake where it stands. Objects that say nothing about who may talk to
// whom are left out; ignored counts them.
func Read(files []*diag.Source, list *diag.List) (c *Cluster, ignored int) {
	r := &reader{c: &Cluster{}, list: list, seen: map[string]diag.Span{}}
	var empty []*diag.Source
	for _, src := range files {
		if len(src.Text) > MaxSize {
			list.Errorf(diag.Span{}, "%s: the file has %d bytes, more than the %d a manifest may have", src.Name, len(src.Text), MaxSize)
			continue
		}
		before := r.objects
		for _, d := range split(src) {
			r.document(d)
		}
		if r.objects == before {
			empty = append(empty, src)
		}
	}
	r.saysNothing(empty)
	r.assume()
	return r.c, r.ignored
}

type reader struct {
	c       *Cluster
	list    *diag.List
	ignored int
	objects int                  // and lists of them, read or not
	seen    map[string]diag.Span // kind, namespace and name
}

// document is a part of a file between two lines of three dashes.
type document struct {
	src  *diag.Source
	text string
	line int // lines of the file before it
}

func split(src *diag.Source) []document {
	var out []document
	d := document{src: src}
	line := 0
	for text := range strings.Lines(string(src.Text)) {
		line++
		if text == "---" || strings.HasPrefix(text, "---\n") || strings.HasPrefix(text, "---\r") || strings.HasPrefix(text, "--- ") {
			out = append(out, d)
			d = document{src: src, line: line - 1, text: text}
			continue
		}
		d.text += text
	}
	return append(out, d)
}

// document reads one; a comment alone is none.
func (r *reader) document(d document) {
	var root yaml.Node
	if err := yaml.Unmarshal([]byte(d.text), &root); err != nil {
		r.badYAML(d, err)
		return
	}
	if len(root.Content) == 0 || root.Content[0].Tag == "!!null" {
		return
	}
	if root.Content[0].Kind != yaml.MappingNode {
		r.list.Errorf(Object{d.src, root.Content[0], d.line}.At(), "no Kubernetes object: it has no fields").
			With("an object has apiVersion, kind, metadata and spec")
		return
	}
	data, err := kyaml.YAMLToJSONStrict([]byte(r.quoteLetters(d, &root)))
	if err != nil {
		r.badYAML(d, err)
		return
	}
	r.object(data, Object{d.src, root.Content[0], d.line}, typeMeta{})
}

var lineOf = regexp.MustCompile(`line (\d+): `)

// badYAML reports what the YAML reader says, with lines of the file: it counts
// those of the document.
func (r *reader) badYAML(d document, err error) {
	message := strings.TrimPrefix(err.Error(), "yaml: ")
	at := d.src.Span(0, 0)
	if m := lineOf.FindStringSubmatch(message); m != nil {
		n, _ := strconv.Atoi(m[1])
		at = lineSpan(d.src, d.line+n, 1, 1)
	}
	message = strings.TrimSpace(lineOf.ReplaceAllString(strings.TrimPrefix(message, "unmarshal errors:\n"), ""))
	r.list.Errorf(at, "not valid YAML: %s", strings.Join(strings.Fields(message), " "))
}

// saysNothing reports files without an object. Where there is none in any of them what
// should have written it has failed, and no policy would be a policy that allows all.
func (r *reader) saysNothing(empty []*diag.Source) {
	switch {
	case r.list.Failed():
	case r.objects == 0:
		r.list.Errorf(diag.Span{}, "the input holds no Kubernetes object").
			With("see whether the command that writes it has failed")
	default:
		for _, src := range empty {
			r.list.Warnf(src.Span(0, 0), "the file holds no Kubernetes object")
		}
	}
}

type typeMeta struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
}

// object reads one object, or the items of a list of them.
func (r *reader) object(data []byte, o Object, otherwise typeMeta) {
	var head struct {
		typeMeta
		Items json.RawMessage `json:"items"` // nil: it has none, and is no list
	}
	r.objects++
	if err := json.Unmarshal(data, &head); err != nil {
		r.list.Errorf(o.At(), "no Kubernetes object: %v", err).With("apiVersion and kind are texts, items is a list of objects")
		return
	}
	t := head.typeMeta
	if t.Kind == "" {
		t = otherwise
	}
	if t.Kind == "" {
		r.list.Errorf(o.At(), "an object without a kind").With("apiVersion: networking.k8s.io/v1 and kind: NetworkPolicy, or what it is")
		return
	}
	if kind, isList := strings.CutSuffix(t.Kind, "List"); isList && (head.Items != nil || listOf(t.APIVersion, kind)) {
		r.items(head.Items, typeMeta{t.APIVersion, kind}, o)
		return
	}
	r.kind(t, data, o)
}

// listOf tells whether a kind's list is one of objects that count. Others may have a
// name that ends so and be no list.
func listOf(version, kind string) bool {
	_, known := kinds[groupOf(version)+"/"+kind]
	return kind == "" || known
}

func groupOf(version string) string {
	group, _, found := strings.Cut(version, "/")
	if !found {
		return "" // the core's: v1
	}
	return group
}

// items reads what is in a list. One that lost its items would be taken for one of
// none.
func (r *reader) items(data json.RawMessage, of typeMeta, o Object) {
	var items []json.RawMessage
	if err := json.Unmarshal(data, &items); data == nil || err != nil {
		r.list.Errorf(o.At("items"), "%sList without a list of items", of.Kind).With("items: [] where there is nothing in it")
		return
	}
	if of.Kind == "" {
		of = typeMeta{}
	}
	list, _ := descend(o.node, "items")
	for i, item := range items {
		n, _ := descend(list, i)
		r.object(item, Object{o.src, n, o.line}, of)
	}
}

// kind hands an object to the reader of its kind.
func (r *reader) kind(t typeMeta, data []byte, o Object) {
	group := groupOf(t.APIVersion)
	version := strings.TrimPrefix(t.APIVersion, group+"/")
	if read, known := kinds[group+"/"+t.Kind]; known {
		read(r, version, data, o)
		return
	}
	near := nearest.Name(t.Kind, append(slices.Clone(policyKinds), "List"))
	if policyGroups[group] {
		near = nearest.Name(t.Kind, slices.Concat(policyKinds, noPolicies))
	}
	foreign := !policyGroups[group] && (group != "" || near == "") && strings.Contains(strings.ToLower(t.Kind), "networkpolic")
	switch {
	case foreign || slices.Contains(policyKinds, t.Kind):
		r.list.Errorf(o.At("kind"), "%s of %q is not read, and without it the others would mean something else", t.Kind, t.APIVersion).With(whatIsRead)
	case policyGroups[group] && !slices.Contains(noPolicies, t.Kind), group == "" && near != "":
		r.list.Errorf(o.At("kind"), "%s of %q is not known, and a policy that is left out denies nothing", t.Kind, t.APIVersion).With(whatIsRead).Meant(near)
	default:
		r.ignored++
	}
}

const whatIsRead = "NetworkPolicy of networking.k8s.io/v1; ClusterNetworkPolicy, AdminNetworkPolicy and BaselineAdminNetworkPolicy of policy.networking.k8s.io"

var kinds = map[string]func(r *reader, version string, data []byte, o Object){
	"/Namespace": (*reader).namespace, "/Pod": (*reader).pod, "/Node": (*reader).node,
	"/ReplicationController": workload("ReplicationController"),
	"apps/Deployment":        workload("Deployment"), "apps/StatefulSet": workload("StatefulSet"),
	"apps/DaemonSet": workload("DaemonSet"), "apps/ReplicaSet": workload("ReplicaSet"),
	"batch/Job": workload("Job"), "batch/CronJob": workload("CronJob"),
	"networking.k8s.io/NetworkPolicy":                     (*reader).networkPolicy,
	"policy.networking.k8s.io/ClusterNetworkPolicy":       (*reader).clusterPolicy,
	"policy.networking.k8s.io/AdminNetworkPolicy":         (*reader).adminPolicy,
	"policy.networking.k8s.io/BaselineAdminNetworkPolicy": (*reader).baselinePolicy,
}

// policyGroups are the groups that policies are of. What is in them and is not known
// may be a policy, by another name or of another time.
var policyGroups = map[string]bool{"networking.k8s.io": true, "policy.networking.k8s.io": true}

var policyKinds = []string{"NetworkPolicy", "ClusterNetworkPolicy", "AdminNetworkPolicy", "BaselineAdminNetworkPolicy"}

// noPolicies are the other kinds of these groups.
var noPolicies = []string{"Ingress", "IngressClass", "IPAddress", "ServiceCIDR", "ClusterCIDR"}

// decode fills a value. Names are as written, case too; each unknown or double
// field is a finding: an error, or a warning where it decides nothing.
func (r *reader) decode(data []byte, into any, o Object, strict diag.Severity) bool {
	strange, err := kjson.UnmarshalStrict(data, into)
	if err != nil {
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) {
			r.list.Errorf(o.At(path(wrong.Field)...), "%s must be of type %s, and is a %s", wrong.Field, wrong.Type, wrong.Value).
				With("put quotes around what is to be a string: YAML reads yes, on, true and 1 as something else")
			return false
		}
		r.list.Errorf(o.At(), "%v", err)
		return false
	}
	before := r.list.Count(diag.Error)
	for _, s := range strange {
		r.strange(s, o, strict)
	}
	return strict == diag.Warning || r.list.Count(diag.Error) == before
}

func (r *reader) strange(err error, o Object, strict diag.Severity) {
	at := o.At()
	var field kjson.FieldError
	if errors.As(err, &field) {
		if field.FieldPath() == "status" {
			return // NetworkPolicies of older clusters have one
		}
		at = o.At(path(field.FieldPath())...)
	}
	if strict == diag.Warning {
		r.list.Warnf(at, "%v", err)
		return
	}
	r.list.Errorf(at, "%v", err).With("take it out, or write it as the API has it: a name counts with its capitals")
}

// once reports an object that is stated twice.
func (r *reader) once(kind, namespace, name string, o Object) bool {
	at := o.At("metadata", "name")
	if name == "" {
		r.list.Errorf(o.At("metadata"), "a %s without a name", kind).With("metadata: {name: ...}")
		return false
	}
	key := fmt.Sprintf("%s %s/%s", kind, namespace, name)
	if first, found := r.seen[key]; found {
		r.list.Errorf(at, "%s is stated twice", strings.Replace(key, " /", " ", 1)).With("take one of the two out").Note(first, "the first")
		return false
	}
	r.seen[key] = at
	return true
}
