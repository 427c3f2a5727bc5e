package request

import (
	"fmt"

	"github.com/spf13/pflag"
)

// refusal is a docker flag whose feature this build does not have. It is
// known, so that the answer can say what is missing and what to do instead.
type refusal struct {
	name, short string
	kind        string // the word of help texts; "" is a switch
	why         string
}

const (
	noBridge  = "needs bridge networking, which this version does not have yet; use --network host or none"
	noVolumes = "needs volumes, which this version does not have yet; bind a host directory with -v /host/dir:/dir"
	noHealth  = "needs health checks, which this version does not have yet; leave it out"
	noBlkio   = "is not in this version yet; use --blkio-weight"
)

var refusalTable = []refusal{
	{"publish", "p", "list", "publishing ports " + noBridge},
	{"publish-all", "P", "", "publishing ports " + noBridge},
	{"expose", "", "list", "exposing ports " + noBridge},
	{"ip", "", "string", "an own address " + noBridge},
	{"ip6", "", "string", "an own address " + noBridge},
	{"mac-address", "", "string", "an own address " + noBridge},
	{"link", "", "list", "linking containers " + noBridge},
	{"link-local-ip", "", "list", "an own address " + noBridge},
	{"network-alias", "", "list", "a network alias " + noBridge},
	{"net-alias", "", "list", "a network alias " + noBridge},
	{"volumes-from", "", "list", noVolumes},
	{"volume-driver", "", "string", noVolumes},
	{"health-cmd", "", "string", noHealth},
	{"health-interval", "", "duration", noHealth},
	{"health-retries", "", "int", noHealth},
	{"health-start-interval", "", "duration", noHealth},
	{"health-start-period", "", "duration", noHealth},
	{"health-timeout", "", "duration", noHealth},
	{"gpus", "", "gpu-request", "is not in this version yet; pass the devices with --device"},
	{"blkio-weight-device", "", "list", noBlkio},
	{"device-read-bps", "", "list", noBlkio},
	{"device-read-iops", "", "list", noBlkio},
	{"device-write-bps", "", "list", noBlkio},
	{"device-write-iops", "", "list", noBlkio},
	{"cpu-rt-period", "", "int", "is not in this version; use --cpu-period"},
	{"cpu-rt-runtime", "", "int", "is not in this version; use --cpu-quota"},
	{"storage-opt", "", "list", "is not in this version; the writable layer has no size limit"},
	{"use-api-socket", "", "", "needs the API daemon, which this version does not have yet"},
}

// refusals remembers the first refused flag that was given.
type refusals struct{ first error }

func (r *refusals) register(fs *pflag.FlagSet) {
	for _, f := range refusalTable {
		fs.VarP(&refuser{r, f}, f.name, f.short, "Not in this version: "+f.why)
		flag := fs.Lookup(f.name)
		flag.Hidden = true
		if f.kind == "" {
			flag.NoOptDefVal = "true"
		}
	}
}

type refuser struct {
	all *refusals
	f   refusal
}

func (r *refuser) String() string { return "" }
func (r *refuser) Type() string   { return r.f.kind }

func (r *refuser) Set(string) error {
	if r.all.first != nil {
		return nil
	}
	name := "--" + r.f.name
	if r.f.short != "" {
		name = "-" + r.f.short
	}
	r.all.first = fmt.Errorf("%s: %s", name, r.f.why)
	return nil
}
