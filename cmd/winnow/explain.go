package main

import (
	"net/url"

	"github.com/spf13/cobra"
)

func explainCommand() *cobra.Command {
	var from client
	c := &cobra.Command{
		Use: "explain FINGERPRINT|INCIDENT", Short: "Say what became of an alert or an incident, and why",
		Example: "  winnow explain v1:0123456789abcdef\n  winnow explain INC-42",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			body, err := from.get(cmd.Context(), "/api/v1/explain/"+url.PathEscape(args[0]))
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(body)
			return err
		},
	}
	from.flags(c.Flags())
	return c
}
