/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sweep's question: over the socket that systemd itself listens on, since at a shutdown the message
 * bus may be gone and a container may have none.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-bus.h>

#include "base/cleanup.h"
#include "supervisor/sweep.h"

#define ADDRESS "unix:path=/run/systemd/private"
#define NAME "org.freedesktop.systemd1"
#define MANAGER_PATH "/org/freedesktop/systemd1"
#define MANAGER NAME ".Manager"
#define UNIT NAME ".Unit"
#define SERVICE NAME ".Service"
#define JOB NAME ".Job"

static int failed(struct rk_err *err, int r, const sd_bus_error *e, const char *what)
{
	return rk_err_set(err, r, "systemd does not say %s: %s", what,
			  e->message ? e->message : strerror(-r));
}

static int text_get(sd_bus *bus, const char *path, const char *interface, const char *property,
		    char *ret, size_t size, struct rk_err *err)
{
	rk_cleanup(sd_bus_error_free) sd_bus_error e = SD_BUS_ERROR_NULL;
	rk_cleanup(rk_free_p) char *text = NULL;
	int r = sd_bus_get_property_string(bus, NAME, path, interface, property, &e, &text);

	if (r < 0)
		return failed(err, r, &e, property);
	if (strlen(text) >= size)
		return rk_err_set(err, -EOVERFLOW, "%s is too long", property);
	(void)snprintf(ret, size, "%s", text);
	return 0;
}

static int number_get(sd_bus *bus, const char *path, const char *interface, const char *property,
		      uint32_t *ret, struct rk_err *err)
{
	rk_cleanup(sd_bus_error_free) sd_bus_error e = SD_BUS_ERROR_NULL;
	int r = sd_bus_get_property_trivial(bus, NAME, path, interface, property, &e, 'u', ret);

	return r < 0 ? failed(err, r, &e, property) : 0;
}

/* A unit that is not loaded is loaded by the question. ret is the caller's to free. */
static int unit_find(sd_bus *bus, const char *unit, char **ret, struct rk_err *err)
{
	rk_cleanup(sd_bus_error_free) sd_bus_error e = SD_BUS_ERROR_NULL;
	rk_cleanup(sd_bus_message_unrefp) sd_bus_message *m = NULL;
	const char *path;
	int r = sd_bus_call_method(bus, NAME, MANAGER_PATH, MANAGER, "LoadUnit", &e, &m, "s", unit);

	if (r >= 0)
		r = sd_bus_message_read(m, "o", &path);
	if (r < 0)
		return failed(err, r, &e, unit);
	*ret = strdup(path);
	return *ret ? 0 : rk_err_set(err, -ENOMEM, "no memory");
}

/* Type of the job that is queued for the unit; "" when there is none, or it has just been done. */
static int job_get(sd_bus *bus, const char *path, char *ret, size_t size, struct rk_err *err)
{
	rk_cleanup(sd_bus_error_free) sd_bus_error e = SD_BUS_ERROR_NULL;
	rk_cleanup(sd_bus_message_unrefp) sd_bus_message *m = NULL;
	const char *job;
	uint32_t id;
	int r = sd_bus_get_property(bus, NAME, path, UNIT, "Job", &e, &m, "(uo)");

	if (r >= 0)
		r = sd_bus_message_read(m, "(uo)", &id, &job);
	if (r < 0)
		return failed(err, r, &e, "its job");
	*ret = '\0';
	if (id == 0)
		return 0;
	r = text_get(bus, job, JOB, "JobType", ret, size, err);
	return r == -EBADR || r == -ENOENT ? 0 : r; /* an object that is no more */
}

static int ask(sd_bus *bus, const char *unit, const char *name, struct rk_sweep_unit *u,
	       struct rk_err *err)
{
	char slice[256], manager[PATH_MAX], held[PATH_MAX], listening[32], socket[RK_NAME_MAX + 24];
	rk_cleanup(rk_free_p) char *path = NULL, *socket_path = NULL;
	int r = unit_find(bus, unit, &path, err);

	(void)snprintf(socket, sizeof(socket), "rekindle@%s.socket", name);
	if (r == 0)
		r = unit_find(bus, socket, &socket_path, err);
	if (r == 0)
		r = text_get(bus, socket_path, UNIT, "ActiveState", listening, sizeof(listening), err);
	if (r == 0)
		r = text_get(bus, path, SERVICE, "Slice", slice, sizeof(slice), err);
	if (r == 0)
		r = text_get(bus, MANAGER_PATH, MANAGER, "ControlGroup", manager, sizeof(manager), err);
	if (r == 0)
		r = rk_sweep_group(manager, slice, unit, u->group, err);
	if (r == 0)
		r = text_get(bus, path, SERVICE, "ControlGroup", held, sizeof(held), err);
	/* The job before the state: a start that is done in between leaves a unit that runs. */
	if (r == 0)
		r = job_get(bus, path, u->job, sizeof(u->job), err);
	if (r == 0)
		r = text_get(bus, path, UNIT, "ActiveState", u->active, sizeof(u->active), err);
	if (r == 0)
		r = number_get(bus, path, SERVICE, "NFileDescriptorStore", &u->n_stored, err);
	u->is_held = r == 0 && *held;
	u->is_listening = r == 0 && strcmp(listening, "active") == 0;
	return r;
}

int rk_sweep_ask(const char *unit, const char *name, struct rk_sweep_unit *ret, struct rk_err *err)
{
	rk_cleanup(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
	int r = sd_bus_new(&bus);

	if (r >= 0)
		r = sd_bus_set_address(bus, ADDRESS);
	if (r >= 0)
		r = sd_bus_start(bus);
	if (r < 0)
		return rk_err_set(err, r, "systemd cannot be asked: %s", strerror(-r));
	return ask(bus, unit, name, ret, err);
}
