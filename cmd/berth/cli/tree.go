package cli

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

// maker makes one command. Commands are made when needed: there is one of
// each at the top and one more in its group.
type maker func(a *app) *cobra.Command

// verbs are the commands at the top.
var verbs = []struct {
	name string
	make maker
}{
	{"attach", newAttach},
	{"create", newCreate},
	{"exec", newExec},
	{"explain", newExplain},
	{"images", newImages},
	{"import", newImport},
	{"info", newInfo},
	{"inspect", newInspect},
	{"kill", newKill},
	{"load", newLoad},
	{"logs", newLogs},
	{"ps", newPs},
	{"pull", newPull},
	{"reap", newReap},
	{"restart", newRestart},
	{"rm", newRm},
	{"rmi", newRmi},
	{"run", newRun},
	{"save", newSave},
	{"start", newStart},
	{"stop", newStop},
	{"tag", newTag},
	{"top", newTop},
	{"version", newVersion},
	{"wait", newWait},
}

// groups are docker's nouns; each has the verbs under docker's names for them.
var groups = []struct {
	name, short string
	verbs       []maker
}{
	{"container", "Manage containers", []maker{
		newAttach, newCreate, newExec, newContainerInspect, newKill, newLogs, named("ls", newPs, "list", "ps"),
		newRestart, newRm, newRun, newStart, newStop, newTop, newWait,
	}},
	{"image", "Manage images", []maker{
		newImport, newImageInspect, newLoad, named("ls", newImages, "list"), newPull,
		named("rm", newRmi, "remove"), newSave, newTag,
	}},
	{"system", "Manage berth", []maker{newInfo}},
}

// named gives a command another name.
func named(name string, m maker, aliases ...string) maker {
	return func(a *app) *cobra.Command {
		c := m(a)
		_, rest, _ := strings.Cut(c.Use, " ")
		c.Use, c.Aliases = strings.TrimSpace(name+" "+rest), aliases
		return c
	}
}

// tree makes the commands that args can mean; nil makes them all.
func (a *app) tree(args []string) *cobra.Command {
	root := &cobra.Command{
		Use:              "berth [OPTIONS] COMMAND",
		Short:            "Run containers",
		Long:             "berth runs containers: images, copies of them that are written to, and processes in them, without a daemon.",
		SilenceErrors:    true,
		SilenceUsage:     true,
		TraverseChildren: true,
		Args:             a.noSuchCommand,
		RunE: func(c *cobra.Command, _ []string) error {
			if a.showsVersion {
				return a.println("berth version " + a.version)
			}
			return c.Help()
		},
		PersistentPreRunE: func(*cobra.Command, []string) error {
			return a.setup()
		},
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	a.globals(root)
	root.AddGroup(&cobra.Group{ID: "verbs", Title: "Commands:"}, &cobra.Group{ID: "groups", Title: "Management Commands:"})
	want := wanted(args)
	for _, v := range verbs {
		if want != "" && want != v.name {
			continue
		}
		c := v.make(a)
		c.GroupID = "verbs"
		root.AddCommand(c)
	}
	for _, g := range groups {
		if want == "" || want == g.name {
			root.AddCommand(a.group(g.name, g.short, g.verbs))
		}
	}
	usage(root)
	return root
}

// none is a command that no user can mean.
const none = "\x00"

// wanted is the only command that args can mean, none when they mean no
// command at all, "" when all must be there: for help, completion, mistakes.
func wanted(args []string) string {
	for i := 0; i < len(args); i++ {
		switch arg := args[i]; {
		case arg == "--version" || arg == "-v":
			return none
		case arg == "--root" || arg == "--state" || arg == "--config" || arg == "--log-level":
			i++
		case strings.HasPrefix(arg, "--") && strings.Contains(arg, "="), arg == "-D", arg == "--debug":
		case strings.HasPrefix(arg, "-"):
			return ""
		default:
			for _, v := range verbs {
				if v.name == arg {
					return arg
				}
			}
			for _, g := range groups {
				if g.name == arg {
					return arg
				}
			}
			return ""
		}
	}
	return ""
}

func (a *app) group(name, short string, makers []maker) *cobra.Command {
	g := &cobra.Command{
		Use: name, Short: short, GroupID: "groups",
		Args: a.noSuchCommand,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	for _, m := range makers {
		g.AddCommand(m(a))
	}
	return g
}

func (a *app) globals(root *cobra.Command) {
	f := root.Flags()
	f.StringVar(&a.root, "root", os.Getenv("BERTH_ROOT"), "Directory of images and containers (env BERTH_ROOT)")
	f.StringVar(&a.state, "state", os.Getenv("BERTH_STATE"), "Directory of running state (env BERTH_STATE)")
	f.StringVarP(&a.logLevel, "log-level", "l", "info", `Set the logging level ("debug", "info", "warn", "error", "fatal")`)
	f.BoolVarP(&a.debug, "debug", "D", false, "Enable debug mode")
	f.StringVar(&a.config, "config", "", "Location of client config files")
	f.StringArrayVarP(&a.host, "host", "H", nil, "Daemon socket to connect to")
	_ = f.MarkHidden("host")
	f.BoolVarP(&a.showsVersion, "version", "v", false, "Print version information and quit")
	root.PersistentFlags().Bool("help", false, "Print usage")
	_ = root.PersistentFlags().MarkHidden("help")
}

// noSuchCommand refuses words where only a command can stand.
func (a *app) noSuchCommand(c *cobra.Command, args []string) error {
	if len(args) == 0 || a.showsVersion {
		return nil
	}
	return exit{1, fmt.Errorf("unknown command: %s %s\n\nRun '%s --help' for more information", c.CommandPath(), args[0], c.CommandPath())}
}
