// Package helper is the privileged process beside the switch, and the switch's way
// to it.
//
// To open a port takes privileges: to make a TAP, to load an XDP program, to enter
// a workload's namespace. To run one takes none. So there are two processes:
//
//	vswitchd run      parses what strangers send; no capability, no_new_privs
//	   │  unix socket: "open port web", "set it up", "close it"; descriptors back
//	vswitchd ports    opens, watches guards, closes; reads no frame
//
// # What the switch may ask for
//
// Only what the configuration file says, which the helper reads itself: a request
// carries the port as the switch wants it, and it must be one of the file's (files.go). A
// switch that was taken over by an attacker can open and close its own ports; it
// cannot have the host's other devices, or a TAP in another namespace. The socket is
// the helper's user's and the switch's, by mode and by the kernel's word on who calls
// (SO_PEERCRED).
//
// # Who dies when
//
// If the helper dies the switch goes on: it has the descriptors. Ports cannot be
// opened, set up or taken away meanwhile, and `vsctl status` says so. A new helper is
// told by the switch of all that is open, with the descriptors, and looks after it
// from then on (drivers' Keep). What was closed meanwhile keeps its guard until a
// port is opened there again.
//
// If the switch dies the helper holds every port as it is: a TAP and a packet socket
// queue their frames, a guard drops, an XDP program drops. The next switch is handed
// the same ports, with what waits in them, if they are as its configuration has them
// (left.go); an AF_XDP port is opened anew. With them comes the memory file in which the
// dead one kept its sessions; the helper does not look into it. Two in a row may have it
// without having started: it could be what they die of, so the third begins cold. If
// none comes within the helper's patience all is closed, links down first.
//
// # Threads
//
// A Client may be called from any goroutine; calls are made one at a time, and each
// has its deadline (callTime). A helper that hangs costs no worker anything, and who
// reloads five seconds, once: from then on it is away, until it answers; ports that are
// closed meanwhile it is told of then. A Server serves one switch at a time.
package helper
