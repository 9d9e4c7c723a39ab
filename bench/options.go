package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"
)

// options are what the command line says.
type options struct {
	time   time.Duration // for all that is measured
	passes int
	json   string // a file
	only   []string
	dir    string        // for databases
	sync   time.Duration // that a slow disk takes more
}

func parseOptions(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.DurationVar(&o.time, "time", 3*time.Minute, "how long to measure, in all")
	flags.IntVar(&o.passes, "passes", 3, "how often to measure everything; the results are medians")
	flags.StringVar(&o.json, "json", "", "a `file` to write all measurements to")
	only := flags.String("only", "", "measure those contenders only that have one of these `words` in their name, separated by commas")
	flags.StringVar(&o.dir, "dir", os.TempDir(), "a `directory` for databases, on the disk to measure")
	flags.DurationVar(&o.sync, "sync", 2*time.Millisecond, "measure with so much added to each fsync too; 0: do not")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if *only != "" {
		o.only = strings.Split(*only, ",")
	}
	switch {
	case flags.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case o.passes < 1:
		return o, errors.New("-passes must be at least 1")
	case o.time < 10*time.Second:
		return o, errors.New("-time must be at least 10s")
	}
	return o, nil
}

// wants reports whether a contender is to be measured.
func (o options) wants(name string) bool {
	if len(o.only) == 0 {
		return true
	}
	for _, word := range o.only {
		if strings.Contains(name, word) {
			return true
		}
	}
	return false
}
