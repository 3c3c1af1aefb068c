//go:build invariant

package invariant

import "testing"

func TestTwoInsidePanic(t *testing.T) {
	var o Owner
	o.Enter()
	o.Leave()
	o.Enter()
	defer func() {
		if recover() == nil {
			t.Error("two goroutines inside, and no panic")
		}
	}()
	o.Enter()
}
