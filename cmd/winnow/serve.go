package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	commoncfg "github.com/prometheus/common/config"
	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/winnowhq/winnow/internal/access"
	"github.com/winnowhq/winnow/internal/config"
	"github.com/winnowhq/winnow/internal/logs"
	"github.com/winnowhq/winnow/internal/node"
	"github.com/winnowhq/winnow/internal/stream"
)

type serveFlags struct {
	keepReceivers bool
	configFile    string
	storagePath   string
	natsURL       string
	natsCreds     string
	natsOpen      bool
	replicas      int
	maxBytes      int64
	maxAge        time.Duration
	listen        string
	externalURL   string
	webConfig     string
	open          bool
	logLevel      string
	logFormat     string
}

func serveCommand() *cobra.Command {
	var f serveFlags
	c := &cobra.Command{
		Use: "serve", Short: "Accept alerts and page", Args: cobra.NoArgs,
		Long: `Accept alerts and page.

Without --config.file there is one receiver, which prints pages to standard
output. An existing alertmanager.yml is a complete configuration.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.serve(cmd.Context(), cmd.OutOrStdout()) },
	}
	fs := c.Flags()
	fs.StringVar(&f.configFile, "config.file", "", "configuration: an Alertmanager file, with the key winnow if there is more to say")
	fs.StringVar(&f.storagePath, "storage.path", "data", "folder of the log and the snapshots; with --nats.url, of the snapshots only")
	fs.Int64Var(&f.maxBytes, "storage.max-bytes", 16<<30, "largest size of the log; full, it takes no more until old messages have aged out")
	fs.BoolVar(&f.keepReceivers, "storage.keep-receivers", true, "keep the settings of receivers, secrets included, in a file only its owner can read while incidents stand open by them")
	fs.DurationVar(&f.maxAge, "storage.retention", 30*24*time.Hour, "how far back the log reaches")
	fs.StringVar(&f.natsURL, "nats.url", "", "existing NATS cluster to keep the log on, as tls://a:4222,tls://b:4222, instead of the embedded server")
	fs.StringVar(&f.natsCreds, "nats.creds", "", "credentials file for --nats.url")
	fs.BoolVar(&f.natsOpen, "nats.allow-insecure", false, "reach --nats.url over the network without TLS or without credentials")
	fs.IntVar(&f.replicas, "nats.replicas", 1, "replicas of the streams, with --nats.url")
	fs.StringVar(&f.listen, "web.listen-address", "127.0.0.1:9099", "address to serve on")
	fs.StringVar(&f.externalURL, "web.external-url", "", "where people find this server; pages link to it (default: the listen address)")
	fs.StringVar(&f.webConfig, "web.config.file", "", "TLS, users and headers, in the format of Prometheus' exporter-toolkit")
	fs.BoolVar(&f.open, "web.allow-unauthenticated", false, "listen beyond loopback though whoever reaches the address can read alerts or send some")
	logFlags(fs, &f.logLevel, &f.logFormat)
	return c
}

func (f *serveFlags) serve(ctx context.Context, stdout io.Writer) error {
	log, err := logs.New(os.Stderr, f.logLevel, f.logFormat)
	if err != nil {
		return usageError{err}
	}
	defer log.Sync()
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, os.Interrupt)
	defer stop()
	listener, err := net.Listen("tcp", f.listen)
	if err != nil {
		return err
	}
	defer listener.Close()
	o, err := f.options(listener.Addr(), stdout, log)
	if err != nil {
		return err
	}
	if err := hugePages(); err != nil {
		log.Warn("the heap has no huge pages, and first sights and starts take more CPU", zap.Error(err))
	}
	if os.Getenv("GOGC") == "" {
		go pace(ctx)
	}
	n, err := node.Start(ctx, o)
	if err != nil {
		return err
	}
	server := newServer(n.Handler(), o)
	if server.TLSConfig == nil && !loopback(f.listen) {
		log.Warn("credentials and alerts cross the network in clear text: put tls_server_config into --web.config.file, or a proxy with TLS before this")
	}
	log.Info("Listening on", zap.String("address", listener.Addr().String()), zap.String("version", version), zap.Bool("tls", server.TLSConfig != nil))
	return run(ctx, n, server, listener, log)
}

func (f *serveFlags) options(addr net.Addr, stdout io.Writer, log *zap.Logger) (node.Options, error) {
	reg := prometheus.NewRegistry()
	guard := access.Options{WebConfigFile: f.webConfig, Registerer: reg}
	if !f.open && !loopback(f.listen) {
		guard.Exposed = "--web.listen-address " + f.listen
	}
	gate, err := access.New(guard)
	if err != nil {
		return node.Options{}, err
	}
	if f.externalURL == "" {
		f.externalURL = "http://" + addr.String()
		if gate.TLS() != nil {
			f.externalURL = "https://" + addr.String()
		}
	}
	external, err := url.Parse(f.externalURL)
	if err != nil || external.Host == "" {
		return node.Options{}, usageError{fmt.Errorf("--web.external-url %q: want an absolute URL", f.externalURL)}
	}
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	o := node.Options{
		Load: func() (*config.Config, error) { return loadConfig(f.configFile) }, ExternalURL: external, Version: version,
		Stream:      stream.Options{Dir: f.storagePath, MaxBytes: f.maxBytes, MaxAge: f.maxAge},
		SnapshotDir: filepath.Join(f.storagePath, "snapshots"),
		Access:      gate, Stdout: stdout, Logger: log, Registerer: reg, Gatherer: reg,
	}
	o.RawFile = filepath.Join(f.storagePath, "raw.json")
	o.ReplayFile = filepath.Join(f.storagePath, "replays")
	if f.keepReceivers {
		o.KeepFile = filepath.Join(f.storagePath, "receivers.json")
	}
	o.HTTP = []commoncfg.HTTPClientOption{commoncfg.WithDialContextFunc(access.Dialer().DialContext)}
	if f.natsURL != "" {
		if err := f.checkNATS(); err != nil {
			return node.Options{}, err
		}
		o.Stream = stream.Options{URL: f.natsURL, Credentials: f.natsCreds, Replicas: f.replicas, MaxBytes: f.maxBytes, MaxAge: f.maxAge}
	}
	return o, nil
}

// checkNATS keeps the log from crossing a network where others can read or write
// it: whoever can write to it decides who is paged.
func (f *serveFlags) checkNATS() error {
	for server := range strings.SplitSeq(f.natsURL, ",") {
		u, err := url.Parse(strings.TrimSpace(server))
		switch {
		case err != nil || u.Host == "":
			return usageError{errors.New("--nats.url: want nats://host:port or tls://host:port, several with commas between")} // it may hold a password
		case f.natsOpen || loopback(net.JoinHostPort(u.Hostname(), "0")):
		case u.Scheme != "tls" && u.Scheme != "wss":
			return usageError{fmt.Errorf("--nats.url: %s is reached without TLS: want tls://, or --nats.allow-insecure", u.Host)}
		case f.natsCreds == "":
			return usageError{fmt.Errorf("--nats.url: %s is reached without credentials: want --nats.creds, or --nats.allow-insecure", u.Host)}
		}
	}
	return nil
}

func loadConfig(path string) (*config.Config, error) {
	if path == "" {
		return config.Default(), nil
	}
	return config.Load(path)
}

// Limits of the server. A webhook of 100,000 alerts takes a few seconds on a
// slow line; a client that is slower than that is holding on to a connection.
const (
	headerTimeout   = 5 * time.Second
	readTimeout     = 60 * time.Second
	idleTimeout     = 5 * time.Minute
	maxHeaderBytes  = 64 << 10
	shutdownTimeout = 10 * time.Second
	maxStreams      = 100 // of one HTTP/2 connection
)

// newServer bounds what connections may cost.
func newServer(h http.Handler, o node.Options) *http.Server {
	return &http.Server{
		Handler: h, TLSConfig: o.Access.TLS(), ConnState: access.NewConnections(0, o.Registerer).State,
		ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
		HTTP2: &http.HTTP2Config{MaxConcurrentStreams: maxStreams}, ErrorLog: zap.NewStdLog(o.Logger),
	}
}

// accept serves what comes in at listener.
func accept(server *http.Server, listener net.Listener) error {
	if server.TLSConfig != nil {
		return server.ServeTLS(listener, "", "")
	}
	return server.Serve(listener)
}

// run serves until ctx ends, then stops in order.
func run(ctx context.Context, n *node.Node, server *http.Server, listener net.Listener, log *zap.Logger) error {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)

	served := make(chan error, 1)
	go func() { served <- accept(server, listener) }()

	var cause error
	for running := true; running; {
		select {
		case <-hup:
			_ = n.Reload(ctx) // it has logged why; the old configuration stays
		case <-ctx.Done():
			running = false
		case cause = <-served:
			running = false
		case <-n.Done():
			running = false
		}
	}
	log.Info("stopping")
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	err := errors.Join(cause, server.Shutdown(ctx), n.Stop())
	if err != nil {
		return err
	}
	log.Info("stopped")
	return nil
}

// loopback reports whether an address to listen on is this machine's own.
func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
