package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/winnowhq/winnow/internal/config"
)

func checkCommand() *cobra.Command {
	var show bool
	c := &cobra.Command{
		Use: "check FILE...", Short: "Say what is wrong with configuration files", Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, files []string) error {
			bad := 0
			for _, name := range files {
				c, err := config.Load(name)
				if err != nil {
					fmt.Fprintln(cmd.ErrOrStderr(), err)
					bad++
					continue
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s: OK: %d receivers, %d routes, %d inhibition rules, %d time intervals\n",
					name, len(c.Policy.Receivers), countRoutes(c), len(c.Policy.Inhibit), len(c.Policy.Intervals))
				if show {
					fmt.Fprint(cmd.OutOrStdout(), c.Redacted())
				}
			}
			switch bad {
			case 0:
				return nil
			case 1:
				return errors.New("1 configuration file is not valid")
			}
			return fmt.Errorf("%d configuration files are not valid", bad)
		},
	}
	c.Flags().BoolVar(&show, "show", false, "print the effective configuration, secrets hidden")
	return c
}

func countRoutes(c *config.Config) int {
	n := 0
	walkRoutes(&c.Policy.Route, func() { n++ })
	return n
}
