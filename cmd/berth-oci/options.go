package main

import (
	"flag"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// options are the flags of a command: package flag's, as runc has them, with
// short names, lists, and the order of words that users of POSIX expect.
//
//	-b DIR  -bDIR  -b=DIR  -bundle DIR  --bundle DIR  --bundle=DIR  -dt  --
//
// (berth, where a millisecond counts less, has pflag: it brings package net.)
type options struct {
	*flag.FlagSet
	first  bool                // flags end at the first word that is none
	words  []string            // what is no flag
	long   map[string]string   // of a short name
	hidden map[string]struct{} // from the help
}

func newOptions(name string, first bool) *options {
	f := &options{FlagSet: flag.NewFlagSet(name, flag.ContinueOnError), first: first}
	f.SetOutput(io.Discard)
	f.Usage = func() {}
	return f
}

// short gives a flag a second name, of one letter.
func (f *options) short(letter, name string) {
	if f.long == nil {
		f.long = map[string]string{}
	}
	f.long[letter] = name
	f.Var(f.Lookup(name).Value, letter, "")
}

func (f *options) BoolVarP(p *bool, name, letter string, usage string) {
	f.BoolVar(p, name, false, usage)
	f.short(letter, name)
}

func (f *options) BoolP(name, letter, usage string) *bool {
	p := new(bool)
	f.BoolVarP(p, name, letter, usage)
	return p
}

func (f *options) StringVarP(p *string, name, letter, value, usage string) {
	f.StringVar(p, name, value, usage)
	f.short(letter, name)
}

func (f *options) StringP(name, letter, value, usage string) *string {
	p := new(string)
	f.StringVarP(p, name, letter, value, usage)
	return p
}

// Hide leaves a flag out of the help.
func (f *options) Hide(name string) {
	if f.hidden == nil {
		f.hidden = map[string]struct{}{}
	}
	f.hidden[name] = struct{}{}
}

// Changed says whether a flag was given.
func (f *options) Changed(name string) (given bool) {
	f.Visit(func(g *flag.Flag) { given = given || g.Name == name })
	return given
}

// Parse reads a command's words.
func (f *options) Parse(words []string) error {
	var flags []string
	flags, f.words = f.arrange(words)
	return f.FlagSet.Parse(flags)
}

// Args are the words that are no flags.
func (f *options) Args() []string { return f.words }

// arrange takes the flags with their values out of words, in the form that
// package flag knows. What it does not know goes along, to be refused there.
func (f *options) arrange(words []string) (flags, rest []string) {
	for len(words) > 0 {
		word := words[0]
		switch {
		case word == "--":
			return flags, append(rest, words[1:]...)
		case len(word) < 2 || word[0] != '-':
			if f.first {
				return flags, append(rest, words...)
			}
			rest = append(rest, word)
			words = words[1:]
			continue
		}
		parts := f.split(word)
		flags, words = append(flags, parts...), words[1:]
		if f.wantsValue(parts[len(parts)-1]) && len(words) > 0 {
			flags, words = append(flags, words[0]), words[1:]
		}
	}
	return flags, rest
}

// split takes letters that stand together apart: -dt is -d -t, and -bDIR is
// -b=DIR.
func (f *options) split(word string) []string {
	name, _, _ := strings.Cut(word[1:], "=")
	if len(name) < 2 || f.Lookup(strings.TrimPrefix(name, "-")) != nil || f.Lookup(name[:1]) == nil {
		return []string{word}
	}
	var parts []string
	for i := 1; i < len(word); i++ {
		letter := "-" + word[i:i+1]
		if i+1 < len(word) && f.wantsValue(letter) {
			return append(parts, letter+"="+strings.TrimPrefix(word[i+1:], "="))
		}
		parts = append(parts, letter)
	}
	return parts
}

// wantsValue says whether a flag takes the next word.
func (f *options) wantsValue(word string) bool {
	name := strings.TrimPrefix(strings.TrimPrefix(word, "-"), "-")
	if strings.Contains(name, "=") {
		return false
	}
	g := f.Lookup(name)
	if g == nil {
		return false
	}
	b, ok := g.Value.(interface{ IsBoolFlag() bool })
	return !ok || !b.IsBoolFlag()
}

// Help lists the flags, a line for each.
func (f *options) Help() string {
	var out strings.Builder
	w := tabwriter.NewWriter(&out, 0, 0, 3, ' ', 0)
	letters := map[string]string{}
	for letter, name := range f.long {
		letters[name] = "-" + letter + ", "
	}
	f.VisitAll(func(g *flag.Flag) {
		_, hidden := f.hidden[g.Name]
		if _, short := f.long[g.Name]; hidden || short {
			return
		}
		kind, usage := flag.UnquoteUsage(g)
		if kind != "" {
			kind = " " + kind
		}
		if v := g.DefValue; !slices.Contains([]string{"", "false", "0"}, v) {
			usage += fmt.Sprintf(" (default %s)", v)
		}
		fmt.Fprintf(w, "  %4s--%s%s\t%s\n", letters[g.Name], g.Name, kind, usage)
	})
	w.Flush()
	return out.String()
}

// list is a flag that may be given more than once.
type list []string

func (l *list) String() string { return strings.Join(*l, ",") }

func (l *list) Set(s string) error {
	*l = append(*l, s)
	return nil
}

// numbers is a flag that may be given more than once, or with commas.
type numbers []uint

func (n *numbers) String() string { return "" }

func (n *numbers) Set(s string) error {
	for field := range strings.SplitSeq(s, ",") {
		u, err := strconv.ParseUint(strings.TrimSpace(field), 10, 0)
		if err != nil {
			return fmt.Errorf("%q is no number", field)
		}
		*n = append(*n, uint(u))
	}
	return nil
}

// optional is a flag that is a word's, or true without one where alone is set.
type optional struct {
	text  string
	alone bool
}

func (o *optional) String() string   { return o.text }
func (o *optional) IsBoolFlag() bool { return o.alone }

func (o *optional) Set(s string) error {
	o.text = s
	return nil
}
