package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/winnowhq/winnow/ledger"
)

func reportCommand() *cobra.Command {
	var from client
	var output string
	var top int
	c := &cobra.Command{
		Use: "report", Short: "Show what came in, what became of it, and what that cost", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			body, err := from.get(cmd.Context(), fmt.Sprintf("/api/v1/report?top=%d", top))
			if err != nil {
				return err
			}
			return printReport(cmd.OutOrStdout(), body, output)
		},
	}
	from.flags(c.Flags())
	c.Flags().StringVarP(&output, "output", "o", "text", "text, markdown or json")
	c.Flags().IntVar(&top, "top", 10, "rules and services to list")
	return c
}

func printReport(w io.Writer, body []byte, output string) error {
	if output == "json" {
		_, err := w.Write(body)
		return err
	}
	var r ledger.Report
	if err := json.Unmarshal(body, &r); err != nil {
		return fmt.Errorf("read the report: %w; is the server of another version?", err)
	}
	switch output {
	case "text":
		return ledger.Render(w, &r, ledger.RenderOptions{Color: colored(w)})
	case "markdown":
		return ledger.Markdown(w, &r)
	}
	return usageError{fmt.Errorf("--output %q: want text, markdown or json", output)}
}

// colored reports whether w is a terminal that may be coloured.
func colored(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return false
	}
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0
}
