package agent

import (
	"context"
	"fmt"
	"time"

	"bulkhead/vswitch/agent/schema"
	"bulkhead/vswitch/agent/store"
	"bulkhead/vswitch/agent/world"
	"bulkhead/vswitch/control/api"
)

// policyLoader brings the store's policy to the switch. Its bytes are fetched by a
// goroutine of their own, one at a time; the switch takes them only if a key that
// its configuration trusts signed them, and an older generation not at all. So a
// store can delay a policy, and never make one.
type policyLoader struct {
	path     string
	loaded   string     // hash of the policy that the switch has taken from us
	fetched  string     // hash of what is in the file
	fetching chan fetch // of room for one
	failed   string     // why the last try was none
	again    time.Time
}

type fetch struct {
	hash string
	err  error
}

const policyAgain = 15 * time.Second

// turn takes a policy one step on; the alarm says what is in the way.
func (p *policyLoader) turn(ctx context.Context, a *Agent, want *schema.Policy) (alarms []string) {
	p.collect()
	if want == nil || p.loaded == want.SHA256 {
		return nil
	}
	if time.Now().After(p.again) {
		switch {
		case p.fetched == want.SHA256:
			p.load(ctx, a, want)
		case p.fetching == nil:
			p.begin(ctx, a, *want)
		}
	}
	if p.failed != "" {
		alarms = append(alarms, fmt.Sprintf("the policy of generation %d is not in force: %s", want.Generation, p.failed))
	}
	return alarms
}

// ready tells whether a fetch has ended, wanted whether one is to be done.
func (p *policyLoader) ready() bool { return len(p.fetching) > 0 }

func (p *policyLoader) wanted(r *world.Records) bool {
	return r != nil && r.Policy != nil && r.Policy.SHA256 != p.loaded
}

func (p *policyLoader) fail(why string) { p.failed, p.again = why, time.Now().Add(policyAgain) }

// begin starts to fetch.
func (p *policyLoader) begin(ctx context.Context, a *Agent, want schema.Policy) {
	done := make(chan fetch, 1)
	p.fetching = done
	go func() {
		done <- fetch{want.SHA256, p.fetch(ctx, a.link, &want)}
	}()
}

// fetch reads a policy into the file.
func (p *policyLoader) fetch(ctx context.Context, l *store.Link, want *schema.Policy) error {
	c, err := l.Client()
	if err != nil {
		return err
	}
	data, err := store.ReadPolicy(ctx, c, want)
	if err != nil {
		return err
	}
	return replaceFile(p.path, data)
}

// collect takes what has been fetched.
func (p *policyLoader) collect() {
	select {
	case f := <-p.fetching:
		p.fetching = nil
		if f.err != nil {
			p.fail(f.err.Error())
			return
		}
		p.fetched = f.hash
	default:
	}
}

// wait waits for a fetch that is under way.
func (p *policyLoader) wait() {
	if p.fetching != nil {
		<-p.fetching
	}
}

// load has the switch take the file.
func (p *policyLoader) load(ctx context.Context, a *Agent, want *schema.Policy) {
	err := a.call(ctx, "/v1/policy", &api.PolicyLoad{File: p.path, Signed: true}, new(api.Done))
	if err != nil {
		p.fail(err.Error())
		return
	}
	p.loaded, p.failed, p.again = want.SHA256, "", time.Time{}
	a.log.Info("policy", "generation", want.Generation, "sha256", want.SHA256)
}
