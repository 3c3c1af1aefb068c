package api

import (
	"errors"
	"fmt"
)

// Code sorts errors, and is the HTTP status they travel under.
type Code string

// The codes.
const (
	CodeInvalid  Code = "invalid"            // the request is wrong: 400
	CodeNotFound Code = "not-found"          // what it names is not there: 404
	CodeMethod   Code = "method-not-allowed" // what it names is called otherwise: 405
	CodeConflict Code = "conflict"           // it contradicts what is there: 409
	CodeBusy     Code = "busy"               // a bound was reached; try later: 429
	CodeInternal Code = "internal"           // the switch could not: 500
)

// Error is an error with its cure.
type Error struct {
	// What kind of error it is; programs go by this.
	Code Code `json:"code" enum:"invalid,not-found,method-not-allowed,conflict,busy,internal"`
	// What is wrong, for people.
	Message string `json:"message"`
	// What to do about it, for people.
	Cure string `json:"cure"`
}

// Error writes message and cure.
func (e *Error) Error() string { return e.Message + "; " + e.Cure }

// Invalid makes an error about a request.
func Invalid(message, cure string) error { return &Error{CodeInvalid, message, cure} }

// NotFound makes an error about a name.
func NotFound(message, cure string) error { return &Error{CodeNotFound, message, cure} }

// Conflict makes an error about what is there already.
func Conflict(message, cure string) error { return &Error{CodeConflict, message, cure} }

// Busy makes an error about a bound.
func Busy(message, cure string) error { return &Error{CodeBusy, message, cure} }

// As returns err as an Error: itself if it is one, else an internal one. None
// is without a cure.
func As(err error) *Error {
	var e *Error
	if !errors.As(err, &e) {
		e = &Error{CodeInternal, fmt.Sprint(err), ""}
	}
	if e.Cure == "" {
		return &Error{e.Code, e.Message, "the daemon's log may say more"}
	}
	return e
}
