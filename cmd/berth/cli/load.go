package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/berth-engine/berth/cmd/berth/format"
	"github.com/berth-engine/berth/cmd/berth/tty"
	"github.com/berth-engine/berth/image"
)

func newLoad(a *app) *cobra.Command {
	var input, platform string
	var quiet bool
	c := &cobra.Command{
		Use:   "load [OPTIONS]",
		Short: "Load an image from a tar archive or STDIN",
		Long: "Load images from an archive: what docker save writes, an OCI layout as a tar,\n" +
			"or, with -i, a directory that is an OCI layout.",
		Args: exactly(0),
		RunE: func(*cobra.Command, []string) error {
			return a.load(input, platform, quiet)
		},
	}
	f := c.Flags()
	f.StringVarP(&input, "input", "i", "", "Read from tar archive file or OCI layout directory, instead of STDIN")
	f.StringVar(&platform, "platform", "", "Load only the given platform variant")
	f.BoolVarP(&quiet, "quiet", "q", false, "Suppress the load output")
	return c
}

func (a *app) load(input, platform string, quiet bool) error {
	e, err := a.engine()
	if err != nil {
		return err
	}
	o := image.LoadOptions{Platform: platform}
	if tty.IsTerminal(a.Out) {
		o.Progress = a.progress(a.Out, quiet)
	}
	var list []image.Loaded
	switch st, serr := os.Stat(input); {
	case input == "" && tty.IsTerminal(a.In):
		return errors.New("requested load from stdin, but stdin is empty; give a file with -i")
	case input == "":
		list, err = e.Images.Load(a.ctx, a.In, o)
	case serr != nil:
		return serr
	case st.IsDir():
		list, err = e.Images.LoadDir(a.ctx, input, o)
	default:
		var f *os.File
		if f, err = os.Open(input); err != nil {
			return err
		}
		defer f.Close()
		list, err = e.Images.Load(a.ctx, f, o)
	}
	for _, l := range list {
		line := "Loaded image: " + image.Familiar(l.Ref)
		if l.Ref == "" {
			line = "Loaded image ID: " + l.Image.ID.String()
		}
		if perr := a.println(line); perr != nil {
			return perr
		}
	}
	return err
}

func newSave(a *app) *cobra.Command {
	var output, platform string
	c := &cobra.Command{
		Use:   "save [OPTIONS] IMAGE [IMAGE...]",
		Short: "Save one or more images to a tar archive (streamed to STDOUT by default)",
		Args:  atLeast(1),
		RunE: func(_ *cobra.Command, args []string) error {
			return a.save(output, args)
		},
	}
	c.Flags().StringVarP(&output, "output", "o", "", "Write to a file, instead of STDOUT")
	c.Flags().StringVar(&platform, "platform", "", "Save only the given platform variant")
	_ = c.Flags().MarkHidden("platform") // an image here has one
	return c
}

// save writes to a file beside output first, so that a failure leaves what
// was there.
func (a *app) save(output string, names []string) error {
	e, err := a.engine()
	if err != nil {
		return err
	}
	if output == "" {
		if tty.IsTerminal(a.Out) {
			return errors.New("cowardly refusing to save to a terminal. Use the -o flag or redirect")
		}
		return e.Images.Save(a.ctx, a.Out, names)
	}
	return writeFile(output, func(w io.Writer) error { return e.Images.Save(a.ctx, w, names) })
}

func writeFile(path string, fill func(io.Writer) error) error {
	f, err := os.CreateTemp(dirOf(path), ".berth-save-")
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("invalid output path: directory %q does not exist", dirOf(path))
	}
	if err != nil {
		return err
	}
	err = fill(f)
	if err == nil {
		err = f.Chmod(0o600)
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

func newImport(a *app) *cobra.Command {
	var changes []string
	var message, platform string
	c := &cobra.Command{
		Use:     "import [OPTIONS] file|URL|- [REPOSITORY[:TAG]]",
		Short:   "Import the contents from a tarball to create a filesystem image",
		Example: "  tar -C rootfs -c . | berth import -c 'CMD [\"/bin/sh\"]' - mine:1",
		Args:    between(1, 2),
		RunE: func(_ *cobra.Command, args []string) error {
			return a.importTar(args, image.ImportOptions{Changes: changes, Message: message, Platform: platform})
		},
	}
	f := c.Flags()
	f.StringArrayVarP(&changes, "change", "c", nil, "Apply Dockerfile instruction to the created image")
	f.StringVarP(&message, "message", "m", "", "Set commit message for imported image")
	f.StringVar(&platform, "platform", "", "Set platform of the files")
	return c
}

func (a *app) importTar(args []string, o image.ImportOptions) error {
	ref := ""
	if len(args) == 2 {
		ref = args[1]
	}
	in := io.Reader(a.In)
	if args[0] != "-" {
		if isURL(args[0]) {
			return errors.New("import from a URL is not in this version; download it and give the file: curl URL | berth import - NAME")
		}
		f, err := os.Open(args[0])
		if err != nil {
			return err
		}
		defer f.Close()
		in = f
	}
	e, err := a.engine()
	if err != nil {
		return err
	}
	img, err := e.Images.Import(a.ctx, in, ref, o)
	if err != nil {
		return err
	}
	return a.println(format.Text(img.ID.String()))
}
