// Package middleware wraps a port in another that does one thing more: writes
// down what passes (Trace), writes it to a capture (Capture), or does harm
// (Fault). The switch and the driver notice nothing: a wrapped port is a
// port.Port, and wrappers may be stacked.
//
// Each wrapper keeps the contract of package port: frames keep their order,
// what it drops has a reason and is in Stats, and it holds no frame's memory
// beyond the call. Queues may be used as the port's own: Recv by one worker,
// Send by several. The package starts no goroutine, and nothing here is meant
// for speed: a switch in service has no wrapped port.
package middleware
