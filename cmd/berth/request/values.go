package request

import (
	"strconv"
	"strings"

	"github.com/berth-engine/berth/container"
)

// List is a flag that may be given many times; values are kept as they are.
type List []string

// String shows the values.
func (l *List) String() string {
	if len(*l) == 0 {
		return ""
	}
	return "[" + strings.Join(*l, " ") + "]"
}

// Set adds one value.
func (l *List) Set(s string) error { *l = append(*l, s); return nil }

// Type is the word help texts show.
func (l *List) Type() string { return "list" }

// number is a flag with a grammar of its own; kind is the word help texts show.
type number struct {
	to    *int64
	kind  string
	parse func(string) (int64, error)
	text  string
}

func (n *number) String() string { return n.text }
func (n *number) Type() string   { return n.kind }

func (n *number) Set(s string) (err error) {
	if *n.to, err = n.parse(s); err == nil {
		n.text = s
	}
	return err
}

func size(to *int64) *number { return &number{to: to, kind: "bytes", parse: container.ParseSize} }
func swap(to *int64) *number { return &number{to: to, kind: "bytes", parse: container.ParseSwap} }
func cpus(to *int64) *number { return &number{to: to, kind: "decimal", parse: container.ParseCPUs} }

// optInt is an int that knows whether it was given.
type optInt struct{ v *int }

func (o *optInt) String() string {
	if o.v == nil {
		return ""
	}
	return strconv.Itoa(*o.v)
}

func (o *optInt) Set(s string) error {
	n, err := strconv.Atoi(s)
	if err != nil {
		return err
	}
	o.v = &n
	return nil
}

func (o *optInt) Type() string { return "int" }

// optString is a string that knows whether it was given: --entrypoint ""
// differs from no --entrypoint.
type optString struct{ v *string }

func (o *optString) String() string {
	if o.v == nil {
		return ""
	}
	return *o.v
}

func (o *optString) Set(s string) error { o.v = &s; return nil }
func (o *optString) Type() string       { return "string" }
