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
// much are refused, in the objects within it, too: each would be a request that
// means something else.
func body[B any](w http.ResponseWriter, r *http.Request) (*B, error) {
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, api.Invalid(fmt.Sprintf("the body has more than %d bytes", maxBody), "send the one JSON object that the call takes")
	case err != nil:
		return nil, api.Invalid("the body did not come: "+err.Error(), "send as many bytes as the header says, within 5 s")
	}
	if err := onlyFields(text, reflect.TypeFor[B]()); err != nil {
		return nil, err
	}
	b := new(B)
	if err := json.Unmarshal(text, b); err != nil {
		return nil, notJSON(err)
	}
	return b, nil
}

// onlyFields refuses a text that is not one object with the fields of a type.
func onlyFields(text []byte, t reflect.Type) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	var whole json.RawMessage
	if err := dec.Decode(&whole); err != nil {
		return notJSON(err)
	}
	if whole[0] != '{' {
		return api.Invalid("the body is not a JSON object", "send {} with the fields that the call takes: "+strings.Join(fieldsOf(t), ", "))
	}
	if err := inValue(whole, "", t); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return api.Invalid("there is more behind the body's JSON object", "send one object and nothing else")
	}
	return nil
}

// inValue looks through a value that is to be of a type; at is where it stands. It
// goes as deep as the type does, and not as deep as the caller has made the text. A
// value of another type than it is to be is left to json.Unmarshal.
func inValue(text json.RawMessage, at string, t reflect.Type) error {
	isObject := t.Kind() == reflect.Struct || t.Kind() == reflect.Map
	switch {
	case string(text) == "null":
		return api.Invalid(fmt.Sprintf("field %.80q is null", at), "leave it away, or give it a value")
	case isObject && text[0] == '{':
		return inObject(text, at, t)
	case t.Kind() == reflect.Slice && text[0] == '[':
		return inList(text, at, t.Elem())
	}
	return nil
}

// inObject looks through an object with a type's fields, or with the keys of a map.
func inObject(text json.RawMessage, at string, t reflect.Type) error {
	dec, err := opened(text)
	seen := map[string]bool{}
	for err == nil && dec.More() {
		var key json.Token
		if key, err = dec.Token(); err != nil {
			return notJSON(err)
		}
		name, _ := key.(string)
		path := strings.TrimPrefix(at+"."+name, ".")
		if seen[name] {
			return api.Invalid(fmt.Sprintf("field %.80q is there twice", path), "say it once")
		}
		seen[name] = true
		var of reflect.Type
		if of, err = fieldOf(t, name, path); err == nil {
			err = next(dec, path, of)
		}
	}
	return err
}

// inList looks through a list of values of a type.
func inList(text json.RawMessage, at string, t reflect.Type) error {
	dec, err := opened(text)
	for i := 0; err == nil && dec.More(); i++ {
		err = next(dec, fmt.Sprintf("%s[%d]", at, i), t)
	}
	return err
}

// opened is a decoder behind the bracket that a text begins with.
func opened(text json.RawMessage) (*json.Decoder, error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	if _, err := dec.Token(); err != nil {
		return nil, notJSON(err)
	}
	return dec, nil
}

// next looks through the decoder's next value.
func next(dec *json.Decoder, at string, t reflect.Type) error {
	var value json.RawMessage
	if err := dec.Decode(&value); err != nil {
		return notJSON(err)
	}
	return inValue(value, at, t)
}

// fieldOf is the type of an object's field; path is where it stands.
func fieldOf(t reflect.Type, name, path string) (reflect.Type, error) {
	if t.Kind() == reflect.Map {
		return t.Elem(), nil
	}
	for i := range t.NumField() {
		if jsonName(t, i) == name {
			return t.Field(i).Type, nil
		}
	}
	return nil, api.Invalid(fmt.Sprintf("there is no field %.80q", path), "the fields are "+strings.Join(fieldsOf(t), ", "))
}

// fieldsOf lists the JSON names of a type's fields.
func fieldsOf(t reflect.Type) (names []string) {
	for i := range t.NumField() {
		names = append(names, jsonName(t, i))
	}
	return names
}

func jsonName(t reflect.Type, i int) string {
	name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
	return name
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
