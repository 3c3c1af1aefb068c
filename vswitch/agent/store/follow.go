package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"bulkhead/vswitch/agent/schema"
	"bulkhead/vswitch/agent/world"
)

// Bounds of a view: a store that has more is not followed.
const (
	maxKeys  = 1 << 19
	maxBytes = 512 << 20
	pageKeys = 512
)

// Follower keeps a view of the store.
type Follower struct {
	link    *Link
	client  *clientv3.Client // Run's own
	prefix  string
	changed chan struct{}

	mu     sync.Mutex // guards what follows
	view   *world.View
	proved time.Time // when the store said last that the view is all there is
	why    string    // why it does not
}

// NewFollower makes a follower of the schema's keys.
func NewFollower(l *Link) *Follower {
	return &Follower{link: l, prefix: schema.Prefix, changed: make(chan struct{}, 1), why: "the store has not answered yet"}
}

// State is how true a view is.
type State struct {
	View   *world.View // nil: none was ever read
	Proved time.Time   // the last moment at which it was all there is; zero: never
	Why    string      // why it is not proved any more; empty: it is
}

// State returns the view and how true it is.
func (f *Follower) State() State {
	f.mu.Lock()
	defer f.mu.Unlock()
	return State{f.view, f.proved, f.why}
}

// Changed has a token when State has another view.
func (f *Follower) Changed() <-chan struct{} { return f.changed }

// Run follows until ctx is done.
func (f *Follower) Run(ctx context.Context) {
	for tries := 0; ctx.Err() == nil; tries++ {
		began := time.Now()
		err := f.follow(ctx)
		f.mu.Lock()
		f.why = explain(err)
		f.mu.Unlock()
		if time.Since(began) > maxPause {
			tries = 0
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause(tries)):
		}
	}
}

// explain says an error of the store's in few words.
func explain(err error) string {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, context.DeadlineExceeded):
		return "the store does not answer"
	}
	return fmt.Sprintf("the store: %v", err)
}

// follow reads the whole and then watches, until something does not fit.
func (f *Follower) follow(ctx context.Context) error {
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	var err error
	if f.client, err = f.link.Client(); err != nil {
		return err
	}
	view, err := f.list(ctx)
	if err != nil {
		return err
	}
	f.publish(view)
	events := f.client.Watch(ctx, f.prefix, clientv3.WithPrefix(), clientv3.WithRev(view.Revision+1))
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case resp, open := <-events:
			if !open {
				return errors.New("the watch has ended")
			}
			if view, err = f.take(view, &resp); err != nil {
				return err
			}
		case <-tick.C:
			if time.Since(f.State().Proved) > staleTime {
				return context.DeadlineExceeded
			}
			ask, done := context.WithTimeout(ctx, askEvery)
			err := f.client.RequestProgress(ask)
			done()
			if err != nil && !errors.Is(err, context.DeadlineExceeded) {
				return err
			}
		}
	}
}

// list reads the whole at one revision, or nothing.
func (f *Follower) list(ctx context.Context) (*world.View, error) {
	v := &world.View{Entries: map[string]world.Entry{}}
	from, end, bytes, count := f.prefix, clientv3.GetPrefixRangeEnd(f.prefix), 0, int64(0)
	for {
		page, err := f.page(ctx, from, end, v.Revision)
		if err != nil {
			return nil, err
		}
		if v.Revision == 0 {
			v.Store, v.Revision, count = page.Header.ClusterId, page.Header.Revision, page.Count
		}
		if page.Header.ClusterId != v.Store {
			return nil, errors.New("pages are of two stores")
		}
		for _, kv := range page.Kvs {
			if bytes += len(kv.Key) + len(kv.Value); len(v.Entries) >= maxKeys || bytes > maxBytes {
				return nil, fmt.Errorf("it has more than %d keys or %d bytes", maxKeys, maxBytes)
			}
			v.Entries[string(kv.Key)] = entry(kv)
		}
		if !page.More {
			break
		}
		if len(page.Kvs) == 0 {
			return nil, errors.New("a page is empty, and there is to be more")
		}
		from = string(page.Kvs[len(page.Kvs)-1].Key) + "\x00"
	}
	if int64(len(v.Entries)) != count {
		return nil, fmt.Errorf("it said that it has %d keys, and gave %d", count, len(v.Entries))
	}
	return v, nil
}

// page reads one page; rev 0 is the newest.
func (f *Follower) page(ctx context.Context, from, end string, rev int64) (*clientv3.GetResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	return f.client.Get(ctx, from, clientv3.WithRange(end), clientv3.WithLimit(pageKeys), clientv3.WithRev(rev),
		clientv3.WithSort(clientv3.SortByKey, clientv3.SortAscend))
}

func entry(kv *mvccpb.KeyValue) world.Entry {
	return world.Entry{Value: kv.Value, Create: kv.CreateRevision, Mod: kv.ModRevision, Version: kv.Version}
}

// take takes in what the watch says, and returns the view after it.
func (f *Follower) take(v *world.View, resp *clientv3.WatchResponse) (*world.View, error) {
	if err := resp.Err(); err != nil {
		return v, err
	}
	if resp.Header.ClusterId != v.Store {
		return v, errors.New("another store answers")
	}
	if resp.Header.Revision < v.Revision {
		return v, fmt.Errorf("its revision went back from %d to %d", v.Revision, resp.Header.Revision)
	}
	next, err := apply(v, resp.Events)
	if err != nil {
		return v, err
	}
	if resp.Created {
		return next, nil // how far it is, it has not said
	}
	f.publish(next)
	return next, nil
}

// apply is a view after events. What does not follow from the view is an error.
func apply(v *world.View, events []*clientv3.Event) (*world.View, error) {
	if len(events) == 0 {
		return v, nil
	}
	next := &world.View{Store: v.Store, Revision: v.Revision, Entries: maps.Clone(v.Entries)}
	for _, e := range events {
		key := string(e.Kv.Key)
		old, had := next.Entries[key]
		switch {
		case e.Kv.ModRevision <= v.Revision || e.Kv.ModRevision < next.Revision:
			return nil, fmt.Errorf("%s changed at revision %d, after %d", key, e.Kv.ModRevision, next.Revision)
		case e.Type == mvccpb.DELETE && !had:
			return nil, fmt.Errorf("%s is deleted, and was never told", key)
		case e.Type == mvccpb.DELETE:
			delete(next.Entries, key)
		case had && (e.Kv.Version != old.Version+1 || e.Kv.CreateRevision != old.Create), !had && e.Kv.Version != 1:
			return nil, fmt.Errorf("%s is at version %d, after %d: a change is missing", key, e.Kv.Version, old.Version)
		case len(next.Entries) >= maxKeys:
			return nil, fmt.Errorf("it has more than %d keys", maxKeys)
		default:
			next.Entries[key] = entry(e.Kv)
		}
		next.Revision = e.Kv.ModRevision
	}
	return next, nil
}

// publish makes a view the one that State returns, as proved now.
func (f *Follower) publish(v *world.View) {
	f.mu.Lock()
	defer f.mu.Unlock()
	changed := f.view != v
	f.view, f.proved, f.why = v, time.Now(), ""
	if changed {
		select {
		case f.changed <- struct{}{}:
		default:
		}
	}
}
