package world

import (
	"cmp"
	"fmt"
	"slices"

	"bulkhead/vswitch/agent/schema"
)

// Owner is who owned an endpoint last, as far as is remembered.
type Owner struct {
	Host  string
	Epoch uint64
	// Released: it took its claim back while it was alive, so any other may have it.
	Released bool `json:",omitempty"`
	// Seen is when there was a claim last, in seconds since 1970.
	Seen int64
}

// verdict is whom an endpoint belongs to; nobody: claim is nil.
type verdict struct {
	claim *Claim
	epoch uint64
	alarm string
}

// ownerOf weighs the claims of one endpoint, the lost ones among them. known is nil
// if nobody is remembered. placed is nil without a placement.
func ownerOf(name string, claims []Claim, known *Owner, placed *schema.Placement) verdict {
	if placed != nil {
		if v, settled := byPlacement(claims, known, placed); settled {
			return v
		}
	}
	inc := incumbent(claims, known)
	switch {
	case inc == nil:
		return successor(name, claims, known)
	case inc.Lost:
		after := &Owner{Host: inc.Host, Epoch: inc.Epoch}
		if known != nil {
			after.Epoch = max(after.Epoch, known.Epoch)
		}
		if v := successor(name, claims, after); v.claim != nil {
			return v
		}
		return verdict{claim: inc, epoch: after.Epoch}
	}
	return follow(name, claims, inc, known)
}

// byPlacement is the administrator's word, if the host that it names claims the
// endpoint, or has had it since: then it is nobody else's.
func byPlacement(claims []Claim, known *Owner, placed *schema.Placement) (v verdict, settled bool) {
	c := of(claims, placed.Host)
	if c != nil && c.CededTo == "" {
		return verdict{claim: c, epoch: max(c.Epoch, placed.Epoch)}, true
	}
	return verdict{}, known != nil && known.Host == placed.Host && known.Epoch >= placed.Epoch
}

// incumbent is the claim to start from: that of the last owner, if it has one; if
// nobody is remembered, the first that was made. Lost claims come last.
func incumbent(claims []Claim, known *Owner) *Claim {
	if known != nil {
		return of(claims, known.Host)
	}
	if len(claims) == 0 {
		return nil
	}
	first := slices.MinFunc(claims, func(a, b Claim) int {
		return cmp.Or(compareBool(a.Lost, b.Lost), cmp.Compare(a.Create, b.Create), cmp.Compare(a.Host, b.Host))
	})
	return of(claims, first.Host)
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// follow goes from the incumbent to whom it ceded, and on from there.
func follow(name string, claims []Claim, c *Claim, known *Owner) verdict {
	epoch := c.Epoch
	if known != nil && known.Host == c.Host {
		epoch = max(epoch, known.Epoch)
	}
	for range claims {
		if c.CededTo == "" {
			return verdict{claim: c, epoch: epoch, alarm: contested(name, claims, c)}
		}
		next := of(claims, c.CededTo)
		if next == nil {
			return verdict{} // it is on its way
		}
		epoch = max(epoch, next.Epoch)
		c = next
	}
	return verdict{} // each cedes to the other: until one of them claims it
}

// contested tells of live claims that are no move to come and no remnant of one: of
// an epoch that the owner does not precede.
func contested(name string, claims []Claim, owner *Claim) string {
	for i := range claims {
		if c := &claims[i]; c.Host != owner.Host && c.CededTo == "" && !c.Lost && c.Epoch <= owner.Epoch {
			return fmt.Sprintf("endpoint %s is claimed by host %s, too, and stays host %s's: stop it there, or move it with vswitch-agent place", name, c.Host, owner.Host)
		}
	}
	return ""
}

// successor is who may have an endpoint whose owner is gone: a live claim of a
// higher epoch than the last, or any after a release, or if nobody is remembered.
func successor(name string, claims []Claim, known *Owner) verdict {
	var best *Claim
	alarm := ""
	for i := range claims {
		c := &claims[i]
		switch {
		case c.Lost || c.CededTo != "":
		case known != nil && !known.Released && c.Host != known.Host && c.Epoch <= known.Epoch:
			alarm = fmt.Sprintf("endpoint %s is claimed by host %s at epoch %d, and was host %s's at epoch %d: an old host cannot claim back; vswitch-agent place %s %s gives it to it",
				name, c.Host, c.Epoch, known.Host, known.Epoch, name, c.Host)
		case best == nil || cmp.Or(-cmp.Compare(c.Epoch, best.Epoch), cmp.Compare(c.Create, best.Create)) < 0:
			best = c
		}
	}
	if best == nil {
		return verdict{alarm: alarm}
	}
	epoch := best.Epoch
	if known != nil {
		epoch = max(epoch, known.Epoch)
	}
	return verdict{claim: best, epoch: epoch}
}
