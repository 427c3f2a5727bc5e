package main

import (
	"slices"
	"strings"
	"testing"
)

// parsed is what a command line comes to.
type parsed struct {
	dir, note string
	yes, tty  bool
	env       list
	ids       numbers
	alone     string
}

func parseWords(first bool, words ...string) (p parsed, args []string, err error) {
	f := newOptions("x", first)
	f.StringVarP(&p.dir, "dir", "b", ".", "")
	f.StringVar(&p.note, "note", "", "")
	f.BoolVarP(&p.yes, "yes", "d", "")
	f.BoolVarP(&p.tty, "tty", "t", "")
	f.Var(&p.env, "env", "")
	f.short("e", "env")
	f.Var(&p.ids, "ids", "")
	alone := &optional{alone: true}
	f.Var(alone, "alone", "")
	err = f.Parse(words)
	p.alone = alone.text
	return p, f.Args(), err
}

func TestOptions(t *testing.T) {
	for _, tt := range []struct {
		words string
		first bool
		want  parsed
		args  string
	}{
		{"", false, parsed{dir: "."}, ""},
		{"id", false, parsed{dir: "."}, "id"},
		{"-b x id", false, parsed{dir: "x"}, "id"},
		{"-bx id", false, parsed{dir: "x"}, "id"},
		{"-b=x id", false, parsed{dir: "x"}, "id"},
		{"--dir x id", false, parsed{dir: "x"}, "id"},
		{"-dir=x id", false, parsed{dir: "x"}, "id"},
		{"id --dir=x", false, parsed{dir: "x"}, "id"},
		{"id --dir x more", false, parsed{dir: "x"}, "id more"},
		{"id --dir x more", true, parsed{dir: "."}, "id --dir x more"},
		{"-dt id", false, parsed{dir: ".", yes: true, tty: true}, "id"},
		{"-dtb x id", false, parsed{dir: "x", yes: true, tty: true}, "id"},
		{"-tbx -d", false, parsed{dir: "x", yes: true, tty: true}, ""},
		{"-d=false id", false, parsed{dir: "."}, "id"},
		{"-d -- -t id", false, parsed{dir: ".", yes: true}, "-t id"},
		{"-b -- id", false, parsed{dir: "--"}, "id"},
		{"-b - -", false, parsed{dir: "-"}, "-"},
		{"-e A=1 id -e B=2,3", false, parsed{dir: ".", env: list{"A=1", "B=2,3"}}, "id"},
		{"-eA=1", false, parsed{dir: ".", env: list{"A=1"}}, ""},
		{"--ids 1,2 --ids 3", false, parsed{dir: ".", ids: numbers{1, 2, 3}}, ""},
		{"--alone id", false, parsed{dir: ".", alone: "true"}, "id"},
		{"--alone=no id", false, parsed{dir: ".", alone: "no"}, "id"},
		{"-d x -t", true, parsed{dir: ".", yes: true}, "x -t"},
		{"--note=a=b", false, parsed{dir: ".", note: "a=b"}, ""},
	} {
		got, args, err := parseWords(tt.first, strings.Fields(tt.words)...)
		if err != nil {
			t.Errorf("%q: %v", tt.words, err)
			continue
		}
		same := got.dir == tt.want.dir && got.note == tt.want.note && got.yes == tt.want.yes && got.tty == tt.want.tty && got.alone == tt.want.alone
		if !same || !slices.Equal(got.env, tt.want.env) || !slices.Equal(got.ids, tt.want.ids) {
			t.Errorf("%q: got %+v, want %+v", tt.words, got, tt.want)
		}
		if s := strings.Join(args, " "); s != tt.args {
			t.Errorf("%q: left %q, want %q", tt.words, s, tt.args)
		}
	}
}

func TestOptionsRefuse(t *testing.T) {
	for words, want := range map[string]string{
		"-b":            "flag needs an argument: -b",
		"id -tb":        "flag needs an argument: -b",
		"--dir":         "flag needs an argument: -dir",
		"--wrong id":    "flag provided but not defined: -wrong",
		"-x id":         "flag provided but not defined: -x",
		"-tx id":        "flag provided but not defined: -x",
		"-tdx=1 id":     "flag provided but not defined: -x",
		"--yes=maybe":   `invalid boolean value "maybe" for -yes: parse error`,
		"--ids 1,x":     `"x" is no number`,
		"--=x":          "bad flag syntax: --=x",
		"---dir x":      "bad flag syntax: ---dir",
		"-d id --no-id": "flag provided but not defined: -no-id",
	} {
		_, _, err := parseWords(false, strings.Fields(words)...)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", words, err, want)
		}
	}
	if _, args, err := parseWords(false, "--note", "", "id"); err != nil || len(args) != 1 {
		t.Errorf("an empty value: left %q, %v", args, err)
	}
}
