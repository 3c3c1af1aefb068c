//go:build !race

package classbench

const raced = false
