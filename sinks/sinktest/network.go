package sinktest

import (
	"context"
	"net"
	"net/http"
	"sync"
)

// Network is a network in memory with one HTTP server on it. It needs no port,
// and a test in a synctest bubble can wait on it.
type Network struct {
	server *http.Server
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

// NewNetwork serves h to whoever dials, whatever the address. Close ends it.
func NewNetwork(h http.Handler) *Network {
	n := &Network{server: &http.Server{Handler: h}, conns: make(chan net.Conn), closed: make(chan struct{})}
	go func() { _ = n.server.Serve(n) }() // it ends with http.ErrServerClosed
	return n
}

// DialContext is for http.Transport and what wraps it.
func (n *Network) DialContext(ctx context.Context, _, _ string) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case n.conns <- there:
		return here, nil
	case <-n.closed:
		return nil, &net.OpError{Op: "dial", Net: "pipe", Err: net.ErrClosed}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Accept is for http.Server.
func (n *Network) Accept() (net.Conn, error) {
	select {
	case c := <-n.conns:
		return c, nil
	case <-n.closed:
		return nil, net.ErrClosed
	}
}

// Close ends the server and its connections.
func (n *Network) Close() error {
	err := n.server.Close()
	n.once.Do(func() { close(n.closed) })
	return err
}

// Addr is for http.Server.
func (n *Network) Addr() net.Addr { return address{} }

type address struct{}

func (address) Network() string { return "pipe" }
func (address) String() string  { return "pipe" }
