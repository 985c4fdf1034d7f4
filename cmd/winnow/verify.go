package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/winnowhq/winnow/internal/stream"
	"github.com/winnowhq/winnow/internal/verify"
)

func verifyCommand() *cobra.Command {
	var f serveFlags
	c := &cobra.Command{
		Use: "verify", Short: "Read the whole store and name what is damaged, missing or out of order", Args: cobra.NoArgs,
		Long: `Read the whole store and name what is damaged, missing or out of order.

Log, outbox, snapshots and what stands beside them are read to their end, each
message with its checksums and its number. Nothing is changed; the store may be in
use. There is a line for each finding, with what to do, and a last one of figures;
the exit code is 1 when anything was found.`,
		Example: "  winnow verify --storage.path /var/lib/winnow",
		RunE:    func(cmd *cobra.Command, _ []string) error { return f.verify(cmd.Context(), cmd.OutOrStdout()) },
	}
	fs := c.Flags()
	fs.StringVar(&f.storagePath, "storage.path", "data", "folder of the log and the snapshots; with --nats.url, of the snapshots only")
	fs.StringVar(&f.natsURL, "nats.url", "", "NATS cluster that keeps the log")
	fs.StringVar(&f.natsCreds, "nats.creds", "", "credentials file for --nats.url")
	fs.BoolVar(&f.natsOpen, "nats.allow-insecure", false, "reach --nats.url over the network without TLS or without credentials")
	return c
}

func (f *serveFlags) verify(ctx context.Context, w io.Writer) error {
	s := verify.Folder(f.storagePath)
	if f.natsURL != "" {
		if err := f.checkNATS(); err != nil {
			return err
		}
		look, err := stream.LookAt(ctx, stream.Options{URL: f.natsURL, Credentials: f.natsCreds})
		if err != nil {
			return err
		}
		defer look.Close()
		s = verify.Cluster(ctx, look, f.storagePath)
	}
	figures, err := verify.Run(s, func(x verify.Finding) { fmt.Fprintln(w, x) })
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("no store in --storage.path %s: %w", f.storagePath, err)
	}
	if err != nil {
		return err
	}
	fmt.Fprintln(w, figures)
	switch figures.Found {
	case 0:
		return nil
	case 1:
		return errors.New("1 place of the store is not as it was written")
	}
	return fmt.Errorf("%d places of the store are not as they were written", figures.Found)
}
