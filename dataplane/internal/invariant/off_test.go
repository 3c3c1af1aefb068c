//go:build !invariant

package invariant

import (
	"reflect"
	"testing"
)

func TestNothingWithoutTheTag(t *testing.T) {
	if size := reflect.TypeFor[Owner]().Size(); size != 0 || Enabled {
		t.Errorf("an owner is %d bytes, enabled %v", size, Enabled)
	}
	var o Owner
	o.Enter()
	o.Enter()
}
