package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// options are what the command line says.
type options struct {
	time    time.Duration // for all that is measured
	passes  int
	json    string // a file
	only    []string
	explain bool          // what is slow
	dir     string        // for databases
	sync    time.Duration // that a slow disk takes more

	neighbours bool          // to measure instead of contenders
	each       time.Duration // for the neighbour beside one attacker
	store      string        // for neighbours
}

// neighboursWord asks for neighbours instead of contenders.
const neighboursWord = "neighbours"

func parseOptions(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.DurationVar(&o.time, "time", 3*time.Minute, "how long to measure, in all; not for neighbours")
	flags.IntVar(&o.passes, "passes", 3, "how often to measure everything; the results are medians; not for neighbours")
	flags.StringVar(&o.json, "json", "", "a `file` to write all measurements to")
	only := flags.String("only", "", "measure those contenders only that have one of these `words` in their name, separated by commas;\n"+
		"\""+neighboursWord+"\": a tenant alone and beside attackers instead, all or those that have one of the other words in their name,\n"+
		"which are "+strings.Join(attackerNames(), ", "))
	flags.BoolVar(&o.explain, "explain", false, "print too what the engines of hooks asked of their stores, and what that cost")
	flags.StringVar(&o.dir, "dir", os.TempDir(), "a `directory` for databases, on the disk to measure")
	flags.DurationVar(&o.sync, "sync", 2*time.Millisecond, "measure with so much added to each fsync too; 0: do not")
	flags.DurationVar(&o.each, "each", 12*time.Second, "how long to measure a neighbour beside each attacker")
	flags.StringVar(&o.store, "store", storeMemory, "where neighbours have their events: "+storeMemory+", "+storeSQLite+" or "+storePostgres)
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if *only != "" {
		o.only = strings.Split(*only, ",")
		if i := slices.Index(o.only, neighboursWord); i >= 0 {
			o.neighbours, o.only = true, slices.Delete(o.only, i, i+1)
		}
	}
	switch {
	case flags.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case o.passes < 1:
		return o, errors.New("-passes must be at least 1")
	case o.time < 10*time.Second:
		return o, errors.New("-time must be at least 10s")
	case o.each < time.Second || o.each > 10*time.Minute:
		return o, errors.New("-each must be 1s to 10m")
	case !slices.Contains([]string{storeMemory, storeSQLite, storePostgres}, o.store):
		return o, fmt.Errorf("-store must be %s, %s or %s", storeMemory, storeSQLite, storePostgres)
	case o.neighbours && !slices.ContainsFunc(attackers, func(a attacker) bool { return o.wants(a.name) }):
		return o, fmt.Errorf("-only: there is no such attacker; there are %s", strings.Join(attackerNames(), ", "))
	}
	return o, nil
}

// wants reports whether a contender or an attacker is to be measured.
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
