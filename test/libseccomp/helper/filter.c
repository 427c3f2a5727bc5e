/*
 * Builds a filter with libseccomp and writes it to stdout. From stdin, in the
 * words of the OCI specification:
 *
 *	default ACTION DATA
 *	machine NAME		instead of the one this runs on
 *	arch NAME
 *	tree
 *	rule ACTION DATA CALL [INDEX OP VALUE VALUE2]...
 *
 * Calls that this library does not know go to stderr, one a line.
 */
#include <errno.h>
#include <inttypes.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static scmp_filter_ctx ctx;

static void die(const char *what, int rc)
{
	fprintf(stderr, "%s: %s\n", what, strerror(-rc));
	exit(1);
}

static uint32_t action(const char *name, uint32_t data)
{
	if (!strcmp(name, "SCMP_ACT_KILL_PROCESS"))
		return SCMP_ACT_KILL_PROCESS;
	if (!strcmp(name, "SCMP_ACT_KILL") || !strcmp(name, "SCMP_ACT_KILL_THREAD"))
		return SCMP_ACT_KILL_THREAD;
	if (!strcmp(name, "SCMP_ACT_TRAP"))
		return SCMP_ACT_TRAP;
	if (!strcmp(name, "SCMP_ACT_ERRNO"))
		return SCMP_ACT_ERRNO(data);
	if (!strcmp(name, "SCMP_ACT_TRACE"))
		return SCMP_ACT_TRACE(data);
	if (!strcmp(name, "SCMP_ACT_LOG"))
		return SCMP_ACT_LOG;
	if (!strcmp(name, "SCMP_ACT_ALLOW"))
		return SCMP_ACT_ALLOW;
	if (!strcmp(name, "SCMP_ACT_NOTIFY"))
		return SCMP_ACT_NOTIFY;
	die(name, -EINVAL);
	return 0;
}

static enum scmp_compare compare(const char *name)
{
	static const char *const names[] = {
		[SCMP_CMP_NE] = "SCMP_CMP_NE",
		[SCMP_CMP_LT] = "SCMP_CMP_LT",
		[SCMP_CMP_LE] = "SCMP_CMP_LE",
		[SCMP_CMP_EQ] = "SCMP_CMP_EQ",
		[SCMP_CMP_GE] = "SCMP_CMP_GE",
		[SCMP_CMP_GT] = "SCMP_CMP_GT",
		[SCMP_CMP_MASKED_EQ] = "SCMP_CMP_MASKED_EQ",
	};

	for (unsigned i = SCMP_CMP_NE; i <= SCMP_CMP_MASKED_EQ; i++)
		if (!strcmp(name, names[i]))
			return i;
	die(name, -EINVAL);
	return 0;
}

static char *word(void)
{
	return strtok(NULL, " ");
}

static void rule(void)
{
	struct scmp_arg_cmp args[6];
	char *name = word();
	uint32_t act = action(name, strtoul(word(), NULL, 0));
	unsigned n = 0;
	int nr, rc;

	name = word();
	for (char *w; n < 6 && (w = word()); n++) {
		args[n].arg = strtoul(w, NULL, 0);
		args[n].op = compare(word());
		args[n].datum_a = strtoull(word(), NULL, 0);
		args[n].datum_b = strtoull(word(), NULL, 0);
	}
	nr = seccomp_syscall_resolve_name(name);
	if (nr == __NR_SCMP_ERROR) {
		fprintf(stderr, "%s\n", name);
		return;
	}
	rc = seccomp_rule_add_array(ctx, act, nr, n, args);
	if (rc < 0)
		die(name, rc);
}

static void line(char *text)
{
	char *what = strtok(text, " "), *name;
	int rc = 0;

	if (!what)
		return;
	if (!strcmp(what, "default")) {
		name = word();
		ctx = seccomp_init(action(name, strtoul(word(), NULL, 0)));
		if (!ctx)
			die("init", -EINVAL);
	} else if (!strcmp(what, "machine")) {
		rc = seccomp_arch_add(ctx, seccomp_arch_resolve_name(word()));
		if (!rc)
			rc = seccomp_arch_remove(ctx, SCMP_ARCH_NATIVE);
	} else if (!strcmp(what, "arch")) {
		rc = seccomp_arch_add(ctx, seccomp_arch_resolve_name(word()));
	} else if (!strcmp(what, "tree")) {
		rc = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	} else if (!strcmp(what, "rule")) {
		rule();
	} else {
		rc = -EINVAL;
	}
	if (rc < 0 && rc != -EEXIST)
		die(what, rc);
}

int main(void)
{
	char text[8192];
	int rc;

	while (fgets(text, sizeof(text), stdin)) {
		text[strcspn(text, "\n")] = 0;
		line(text);
	}
	rc = seccomp_export_bpf(ctx, 1);
	if (rc < 0)
		die("export", rc);
	return 0;
}
