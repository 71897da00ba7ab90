// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * All guests of one server: their definitions, the engine's thread with its
 * queue of commands, and the snapshots that other threads ask for. What a
 * command does to a guest is in guest.c.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vm/base/clock.h"
#include "vm/base/io.h"

#include "vm/machine/machine.h"

struct guest *engine_find(struct engine *en, const char *name)
{
	list_each (n, &en->guests) {
		struct guest *g = list_entry(n, struct guest, node);

		if (!strcmp(g->conf.name, name))
			return g;
	}
	return NULL;
}

void engine_tell(struct engine *en, enum engine_event_kind kind,
	const char *guest, enum guest_state state, const char *why)
{
	struct engine_event ev = { .kind = kind, .state = state };
	void (*fn)(void *, const struct engine_event *);
	void *arg;

	lock_take(&en->lock);
	fn = en->watch;
	arg = en->watch_arg;
	lock_drop(&en->lock);
	if (!fn)
		return;
	snprintf(ev.guest, sizeof(ev.guest), "%s", guest);
	snprintf(ev.why, sizeof(ev.why), "%s", why ? why : "");
	fn(arg, &ev);
}

/* Put g in its place by name. Lock held. */
static void insert_sorted(struct engine *en, struct guest *g)
{
	struct list *at = &en->guests;

	list_each (n, &en->guests) {
		if (strcmp(list_entry(n, struct guest, node)->conf.name,
			    g->conf.name) > 0) {
			at = n;
			break;
		}
	}
	list_add_tail(at, &g->node);
}

static void definition_path(const struct engine *en, const char *name,
	char *buf, size_t len)
{
	snprintf(buf, len, "%s/guests/%s.ini", en->dir, name);
}

/* Remember a definition that did not load, for doctor and the console. */
static void note_broken(struct engine *en, const char *msg)
{
	char **more = realloc(en->broken, (en->nbroken + 1) * sizeof(*more));

	log_msg(en->log, LOG_ERROR, "%s", msg);
	if (!more)
		return;
	en->broken = more;
	en->broken[en->nbroken] = strdup(msg);
	if (en->broken[en->nbroken])
		en->nbroken++;
}

static void load_definition(struct engine *en, const char *file)
{
	char path[2 * CONF_PATH_MAX];
	struct conf *c = malloc(sizeof(*c));
	struct err e = ERR_NONE;
	struct guest *g;

	if (!c)
		return;
	snprintf(path, sizeof(path), "%s/guests/%s", en->dir, file);
	if (conf_read(path, c, &e) < 0) {
		note_broken(en, e.msg);
	} else if (strlen(c->name) + 4 != strlen(file) ||
		   strncmp(c->name, file, strlen(c->name)) != 0) {
		/* undefine would leave it, replace would write another one */
		err_set(&e, EINVAL,
			"%s: holds guest \"%s\": rename the file to %s.ini",
			path, c->name, c->name);
		note_broken(en, e.msg);
	} else if (engine_find(en, c->name)) {
		err_set(&e, EEXIST,
			"%s: guest \"%s\" is defined twice: "
			"remove one of the files",
			path, c->name);
		note_broken(en, e.msg);
	} else {
		g = guest_new(en, c);
		if (g)
			insert_sorted(en, g);
	}
	free(c);
}

static int load_definitions(struct engine *en, struct err *e)
{
	char path[CONF_PATH_MAX + 16];
	struct dirent *de;
	DIR *d;

	snprintf(path, sizeof(path), "%s/guests", en->dir);
	d = opendir(path);
	if (!d)
		return err_sys(e, errno, "%s", path);
	/* this thread's own stream: glibc's readdir needs no lock */
	/* cppcheck-suppress readdirCalled */
	while ((de = readdir(d))) {
		size_t n = strlen(de->d_name);

		if (n > 4 && !strcmp(de->d_name + n - 4, ".ini"))
			load_definition(en, de->d_name);
	}
	closedir(d);
	return 0;
}

static int make_dirs(struct engine *en, struct err *e)
{
	static const char *const sub[] = { "guests", "run", "log" };
	char path[CONF_PATH_MAX + 16];

	for (size_t i = 0; i < 3; i++) {
		int r;

		snprintf(path, sizeof(path), "%s/%s", en->dir, sub[i]);
		r = io_mkdirs(path, e);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Engine thread: take one command off the queue, or NULL. */
static struct command *next_command(struct engine *en)
{
	struct list *n;

	LOCK_GUARD(&en->lock);
	n = list_pop(&en->commands);
	return n ? list_entry(n, struct command, node) : NULL;
}

static void refuse(struct command *cmd, int code, const char *why)
{
	struct err e = ERR_NONE;

	err_set(&e, code, "%s", why);
	if (cmd->c.done)
		cmd->c.done(cmd->c.arg, &e);
	free(cmd);
}

/* Forget a guest; it is off. Engine thread. */
static void undefine(struct engine *en, struct guest *g, struct command *cmd)
{
	struct err e = ERR_NONE;
	char name[CONF_NAME_MAX + 1];
	char path[2 * CONF_PATH_MAX];
	int r = guest_state_next(g->state, MOVE_UNDEFINE, &e);

	snprintf(name, sizeof(name), "%s", g->conf.name);
	definition_path(en, name, path, sizeof(path));
	if (r >= 0 && !en->ephemeral && unlink(path) < 0 && errno != ENOENT)
		r = err_sys(&e, errno, "cannot remove %s", path);
	if (r >= 0) {
		lock_take(&en->lock);
		list_del(&g->node);
		lock_drop(&en->lock);
		guest_free(g);
	}
	if (cmd->c.done)
		cmd->c.done(cmd->c.arg, &e);
	free(cmd);
	if (r >= 0)
		engine_tell(en, ENGINE_EV_LIST, name, GUEST_OFF, NULL);
}

static void run_commands(void *arg)
{
	struct engine *en = arg;
	struct command *cmd;

	while ((cmd = next_command(en))) {
		struct guest *g = engine_find(en, cmd->c.guest);
		char why[CONF_NAME_MAX + 64];

		if (en->closing) {
			refuse(cmd, ECANCELED, "the server is ending");
		} else if (!g) {
			snprintf(why, sizeof(why),
				"no guest named \"%s\": see `guestdeck list`",
				cmd->c.guest);
			refuse(cmd, ENOENT, why);
		} else if (cmd->c.verb == ENGINE_UNDEFINE) {
			undefine(en, g, cmd);
		} else {
			guest_command(g, cmd);
		}
	}
}

static void engine_main(void *arg)
{
	loop_run(((struct engine *)arg)->loop);
}

static void free_parts(struct engine *en)
{
	struct list *n;

	while ((n = list_pop(&en->guests)))
		guest_free(list_entry(n, struct guest, node));
	if (en->display)
		display_service_free(en->display);
	loop_free(en->loop);
	for (size_t i = 0; i < en->nbroken; i++)
		free(en->broken[i]);
	free(en->broken);
	lock_fini(&en->lock);
	free(en);
}

int engine_new(const struct engine_opts *o, struct engine **out, struct err *e)
{
	struct engine *en;
	int r;

	if (strlen(o->dir) >= CONF_PATH_MAX - 128)
		return err_set(e, ENAMETOOLONG,
			"%s: the path of the state folder is too long: "
			"set GUESTDECK_DIR to a shorter one",
			o->dir);
	en = calloc(1, sizeof(*en));
	if (!en)
		return err_set(e, ENOMEM, "no memory for the engine");
	lock_init(&en->lock, "engine", LOCK_ENGINE);
	list_init(&en->guests);
	list_init(&en->shared);
	list_init(&en->commands);
	snprintf(en->dir, sizeof(en->dir), "%s", o->dir);
	en->log = o->log;
	en->ephemeral = o->ephemeral;
	r = make_dirs(en, e);
	if (r >= 0)
		r = loop_new(&en->loop, e);
	if (r >= 0)
		r = display_service_new(o->exe, o->log, &en->display, e);
	if (r >= 0 && !en->ephemeral)
		r = load_definitions(en, e);
	if (r >= 0) {
		loop_call_init(&en->command_call, en->loop, run_commands, en);
		r = thread_start(&en->thread, "engine", engine_main, en, e);
	}
	if (r < 0) {
		free_parts(en);
		return r;
	}
	*out = en;
	return 0;
}

static void force_all_off(void *arg)
{
	struct engine *en = arg;

	lock_take(&en->lock);
	en->closing = true;
	lock_drop(&en->lock);
	run_commands(en);
	list_each (n, &en->guests)
		guest_force_off(list_entry(n, struct guest, node));
}

void engine_free(struct engine *en)
{
	if (!en)
		return;
	engine_watch(en, NULL, NULL);
	loop_sync(en->loop, force_all_off, en);
	loop_stop(en->loop);
	thread_join(&en->thread);
	loop_call_cancel(&en->command_call);
	run_commands(en);
	free_parts(en);
}

/* May a definition named like c's be put in? Lock held. */
static int may_define(struct engine *en, const struct conf *c, bool replace,
	struct err *e)
{
	struct guest *g = engine_find(en, c->name);

	if (!g)
		return 0;
	if (!replace)
		return err_set(e, EEXIST,
			"guest \"%s\" is defined already: undefine it first, "
			"or define with --replace",
			c->name);
	if (g->board || g->state == GUEST_STARTING)
		return err_set(e, EBUSY,
			"guest \"%s\" is %s: stop it before you replace its "
			"definition",
			c->name, guest_state_name(g->state));
	return 0;
}

struct define_job {
	struct engine *en;
	const struct conf *c;
	bool replace;
	struct err *e;
	int r;
};

/* Engine thread, so that no start comes between check and change. */
static void define_job(void *arg)
{
	struct define_job *j = arg;
	struct engine *en = j->en;
	struct guest *old = engine_find(en, j->c->name), *g = NULL;
	char path[2 * CONF_PATH_MAX];
	char *text = NULL;

	j->r = may_define(en, j->c, j->replace, j->e);
	if (j->r >= 0 && !en->ephemeral) {
		definition_path(en, j->c->name, path, sizeof(path));
		j->r = conf_format(j->c, &text, j->e);
		if (j->r >= 0)
			j->r = io_write_file(path, text, strlen(text), 0600,
				j->e);
		free(text);
	}
	if (j->r < 0)
		return;
	if (!old) {
		g = guest_new(en, j->c);
		if (!g) {
			j->r = err_set(j->e, ENOMEM, "no memory for a guest");
			return;
		}
	}
	LOCK_GUARD(&en->lock);
	if (old)
		old->conf = *j->c;
	else
		insert_sorted(en, g);
}

int engine_define(struct engine *en, const struct conf *c, bool replace,
	struct err *e)
{
	struct define_job j = { .en = en, .c = c, .replace = replace, .e = e };

	if (!conf_name_ok(c->name))
		return err_set(e, EINVAL,
			"\"%s\" is no name for a guest: use letters, digits, "
			"'.', '_' and '-'",
			c->name);
	loop_sync(en->loop, define_job, &j);
	if (j.r >= 0)
		engine_tell(en, ENGINE_EV_LIST, c->name, GUEST_DEFINED, NULL);
	return j.r;
}

void engine_command(struct engine *en, const struct engine_command *c)
{
	struct command *cmd = malloc(sizeof(*cmd));
	bool closing;

	if (!cmd) {
		struct err e = ERR_NONE;

		err_set(&e, ENOMEM, "no memory for the command");
		if (c->done)
			c->done(c->arg, &e);
		return;
	}
	cmd->c = *c;
	lock_take(&en->lock);
	closing = en->closing;
	if (!closing)
		list_add_tail(&en->commands, &cmd->node);
	lock_drop(&en->lock);
	if (closing)
		refuse(cmd, ECANCELED, "the server is ending");
	else
		loop_call_schedule(&en->command_call);
}

struct waiter {
	pthread_mutex_t mutex;
	pthread_cond_t cond;
	bool ended;
	struct err e;
};

static void wake_waiter(void *arg, const struct err *e)
{
	struct waiter *w = arg;

	pthread_mutex_lock(&w->mutex);
	w->e = *e;
	w->ended = true;
	pthread_cond_signal(&w->cond);
	pthread_mutex_unlock(&w->mutex);
}

int engine_command_wait(struct engine *en, const char *guest,
	enum engine_verb verb, unsigned timeout_ms, struct err *e)
{
	struct waiter w = { .mutex = PTHREAD_MUTEX_INITIALIZER,
		.cond = PTHREAD_COND_INITIALIZER };
	struct engine_command c = { .verb = verb,
		.timeout_ms = timeout_ms,
		.done = wake_waiter,
		.arg = &w };

	snprintf(c.guest, sizeof(c.guest), "%s", guest);
	engine_command(en, &c);
	pthread_mutex_lock(&w.mutex);
	while (!w.ended)
		pthread_cond_wait(&w.cond, &w.mutex);
	pthread_mutex_unlock(&w.mutex);
	if (e)
		*e = w.e;
	return -w.e.code;
}

void engine_watch(struct engine *en,
	void (*fn)(void *arg, const struct engine_event *ev), void *arg)
{
	LOCK_GUARD(&en->lock);
	en->watch = fn;
	en->watch_arg = arg;
}

const char *engine_broken(struct engine *en, size_t i)
{
	return i < en->nbroken ? en->broken[i] : NULL;
}
