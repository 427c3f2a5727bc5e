package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/berth-engine/berth/test/apart"
)

// options are the flags.
type options struct {
	Bin    string // directory of berth's programs
	Dir    string // scratch space
	Rows   string // names, comma separated; empty: all
	Rounds int
	Write  string // file for the page
	Runc   string
	Crun   string
}

func main() {
	var o options
	flag.StringVar(&o.Bin, "bin", "bin", "`directory` of berth's programs")
	flag.StringVar(&o.Dir, "dir", "/var/tmp", "scratch `directory`, on a file system that overlay can use")
	flag.StringVar(&o.Rows, "rows", "", "comma separated `names` of rows: "+strings.Join(rowNames(), ", "))
	flag.IntVar(&o.Rounds, "rounds", 30, "turns of each contender in the short rows")
	flag.StringVar(&o.Write, "write", "", "write the page to this `file`")
	flag.StringVar(&o.Runc, "runc", "runc", "`path` of runc")
	flag.StringVar(&o.Crun, "crun", "crun", "`path` of crun")
	flag.Parse()

	code, err := apart.Run(apart.Options{Dir: o.Dir}, func(scratch string) int {
		o.Dir = scratch
		return status(work(o))
	})
	os.Exit(max(code, status(err)))
}

// status reports an error and gives the exit status for it.
func status(err error) int {
	if err == nil {
		return 0
	}
	fmt.Fprintln(os.Stderr, "bench:", err)
	return 1
}

// work measures the chosen rows and reports them.
func work(o options) error {
	bin, err := filepath.Abs(o.Bin)
	if err != nil {
		return err
	}
	o.Bin = bin
	b, err := newBench(o)
	if err != nil {
		return err
	}
	defer b.host.Close()
	var done []result
	for _, r := range rows {
		if o.Rows != "" && !strings.Contains(","+o.Rows+",", ","+r.name+",") {
			continue
		}
		fmt.Fprintf(os.Stderr, "bench: %s …\n", r.name)
		res, err := r.measure(b)
		for i := range res {
			res[i].row = r
		}
		if err != nil {
			res = append(res, result{row: r, note: firstLine(err.Error())})
			fmt.Fprintf(os.Stderr, "bench: %s: %v\n", r.name, err)
		}
		done = append(done, res...)
	}
	page := render(o, done)
	fmt.Print(page)
	if o.Write == "" {
		return nil
	}
	return os.WriteFile(o.Write, []byte(page), 0o644)
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}
