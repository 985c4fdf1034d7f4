package main

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/winnowhq/winnow/internal/config"
	"github.com/winnowhq/winnow/internal/preview"
)

func checkCommand() *cobra.Command {
	var show bool
	var against client
	c := &cobra.Command{
		Use: "check FILE...", Short: "Say what is wrong with configuration files", Args: cobra.MinimumNArgs(1),
		Long: `Say what is wrong with configuration files.

With --against, the server that is named there also says what each would have told
people in the last 24 hours, beside the configuration that is in force there. A
file that would unpage critical alerts or errors is then wrong too.`,
		Example: "  winnow check winnow.yml\n  winnow check --against http://127.0.0.1:9099 winnow.yml",
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
				if against.server != "" {
					dangerous, err := compare(cmd, &against, c)
					if err != nil {
						return err
					}
					if dangerous {
						bad++
					}
				}
			}
			fit := "valid"
			if against.server != "" {
				fit = "fit for use"
			}
			switch bad {
			case 0:
				return nil
			case 1:
				return errors.New("1 configuration file is not " + fit)
			}
			return fmt.Errorf("%d configuration files are not %s", bad, fit)
		},
	}
	c.Flags().BoolVar(&show, "show", false, "print the effective configuration, secrets hidden")
	c.Flags().StringVar(&against.server, "against", "", "a running Winnow that says what each file would have told people, as http://127.0.0.1:9099")
	c.Flags().StringVar(&against.tokenFile, "server.token-file", "", "file with a token of winnow.access, role admin, where that server asks who calls")
	return c
}

// compare prints what a configuration would have told people, and reports whether
// it would unpage anything.
func compare(cmd *cobra.Command, against *client, c *config.Config) (dangerous bool, err error) {
	body, err := against.post(cmd.Context(), "/api/v1/preview", c.Text)
	if err != nil {
		return false, err
	}
	var d preview.Diff
	if err := json.Unmarshal(body, &d); err != nil {
		return false, fmt.Errorf("read the preview: %w; is the server of another version?", err)
	}
	_, err = fmt.Fprint(cmd.OutOrStdout(), d.Text())
	return d.Dangerous(), err
}

func countRoutes(c *config.Config) int {
	n := 0
	walkRoutes(&c.Policy.Route, func() { n++ })
	return n
}
