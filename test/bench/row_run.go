package main

// measureRun is a whole short life: create, start, wait, remove.
func measureRun(b *bench) ([]result, error) {
	cs, absent := present(b.engines(
		just(func() command { return b.berthRun().with("--rm", image, "true") }),
		just(func() command { return b.docker.with("run", "--rm", "--network", "none", image, "true") }),
		just(func() command { return b.podmanRun().with("--rm", image, "true") }),
	))
	t := interleave(b.Rounds*3, cs, absent)
	return compare("", "berth", t, absent, []goal{
		{"docker", 1.0 / 15, "≤ 1/15 of docker"},
		{"podman", 1.0 / 10, "≤ 1/10 of podman"},
	}), nil
}

// measureExec runs true in a container that is there already.
func measureExec(b *bench) ([]result, error) {
	const name = "bench-exec"
	started := func(run command, engine command) func() contender {
		return func() contender {
			return contender{
				before: first(run.with("-d", "--name", name, image, "sleep", "3600").run),
				run:    func(int) error { return engine.with("exec", name, "true").run() },
			}
		}
	}
	cs, absent := present(b.engines(
		func() contender { return started(b.berthRun(), b.berth)() },
		func() contender { return started(b.docker.with("run", "--network", "none"), b.docker)() },
		func() contender { return started(b.podmanRun(), b.podman)() },
	))
	defer b.removeAll(cs, name)
	t := interleave(b.Rounds*3, cs, absent)
	return compare("", "berth", t, absent, []goal{
		{"docker", 1.0 / 8, "≤ 1/8 of docker"},
		{"podman", 0, "(for comparison)"},
	}), nil
}

// removeAll removes containers of that name from every engine that took part.
func (b *bench) removeAll(cs []contender, containers ...string) {
	for _, c := range cs {
		engine := map[string]command{"berth": b.berth, "docker": b.docker, "podman": b.podman}[c.name]
		if err := engine.with("rm", "-f").with(containers...).run(); err != nil {
			warn(err)
		}
	}
}
