package store

import (
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// Config says where the store is and who we are to it.
type Config struct {
	Endpoints []string    // URLs
	TLS       *tls.Config // nil: none
	User      string      // empty: by certificate, or nobody
	Password  string
}

// Times.
const (
	dialTime  = 10 * time.Second // with a password: the store takes its time to check it
	callTime  = 3 * time.Second  // of one request
	askEvery  = time.Second
	staleTime = 5 * time.Second // without an answer
	minPause  = 200 * time.Millisecond
	maxPause  = 5 * time.Second
)

// maxMessage is the most bytes of one answer.
const maxMessage = 64 << 20

// Open makes a client. With a password it waits until the store has taken that, at
// most dialTime; else it does not wait.
func Open(cfg Config) (*clientv3.Client, error) {
	c, err := clientv3.New(clientv3.Config{
		Endpoints: cfg.Endpoints, TLS: cfg.TLS, Username: cfg.User, Password: cfg.Password,
		DialTimeout: dialTime, DialKeepAliveTime: 2 * staleTime, DialKeepAliveTimeout: callTime,
		MaxCallRecvMsgSize: maxMessage, RejectOldCluster: false, Logger: zap.NewNop(),
	})
	if err != nil {
		return nil, fmt.Errorf("store %v: %w", cfg.Endpoints, err)
	}
	return c, nil
}

// Link is a client that is made when it is first needed, so that whoever has it can
// begin while the store is away.
type Link struct {
	cfg    Config
	mu     sync.Mutex // guards what follows; held while the client is made
	client *clientv3.Client
}

// NewLink makes a link. It speaks to nobody yet.
func NewLink(cfg Config) *Link { return &Link{cfg: cfg} }

// LinkTo makes a link of a client that is there.
func LinkTo(c *clientv3.Client) *Link { return &Link{client: c} }

// Client returns the client, or why there is none yet.
func (l *Link) Client() (*clientv3.Client, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.client != nil {
		return l.client, nil
	}
	c, err := Open(l.cfg)
	if err != nil {
		return nil, err
	}
	l.client = c
	return c, nil
}

// Close ends the client, if there is one.
func (l *Link) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.client != nil {
		_ = l.client.Close()
	}
}

// pause is the time until the next try, longer each time and never the same for
// two hosts.
func pause(tries int) time.Duration {
	d := min(minPause<<min(tries, 10), maxPause)
	return d/2 + rand.N(d/2)
}
