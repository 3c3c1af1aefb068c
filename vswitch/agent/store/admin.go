package store

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"bulkhead/vswitch/agent/schema"
)

// Init makes a store a cluster's. One that is a cluster's already stays what it is:
// its id is returned, and made is false.
func Init(ctx context.Context, c *clientv3.Client, grantsRequired bool) (id string, made bool, err error) {
	draw := make([]byte, 16)
	_, _ = rand.Read(draw)
	r := schema.Cluster{Schema: schema.Version, ID: hex.EncodeToString(draw), GrantsRequired: grantsRequired}
	resp, err := c.Txn(ctx).If(clientv3.Compare(clientv3.CreateRevision(schema.ClusterKey), "=", 0)).
		Then(clientv3.OpPut(schema.ClusterKey, string(schema.Encode(&r)))).
		Else(clientv3.OpGet(schema.ClusterKey)).Commit()
	if err != nil {
		return "", false, err
	}
	if resp.Succeeded {
		return r.ID, true, nil
	}
	kvs := resp.Responses[0].GetResponseRange().Kvs
	if len(kvs) != 1 {
		return "", false, errors.New("the cluster's record went while it was read; try again")
	}
	old, _, err := schema.Decode(schema.ClusterKey, kvs[0].Value)
	if err != nil {
		return "", false, err
	}
	return old.(*schema.Cluster).ID, false, nil
}

// Put writes a record of an administrator's; it is held to the schema first.
func Put(ctx context.Context, c *clientv3.Client, key string, record any) error {
	value := schema.Encode(record)
	if _, _, err := schema.Decode(key, value); err != nil {
		return err
	}
	_, err := c.Put(ctx, key, string(value))
	return err
}

// Place says on which host an endpoint is to be: at an epoch after every one that
// the store knows of it, so that no earlier claim counts.
func Place(ctx context.Context, c *clientv3.Client, name, host string) (epoch uint64, err error) {
	if !schema.GoodName(name) || !schema.GoodHost(host) {
		return 0, fmt.Errorf("%q on host %q: these are no names", name, host)
	}
	key := schema.PlacementKey(name)
	for range 16 {
		was, err := c.Get(ctx, key)
		if err != nil {
			return 0, err
		}
		rev := int64(0)
		if epoch, err = epochOf(ctx, c, name); err != nil {
			return 0, err
		}
		if len(was.Kvs) == 1 {
			rev = was.Kvs[0].ModRevision
			if old, _, err := schema.Decode(key, was.Kvs[0].Value); err == nil {
				epoch = max(epoch, old.(*schema.Placement).Epoch)
			}
		}
		epoch = min(epoch+1, schema.MaxEpoch)
		p := schema.Placement{Schema: schema.Version, Name: name, Host: host, Epoch: epoch}
		resp, err := c.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(key), "=", rev)).
			Then(clientv3.OpPut(key, string(schema.Encode(&p)))).Commit()
		if err != nil || resp.Succeeded {
			return epoch, err
		}
	}
	return 0, errors.New("others place it at the same time; try again")
}

// epochOf is the highest epoch that a claim of an endpoint states.
func epochOf(ctx context.Context, c *clientv3.Client, name string) (epoch uint64, err error) {
	hosts, err := c.Get(ctx, schema.HostKey(""), clientv3.WithPrefix(), clientv3.WithKeysOnly())
	if err != nil {
		return 0, err
	}
	for _, kv := range hosts.Kvs {
		p, err := schema.ParseKey(string(kv.Key))
		if err != nil {
			continue
		}
		key := schema.EndpointKey(p.Host, name)
		resp, err := c.Get(ctx, key)
		if err != nil {
			return 0, err
		}
		for _, kv := range resp.Kvs {
			if r, _, err := schema.Decode(key, kv.Value); err == nil {
				epoch = max(epoch, r.(*schema.Endpoint).Epoch)
			}
		}
	}
	return epoch, nil
}

// AddHost makes the credentials of a host: a user of its name, with a role that
// may read what all may and write the host's own keys. An empty password is none:
// the host shows a certificate whose common name is the user's.
func AddHost(ctx context.Context, c *clientv3.Client, host, password string) error {
	if !schema.GoodHost(host) {
		return fmt.Errorf("%q is no host's name", host)
	}
	role := "bulkhead-host-" + host
	if _, err := c.RoleAdd(ctx, role); err != nil && !errors.Is(err, rpctypes.ErrRoleAlreadyExist) {
		return err
	}
	for _, g := range []struct {
		from, to string
		kind     clientv3.PermissionType
	}{
		{schema.Prefix, clientv3.GetPrefixRangeEnd(schema.Prefix), clientv3.PermissionType(clientv3.PermRead)},
		{schema.BlobPrefix, clientv3.GetPrefixRangeEnd(schema.BlobPrefix), clientv3.PermissionType(clientv3.PermRead)},
		{schema.HostKey(host), "", clientv3.PermissionType(clientv3.PermReadWrite)},
		{schema.EndpointsOf(host), clientv3.GetPrefixRangeEnd(schema.EndpointsOf(host)), clientv3.PermissionType(clientv3.PermReadWrite)},
	} {
		if _, err := c.RoleGrantPermission(ctx, role, g.from, g.to, g.kind); err != nil {
			return err
		}
	}
	return addUser(ctx, c, host, password, role)
}

func addUser(ctx context.Context, c *clientv3.Client, user, password, role string) error {
	_, err := c.UserAddWithOptions(ctx, user, password, &clientv3.UserAddOptions{NoPassword: password == ""})
	if errors.Is(err, rpctypes.ErrUserAlreadyExist) && password != "" {
		_, err = c.UserChangePassword(ctx, user, password)
	}
	if err != nil && !errors.Is(err, rpctypes.ErrUserAlreadyExist) {
		return err
	}
	_, err = c.UserGrantRole(ctx, user, role)
	return err
}

// EnableAuth has the store ask everybody who they are, from now on. root is its
// administrator; an empty password is none: by certificate.
func EnableAuth(ctx context.Context, c *clientv3.Client, password string) error {
	if _, err := c.RoleAdd(ctx, "root"); err != nil && !errors.Is(err, rpctypes.ErrRoleAlreadyExist) {
		return err
	}
	if err := addUser(ctx, c, "root", password, "root"); err != nil {
		return err
	}
	_, err := c.AuthEnable(ctx)
	return err
}
