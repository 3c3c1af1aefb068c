// Package api is what the control API says: the JSON of requests and answers,
// and the errors. The daemon, its clients and the metrics share it; it holds
// types only. Field names are stable: they are added to, not changed.
//
// The comment of a type or a field is its description in openapi.json, and the
// tag enum lists the values that a text may have; a test holds the file to
// these. A field without omitempty is always there.
package api

import (
	_ "embed"
)

// OpenAPI is the API's description, as OpenAPI 3.1.
//
//go:embed openapi.json
var OpenAPI []byte

// Done is the answer to a change that worked.
type Done struct {
	// What was done.
	Done string `json:"done"`
	// The generation that is in force with it.
	Generation uint32 `json:"generation"`
}
