// Package selftest tries a driver out before anything depends on it: two veths
// of its own, a port of the driver on the near end of each, a wire between the
// two ports, and at the far ends the kernel's own TCP and UDP, with the offloads
// that it sets by itself.
//
//	namespace A ── veth ── port ═ wire ═ port ── veth ── namespace B
//
// A driver passes if connections of both families carry every byte and datagrams
// as long as the MTU arrive whole. Kernels without a feature, modules that are
// missing and rights that are not there show here, and not with the first
// workload.
//
// Run makes devices under names that only it uses, and namespaces without a name,
// and removes them; a killed process leaves none. It needs the rights that opening ports needs, and CAP_SYS_ADMIN. Wait for
// it from any goroutine: it takes some tenths of a second, and Patience at the
// most for each probe.
package selftest
