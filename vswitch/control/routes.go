package control

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"reflect"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"bulkhead/vswitch/control/api"
)

// call is one thing that can be called. The table of them is the API: the
// handlers, api/openapi.json and docs/api.md come from it.
type call struct {
	method, path string
	summary      string
	in, out      reflect.Type // of the bodies; nil: none, or no JSON
	query        []parameter
	stream       string // the answer's media type, where it is not JSON
	do           func(w http.ResponseWriter, r *http.Request) (any, error)
}

// parameter is a whole number that a call takes in its query.
type parameter struct {
	name, meaning string
	least, most   int
}

// limitOf is how many sessions to list.
var limitOf = parameter{"limit", "list at most so many", 1, maxSessions}

// calls is the API, a line a call; package api has what they take and answer.
func calls(sw Switch) []call {
	return []call{
		get("/v1/status", "How the switch is", sw.Status),
		get("/v1/workers", "What the threads that carry frames do with their time", sw.Workers),
		get("/v1/ports", "The ports, how they run and what they carried", sw.Ports),
		get("/v1/groups", "Who listens to which multicast group", sw.Groups),
		get("/v1/mirrors", "What is shown to analysers, and how much of it was lost", sw.Mirrors),
		get("/v1/fdb", "Which MAC is where: bound, and learned", sw.FDB),
		listSessions(sw),
		get("/v1/endpoints", "The workloads: who, where, and in which services", sw.Endpoints),
		get("/v1/policy", "The policy in force, rule by rule", sw.Policy),
		get("/v1/counters", "Every drop by port and reason, every rule by its hits", sw.Counters),
		post("/v1/trace", "What would happen to a frame, by the live tables", sw.Trace),
		post("/v1/endpoint", "Add, move or delete a workload", sw.ChangeEndpoint),
		post("/v1/policy", "Put the policy of a file in force, whole or not at all", sw.LoadPolicy),
		get("/v1/policy/shadow", "What the candidate would do to what is open, and to what has been decided since", sw.Shadow),
		post("/v1/policy/shadow", "Link the policy of a file beside the one in force: a candidate, which decides nothing", sw.ShadowPolicy),
		bare("/v1/policy/shadow/commit", "Put the candidate in force", sw.CommitShadow),
		bare("/v1/policy/shadow/abort", "Forget the candidate", sw.AbortShadow),
		get("/v1/state", "What is stated of overlay and workloads, and by whom", sw.State),
		post("/v1/state", "State segments, peers and workloads in a source's name, whole or not at all", sw.ChangeState),
		post("/v1/source", "A source says how it is", sw.Report),
		post("/v1/source/accept", "Accept the deletions that a source holds back", sw.AcceptDeletions),
		bare("/v1/reload", "Read configuration and policy again, whole or not at all", sw.Reload),
		capture(sw),
		description(),
	}
}

// get makes a call that shows something.
func get[T any](path, summary string, show func() (T, error)) call {
	return call{method: http.MethodGet, path: path, summary: summary, out: reflect.TypeFor[T](),
		do: func(http.ResponseWriter, *http.Request) (any, error) { return show() }}
}

// bare makes a call that changes something and takes no body.
func bare[T any](path, summary string, change func() (T, error)) call {
	c := get(path, summary, change)
	c.method = http.MethodPost
	return c
}

// post makes a call that takes a body.
func post[B, T any](path, summary string, change func(*B) (T, error)) call {
	return call{method: http.MethodPost, path: path, summary: summary, in: reflect.TypeFor[B](), out: reflect.TypeFor[T](),
		do: func(w http.ResponseWriter, r *http.Request) (any, error) {
			b, err := body[B](w, r)
			if err != nil {
				return nil, err
			}
			return change(b)
		}}
}

func listSessions(sw Switch) call {
	return call{method: http.MethodGet, path: "/v1/sessions", summary: "The open connections, and the rule that allowed each",
		out: reflect.TypeFor[*api.Sessions](), query: []parameter{limitOf},
		do: func(_ http.ResponseWriter, r *http.Request) (any, error) {
			limit, err := limitOf.in(r.URL)
			if err != nil {
				return nil, err
			}
			return sw.Sessions(limit)
		}}
}

// in reads the parameter; where it is not named it is as large as can be.
func (p *parameter) in(u *url.URL) (int, error) {
	text := u.Query().Get(p.name)
	if !u.Query().Has(p.name) {
		return p.most, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < p.least || n > p.most {
		return 0, api.Invalid(fmt.Sprintf("%s=%.40q is out of range", p.name, text), fmt.Sprintf("a whole number from %d to %d", p.least, p.most))
	}
	return n, nil
}

// description is the call that describes the others.
func description() call {
	return call{method: http.MethodGet, path: "/v1/openapi.json", summary: "This description", stream: "application/json",
		do: func(w http.ResponseWriter, _ *http.Request) (any, error) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write(api.OpenAPI)
			return nil, nil
		}}
}

// handler finds the call for a request. Whatever the request, the answer is
// what the call answers, or an api.Error.
type handler struct {
	calls []call
	limit time.Duration // for the answer to be taken
	log   *slog.Logger
}

// ServeHTTP implements http.Handler.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer h.broken(w, r)
	if r.Context().Value(refusedKey{}) != nil {
		w.Header().Set("Connection", "close")
		h.fail(w, api.Busy(fmt.Sprintf("%d callers are connected", maxCallers), "try again in a moment"))
		return
	}
	c, err := h.find(w, r)
	if err != nil {
		h.fail(w, err)
		return
	}
	v, err := c.do(w, r)
	switch {
	case err != nil:
		h.fail(w, err)
	case v != nil:
		h.answer(w, http.StatusOK, v)
	}
}

// find finds the call that a request means.
func (h *handler) find(w http.ResponseWriter, r *http.Request) (*call, error) {
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	var methods []string
	for i := range h.calls {
		c := &h.calls[i]
		if c.path != r.URL.Path {
			continue
		}
		if c.method == method {
			return c, c.checkQuery(r.URL)
		}
		methods = append(methods, c.method)
	}
	if methods != nil {
		w.Header().Set("Allow", strings.Join(methods, ", "))
		return nil, &api.Error{Code: api.CodeMethod, Message: fmt.Sprintf("%s does not take %.20q", r.URL.Path, r.Method), Cure: "call it with " + strings.Join(methods, " or ")}
	}
	return nil, api.NotFound(fmt.Sprintf("there is no %.80q", r.URL.Path), "GET /v1/openapi.json lists what there is")
}

// checkQuery refuses what the call does not take: a mistyped parameter would
// otherwise be one left out.
func (c *call) checkQuery(u *url.URL) error {
	values, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return api.Invalid("the query cannot be read", "write it as name=value&name=value")
	}
	for name, list := range values {
		known := slices.ContainsFunc(c.query, func(p parameter) bool { return p.name == name })
		if !known || len(list) > 1 {
			return api.Invalid(fmt.Sprintf("%s does not take the parameter %.40q, or takes it once", c.path, name), "take it away")
		}
	}
	return nil
}

// broken answers for a call that panicked, and says where in the log.
func (h *handler) broken(w http.ResponseWriter, r *http.Request) {
	if p := recover(); p != nil && p != http.ErrAbortHandler {
		h.log.Error("control-broken", "path", r.URL.Path, "panic", p, "stack", string(debug.Stack()))
		h.fail(w, fmt.Errorf("%s broke: %v", r.URL.Path, p))
	}
}
