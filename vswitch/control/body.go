package control

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"

	"bulkhead/vswitch/control/api"
)

// body reads the one JSON object of a request. A field that B does not have,
// or has in another case, a field twice, a null, more than one value or too
// much are refused: each would be a request that means something else.
func body[B any](w http.ResponseWriter, r *http.Request) (*B, error) {
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, api.Invalid(fmt.Sprintf("the body has more than %d bytes", maxBody), "send the one JSON object that the call takes")
	case err != nil:
		return nil, api.Invalid("the body did not come: "+err.Error(), "send as many bytes as the header says, within 5 s")
	}
	if err := onlyFields(text, fieldsOf(reflect.TypeFor[B]())); err != nil {
		return nil, err
	}
	b := new(B)
	if err := json.Unmarshal(text, b); err != nil {
		return nil, notJSON(err)
	}
	return b, nil
}

// fieldsOf lists the JSON names of a type's fields.
func fieldsOf(t reflect.Type) (names []string) {
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		names = append(names, name)
	}
	return names
}

// onlyFields refuses a text that is not one object with these fields.
func onlyFields(text []byte, names []string) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	open, err := dec.Token()
	if err != nil {
		return notJSON(err)
	}
	if open != json.Delim('{') {
		return api.Invalid("the body is not a JSON object", "send {} with the fields that the call takes: "+strings.Join(names, ", "))
	}
	seen := map[string]bool{}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return notJSON(err)
		}
		name, _ := key.(string)
		if err := oneOf(names, name, seen); err != nil {
			return err
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return notJSON(err)
		}
		if string(value) == "null" {
			return api.Invalid(fmt.Sprintf("field %q is null", name), "leave it away, or give it a value")
		}
	}
	if _, err := dec.Token(); err != nil {
		return notJSON(err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return api.Invalid("there is more behind the body's JSON object", "send one object and nothing else")
	}
	return nil
}

func oneOf(names []string, name string, seen map[string]bool) error {
	if seen[name] {
		return api.Invalid(fmt.Sprintf("field %q is there twice", name), "say it once")
	}
	seen[name] = true
	for _, n := range names {
		if n == name {
			return nil
		}
	}
	return api.Invalid(fmt.Sprintf("there is no field %.40q", name), "the fields are "+strings.Join(names, ", "))
}

// notJSON says what is wrong with a text, without our own names in it.
func notJSON(err error) error {
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		return api.Invalid(fmt.Sprintf("field %q does not take a %s", wrong.Field, wrong.Value), "GET /v1/openapi.json says what it takes")
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = errors.New("it ends too early")
	}
	return api.Invalid("the body is not JSON: "+err.Error(), "send the one JSON object that the call takes")
}
