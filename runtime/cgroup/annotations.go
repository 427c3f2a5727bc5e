package cgroup

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/runtime/cgroup/systemd"
)

// AnnotationPrefix is how annotations begin that are properties of the scope,
// where systemd makes the group: org.systemd.property.NAME.
const AnnotationPrefix = "org.systemd.property."

// scopeProperties are the properties that an annotation may set, with their
// types in D-Bus. A specification may come from somebody who may start a
// container and nothing else; with others he could start or stop units of the
// machine, reboot it, or take the container out of its slice.
func scopeProperties(name string) (signature string, ok bool) {
	switch name {
	case "TimeoutStopUSec", "RuntimeMaxUSec", "RuntimeRandomizedExtraUSec",
		"MemoryMin", "MemoryLow", "MemoryHigh", "MemoryMax", "MemorySwapMax", "MemoryZSwapMax", "MemoryLimit",
		"CPUWeight", "StartupCPUWeight", "CPUShares", "StartupCPUShares", "CPUQuotaPerSecUSec", "CPUQuotaPeriodUSec",
		"IOWeight", "StartupIOWeight", "BlockIOWeight", "StartupBlockIOWeight", "TasksMax":
		return "t", true
	case "Delegate", "DefaultDependencies", "SendSIGKILL", "SendSIGHUP",
		"CPUAccounting", "MemoryAccounting", "IOAccounting", "BlockIOAccounting", "TasksAccounting", "IPAccounting":
		return "b", true
	case "Description", "CollectMode", "KillMode", "OOMPolicy",
		"ManagedOOMSwap", "ManagedOOMMemoryPressure", "ManagedOOMPreference":
		return "s", true
	case "KillSignal", "RestartKillSignal", "FinalKillSignal":
		return "i", true
	case "ManagedOOMMemoryPressureLimit":
		return "u", true
	case "After", "Before", "PartOf", "Documentation":
		return "as", true
	case "AllowedCPUs", "AllowedMemoryNodes", "StartupAllowedCPUs", "StartupAllowedMemoryNodes":
		return "ay", true
	}
	return "", false
}

// annotated are the properties that annotations ask for, sorted by name.
// Values are in GVariant's text format. A name on "Sec", as manuals have it,
// means the property on "USec".
func annotated(annotations map[string]string) ([]systemd.Property, error) {
	var props []systemd.Property
	for _, key := range slices.Sorted(maps.Keys(annotations)) {
		name, ok := strings.CutPrefix(key, AnnotationPrefix)
		if !ok {
			continue
		}
		p, err := annotation(name, annotations[key])
		if err != nil {
			return nil, fault.Op("annotations["+strconv.Quote(key)+"]", "", err)
		}
		if slices.ContainsFunc(props, func(o systemd.Property) bool { return o.Name == p.Name }) {
			return nil, fault.New(fault.Invalid, "annotations[%q]: sets %s a second time", key, p.Name)
		}
		props = append(props, p)
	}
	return props, nil
}

func annotation(name, text string) (p systemd.Property, err error) {
	p.Name = name
	seconds := strings.HasSuffix(name, "Sec") && !strings.HasSuffix(name, "USec")
	if seconds {
		p.Name = strings.TrimSuffix(name, "Sec") + "USec"
	}
	signature, ok := scopeProperties(p.Name)
	switch {
	case !ok:
		return p, fault.New(fault.Invalid, "%s is no property that an annotation may set", name)
	case seconds:
		p.Value, err = microseconds(text)
	default:
		p.Value, err = systemd.ParseText(text, signature)
	}
	if err == nil && p.Name == "Delegate" && p.Value != true {
		err = fault.New(fault.Invalid, "a container's group is delegated, or systemd would remove what is below it")
	}
	return p, err
}

// microseconds reads seconds, whole or not, of any type of number.
func microseconds(text string) (uint64, error) {
	v, err := systemd.ParseText(text, "d")
	if err != nil {
		return 0, err
	}
	f := v.(float64) * 1e6
	if !(f >= 0 && f < math.MaxInt64) {
		return 0, fault.New(fault.Invalid, "%q is no number of seconds", text)
	}
	return uint64(math.Round(f)), nil
}

// override replaces properties of the same name and adds the others.
func override(base, more []systemd.Property) []systemd.Property {
	for _, p := range more {
		if i := slices.IndexFunc(base, func(o systemd.Property) bool { return o.Name == p.Name }); i >= 0 {
			base[i] = p
			continue
		}
		base = append(base, p)
	}
	return base
}
