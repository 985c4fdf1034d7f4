// Command winnow takes every alert that monitoring sends, tells people what
// they must act on, and accounts for the rest.
//
// The verbs are one file each. They only read flags and print; what they do is
// in the packages.
package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/winnowhq/winnow/internal/stream"

	_ "time/tzdata" // time intervals name zones, also where the system has none
)

// version is set by the linker.
var version = "dev"

func main() {
	if err := root().Execute(); err != nil {
		fmt.Fprintln(os.Stderr, "winnow:", err)
		os.Exit(exitCode(err))
	}
}

// Exit codes: 1 when the verb failed, 2 when it was called wrongly, 3 when another
// process on the same log has taken over.
type usageError struct{ error }

func exitCode(err error) int {
	if _, ok := errors.AsType[usageError](err); ok {
		return 2
	}
	if errors.Is(err, stream.ErrFenced) {
		return 3
	}
	return 1
}

func root() *cobra.Command {
	c := &cobra.Command{
		Use:   "winnow",
		Short: "Alert noise reduction and correlation that accounts for every alert",
		Long: `Winnow takes every alert that monitoring sends, pages people for what they must
act on, and can say of every other alert why it did not page.

Each flag can be set by an environment variable too: WINNOW_ and the flag's name
in capitals, with _ for dots and dashes, as WINNOW_CONFIG_FILE.`,
		SilenceUsage:  true,
		SilenceErrors: true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			return fromEnvironment(cmd.Flags())
		},
	}
	c.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	c.AddCommand(serveCommand(), checkCommand(), reportCommand(), explainCommand(), verifyCommand(), demoCommand(), versionCommand())
	return c
}

// fromEnvironment sets the flags that the command line leaves out.
func fromEnvironment(flags *pflag.FlagSet) error {
	var errs []error
	flags.VisitAll(func(f *pflag.Flag) {
		name := "WINNOW_" + strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(f.Name))
		v, ok := os.LookupEnv(name)
		if !ok || f.Changed {
			return
		}
		if err := flags.Set(f.Name, v); err != nil {
			errs = append(errs, usageError{fmt.Errorf("environment variable %s: %w", name, err)})
		}
	})
	return errors.Join(errs...)
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), "winnow", version)
			return err
		},
	}
}
