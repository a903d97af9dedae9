/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scenes: which subjects live together on what kind of machine.
 *
 * Who       bench/bench_detect.c and tests/system/test_detection.c.
 */
#ifndef RK_BENCH_LAB_SCENE_H
#define RK_BENCH_LAB_SCENE_H

#include "bench/lab.h"

enum lab_scene {
	LAB_CALM,               /* healthy, nothing else running that is ours */
	LAB_HOGS,               /* healthy, 64 processes spin */
	LAB_QUOTA,              /* healthy, in a cgroup that may use a tenth of a CPU */
	LAB_STORM,              /* healthy, stress-ng forks, allocates and writes */
	LAB_SICK,               /* all that misbehave */
	LAB_SICK_HOGS,          /* those of them that need no CPU, and a loop, among 64 hogs */
	LAB_SICK_HOGS_REALTIME, /* the same, watched by a real-time thread */
	LAB_SCENES
};

const char *lab_scene_name(enum lab_scene scene);
bool lab_scene_is_healthy(enum lab_scene scene);

/* Its subjects, added to an empty lab. */
void lab_scene_fill(struct lab *l, enum lab_scene scene);

/* Plays it, some seconds long. Returns NULL, or what this machine lacks ("TOKEN: reason"). */
const char *lab_scene_play(struct lab *l, enum lab_scene scene);

#endif
