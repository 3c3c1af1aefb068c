package vnet

import (
	"testing"

	"bulkhead/vswitch/port"
)

// Queues of one number lend out one piece of memory, of two numbers two, and those
// without a loan have their own. An arena that closes takes no loan away.
func TestArenasOfAQueueShareTheirLoan(t *testing.T) {
	var loans port.Loans
	defer loans.Close()
	make := func(l *port.Loans, queue int) *Arena {
		t.Helper()
		a, err := NewArena(l, queue)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	first, same, other, own := make(&loans, 0), make(&loans, 0), make(&loans, 1), make(nil, 0)
	at := func(a *Arena) *byte { return &a.Room()[0] }
	if at(first) != at(same) || at(first) == at(other) || at(first) == at(own) || at(other) == at(own) {
		t.Error("shared by other queues than those of one number")
	}
	for _, a := range []*Arena{own, first} {
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
	}
	*at(same) = 1 // faults if the loan went with the arena
}
