// Command profile shows where the server's CPU time goes under a load: it builds
// Winnow with a door for profiles, sends the load over HTTP, and writes a
// profile of exactly the time in which the load was dealt with, the functions in
// it as text, and a picture of them by layer.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"

	"github.com/winnowhq/winnow/benchmarks/load"
	"github.com/winnowhq/winnow/benchmarks/programs"
	"github.com/winnowhq/winnow/benchmarks/shape"
)

func main() {
	out := flag.String("out", "dist/profiles", "folder to write profiles to")
	draw := flag.String("draw", "", "only draw the chart of a text of go tool pprof -top, to standard output")
	only := flag.String("only", "", "comma-separated loads; all where it is empty")
	flag.Parse()
	if *draw != "" {
		if err := drawText(os.Stdout, *draw); err != nil {
			fmt.Fprintln(os.Stderr, "profile:", err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *out, *only); err != nil {
		fmt.Fprintln(os.Stderr, "profile:", err)
		os.Exit(1)
	}
}

// loads are those of the budget that a server spends its life with.
var loads = []struct {
	name string
	in   shape.Ingest
}{
	{"resend-256", shape.Ingest{Batch: 256, Connections: 4, Known: 10_240, Repeat: 1_024_000}},
	{"resend-64", shape.Ingest{Batch: 64, Connections: 4, Known: 10_240, Repeat: 768_000}},
	{"webhook-64", shape.Ingest{Format: load.Webhook, Batch: 64, Connections: 4, Known: 10_240, Repeat: 768_000}},
	{"first-256", shape.Ingest{Batch: 256, Connections: 4, Fresh: 192_000}},
	{"first-64", shape.Ingest{Batch: 64, Connections: 4, Fresh: 192_000}},
	{"single", shape.Ingest{Batch: 1, Connections: 64, Known: 10_240, Repeat: 81_920}},
}

func run(ctx context.Context, out, only string) error {
	root, err := programs.Root(ctx)
	if err != nil {
		return err
	}
	scratch, err := os.MkdirTemp("", "winnow-profile-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	binary, err := programs.BuildProfiled(ctx, root, scratch)
	if err != nil {
		return err
	}
	for _, l := range loads {
		if only != "" && !slices.Contains(strings.Split(only, ","), l.name) {
			continue
		}
		address, err := freeAddress()
		if err != nil {
			return err
		}
		s := shape.Winnow(binary)
		s.Env = []string{programs.ProfilesEnv + "=" + address}
		l.in.During = func(ctx context.Context) (func() error, error) {
			_, err := programs.Get(ctx, "http://"+address+"/start")
			return func() error {
				profile, err := programs.Get(ctx, "http://"+address+"/stop")
				if err != nil {
					return err
				}
				path := filepath.Join(out, l.name)
				allocs, err := programs.Get(ctx, "http://"+address+"/allocs")
				if err == nil {
					err = os.WriteFile(path+".allocs.pprof", allocs, 0o644)
				}
				return errors.Join(err, save(ctx, path, profile))
			}, err
		}
		f, err := l.in.Measure(ctx, &s, scratch)
		if err != nil {
			return fmt.Errorf("%s: %w", l.name, err)
		}
		fmt.Printf("%-12s %6.2f µs CPU an alert, %.0f alerts/s\n", l.name, f[shape.CPUPerAlert], f[shape.AlertsPerSecond])
	}
	return nil
}

// drawText writes the chart of a text that save has written.
func drawText(out io.Writer, path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	ss, err := shares(bytes.NewReader(text))
	if err != nil {
		return err
	}
	_, err = out.Write(chart(title(strings.TrimSuffix(filepath.Base(path), ".txt")), ss))
	return err
}

// title is that of the chart of a load.
func title(load string) string { return "CPU time of the server under " + load }

// save writes a profile, its functions and their chart.
func save(ctx context.Context, path string, profile []byte) error {
	if err := os.WriteFile(path+".pprof", profile, 0o644); err != nil {
		return err
	}
	top, err := exec.CommandContext(ctx, "go", "tool", "pprof", "-top", "-nodefraction=0", "-nodecount=100000", path+".pprof").Output()
	if err != nil {
		return fmt.Errorf("go tool pprof %s.pprof: %w", path, err)
	}
	ss, err := shares(bytes.NewReader(top))
	if err != nil {
		return err
	}
	return errors.Join(os.WriteFile(path+".txt", top, 0o644), os.WriteFile(path+".svg", chart(title(filepath.Base(path)), ss), 0o644))
}

// freeAddress is one that nobody listens on.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}
