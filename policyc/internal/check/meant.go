package check

// maxMeant bounds the wrong names whose right ones are looked for: it takes all
// names for each, and who has a thousand wrong ones has another trouble.
const maxMeant = 100

// meant returns what a name that nothing has was probably meant to be. Once a
// name: where a service is gone that ten thousand rules name, each says so.
func (c *checker) meant(name string) string {
	if c.near == nil {
		c.near = map[string]string{}
	}
	full := c.qualified(name)
	word, known := c.near[full]
	if !known && len(c.near) < maxMeant {
		word = c.p.meant(c.scope, name)
		c.near[full] = word
	}
	return word
}
