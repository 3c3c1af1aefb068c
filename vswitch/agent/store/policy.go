package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	clientv3 "go.etcd.io/etcd/client/v3"

	"bulkhead/vswitch/agent/schema"
)

// ReadPolicy reads the bytes of a policy, all of them or none. That they are what
// the record says shows the hash; that they may be in force, only the switch's own
// keys.
func ReadPolicy(ctx context.Context, c *clientv3.Client, p *schema.Policy) ([]byte, error) {
	data := make([]byte, 0, p.Size)
	for i := range p.Parts {
		call, cancel := context.WithTimeout(ctx, callTime)
		resp, err := c.Get(call, schema.BlobKey(p.SHA256, i))
		cancel()
		switch {
		case err != nil:
			return nil, fmt.Errorf("policy %.12s: %w", p.SHA256, err)
		case len(resp.Kvs) != 1:
			return nil, fmt.Errorf("policy %.12s: part %d of %d is not there", p.SHA256, i, p.Parts)
		case len(data)+len(resp.Kvs[0].Value) > p.Size:
			return nil, fmt.Errorf("policy %.12s: it has more than the %d bytes that it says", p.SHA256, p.Size)
		}
		data = append(data, resp.Kvs[0].Value...)
	}
	if sum := sha256.Sum256(data); len(data) != p.Size || hex.EncodeToString(sum[:]) != p.SHA256 {
		return nil, fmt.Errorf("policy %.12s: its bytes are others than the hash says", p.SHA256)
	}
	return data, nil
}

// WritePolicy puts a policy into the store: its bytes first, then the word that it
// is the one.
func WritePolicy(ctx context.Context, c *clientv3.Client, data []byte, generation uint64) error {
	if len(data) == 0 || len(data) > schema.MaxPolicy {
		return fmt.Errorf("a policy of %d bytes: it has 1 to %d", len(data), schema.MaxPolicy)
	}
	sum := sha256.Sum256(data)
	p := schema.Policy{Schema: schema.Version, Generation: generation, SHA256: hex.EncodeToString(sum[:]), Size: len(data), Parts: schema.PartsOf(len(data))}
	for i := range p.Parts {
		part := data[i*schema.PartSize : min((i+1)*schema.PartSize, len(data))]
		if _, err := c.Put(ctx, schema.BlobKey(p.SHA256, i), string(part)); err != nil {
			return fmt.Errorf("write part %d of the policy: %w", i, err)
		}
	}
	before, err := c.Put(ctx, schema.PolicyKey, string(schema.Encode(&p)), clientv3.WithPrevKV())
	if err != nil {
		return fmt.Errorf("write the policy: %w", err)
	}
	return forget(ctx, c, before, p.SHA256)
}

// forget deletes the bytes of the policy before the last, which nobody reads any
// more once the record has changed.
func forget(ctx context.Context, c *clientv3.Client, before *clientv3.PutResponse, now string) error {
	if before.PrevKv == nil {
		return nil
	}
	old, _, err := schema.Decode(schema.PolicyKey, before.PrevKv.Value)
	if p, is := old.(*schema.Policy); err == nil && is && p.SHA256 != now {
		_, err = c.Delete(ctx, schema.BlobPrefix+p.SHA256+"/", clientv3.WithPrefix())
		return err
	}
	return nil
}
