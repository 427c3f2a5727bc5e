package bundle

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/berth-engine/berth/internal/fault"
)

// User is who a process runs as.
type User struct {
	UID, GID uint32
	Groups   []uint32 // supplementary, without GID
	Home     string   // empty: unknown
	Name     string   // empty: no entry in passwd
}

// Bounds on what an image may give us to read.
const (
	maxUserFile = 1 << 20
	maxUserLine = 64 << 10
	maxGroups   = 65535
)

// LookupUser resolves "name|uid[:group|gid]" and the groups of --group-add in
// the passwd and group files of a root; a file that is missing is nil.
//
// A number is always a number and needs no entry. Supplementary groups come
// from the group file only if no group was named. Malformed lines match
// nothing. The files are the image's: they are bounded, never trusted.
func LookupUser(passwd, group io.Reader, spec string, add []string) (User, error) {
	userArg, groupArg, hasGroup := strings.Cut(spec, ":")
	if strings.ContainsAny(spec, "\x00\n\r") || strings.Contains(groupArg, ":") || hasGroup && groupArg == "" && userArg == "" {
		return User{}, fault.New(fault.Invalid, "invalid user %q: want name|uid[:group|gid]", spec)
	}
	groups, err := readGroups(group)
	if err != nil {
		return User{}, err
	}
	u, err := findUser(passwd, userArg)
	if err != nil {
		return User{}, err
	}
	switch {
	case groupArg != "":
		if u.GID, err = findGroup(groups, groupArg); err != nil {
			return User{}, err
		}
	case u.Name != "":
		for _, g := range groups {
			if slices.Contains(g.members, u.Name) {
				u.Groups = append(u.Groups, g.gid)
			}
		}
	}
	for _, name := range add {
		gid, err := findGroup(groups, name)
		if err != nil {
			return User{}, err
		}
		u.Groups = append(u.Groups, gid)
	}
	u.Groups = withoutRepeats(u.Groups, u.GID)
	if len(u.Groups) > maxGroups {
		return User{}, fault.New(fault.TooLarge, "user %q is in %d groups, the kernel takes %d", spec, len(u.Groups), maxGroups)
	}
	return u, nil
}

// withoutRepeats keeps the first of each, without the primary group.
func withoutRepeats(list []uint32, primary uint32) []uint32 {
	seen := map[uint32]bool{primary: true}
	return slices.DeleteFunc(list, func(g uint32) bool {
		had := seen[g]
		seen[g] = true
		return had
	})
}

// findUser reads passwd: name:password:uid:gid:gecos:home:shell. The empty
// word is root, with or without an entry.
func findUser(passwd io.Reader, word string) (User, error) {
	want, numeric, err := number(word)
	if err != nil {
		return User{}, err
	}
	if word == "" {
		numeric = true
	}
	u := User{UID: want}
	found := false
	err = eachLine(passwd, "passwd", func(f []string) bool {
		if len(f) < 4 || f[0] == "" {
			return true
		}
		uid, ok1 := id(f[2])
		gid, ok2 := id(f[3])
		if !ok1 || !ok2 || (numeric && uid != want) || (!numeric && f[0] != word) {
			return true
		}
		found = true
		u = User{UID: uid, GID: gid, Name: f[0]}
		if len(f) > 5 && strings.HasPrefix(f[5], "/") {
			u.Home = f[5]
		}
		return false
	})
	if err == nil && !found && !numeric {
		err = fault.New(fault.Invalid, "unable to find user %s: no matching entries in passwd file", word)
	}
	return u, err
}

type groupLine struct {
	name    string
	gid     uint32
	members []string
}

// readGroups reads group: name:password:gid:member,member.
func readGroups(r io.Reader) ([]groupLine, error) {
	var list []groupLine
	err := eachLine(r, "group", func(f []string) bool {
		if len(f) < 3 || f[0] == "" {
			return true
		}
		gid, ok := id(f[2])
		if !ok {
			return true
		}
		g := groupLine{name: f[0], gid: gid}
		if len(f) > 3 && f[3] != "" {
			g.members = strings.Split(f[3], ",")
		}
		list = append(list, g)
		return true
	})
	return list, err
}

func findGroup(list []groupLine, word string) (uint32, error) {
	gid, numeric, err := number(word)
	if err != nil || numeric {
		return gid, err
	}
	for _, g := range list {
		if g.name == word {
			return g.gid, nil
		}
	}
	return 0, fault.New(fault.Invalid, "unable to find group %s: no matching entries in group file", word)
}

// number decides whether a word of the user is a number. What looks like one
// never falls back to being a name, and must be in range.
func number(word string) (n uint32, numeric bool, err error) {
	digits := strings.TrimLeft(word, "+-")
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return 0, false, nil
	}
	n, ok := id(word)
	if !ok {
		return 0, true, fault.New(fault.Invalid, "uids and gids must be in range 0-%d: %q", math.MaxInt32, word)
	}
	return n, true, nil
}

// id parses decimal digits up to 2^31-1.
func id(s string) (uint32, bool) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseUint(s, 10, 31)
	return uint32(n), err == nil
}

// eachLine hands the fields of each line to f until it returns false.
func eachLine(r io.Reader, what string, f func(fields []string) bool) error {
	if r == nil {
		return nil
	}
	limited := &io.LimitedReader{R: r, N: maxUserFile + 1}
	sc := bufio.NewScanner(limited)
	sc.Buffer(nil, maxUserLine)
	for sc.Scan() {
		line := bytes.TrimSpace(sc.Bytes())
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		if !f(strings.Split(string(line), ":")) {
			return nil
		}
	}
	switch err := sc.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return fault.New(fault.TooLarge, "the %s file of the image has a line longer than %d bytes", what, maxUserLine)
	case err != nil:
		return fault.Op("read", what, err)
	case limited.N <= 0:
		return fault.New(fault.TooLarge, "the %s file of the image is larger than %d bytes", what, maxUserFile)
	}
	return nil
}
