// Package store is the agent's way to etcd: it follows what the store has under
// schema.Prefix, writes what this host is to have there, and does what
// administrators ask.
//
// # Following
//
// A view is read whole, in pages, all at the revision of the first; it counts only
// if every page came, and as many keys as the store said that there are. Then a
// watch from the next revision on keeps it true. Whatever does not fit is a gap and
// not a guess: a revision that does not rise, a key written more often than it was
// told, a deletion of what was not there, a compaction, a store of another id, a
// revision that went back. After a gap all is read again, and whoever gets views
// compares them: nothing is ever cleared.
//
// Silence is not proof. Once a second the store is asked how far the watch is; what
// it has not answered for five seconds is stale, and is read again when the store
// is back.
//
// # Writing
//
// A publisher has a mailbox of one: what its host is to have. It holds the host's
// lease, compares, and writes what differs. It blocks nobody: while the store is
// away the last word waits in the mailbox.
//
// Follower.Run and Publisher.Run are goroutines of their own and end with their
// context; the other methods may be called from any.
package store
