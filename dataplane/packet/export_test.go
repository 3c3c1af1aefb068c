package packet

import "bulkhead/dataplane/drop"

// ParseAny is Parse without the short way for plain frames.
func ParseAny(f *Frame) drop.Reason {
	f.Headers = Headers{}
	return parseAny(f, f.Bytes(), &f.Headers)
}
