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
	pipes  pipes
}

// NewNetwork serves h to whoever dials, whatever the address. Close ends it.
func NewNetwork(h http.Handler) *Network {
	n := &Network{server: &http.Server{Handler: h}, pipes: pipes{conns: make(chan net.Conn), closed: make(chan struct{})}}
	go func() { _ = n.server.Serve(&n.pipes) }() // it ends with http.ErrServerClosed
	return n
}

// DialContext is for http.Transport and what wraps it.
func (n *Network) DialContext(ctx context.Context, _, _ string) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case n.pipes.conns <- there:
		return here, nil
	case <-n.pipes.closed:
		return nil, &net.OpError{Op: "dial", Net: "pipe", Err: net.ErrClosed}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Close ends the server and its connections.
func (n *Network) Close() error { return n.server.Close() }

// pipes is the server's net.Listener.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return address{} }

type address struct{}

func (address) Network() string { return "pipe" }
func (address) String() string  { return "pipe" }
