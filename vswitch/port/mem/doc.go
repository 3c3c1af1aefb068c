// Package mem is a port without a device: what one side injects the switch
// receives, and what the switch sends the other side takes. Tests, benchmarks
// and scripts plug into the switch with it.
//
// Both directions are rings of a fixed number of frames: a full receive ring
// refuses the injection, a full transmit ring drops with tx-full, as hardware
// does. Frames are copied in and out with their offload state, so neither side
// sees the other's memory.
//
// Recv and Send belong to the switch; Inject, Take and SetLink may be called
// from any goroutine. A ring has one lock, held for a batch. The package
// starts no goroutine.
package mem
