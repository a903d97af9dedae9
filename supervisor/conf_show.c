/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/conf_show.h"

#include <string.h>

#include "supervisor/keys.h"

#define MIB (1024 * 1024)
#define COLUMN 27 /* where the help of an option begins */

/* ---- cat ---- */

static void setting_print(const struct rk_setting *s, FILE *to)
{
	if (s->file)
		(void)fprintf(to, "# origin: %s:%u\n", s->file, s->line);
	else
		(void)fputs("# origin: command line\n", to);
	(void)fprintf(to, "%s=%s\n", s->key, s->value);
}

/* What counts of a key: its last setting, or of a list everything behind the last reset. */
static void key_cat(const struct rk_conf *conf, const struct rk_key *k, const char *argument,
		    FILE *to)
{
	const struct rk_ini *ini = &conf->ini;
	uint32_t first = 0;

	for (uint32_t pass = 0; pass < 2; pass++) {
		for (uint32_t i = pass ? first : 0; i < ini->n; i++) {
			const struct rk_setting *s = &ini->at[i];

			if (s->section != rk_key_section(k) || strcmp(s->key, k->name) != 0 ||
			    strcmp(s->argument, argument) != 0)
				continue;
			if (pass && *s->value)
				setting_print(s, to);
			else if (!pass && (!rk_key_is_list(k) || !*s->value))
				first = i;
		}
	}
}

static void section_cat(const struct rk_conf *conf, enum rk_ini_section section,
			const char *argument, FILE *to)
{
	size_t n;
	const struct rk_key *k = rk_keys(&n);

	for (size_t i = 0; i < n; i++)
		if (rk_key_section(&k[i]) == section)
			key_cat(conf, &k[i], argument, to);
}

static bool has_supervisor(const struct rk_conf *conf)
{
	for (uint32_t i = 0; i < conf->ini.n; i++)
		if (conf->ini.at[i].section == RK_INI_SUPERVISOR)
			return true;
	return false;
}

void rk_conf_cat(const struct rk_conf *conf, FILE *to)
{
	const char *between = "";

	if (has_supervisor(conf)) {
		(void)fputs("[Supervisor]\n", to);
		section_cat(conf, RK_INI_SUPERVISOR, "", to);
		between = "\n";
	}
	for (uint32_t i = 0; i < conf->n_fleets; i++) {
		(void)fprintf(to, "%s[Fleet %s]\n", between, conf->fleets[i].name);
		section_cat(conf, RK_INI_FLEET, conf->fleets[i].name, to);
		between = "\n";
	}
}

void rk_conf_cat_defaults(FILE *to)
{
	size_t n;
	const struct rk_key *k = rk_keys(&n);

	for (size_t i = 0; i < n; i++) {
		if (i == 0 || rk_key_section(&k[i]) != rk_key_section(&k[i - 1]))
			(void)fputs(rk_key_section(&k[i]) == RK_INI_SUPERVISOR ? "[Supervisor]\n"
									       : "\n[Fleet NAME]\n",
				    to);
		(void)fprintf(to, "# %s\n%s%s=%s\n", k[i].help, *k[i].normal ? "" : "#", k[i].name,
			      k[i].normal);
	}
}

/* ---- sum ---- */

void rk_conf_sum(const struct rk_conf *conf, FILE *to)
{
	uint32_t n_workers = 0, n_fleets = 0;
	uint64_t reserved = 0;

	for (uint32_t i = 0; i < conf->n_fleets; i++) {
		const struct rk_conf_fleet *f = &conf->fleets[i];

		if (f->o.is_disabled)
			continue;
		n_fleets++;
		n_workers += f->o.n_workers;
		reserved += f->reserved;
	}
	(void)fprintf(to, "%s: %u fleet%s, %u worker%s, %llu MiB of shared memory", conf->name,
		      n_fleets, n_fleets == 1 ? "" : "s", n_workers, n_workers == 1 ? "" : "s",
		      (unsigned long long)((reserved + MIB - 1) / MIB));
	if (n_fleets < conf->n_fleets)
		(void)fprintf(to, "; %u disabled", conf->n_fleets - n_fleets);
	(void)fputc('\n', to);
}

/* ---- help ---- */

static void option_print(const struct rk_key *k, FILE *to)
{
	const char *end = strstr(k->help, ". ");
	char option[RK_INI_KEY_MAX], left[128];
	int n;

	rk_key_option(k, option);
	n = snprintf(left, sizeof(left), "  %c%c%s--%s %s", k->letter ? '-' : ' ',
		     k->letter ? k->letter : ' ', k->letter ? ", " : "  ", option,
		     k->type == RK_VALUE_ENUM ? k->words : rk_value_type_name(k->type));
	/* The first sentence; the man page has the rest. */
	(void)fprintf(to, "%s%*s%.*s%s%s%s\n", left, n < COLUMN ? COLUMN - n : 1, "",
		      (int)(end ? end - k->help + 1 : (long)strlen(k->help)), k->help,
		      *k->normal ? " (" : "", k->normal, *k->normal ? ")" : "");
}

void rk_conf_usage(FILE *to)
{
	size_t n;
	const struct rk_key *k = rk_keys(&n);

	(void)fputs(
		"usage: rekindled --config NAME|FILE [OPTION...]\n"
		"       rekindled --name NAME [OPTION...] -- COMMAND [ARGUMENT...]\n"
		"\n"
		"Keeps fleets of workers alive: those of a configuration (see rekindle.conf(5)), or one\n"
		"that the command line describes.\n"
		"      --config NAME|FILE   what to run: /etc/rekindle/NAME.conf with its drop-ins, or FILE\n"
		"      --root DIR           look for NAME below DIR instead of /\n"
		"      --check              read it, say all that is wrong with it or sum it up, and exit\n"
		"      --cat                print what is in force, with origins, and exit\n"
		"      --cat-defaults       print every key with its default and exit\n"
		"      --name NAME          what the runtime directory is called\n"
		"      --set KEY=VALUE      a key of rekindle.conf(5) by its name\n"
		"  -q, --quiet              nothing on standard output\n"
		"      --debug              every transition in the log\n"
		"      --help, --version\n"
		"\n"
		"Every key of a fleet has an option of its own; these describe the one fleet of --name:\n",
		to);
	for (size_t i = 0; i < n; i++)
		if (rk_key_section(&k[i]) == RK_INI_FLEET)
			option_print(&k[i], to);
}
