package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"github.com/berth-engine/berth/cmd/berth/format"
)

// versions is the answer of version, in docker's shape: client and server are
// the same program here.
type versions struct {
	Client program
	Server program
}

type program struct {
	Platform   struct{ Name string } `json:",omitzero"`
	Version    string
	APIVersion string `json:"ApiVersion,omitempty"`
	GoVersion  string
	GitCommit  string
	Os         string
	Arch       string
	BuildTime  string `json:",omitempty"`
}

func newVersion(a *app) *cobra.Command {
	var text string
	c := &cobra.Command{
		Use:   "version [OPTIONS]",
		Short: "Show the berth version information",
		Args:  exactly(0),
		RunE: func(*cobra.Command, []string) error {
			return a.showVersion(text)
		},
	}
	c.Flags().StringVarP(&text, "format", "f", "", "Format output: json, or a Go template")
	return c
}

const versionText = `Client: berth
 Version:           {{.Client.Version}}
 Go version:        {{.Client.GoVersion}}
 Git commit:        {{.Client.GitCommit}}
 OS/Arch:           {{.Client.Os}}/{{.Client.Arch}}

Server: berth (no daemon: the same program)
 Engine:
  Version:          {{.Server.Version}}
  OS/Arch:          {{.Server.Os}}/{{.Server.Arch}}
`

func (a *app) showVersion(text string) error {
	p := program{Version: a.version, GoVersion: runtime.Version(), GitCommit: a.gitCommit(), Os: runtime.GOOS, Arch: runtime.GOARCH}
	v := versions{Client: p, Server: p}
	v.Server.Platform.Name, v.Client.Platform.Name = "berth", "berth"
	return a.template(text, versionText, v)
}

// template prints v with a user's template, as JSON, or in the command's own
// words.
func (a *app) template(text, own string, v any) error {
	newline := "\n"
	switch text {
	case "":
		text, newline = own, ""
	case "json":
		text = "{{json .}}"
	}
	t, err := format.Parse(text)
	if err != nil {
		return exit{64, err}
	}
	var b strings.Builder
	if err := t.Execute(&b, v); err != nil {
		return exit{1, fmt.Errorf("template parsing error: %w", err)}
	}
	_, err = fmt.Fprint(a.out(), b.String()+newline)
	return err
}

// gitCommit is as the linker was told, or as package debug knows where the
// program was built without the Makefile.
func (a *app) gitCommit() string {
	if a.commit != "" {
		return a.commit
	}
	info, ok := debug.ReadBuildInfo()
	if ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				return s.Value[:min(7, len(s.Value))]
			}
		}
	}
	return "unknown"
}
