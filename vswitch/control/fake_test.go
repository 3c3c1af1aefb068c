package control

import (
	"context"
	"io"
	"log/slog"
	"path/filepath"
	"reflect"
	"sync/atomic"
	"testing"
	"time"

	"bulkhead/vswitch/control/api"
)

// fake is a switch that answers with every field set, or with an error, and
// counts the changes asked of it.
type fake struct {
	err     error
	panics  bool
	changes atomic.Int32
	blocks  chan struct{} // a capture waits for it, or for the caller to go
}

// full makes a value with every field set to something that is not zero.
func full[T any]() *T {
	v := new(T)
	fill(reflect.ValueOf(v).Elem(), "")
	return v
}

func fill(v reflect.Value, enum string) {
	switch v.Kind() {
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.Unix(1, 2)))
			return
		}
		for i := range v.NumField() {
			fill(v.Field(i), v.Type().Field(i).Tag.Get("enum"))
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), "")
	case reflect.Map:
		one := reflect.New(v.Type().Elem()).Elem()
		fill(one, "")
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("k"), one)
	case reflect.String:
		v.SetString("x")
		for i := range enum {
			if enum[i] == ',' {
				v.SetString(enum[:i])
				break
			}
		}
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int:
		v.SetInt(7)
	case reflect.Float64:
		v.SetFloat(1.5)
	default:
		v.SetUint(200)
	}
}

func show[T any](f *fake) (*T, error) {
	if f.panics {
		panic("on purpose")
	}
	if f.err != nil {
		return nil, f.err
	}
	return full[T](), nil
}

func list[T any](f *fake) ([]T, error) {
	one, err := show[T](f)
	if err != nil {
		return nil, err
	}
	return []T{*one}, nil
}

func (f *fake) change() (*api.Done, error) {
	f.changes.Add(1)
	return show[api.Done](f)
}

func (f *fake) Status() (*api.Status, error)                          { return show[api.Status](f) }
func (f *fake) Workers() ([]api.Worker, error)                        { return list[api.Worker](f) }
func (f *fake) Ports() ([]api.Port, error)                            { return list[api.Port](f) }
func (f *fake) Mirrors() ([]api.Mirror, error)                        { return list[api.Mirror](f) }
func (f *fake) Groups() ([]api.Group, error)                          { return list[api.Group](f) }
func (f *fake) FDB() ([]api.FDBEntry, error)                          { return list[api.FDBEntry](f) }
func (f *fake) Endpoints() ([]api.Endpoint, error)                    { return list[api.Endpoint](f) }
func (f *fake) Policy() (*api.Policy, error)                          { return show[api.Policy](f) }
func (f *fake) Counters() (*api.Counters, error)                      { return show[api.Counters](f) }
func (f *fake) Trace(*api.TraceRequest) (*api.Trace, error)           { return show[api.Trace](f) }
func (f *fake) ChangeEndpoint(*api.EndpointChange) (*api.Done, error) { return f.change() }
func (f *fake) State() (*api.State, error)                            { return show[api.State](f) }
func (f *fake) ChangeState(*api.StateChange) (*api.Done, error)       { return f.change() }
func (f *fake) AcceptDeletions(*api.SourceAccept) (*api.Done, error)  { return f.change() }
func (f *fake) LoadPolicy(*api.PolicyLoad) (*api.Done, error)         { return f.change() }
func (f *fake) Shadow() (*api.Shadow, error)                          { return show[api.Shadow](f) }
func (f *fake) CommitShadow() (*api.Done, error)                      { return f.change() }
func (f *fake) AbortShadow() (*api.Done, error)                       { return f.change() }
func (f *fake) ShadowPolicy(*api.PolicyLoad) (*api.Shadow, error) {
	f.changes.Add(1)
	return show[api.Shadow](f)
}
func (f *fake) Reload() (*api.Done, error) { return f.change() }

func (f *fake) Report(*api.SourceReport) (*api.SourceOrders, error) {
	return show[api.SourceOrders](f)
}

// Sessions answers with as many as the limit, so that tests see the limit.
func (f *fake) Sessions(limit int) (*api.Sessions, error) {
	s, err := show[api.Sessions](f)
	if err == nil {
		s.Sessions = make([]api.Session, limit)
	}
	return s, err
}

// Capture writes one block and waits for the caller to go.
func (f *fake) Capture(ctx context.Context, _ *api.CaptureRequest, out io.Writer) error {
	if f.err != nil {
		return f.err
	}
	if _, err := out.Write([]byte("pcapng")); err != nil {
		return err
	}
	if f.blocks != nil {
		<-ctx.Done()
		f.blocks <- struct{}{}
	}
	return nil
}

// serve runs a server of a switch until the test ends, and returns its socket.
func serve(t *testing.T, sw Switch, limit time.Duration) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	s, err := listen(Options{Path: path, Switch: sw, Log: slog.New(slog.DiscardHandler)}, limit)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { s.Serve(); close(done) }()
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		<-done
	})
	return path
}
