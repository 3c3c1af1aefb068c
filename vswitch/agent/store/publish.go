package store

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"bulkhead/vswitch/agent/schema"
)

// maxOps is how many keys are written at once: etcd takes 128.
const maxOps = 100

// Publisher writes what a host is to have in the store.
type Publisher struct {
	link   *Link
	client *clientv3.Client // Run's own
	host   string
	ttl    time.Duration
	asked  chan struct{}

	mu   sync.Mutex        // guards what follows
	want map[string][]byte // nil: nothing is written
	of   string            // the value of the cluster's key in the store that it is for
	why  string            // why it is not there yet

	// What follows is Run's own.
	lease clientv3.LeaseID
	alive <-chan *clientv3.LeaseKeepAliveResponse
}

// NewPublisher makes the publisher of a host, whose keys live for ttl without it.
func NewPublisher(l *Link, host string, ttl time.Duration) *Publisher {
	return &Publisher{link: l, host: host, ttl: ttl, asked: make(chan struct{}, 1)}
}

// Want says which keys the host is to have, and no others, in the store whose
// cluster's key has the value of; nothing is written to another. It does not wait.
func (p *Publisher) Want(keys map[string][]byte, of []byte) {
	p.mu.Lock()
	same := p.want != nil && maps.EqualFunc(p.want, keys, bytes.Equal) && p.of == string(of)
	p.want, p.of = keys, string(of)
	p.mu.Unlock()
	if same {
		return
	}
	select {
	case p.asked <- struct{}{}:
	default:
	}
}

// Why says why the store does not have it yet; empty: it has.
func (p *Publisher) Why() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.why
}

// recheck is how often the keys are read again, in case somebody took them away.
const recheck = 30 * time.Second

// Run writes until ctx is done. It does not give the lease up then: the host goes
// on when its agent ends, and the lease runs out by itself.
func (p *Publisher) Run(ctx context.Context) {
	for tries := 0; ctx.Err() == nil; {
		err := p.write(ctx)
		p.mu.Lock()
		p.why = explain(err)
		p.mu.Unlock()
		wait := recheck
		if tries++; err == nil {
			tries = 0
		} else {
			wait = pause(tries)
		}
		p.rest(ctx, wait)
	}
}

// rest waits for the next reason to write: it is asked, the lease has ended, or
// time is up.
func (p *Publisher) rest(ctx context.Context, wait time.Duration) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			return
		case <-p.asked:
			return
		case _, open := <-p.alive:
			if !open {
				p.lease, p.alive = 0, nil
				return
			}
		}
	}
}

// write makes the store have what is wanted.
func (p *Publisher) write(ctx context.Context) error {
	p.mu.Lock()
	want, of := p.want, p.of
	p.mu.Unlock()
	if want == nil {
		return nil
	}
	var err error
	if p.client, err = p.link.Client(); err != nil {
		return err
	}
	if err := p.hold(ctx); err != nil {
		return err
	}
	call, cancel := context.WithTimeout(ctx, 2*callTime)
	defer cancel()
	have, err := p.own(call)
	if err != nil {
		return err
	}
	for ops := range slices.Chunk(p.differences(have, want), maxOps) {
		resp, err := p.client.Txn(call).If(clientv3.Compare(clientv3.Value(schema.ClusterKey), "=", of)).Then(ops...).Commit()
		if err != nil {
			return fmt.Errorf("write %d keys of host %s: %w", len(ops), p.host, err)
		}
		if !resp.Succeeded {
			return fmt.Errorf("write %d keys of host %s: the store is not the cluster's", len(ops), p.host)
		}
	}
	return nil
}

// hold sees to it that the host has a lease that lives.
func (p *Publisher) hold(ctx context.Context) error {
	if p.lease != 0 {
		return nil
	}
	call, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	l, err := p.client.Grant(call, max(1, int64(p.ttl/time.Second)))
	if err != nil {
		return fmt.Errorf("lease of host %s: %w", p.host, err)
	}
	alive, err := p.client.KeepAlive(ctx, l.ID)
	if err != nil {
		return fmt.Errorf("lease of host %s: %w", p.host, err)
	}
	p.lease, p.alive = l.ID, alive
	return nil
}

// own reads the host's keys.
func (p *Publisher) own(ctx context.Context) (map[string]*clientv3.Event, error) {
	have := map[string]*clientv3.Event{}
	for _, r := range []struct {
		key string
		op  []clientv3.OpOption
	}{{schema.HostKey(p.host), nil}, {schema.EndpointsOf(p.host), []clientv3.OpOption{clientv3.WithPrefix()}}} {
		resp, err := p.client.Get(ctx, r.key, r.op...)
		if err != nil {
			return nil, fmt.Errorf("read the keys of host %s: %w", p.host, err)
		}
		for _, kv := range resp.Kvs {
			have[string(kv.Key)] = &clientv3.Event{Kv: kv}
		}
	}
	return have, nil
}

// differences are the writes that make have want: what is another, or lives by
// another lease, and what is not to be there. The host's own record comes first.
func (p *Publisher) differences(have map[string]*clientv3.Event, want map[string][]byte) (ops []clientv3.Op) {
	keys := slices.SortedFunc(maps.Keys(want), func(a, b string) int {
		if a == schema.HostKey(p.host) {
			return -1
		}
		if b == schema.HostKey(p.host) {
			return 1
		}
		return slices.Compare([]byte(a), []byte(b))
	})
	for _, k := range keys {
		if h := have[k]; h == nil || !bytes.Equal(h.Kv.Value, want[k]) || h.Kv.Lease != int64(p.lease) {
			ops = append(ops, clientv3.OpPut(k, string(want[k]), clientv3.WithLease(p.lease)))
		}
	}
	for _, k := range slices.Sorted(maps.Keys(have)) {
		if _, wanted := want[k]; !wanted {
			ops = append(ops, clientv3.OpDelete(k))
		}
	}
	return ops
}
