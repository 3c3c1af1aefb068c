package config

import "reflect"

// SamePort tells whether a port that was opened as a can go on as b: nothing
// that its device was made with has changed. Labels are no part of the device, nor
// are tags and bounds: the walk looks after these.
func SamePort(a, b *Port) bool {
	if a == nil || b == nil {
		return false
	}
	x, y := *a, *b
	x.Labels, y.Labels = nil, nil
	x.Prefixes, y.Prefixes = nil, nil
	x.L2, y.L2 = PortL2{}, PortL2{}
	return reflect.DeepEqual(x, y)
}
