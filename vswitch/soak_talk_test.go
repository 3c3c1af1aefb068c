package vswitch_test

import (
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// chatter is bob's TCP with alice: some connections that stay open for a life of the
// daemon, and short ones beside them, all of which must say back what they are told.
type chatter struct {
	t        *testing.T
	s        *scene
	server   net.Listener
	open     []net.Conn
	said     []byte
	made     int
	brokenBy []string
}

// chats starts alice's server.
func (s *scene) chats() *chatter {
	s.t.Helper()
	c := &chatter{t: s.t, s: s, said: make([]byte, 100_000)}
	for i := range c.said {
		c.said[i] = byte(i ^ i>>8)
	}
	within(s.t, s.alice, func() (err error) {
		c.server, err = net.Listen("tcp", ":5101")
		return err
	})
	s.t.Cleanup(func() { c.server.Close() })
	go func() {
		for {
			conn, err := c.server.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(conn, conn); conn.Close() }()
		}
	}()
	return c
}

// opens opens the connections of a life.
func (c *chatter) opens() {
	c.t.Helper()
	c.open, c.made, c.brokenBy = nil, 0, nil
	for i := range 6 {
		conn, err := c.dial(i % 2)
		if err != nil {
			c.t.Fatalf("a connection of a new life: %v", err)
		}
		c.open = append(c.open, conn)
	}
}

func (c *chatter) dial(family int) (conn net.Conn, err error) {
	within(c.t, c.s.bob, func() error {
		conn, err = net.DialTimeout("tcp", net.JoinHostPort(sceneIP(alice, family), "5101"), 5*time.Second)
		return nil
	})
	c.made++
	return conn, err
}

// speaks has all that are open, and two new ones, carry their text, and says which did not.
func (c *chatter) speaks() (broken string) {
	c.t.Helper()
	for i, conn := range c.open {
		if err := c.echoes(conn); err != nil {
			c.brokenBy = append(c.brokenBy, fmt.Sprintf("open connection %d: %v", i, err))
		}
	}
	for family := range 2 {
		conn, err := c.dial(family)
		if err == nil {
			err = c.echoes(conn)
			conn.Close()
		}
		if err != nil {
			c.brokenBy = append(c.brokenBy, fmt.Sprintf("new connection: %v", err))
		}
	}
	if len(c.brokenBy) > 0 {
		return c.brokenBy[len(c.brokenBy)-1]
	}
	return ""
}

// echoes sends the text and waits for it.
func (c *chatter) echoes(conn net.Conn) error {
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	var sending sync.WaitGroup
	var sendErr error
	sending.Go(func() { _, sendErr = conn.Write(c.said) })
	heard := make([]byte, len(c.said))
	_, err := io.ReadFull(conn, heard)
	sending.Wait()
	switch {
	case err != nil:
		return err
	case sendErr != nil:
		return sendErr
	case string(heard) != string(c.said):
		return fmt.Errorf("%d bytes came back as others", len(heard))
	}
	return nil
}

// closes ends the life's connections, and says how many there were.
func (c *chatter) closes() (made, broken int) {
	for _, conn := range c.open {
		conn.Close()
	}
	return c.made, len(c.brokenBy)
}
