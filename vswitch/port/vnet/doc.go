// Package vnet is what drivers share whose kernel side passes superframes with
// the work that is left to do written before them: the header itself (struct
// virtio_net_hdr), the memory that such frames are read into, what of them a
// device can take, and the accounts of a queue.
//
// It opens nothing and calls the kernel for memory only. Counters may be read
// from any goroutine; the rest is for the worker that owns the queue.
package vnet
