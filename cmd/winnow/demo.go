package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/winnowhq/winnow/internal/demo"
	"github.com/winnowhq/winnow/internal/logs"
)

type demoFlags struct {
	duration    time.Duration
	seed        uint64
	headless    bool
	assert      bool
	keep        bool
	printConfig bool
	logLevel    string
}

func demoCommand() *cobra.Command {
	var f demoFlags
	c := &cobra.Command{
		Use: "demo", Short: "Play a storm through the whole pipeline and show what it did", Args: cobra.NoArgs,
		Long: `Play a storm through the whole pipeline and show what it did.

It needs no configuration, no network and nothing else that runs: a night of an
online shop is told in half a minute, through the same doors that Prometheus and
Alertmanager use, and pages go to a pager on this machine. Nothing is left behind.`,
		Example: "  winnow demo\n  winnow demo --headless --duration=20s --assert   # as a smoke test",
		RunE:    func(cmd *cobra.Command, _ []string) error { return f.demo(cmd.Context(), cmd.OutOrStdout()) },
	}
	fs := c.Flags()
	fs.DurationVar(&f.duration, "duration", 30*time.Second, "how long the story takes, at least "+demo.MinDuration.String())
	fs.Uint64Var(&f.seed, "seed", 1, "the same seed tells the same story")
	fs.BoolVar(&f.headless, "headless", false, "show nothing while it runs, only the report")
	fs.BoolVar(&f.assert, "assert", false, "check the books against what was sent and paged, and fail if anything is not as it must be")
	fs.BoolVar(&f.keep, "keep", false, "leave the folder with the log")
	fs.BoolVar(&f.printConfig, "print-config", false, "print the configuration of the demo and do nothing else")
	fs.StringVar(&f.logLevel, "log.level", "error", "debug, info, warn or error")
	return c
}

func (f *demoFlags) demo(ctx context.Context, stdout io.Writer) error {
	if f.printConfig {
		_, err := io.WriteString(stdout, demo.ConfigText("http://127.0.0.1:9098/v2/enqueue", "catalog-info.yaml"))
		return err
	}
	if f.duration < demo.MinDuration {
		return usageError{fmt.Errorf("--duration %s: the story needs at least %s", f.duration, demo.MinDuration)}
	}
	log, err := logs.New(os.Stderr, f.logLevel, logs.Logfmt)
	if err != nil {
		return usageError{err}
	}
	defer log.Sync()
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, os.Interrupt)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	return demo.Run(ctx, demo.Options{
		Duration: f.duration, Seed: f.seed, Version: version,
		Stdout: stdout, Terminal: terminal(stdout) && !f.headless, Color: colored(stdout) && !f.headless,
		Headless: f.headless, Assert: f.assert, Keep: f.keep, Logger: log,
	})
}

// terminal reports whether lines of w can be rewritten.
func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("TERM") == "dumb" {
		return false
	}
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0
}
