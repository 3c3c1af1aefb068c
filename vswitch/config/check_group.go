package config

import (
	"fmt"
	"maps"
)

// group checks a group: no two have one number, or the same labels.
func (c *checker) group(i int, f *fileGroup) Group {
	key := func(k string) string { return fmt.Sprintf("groups[%d].%s", i, k) }
	g := Group{Name: f.Name, Number: uint16(c.number(key("number"), f.Number)), Labels: f.Labels}
	for _, k := range []string{"number", "labels"} {
		if !c.set[key(k)] {
			c.wrong(key(k), "add it, the same on every host", "a group needs %s", k)
		}
	}
	if c.set[key("labels")] && len(f.Labels) == 0 {
		c.wrong(key("labels"), "name the labels that services go by", "a group without labels is everybody")
	}
	c.labels(key("labels"), f.Labels)
	for _, other := range c.cfg.Groups {
		if g.Number != 0 && other.Number == g.Number {
			c.wrong(key("number"), "give each its own", "%d is also that of group %q", g.Number, other.Name)
		}
		if len(g.Labels) > 0 && maps.Equal(other.Labels, g.Labels) {
			c.wrong(key("labels"), "take one of the two away", "group %q has the same labels", other.Name)
		}
	}
	return g
}
