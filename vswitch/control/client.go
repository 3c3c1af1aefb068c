package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"

	"bulkhead/vswitch/control/api"
)

// Client calls the control API of a daemon on this host.
type Client struct {
	path string
	http *http.Client
}

// NewClient makes a client of the socket at path. It does not connect yet.
func NewClient(path string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}
	return &Client{path: path, http: &http.Client{Transport: &http.Transport{DialContext: dial}}}
}

// Get calls GET path and reads the answer into out.
func (c *Client) Get(ctx context.Context, path string, out any) error {
	return c.call(ctx, http.MethodGet, path, nil, out)
}

// Post calls POST path with a body, and reads the answer into out.
func (c *Client) Post(ctx context.Context, path string, in, out any) error {
	return c.call(ctx, http.MethodPost, path, in, out)
}

func (c *Client) call(ctx context.Context, method, path string, in, out any) error {
	r, err := c.send(ctx, method, path, in)
	if err != nil {
		return err
	}
	defer r.Close()
	if err := json.NewDecoder(r).Decode(out); err != nil {
		return fmt.Errorf("answer of vswitchd at %s: %w", c.path, err)
	}
	return nil
}

// Stream calls POST path and copies the answer to out as it comes.
func (c *Client) Stream(ctx context.Context, path string, in any, out io.Writer) error {
	r, err := c.send(ctx, http.MethodPost, path, in)
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = io.Copy(out, r)
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	return err
}

func (c *Client) send(ctx context.Context, method, path string, in any) (io.ReadCloser, error) {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://vswitchd"+path, body)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.explain(err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp.Body, nil
	}
	defer resp.Body.Close()
	e := new(api.Error)
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxBody)).Decode(e); err != nil || e.Message == "" {
		return nil, fmt.Errorf("vswitchd at %s: %s", c.path, resp.Status)
	}
	return nil, e
}

// hungUp tells of a daemon that took the connection and gave it up before, while
// or after the call was written. The first has no error of its own in net/http,
// only a text.
func hungUp(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) ||
		strings.Contains(err.Error(), "server closed idle connection")
}

// explain says what to do about a daemon that cannot be reached.
func (c *Client) explain(err error) error {
	switch {
	case errors.Is(err, os.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("no vswitchd listens at %s; start it with vswitchd run -c FILE, or name its socket with --socket", c.path)
	case errors.Is(err, os.ErrPermission), hungUp(err):
		return fmt.Errorf("vswitchd at %s refused the call; be root or in its control_group, and try again if many call at once", c.path)
	}
	return fmt.Errorf("vswitchd at %s: %w", c.path, err)
}
