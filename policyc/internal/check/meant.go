package check

import "bulkhead/vswitch/cli/nearest"

// meant returns what a name that nothing has was probably meant to be. Once a
// name: where a service is gone that ten thousand rules name, each says so.
func (c *checker) meant(name string) string {
	if c.near == nil {
		c.near, c.names = map[string]string{}, c.p.Names()
	}
	word, known := c.near[name]
	if !known {
		word = nearest.Name(name, c.names)
		c.near[name] = word
	}
	return word
}
