package store_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"bulkhead/vswitch/agent/member"
	"bulkhead/vswitch/agent/schema"
	"bulkhead/vswitch/agent/store"
	"bulkhead/vswitch/agent/storetest"
)

// background runs something until the test ends, and waits for it.
func background(t *testing.T, run func(context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { run(ctx); close(done) }()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return stop
}

// same tells whether a follower has what the store has, no more and no less.
func same(t *testing.T, f *store.Follower, c *clientv3.Client) bool {
	t.Helper()
	resp, err := c.Get(context.Background(), schema.Prefix, clientv3.WithPrefix())
	if err != nil {
		t.Fatal(err)
	}
	st := f.State()
	if st.Why != "" || st.View == nil || len(st.View.Entries) != len(resp.Kvs) {
		return false
	}
	for _, kv := range resp.Kvs {
		e := st.View.Entries[string(kv.Key)]
		if string(e.Value) != string(kv.Value) || e.Mod != kv.ModRevision || e.Create != kv.CreateRevision || e.Version != kv.Version {
			return false
		}
	}
	return true
}

// A follower has what the store has: at first in pages, then as it changes, and
// after it was cut off while the store changed, and forgot how.
func TestFollower(t *testing.T) {
	s := storetest.Start(t)
	c, wire := s.Client(), storetest.NewWire(t, s)
	ctx := context.Background()
	put := func(i int, v string) {
		if _, err := c.Put(ctx, schema.SegmentKey(fmt.Sprint(i)), v); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 1300 {
		put(i, "first")
	}
	f := store.NewFollower(store.LinkTo(storetest.Client(t, store.Config{Endpoints: []string{wire.URL()}})))
	background(t, f.Run)
	storetest.Eventually(t, "the whole is read", func() bool { return same(t, f, c) })
	for i := range 50 {
		put(i, "second")
	}
	if _, err := c.Delete(ctx, schema.SegmentKey("7")); err != nil {
		t.Fatal(err)
	}
	storetest.Eventually(t, "changes are followed", func() bool { return same(t, f, c) })

	before := f.State().View
	wire.Cut()
	storetest.Eventually(t, "it is stale", func() bool { return f.State().Why != "" })
	if f.State().View != before {
		t.Error("what was read has changed while the store was away")
	}
	put(3, "third")
	resp, err := c.Delete(ctx, schema.SegmentKey("1"), clientv3.WithPrefix())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Compact(ctx, resp.Header.Revision); err != nil {
		t.Fatal(err)
	}
	wire.Join(s)
	storetest.Eventually(t, "it is true again", func() bool { return same(t, f, c) })

	// Another store at the same address is another store.
	other := storetest.Start(t)
	other.Put(schema.SegmentKey("x"), "{}")
	wire.Cut()
	wire.Join(other)
	storetest.Eventually(t, "the other is read", func() bool { return f.State().View.Store != before.Store && same(t, f, other.Client()) })
}

// The keys of a host live by its lease: they are written again when it was lost,
// what is not wanted goes, others' keys stay, and without the agent all goes.
func TestPublisher(t *testing.T) {
	s := storetest.Start(t)
	c, ctx := s.Client(), context.Background()
	p := store.NewPublisher(store.LinkTo(s.Client()), "h1", 2*time.Second)
	stop := background(t, p.Run)
	cluster := []byte("the cluster")
	s.Put(schema.ClusterKey, string(cluster))
	s.Put(schema.EndpointKey("h10", "x"), "another host's")
	s.Put(schema.EndpointKey("h1", "old"), "of an earlier life")
	keys := func() string {
		resp, err := c.Get(ctx, schema.Prefix, clientv3.WithPrefix())
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, kv := range resp.Kvs {
			all = append(all, strings.TrimPrefix(string(kv.Key), schema.Prefix)+"="+string(kv.Value))
		}
		return strings.Join(all, " ")
	}
	want := map[string][]byte{schema.HostKey("h1"): []byte("h")}
	for i := range 250 {
		want[schema.EndpointKey("h1", fmt.Sprint(i))] = []byte("e")
	}
	p.Want(want, cluster)
	storetest.Eventually(t, "all is written", func() bool { return strings.Count(keys(), "endpoints/h1/") == 250 && !strings.Contains(keys(), "old") })
	few := map[string][]byte{schema.HostKey("h1"): []byte("h"), schema.EndpointKey("h1", "a"): []byte("2")}
	const done = "cluster=the cluster endpoints/h1/a=2 endpoints/h10/x=another host's hosts/h1=h"
	p.Want(few, []byte("another"))
	storetest.Eventually(t, "nothing is written to what is another cluster", func() bool { return strings.Contains(p.Why(), "not the cluster's") })
	if strings.Count(keys(), "endpoints/h1/") != 250 {
		t.Error("it was written to all the same")
	}
	p.Want(few, cluster)
	storetest.Eventually(t, "few are left", func() bool { return keys() == done })
	resp, err := c.Get(ctx, schema.HostKey("h1"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Revoke(ctx, clientv3.LeaseID(resp.Kvs[0].Lease)); err != nil {
		t.Fatal(err)
	}
	storetest.Eventually(t, "they are there again", func() bool { return keys() == done && p.Why() == "" })
	stop()
	if keys() != done {
		t.Error("they went with the agent, and not with the lease")
	}
	storetest.Eventually(t, "the lease has run out", func() bool { return keys() == "cluster=the cluster endpoints/h10/x=another host's" })
}

// A policy is read whole, or not: a part that is missing, or another, is found.
func TestPolicyInParts(t *testing.T) {
	s := storetest.Start(t)
	c, ctx := s.Client(), context.Background()
	data := make([]byte, schema.PartSize*2+17)
	_, _ = rand.Read(data)
	record := func() *schema.Policy {
		resp, err := c.Get(ctx, schema.PolicyKey)
		if err != nil || len(resp.Kvs) != 1 {
			t.Fatal(resp, err)
		}
		r, _, err := schema.Decode(schema.PolicyKey, resp.Kvs[0].Value)
		if err != nil {
			t.Fatal(err)
		}
		return r.(*schema.Policy)
	}
	if err := store.WritePolicy(ctx, c, []byte("the first"), 3); err != nil {
		t.Fatal(err)
	}
	first := record()
	if err := store.WritePolicy(ctx, c, data, 4); err != nil {
		t.Fatal(err)
	}
	p := record()
	if got, err := store.ReadPolicy(ctx, c, p); err != nil || string(got) != string(data) || p.Generation != 4 {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if _, err := store.ReadPolicy(ctx, c, first); err == nil || !strings.Contains(err.Error(), "not there") {
		t.Errorf("the one before: %v", err)
	}
	s.Put(schema.BlobKey(p.SHA256, 1), strings.Repeat("x", schema.PartSize))
	if _, err := store.ReadPolicy(ctx, c, p); err == nil || !strings.Contains(err.Error(), "others than the hash says") {
		t.Errorf("another part: %v", err)
	}
	s.Put(schema.BlobKey(p.SHA256, 1), strings.Repeat("x", schema.PartSize+1))
	if _, err := store.ReadPolicy(ctx, c, p); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("a longer part: %v", err)
	}
}

// A placement has an epoch after every claim and every placement before.
func TestPlace(t *testing.T) {
	s := storetest.Start(t)
	c, ctx := s.Client(), context.Background()
	s.Put(schema.HostKey("h1"), "{}")
	e := schema.Endpoint{Schema: 1, Name: "db", Host: "h1", Segment: "s", MAC: "02:00:00:00:00:01", IPs: []string{"10.0.0.1"}, Epoch: 6}
	s.Put(schema.EndpointKey("h1", "db"), string(schema.Encode(&e)))
	for want := uint64(7); want < 10; want++ {
		if epoch, err := store.Place(ctx, c, "db", "h2"); err != nil || epoch != want {
			t.Errorf("epoch %d, %v; want %d", epoch, err, want)
		}
	}
	if _, err := store.Place(ctx, c, "db", "h2/../x"); err == nil {
		t.Error("placed on a path")
	}
}

// Init makes a store a cluster's once.
func TestInit(t *testing.T) {
	s := storetest.Start(t)
	id, made, err := store.Init(context.Background(), s.Client(), false)
	again, madeAgain, err2 := store.Init(context.Background(), s.Client(), true)
	if err != nil || err2 != nil || !made || madeAgain || id != again || len(id) != 32 {
		t.Errorf("%s %v %v, then %s %v %v", id, made, err, again, madeAgain, err2)
	}
}

// authority signs certificates for a test.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	a := &authority{t: t, dir: t.TempDir()}
	a.cert, a.key = nil, nil
	a.cert, a.key = a.sign("ca")
	return a
}

// sign makes NAME.pem and NAME.key; the first is its own issuer.
func (a *authority) sign(name string) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	serial, _ := rand.Int(rand.Reader, big.NewInt(1<<60))
	tmpl := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	issuer, signer := a.cert, a.key
	if issuer == nil {
		tmpl.IsCA, tmpl.BasicConstraintsValid, tmpl.KeyUsage = true, true, x509.KeyUsageCertSign
		issuer, signer = tmpl, key
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, issuer, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	a.write(name+".pem", "CERTIFICATE", der)
	a.write(name+".key", "PRIVATE KEY", secret)
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert, key
}

func (a *authority) path(name string) string { return filepath.Join(a.dir, name) }

func (a *authority) write(name, kind string, der []byte) {
	if err := os.WriteFile(a.path(name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		a.t.Fatal(err)
	}
}

// as is a client with the certificate of a name.
func (a *authority) as(s *storetest.Server, name string) *clientv3.Client {
	a.t.Helper()
	pair, err := tls.LoadX509KeyPair(a.path(name+".pem"), a.path(name+".key"))
	if err != nil {
		a.t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(a.cert)
	return storetest.Client(a.t, store.Config{Endpoints: []string{s.URL()}, TLS: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}}})
}

// With certificates and roles a host reads what all may and writes its own keys,
// and nothing else; who has no certificate of ours, or one of nobody's, has nothing.
func TestCredentials(t *testing.T) {
	ca := newAuthority(t)
	for _, name := range []string{"server", "root", "h1", "h2", "stranger"} {
		ca.sign(name)
	}
	s := storetest.Start(t, func(c *member.Config) {
		c.Cert, c.Key, c.CA = ca.path("server.pem"), ca.path("server.key"), ca.path("ca.pem")
	})
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	root := ca.as(s, "root")
	for _, host := range []string{"h1", "h2"} {
		if err := store.AddHost(ctx, root, host, ""); err != nil {
			t.Fatal(err)
		}
	}
	if err := store.EnableAuth(ctx, root, ""); err != nil {
		t.Fatal(err)
	}
	if _, _, err := store.Init(ctx, root, false); err != nil {
		t.Fatal(err)
	}
	h1 := ca.as(s, "h1")
	for _, c := range []struct {
		key string
		may bool
	}{
		{schema.HostKey("h1"), true}, {schema.EndpointKey("h1", "db"), true},
		{schema.HostKey("h2"), false}, {schema.HostKey("h11"), false}, {schema.EndpointKey("h2", "db"), false}, {schema.EndpointKey("h11", "db"), false},
		{schema.ClusterKey, false}, {schema.PolicyKey, false}, {schema.SegmentKey("s"), false}, {schema.PlacementKey("db"), false}, {schema.GrantKey("h1"), false},
		{schema.BlobKey("00", 0), false}, {"/other", false},
	} {
		if _, err := h1.Put(ctx, c.key, "{}"); c.may != (err == nil) || err != nil && !errors.Is(err, rpctypes.ErrPermissionDenied) {
			t.Errorf("h1 writes %s: %v, may: %v", c.key, err, c.may)
		}
		if _, err := h1.Delete(ctx, c.key); c.may != (err == nil) {
			t.Errorf("h1 deletes %s: %v, may: %v", c.key, err, c.may)
		}
	}
	if _, err := h1.Get(ctx, schema.Prefix, clientv3.WithPrefix()); err != nil {
		t.Errorf("h1 reads what all may: %v", err)
	}
	if _, err := h1.Get(ctx, "/other"); err == nil {
		t.Error("h1 reads what is none of ours")
	}
	// The agent's two goroutines have all that they need.
	f, p := store.NewFollower(store.LinkTo(ca.as(s, "h2"))), store.NewPublisher(store.LinkTo(ca.as(s, "h2")), "h2", 2*time.Second)
	background(t, f.Run)
	background(t, p.Run)
	record, err := root.Get(ctx, schema.ClusterKey)
	if err != nil {
		t.Fatal(err)
	}
	p.Want(map[string][]byte{schema.HostKey("h2"): []byte("{}"), schema.EndpointKey("h2", "web"): []byte("{}")}, record.Kvs[0].Value)
	storetest.Eventually(t, "h2 sees what it wrote", func() bool {
		st := f.State()
		return st.View != nil && st.View.Entries[schema.EndpointKey("h2", "web")].Version > 0
	})
	// Another host cannot end its lease either.
	if _, err := h1.Revoke(ctx, leaseOf(t, root, schema.HostKey("h2"))); err == nil {
		t.Error("h1 revoked the lease of h2")
	}
	if _, err := ca.as(s, "stranger").Get(ctx, schema.Prefix, clientv3.WithPrefix()); err == nil {
		t.Error("a certificate of nobody's reads")
	}
	short, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	plain := storetest.Client(t, store.Config{Endpoints: []string{strings.Replace(s.URL(), "https", "http", 1)}})
	if _, err := plain.Get(short, schema.Prefix); err == nil {
		t.Error("without TLS it answers")
	}
}

func leaseOf(t *testing.T, c *clientv3.Client, key string) clientv3.LeaseID {
	t.Helper()
	resp, err := c.Get(context.Background(), key)
	if err != nil || len(resp.Kvs) != 1 {
		t.Fatal(resp, err)
	}
	return clientv3.LeaseID(resp.Kvs[0].Lease)
}
