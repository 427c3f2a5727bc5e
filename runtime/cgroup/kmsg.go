package cgroup

import (
	"strconv"
	"strings"
)

// parseVictim reads what the OOM killer writes into the kernel's log before
// it kills, mm/oom_kill.c dump_oom_summary:
//
//	3,814,506938,-;oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/a,mems_allowed=0,oom_memcg=/a,task_memcg=/a/b,task=hog,pid=42,uid=0
//
// Names of groups and of processes are chosen by their owners and may contain
// anything, commas included; so the numbers are looked for from the end, and
// the name before them is no longer than a name can be.
func parseVictim(record string) (v Victim, ok bool) {
	_, text, ok := strings.Cut(record, ";oom-kill:constraint=")
	if !ok {
		return v, false
	}
	text, _, _ = strings.Cut(text, "\n")
	text, uid, ok1 := cutLast(text, ",uid=")
	text, pid, ok2 := cutLast(text, ",pid=")
	const word, longest = ",task=", 15
	from := max(0, len(text)-len(word)-longest)
	at := strings.Index(text[from:], word)
	if !ok1 || !ok2 || at < 0 {
		return v, false
	}
	v.Name = text[from+at+len(word):]
	text, v.Group, ok1 = strings.Cut(text[:from+at], ",task_memcg=")
	_, v.Limit, _ = strings.Cut(text, ",oom_memcg=") // else it says global_oom
	var err1, err2 error
	v.Pid, err1 = strconv.Atoi(pid)
	v.UID, err2 = strconv.Atoi(uid)
	return v, ok1 && err1 == nil && err2 == nil && v.Pid > 0
}

func cutLast(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// inGroup reports whether group is the one of that name or below it. What the
// kernel prints begins at the machine's top; name may begin further down, at
// the top of what a container of containers sees.
func inGroup(group, name string) bool {
	return strings.Contains(group+"/", name+"/")
}
