package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"bulkhead/bench/plots"
	"bulkhead/bench/report"
	"bulkhead/vswitch/cli"
)

func reportCommand() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "report FILE [--dir DIR]",
		Short: "Make a page and pictures of a report",
		Long: `Reads a report as vsbench run -o json writes it and makes REPORT.md of it, and a
picture for each scenario and unit, in SVG.`,
		Example: `  vsbench report report.json
  vsbench report docs/bench/report.json --dir docs/bench
  vsbench run all -o json > report.json; vsbench report report.json --dir /tmp/page`,
		Args: cli.OneArg("file"), DisableFlagsInUseLine: true,
		RunE: func(_ *cobra.Command, args []string) error {
			f, err := os.Open(args[0])
			if err != nil {
				return err
			}
			defer f.Close()
			r, err := report.Read(f)
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			return publish(dir, r, false)
		},
	}
	cmd.Flags().StringVar(&dir, "dir", ".", "write into `DIR`")
	return cmd
}

// publish writes the page and its pictures, and the report itself if it is not
// written yet.
func publish(dir string, r *report.Report, also bool) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if also {
		if err := write(filepath.Join(dir, "report.json"), func(f *os.File) error { return r.JSON(f) }); err != nil {
			return err
		}
	}
	pictures, err := plots.Write(dir, r.Figures)
	if err != nil {
		return err
	}
	return write(filepath.Join(dir, "REPORT.md"), func(f *os.File) error { return r.Markdown(f, pictures) })
}

func write(name string, to func(*os.File) error) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(to(f), f.Close())
}
