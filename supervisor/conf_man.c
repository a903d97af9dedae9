/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Conf's man page, rekindle.conf(5): the table of keys as roff.
 */
#include <inttypes.h>
#include <string.h>

#include "base/macro.h"
#include "supervisor/conf_show.h"
#include "supervisor/keys.h"
#include "supervisor/value.h"

static const char *const headings[] = {
	[RK_GROUP_SUPERVISOR] = "[SUPERVISOR] SECTION",
	[RK_GROUP_RUN] = "[FLEET NAME] SECTION: WHAT RUNS",
	[RK_GROUP_SIZES] = "[FLEET NAME] SECTION: SIZES",
	[RK_GROUP_PROCESS] = "[FLEET NAME] SECTION: WHAT A WORKER STARTS WITH",
	[RK_GROUP_CGROUP] = "[FLEET NAME] SECTION: CONTROL GROUP",
	[RK_GROUP_TIME] = "[FLEET NAME] SECTION: TIME AND SIGNALS",
	[RK_GROUP_RESTART] = "[FLEET NAME] SECTION: RESTARTS",
	[RK_GROUP_CLIENTS] = "[FLEET NAME] SECTION: CLIENTS",
	[RK_GROUP_WRAP] = "[FLEET NAME] SECTION: WRAPPED PROGRAMS",
};
_Static_assert(rk_countof(headings) == RK_GROUPS, "a heading for every group");

static const char *const introductions[] = {
	[RK_GROUP_SIZES] =
		"All of these fix the size of shared memory, which is reserved at the start; "
		"\\fBrekindle check\\fR says how much that is.",
	[RK_GROUP_CGROUP] =
		"Limits of the fleet as a whole, through cgroup v2. Where no control group is "
		"delegated to rekindled they have no effect.",
	[RK_GROUP_WRAP] =
		"For every Kind but native. In Exec and where it is said, %p stands for the slot\\(aqs port, %i for its "
		"number, %s for its socket, %d for its state directory, %f for the fleet and %% for a \\(aq%\\(aq; "
		"anything else behind a \\(aq%\\(aq is a mistake.",
	[RK_GROUPS] = NULL,
};

/* Text as roff: dashes that are copied stay dashes, a backslash is one, no line is a request. */
static void roff(const char *text, FILE *to)
{
	if (*text == '.' || *text == '\'')
		(void)fputs("\\&", to);
	for (; *text; text++) {
		if (*text == '-')
			(void)fputs("\\-", to);
		else if (*text == '\\')
			(void)fputs("\\e", to);
		else if (*text == '\'')
			(void)fputs("\\(aq", to);
		else
			(void)fputc(*text, to);
	}
}

static void bounds(const struct rk_key *k, FILE *to)
{
	struct rk_key bound = *k; /* to print a bound as the value it bounds */
	const uint64_t both[2] = { k->min, k->max };
	bool is_count = k->type == RK_VALUE_COUNT;

	if (!is_count && k->type != RK_VALUE_SIZE && k->type != RK_VALUE_TIME)
		return;
	bound.at = 0;
	bound.normal = "0"; /* so that 0 is printed */
	(void)fputs("; ", to);
	for (size_t i = 0; i < 2; i++) {
		uint32_t count = (uint32_t)both[i];

		rk_value_print(&bound, is_count ? (const void *)&count : &both[i], to);
		(void)fputs(i == 0 ? " to " : "", to);
	}
	(void)fputs(k->is_infinite ? ", or infinity" : "", to);
}

static void key_man(const struct rk_key *k, FILE *to)
{
	char kinds[80];

	(void)fputs(".TP\n\\fB", to);
	roff(k->name, to);
	(void)fputs("=\\fR\\fI", to);
	roff(k->type == RK_VALUE_ENUM ? k->words : rk_value_type_name(k->type), to);
	(void)fputs("\\fR\n", to);
	roff(k->help, to);
	(void)fputs("\n.br\n", to);
	(void)fputs(*k->normal ? "Default " : "No default", to);
	roff(k->normal, to);
	bounds(k, to);
	(void)fputs(".\n", to);
	if (k->kinds)
		(void)fprintf(to, "For %s.\n", rk_key_kinds(k, kinds, sizeof(kinds)));
	(void)fprintf(to, "Reload: %s.\n", rk_reload_name(k->reload));
	(void)fputs("systemd: ", to);
	roff(k->systemd ? k->systemd : "none", to);
	(void)fputs(". supervisord: ", to);
	roff(k->supervisord ? k->supervisord : "none", to);
	(void)fputs(".\n", to);
}

static void keys_man(FILE *to)
{
	size_t n;
	const struct rk_key *k = rk_keys(&n);

	for (size_t i = 0; i < n; i++) {
		if (i == 0 || k[i].group != k[i - 1].group) {
			(void)fprintf(to, ".SH \"%s\"\n", headings[k[i].group]);
			if (introductions[k[i].group])
				(void)fprintf(to, "%s\n", introductions[k[i].group]);
		}
		key_man(&k[i], to);
	}
}

static const char head[] =
	".SH NAME\n"
	"rekindle.conf \\- what rekindled runs, and how\n"
	".SH SYNOPSIS\n"
	"\\fI/etc/rekindle/NAME.conf\\fR\n"
	".br\n"
	"\\fI/run/rekindle/NAME.conf\\fR\n"
	".br\n"
	"\\fI/usr/lib/rekindle/NAME.conf\\fR\n"
	".br\n"
	"\\fI{/etc,/run,/usr/lib}/rekindle/NAME.conf.d/*.conf\\fR\n"
	".SH DESCRIPTION\n"
	"A configuration describes one or several fleets that one rekindled runs: \\fBrekindled \\-\\-config \\fINAME\\fR.\n"
	"The smallest one that works has two lines; these four, in a file \\fI./words.conf\\fR, count words when \\fBrekindle run \\-\\-config ./words.conf\\fR is typed:\n"
	".PP\n"
	".nf\n"
	".RS\n"
	"# try it with: rekindle call apple\n"
	"[Fleet words]\n"
	"Exec=/usr/local/libexec/rekindle/wordcount\n"
	"Workers=2\n"
	".RE\n"
	".fi\n";

static const char syntax[] =
	".SH FILES AND SYNTAX\n"
	"Of the three \\fINAME.conf\\fR the first one that is there is read, in the order above.\n"
	"Behind it come the drop\\-ins of all three directories, sorted by their file names; of drop\\-ins of one name that of the first directory counts.\n"
	"A file that is empty or a link to \\fI/dev/null\\fR masks those of its name behind it.\n"
	"A configuration that is named with a \\(aq/\\(aq in it, such as \\fI./words.conf\\fR, is read alone with \\fI./words.conf.d/*.conf\\fR.\n"
	".PP\n"
	"A file consists of sections, [Supervisor] and one [Fleet \\fINAME\\fR] for each fleet, and of lines \\fIKey\\fB=\\fIValue\\fR.\n"
	"Lines that begin with \\(aq#\\(aq or \\(aq;\\(aq are comments; behind a value there is none.\n"
	"A line that ends in a backslash goes on in the next one.\n"
	"A later value replaces an earlier one, also one of an earlier file, but keys that may be repeated collect theirs.\n"
	"An empty value takes everything back that was said before.\n"
	".PP\n"
	"A \\fISIZE\\fR is a number with B for bytes, or K, M, G or T for powers of 1024; only 0 needs no unit.\n"
	"A \\fITIME\\fR needs a unit: ns, us, ms, s, min or h.\n"
	"A \\fICOMMAND\\fR is words; quotes keep blanks in a word, and a backslash takes its meaning from the character behind it, as in systemd.\n"
	"No shell is involved and no variable expanded.\n"
	"A \\fISTATUS\\fR is an exit status or the name of a signal.\n"
	".PP\n"
	"\\fBrekindle check\\fR finds all mistakes at once, each with its file and line, and exits with 78; \\fBrekindle cat\\fR prints what is in force and where each line comes from.\n"
	"With every key stands what systemd and supervisord call the same or nearest thing, and what a reload does when it has changed: \\fInow\\fR it holds at once, \\fInext start\\fR means that workers are restarted one by one, \\fInever\\fR is refused: the fleet has to be stopped with \\fBrekindle stop\\fR and started again, which loses its state.\n"
	".PP\n"
	"On a command line every key of a fleet is an option: dashes before its words, all in lower case, so \\fBStopTimeout=2s\\fR is \\fB\\-\\-stop\\-timeout 2s\\fR.\n";

void rk_conf_man(FILE *to)
{
	(void)fputs(".\\\" SPDX-License-Identifier: Apache-2.0\n"
		    ".\\\" Made by 'rekindled --man-conf' from supervisor/keys.c: change that.\n",
		    to);
	(void)fprintf(to, ".TH REKINDLE.CONF 5 \"\" \"rekindle %s\" \"File Formats\"\n",
		      PACKAGE_VERSION);
	(void)fputs(head, to);
	(void)fputs(syntax, to);
	keys_man(to);
	(void)fputs(".SH SEE ALSO\n"
		    "\\fBrekindle\\fR(1), \\fBrekindled\\fR(8), \\fBsystemd.service\\fR(5)\n",
		    to);
}
