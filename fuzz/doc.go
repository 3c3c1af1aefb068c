// Package fuzz holds a fuzz target for each door that strangers' bytes come
// through: frames, policy artifacts, policy sources, kept builds, configurations and
// requests to the control API. Seeds are named real frames and files; `make fuzz T=FuzzParse D=1m` runs one.
package fuzz
