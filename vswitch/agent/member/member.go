// Package member is a member of an etcd cluster in this process, for clusters too
// small to have a store of their own: one host, or three.
//
// It is the real server. It shares the agent's process and nothing else with it:
// the agent speaks to it by its URL, as to any other, so a cluster can grow into a
// store of its own without a change to the hosts. If it fails the agent goes on
// without it, as it does when any store is away.
package member

import (
	"errors"
	"fmt"
	"net/url"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
)

// Config says who the member is.
type Config struct {
	Name    string
	Dir     string // of its data
	Client  string // URL to serve clients at
	Peer    string // URL to serve other members at
	Members string // all members as name=URL,name=URL; empty: this one alone
	Joins   bool   // it joins a cluster that runs
	// TLS of both URLs; empty: none. With CA, clients and members show certificates
	// that it signed.
	Cert, Key, CA string
}

// startTime is how long a member may take to be ready. One of three waits for
// another.
const startTime = 60 * time.Second

// quota bounds the data, in bytes; compaction keeps an hour of history.
const quota = 2 << 30

// Check says what is wrong with a configuration.
func (c *Config) Check() error {
	if _, err := c.embed(); err != nil {
		return fmt.Errorf("embedded store: %w", err)
	}
	return nil
}

// Start starts a member and waits until it serves, which may need other members.
// Stop ends it.
func Start(c Config) (*Member, error) {
	cfg, err := c.embed()
	if err != nil {
		return nil, fmt.Errorf("embedded store: %w", err)
	}
	e, err := embed.StartEtcd(cfg)
	if err != nil {
		return nil, fmt.Errorf("embedded store: %w", err)
	}
	select {
	case <-e.Server.ReadyNotify():
		return &Member{e}, nil
	case err = <-e.Err():
	case <-time.After(startTime):
		err = errors.New("it is not ready after a minute; do the other members run?")
	}
	e.Close()
	return nil, fmt.Errorf("embedded store: %w", err)
}

// Member is a member that runs.
type Member struct{ etcd *embed.Etcd }

// Failed has the error that ended the member.
func (m *Member) Failed() <-chan error { return m.etcd.Err() }

// Stop ends the member and waits for it.
func (m *Member) Stop() { m.etcd.Close() }

func (c *Config) embed() (*embed.Config, error) {
	client, err := url.Parse(c.Client)
	if err != nil {
		return nil, err
	}
	peer, err := url.Parse(c.Peer)
	if err != nil {
		return nil, err
	}
	cfg := embed.NewConfig()
	cfg.Name, cfg.Dir = c.Name, c.Dir
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = []url.URL{*client}, []url.URL{*client}
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = []url.URL{*peer}, []url.URL{*peer}
	cfg.InitialCluster = c.Members
	if c.Members == "" {
		cfg.InitialCluster = cfg.InitialClusterFromName(c.Name)
	}
	cfg.ClusterState = embed.ClusterStateFlagNew
	if c.Joins {
		cfg.ClusterState = embed.ClusterStateFlagExisting
	}
	cfg.AutoCompactionMode, cfg.AutoCompactionRetention = embed.CompactorModePeriodic, "1h"
	cfg.QuotaBackendBytes = quota
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	if c.Cert != "" {
		cfg.ClientTLSInfo.CertFile, cfg.ClientTLSInfo.KeyFile, cfg.ClientTLSInfo.TrustedCAFile = c.Cert, c.Key, c.CA
		cfg.ClientTLSInfo.ClientCertAuth = c.CA != ""
		cfg.PeerTLSInfo = cfg.ClientTLSInfo
	}
	return cfg, cfg.Validate()
}
