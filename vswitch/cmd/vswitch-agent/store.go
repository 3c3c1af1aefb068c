package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	clientv3 "go.etcd.io/etcd/client/v3"

	"bulkhead/vswitch/agent/store"
)

// storeFlags says where the store is and who we are to it.
type storeFlags struct {
	urls          []string
	cert, key, ca string
	user          string
	passwordFile  string
}

func (s *storeFlags) add(root *cobra.Command) {
	f := root.PersistentFlags()
	f.StringSliceVar(&s.urls, "store", []string{"http://127.0.0.1:2379"}, "the store's `URL`s; https needs --ca")
	f.StringVar(&s.ca, "ca", "", "`FILE` of the certificate that signed the store's")
	f.StringVar(&s.cert, "cert", "", "`FILE` of our certificate; its common name is our user")
	f.StringVar(&s.key, "key", "", "`FILE` of its key")
	f.StringVar(&s.user, "user", "", "our `USER`, where it is by password")
	f.StringVar(&s.passwordFile, "password-file", "", "`FILE` of the password")
}

// config reads what the flags name.
func (s *storeFlags) config() (store.Config, error) {
	c := store.Config{Endpoints: s.urls, User: s.user}
	if (s.user == "") != (s.passwordFile == "") {
		return c, errors.New("--user and --password-file go together")
	}
	if s.passwordFile != "" {
		p, err := password(s.passwordFile)
		if err != nil {
			return c, err
		}
		c.Password = p
	}
	var err error
	c.TLS, err = s.tls()
	return c, err
}

// password reads a file of one line.
func password(file string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	p := strings.TrimRight(string(text), "\n")
	if p == "" || strings.Contains(p, "\n") {
		return "", fmt.Errorf("%s holds no password: one line", file)
	}
	return p, nil
}

func (s *storeFlags) tls() (*tls.Config, error) {
	if s.ca == "" && s.cert == "" && s.key == "" {
		for _, u := range s.urls {
			if strings.HasPrefix(u, "https://") {
				return nil, fmt.Errorf("%s needs --ca: without it any store would do", u)
			}
		}
		return nil, nil
	}
	if s.ca == "" || (s.cert == "") != (s.key == "") {
		return nil, errors.New("TLS needs --ca, and --cert and --key together or neither")
	}
	for _, u := range s.urls {
		if !strings.HasPrefix(u, "https://") {
			return nil, fmt.Errorf("%s is not https, and --ca is given", u)
		}
	}
	text, err := os.ReadFile(s.ca)
	if err != nil {
		return nil, err
	}
	c := &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS13}
	if !c.RootCAs.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s holds no certificate", s.ca)
	}
	if s.cert != "" {
		pair, err := tls.LoadX509KeyPair(s.cert, s.key)
		if err != nil {
			return nil, err
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// adminTime bounds a command of an administrator's, but for the bytes of a policy.
const adminTime = 20 * time.Second

// with calls the store once.
func (s *storeFlags) with(ctx context.Context, do func(context.Context, *clientv3.Client) error) error {
	cfg, err := s.config()
	if err != nil {
		return err
	}
	c, err := store.Open(cfg)
	if err != nil {
		return err
	}
	defer c.Close()
	call, cancel := context.WithTimeout(ctx, adminTime)
	defer cancel()
	err = do(call, c)
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("the store at %s does not answer: %w", strings.Join(s.urls, ", "), err)
	}
	return err
}
