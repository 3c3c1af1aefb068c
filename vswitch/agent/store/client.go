package store

import (
	"crypto/tls"
	"fmt"
	"math/rand/v2"
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
	dialTime  = 3 * time.Second
	callTime  = 3 * time.Second // of one request
	askEvery  = time.Second
	staleTime = 5 * time.Second // without an answer
	minPause  = 200 * time.Millisecond
	maxPause  = 5 * time.Second
)

// maxMessage is the most bytes of one answer.
const maxMessage = 64 << 20

// Open makes a client. It does not wait for the store.
func Open(cfg Config) (*clientv3.Client, error) {
	c, err := clientv3.New(clientv3.Config{
		Endpoints: cfg.Endpoints, TLS: cfg.TLS, Username: cfg.User, Password: cfg.Password,
		DialTimeout: dialTime, DialKeepAliveTime: 2 * staleTime, DialKeepAliveTimeout: dialTime,
		MaxCallRecvMsgSize: maxMessage, RejectOldCluster: false, Logger: zap.NewNop(),
	})
	if err != nil {
		return nil, fmt.Errorf("store %v: %w", cfg.Endpoints, err)
	}
	return c, nil
}

// pause is the time until the next try, longer each time and never the same for
// two hosts.
func pause(tries int) time.Duration {
	d := min(minPause<<min(tries, 10), maxPause)
	return d/2 + rand.N(d/2)
}
