package control

import (
	"bytes"
	"encoding/json"
	"net/http"
	"reflect"
	"strconv"
	"time"

	"bulkhead/vswitch/control/api"
)

// answer writes what a call returned, whole or not at all, to a caller who
// takes it in time.
func (h *handler) answer(w http.ResponseWriter, status int, v any) {
	var text bytes.Buffer
	if err := json.NewEncoder(&text).Encode(v); err != nil {
		h.log.Error("control-answer", "error", err)
		text.Reset()
		status = http.StatusInternalServerError
		_ = json.NewEncoder(&text).Encode(api.As(err))
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(h.limit))
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(text.Len()))
	w.WriteHeader(status)
	_, _ = w.Write(text.Bytes())
}

// statusOf is the HTTP status that an error's code travels under.
var statusOf = map[api.Code]int{
	api.CodeInvalid: http.StatusBadRequest, api.CodeNotFound: http.StatusNotFound,
	api.CodeMethod: http.StatusMethodNotAllowed, api.CodeConflict: http.StatusConflict,
	api.CodeBusy: http.StatusTooManyRequests, api.CodeInternal: http.StatusInternalServerError,
}

// fail writes an error.
func (h *handler) fail(w http.ResponseWriter, err error) {
	e := api.As(err)
	h.answer(w, statusOf[e.Code], e)
}

// capture is the call that streams frames, flushed as they come.
func capture(sw Switch) call {
	c := call{method: http.MethodPost, path: "/v1/capture", summary: "Frames as they pass, as pcapng, each with how it ended",
		in: reflect.TypeFor[api.CaptureRequest](), stream: "application/x-pcapng"}
	c.do = func(w http.ResponseWriter, r *http.Request) (any, error) {
		b, err := body[api.CaptureRequest](w, r)
		if err != nil {
			return nil, err
		}
		if b.Count < 0 || b.Snaplen < 0 || b.Seconds < 0 || b.Seconds > maxCaptureBy {
			return nil, api.Invalid("count, snaplen or seconds is out of range", "not below zero, and at most a year")
		}
		_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
		out := &stream{w: w, kind: c.stream}
		if err := sw.Capture(r.Context(), b, out); err != nil && !out.begun {
			return nil, err
		}
		return nil, nil
	}
	return c
}

// stream flushes each write, and remembers whether there was one.
type stream struct {
	w     http.ResponseWriter
	kind  string
	begun bool
}

func (s *stream) Write(b []byte) (int, error) {
	if !s.begun {
		s.w.Header().Set("Content-Type", s.kind)
		s.begun = true
	}
	control := http.NewResponseController(s.w)
	_ = control.SetWriteDeadline(time.Now().Add(callTime))
	n, err := s.w.Write(b)
	if err != nil {
		return n, err
	}
	return n, control.Flush()
}
