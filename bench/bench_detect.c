/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claim   Healthy workers are not killed however busy the machine is, and sick ones are found,
 *         where rules of a fixed heartbeat age kill the healthy.
 * Method  The lab's scenes, one after the other: real processes, watched with real looks. The
 *         fixed rules judge the same moments. Prints what each subject got, and per scene the
 *         false kills of each rule.
 *
 *	bench_detect                    all scenes, about 45 s
 *	bench_detect --record DIR       the same, and a tape per scene
 *	bench_detect --replay DIR       judges the tapes again
 */
#include <stdlib.h>
#include <string.h>

#include "bench/lab_scene.h"

static FILE *tape_open(const char *dir, enum lab_scene scene, const char *mode)
{
	char path[512];
	FILE *tape;

	if (!dir)
		return NULL;
	(void)snprintf(path, sizeof(path), "%s/%d.tape", dir, (int)scene);
	tape = fopen(path, mode);
	if (!tape)
		perror(path);
	return tape;
}

static void skip_print(enum lab_scene scene, const char *why)
{
	printf("{\"bench\":\"detect\",\"case\":\"%s\",\"skipped\":\"%s\"}\n", lab_scene_name(scene),
	       why);
}

static void scene_play(enum lab_scene scene, const char *dir)
{
	struct lab *l = calloc(1, sizeof(*l));
	const char *why;

	if (!l)
		exit(1);
	lab_scene_fill(l, scene);
	l->tape = tape_open(dir, scene, "we");
	why = lab_scene_play(l, scene);
	if (why)
		skip_print(scene, why);
	else
		lab_print(l, lab_scene_name(scene));
	if (l->tape)
		(void)fclose(l->tape);
	free(l);
}

static void scene_replay(enum lab_scene scene, const char *dir)
{
	struct lab *l = calloc(1, sizeof(*l));
	FILE *tape = tape_open(dir, scene, "re");

	if (!l || !tape)
		exit(1);
	lab_scene_fill(l, scene);
	if (lab_replay(l, tape) < 0)
		skip_print(scene, "no tape of this scene");
	else
		lab_print(l, lab_scene_name(scene));
	(void)fclose(tape);
	free(l);
}

int main(int argc, char **argv)
{
	const char *dir = argc == 3 ? argv[2] : NULL;
	bool is_replay = dir && strcmp(argv[1], "--replay") == 0;

	if (argc != 1 && !is_replay && !(dir && strcmp(argv[1], "--record") == 0)) {
		(void)fprintf(stderr, "usage: bench_detect [--record DIR | --replay DIR]\n");
		return 64;
	}
	for (int scene = 0; scene < LAB_SCENES; scene++)
		if (is_replay)
			scene_replay((enum lab_scene)scene, dir);
		else
			scene_play((enum lab_scene)scene, dir);
	return 0;
}
