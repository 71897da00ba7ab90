/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The viewer process of a guest, seen from the engine: spawned at the first
 * connection, fed with pictures, listened to with distrust, killed when idle
 * or when it breaks the protocol. It holds nothing that outlives it, so
 * SIGKILL is its ordinary end. Thread: the display thread's.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vm/base/clock.h"
#include "vm/base/io.h"
#include "vm/base/sizes.h"

#include "display/display_impl.h"
#include "display/keymap.h"

#define VIEWERS_FRAME_NS (NS_PER_S / 30)
#define VIEWERS_FAST_NS  (8 * NS_PER_MS) /* between looks while things move */
#define VIEWERS_MOVES_NS NS_PER_S        /* how long they do after a change */
#define VIEWERS_SOON_NS  (8 * NS_PER_MS) /* a look after somebody typed */
#define VIEWERS_IDLE_NS  (10 * NS_PER_S)
#define VIEWERS_RETRY_NS NS_PER_S
#define VIEWERS_BATCH    64
#define VIEWERS_FIRST_W  640
#define VIEWERS_FIRST_H  400

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

int viewers_read_password(const char *path, char out[VIEWER_PASS_MAX + 1],
	struct log *log, struct err *e)
{
	struct stat st;
	uint8_t *text = NULL;
	size_t len, n;
	int r;

	r = io_read_file(path, 4096, &text, &len, e);
	if (r)
		return r;
	assert(text);
	if (!stat(path, &st) && (st.st_mode & 077))
		log_msg(log, LOG_WARN,
			"password file %s can be read by others: chmod 600 it",
			path);
	n = strcspn((const char *)text, "\r\n");
	if (n < 1 || n > VIEWER_PASS_MAX) {
		r = err_set(e, EINVAL,
			"%s: the first line must have 1 to %d characters, VNC "
			"looks at no more; it has %zu",
			path, VIEWER_PASS_MAX, n);
	} else {
		memset(out, 0, VIEWER_PASS_MAX + 1);
		memcpy(out, text, n);
	}
	explicit_bzero(text, len);
	free(text);
	return r;
}

/* ---- the process ---- */

static bool viewers_running(const struct viewers *v)
{
	return v->sock >= 0;
}

static void viewers_send_key_up(struct display *d, unsigned bit)
{
	struct input_event ev = {
		.kind = INPUT_KEY,
		.scancode =
			(uint16_t)(bit < 128 ? bit : (0xe000 | (bit - 128))),
	};

	input_hub_event(&d->hub, &ev);
}

/* Nobody holds a key or button any more. */
static void viewers_release_all(struct display *d)
{
	struct viewers *v = &d->viewers;

	for (unsigned bit = 0; bit < 256; bit++)
		if (v->keys_down[bit / 64] >> (bit % 64) & 1)
			viewers_send_key_up(d, bit);
	memset(v->keys_down, 0, sizeof(v->keys_down));
	if (v->pointer.buttons) {
		v->pointer.buttons = 0;
		input_hub_event(&d->hub, &v->pointer);
	}
}

void viewers_stop(struct display *d)
{
	struct viewers *v = &d->viewers;
	siginfo_t info;

	if (!viewers_running(v))
		return;
	loop_fd_del(&v->watch);
	loop_timer_disarm(&v->tick);
	loop_timer_disarm(&v->idle);
	close(v->sock);
	v->sock = -1;
	if (v->pidfd >= 0) {
		syscall(SYS_pidfd_send_signal, v->pidfd, SIGKILL, NULL, 0);
		while (waitid(P_PIDFD, (id_t)v->pidfd, &info, WEXITED) &&
			errno == EINTR)
			;
		close(v->pidfd);
	} else {
		kill(v->pid, SIGKILL);
		while (waitpid(v->pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	v->pidfd = -1;
	surface_reader_del(&v->reader);
	viewers_release_all(d);
	v->wanted = false;
	memset(&v->stats, 0, sizeof(v->stats));
	atomic_store(&d->viewer_count, 0);
}

/* It went, or it lies: start no new one at once. */
static void viewers_broken(struct display *d, const char *why)
{
	struct viewers *v = &d->viewers;

	log_limited(d->log, &v->limit, LOG_WARN,
		"the viewer process of %s ended (%s), its viewers are gone",
		d->name, why);
	v->retry_ns = clock_now_ns() + VIEWERS_RETRY_NS;
	viewers_stop(d);
}

/* 0, -EAGAIN when the pipe is full, or -errno. */
static int viewers_send(struct display *d, const struct viewer_msg *m, int fd)
{
	size_t len = viewer_msg_len(m->type);
	ssize_t n;

	assert(len);
	n = io_send_fds(d->viewers.sock, m, len, &fd, fd >= 0 ? 1 : 0);
	return n < 0 ? (int)n : 0;
}

static int viewers_send_config(struct display *d, struct err *e)
{
	struct viewers *v = &d->viewers;
	struct viewer_msg m = { .type = VIEWER_CONFIG };
	struct viewer_config *c = &m.u.config;
	int r = 0;

	snprintf(c->name, sizeof(c->name), "%s", d->name);
	c->has_password = v->password_file != NULL;
	c->has_viewonly = v->viewonly_file != NULL;
	if (v->password_file)
		r = viewers_read_password(v->password_file, c->password, d->log,
			e);
	if (!r && v->viewonly_file)
		r = viewers_read_password(v->viewonly_file, c->viewonly, d->log,
			e);
	if (!r) {
		r = viewers_send(d, &m, -1);
		if (r)
			err_sys(e, -r, "cannot talk to the viewer process");
	}
	explicit_bzero(&m, sizeof(m));
	return r;
}

/*
 * Start the program anew with only its end of the pair and standard error;
 * all other descriptors are close-on-exec, and its environment is empty.
 */
static int viewers_exec(struct display *d, int theirs, struct err *e)
{
	static char arg[] = DISPLAY_VIEWER_ARG;
	static char title[] = "guestdeck-viewer";
	char *argv[] = { title, arg, NULL };
	char *env[] = { NULL };
	posix_spawn_file_actions_t fa;
	posix_spawnattr_t attr;
	sigset_t all, none;
	int r;

	sigfillset(&all);
	sigemptyset(&none);
	posix_spawn_file_actions_init(&fa);
	posix_spawnattr_init(&attr);
	posix_spawn_file_actions_addopen(&fa, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&fa, 1, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_adddup2(&fa, theirs, VIEWER_FD);
	posix_spawnattr_setsigdefault(&attr, &all);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setflags(&attr,
		POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
	r = posix_spawn(&d->viewers.pid, d->service->exe, &fa, &attr, argv,
		env);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&fa);
	if (r)
		return err_sys(e, r, "cannot start the viewer process %s",
			d->service->exe);
	d->viewers.pidfd = (int)syscall(SYS_pidfd_open, d->viewers.pid, 0);
	return 0;
}

static void viewers_readable(void *arg, uint32_t events);

static int viewers_start(struct display *d, struct err *e)
{
	struct viewers *v = &d->viewers;
	int pair[2], r;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return err_sys(e, errno, "cannot make a socket pair");
	/* dup2 onto itself would leave the close-on-exec flag */
	if (pair[1] == VIEWER_FD) {
		pair[1] = pair[0];
		pair[0] = VIEWER_FD;
	}
	r = viewers_exec(d, pair[1], e);
	close(pair[1]);
	if (r) {
		close(pair[0]);
		return r;
	}
	v->sock = pair[0];
	io_nonblock(v->sock);
	v->sent_generation = 0;
	v->clients_sent = 0;
	v->last_frame_ns = 0;
	surface_reader_add(d->surface, &v->reader);
	r = loop_fd_add(d->service->loop, &v->watch, v->sock, EPOLLIN,
		viewers_readable, d);
	if (r)
		err_sys(e, -r, "cannot watch the viewer process");
	else
		r = viewers_send_config(d, e);
	if (r)
		viewers_stop(d);
	return r;
}

/* ---- pictures ---- */

static void viewers_tick_at(struct display *d, uint64_t when_ns)
{
	d->viewers.tick_ns = when_ns;
	loop_timer_arm(&d->viewers.tick, when_ns);
}

/* Tell of a new surface. 0 or -errno (to be tried again). */
static int viewers_send_surface(struct display *d)
{
	struct viewers *v = &d->viewers;
	struct viewer_msg m = { .type = VIEWER_SURFACE };
	int r;

	if (surface_generation(d->surface) == v->sent_generation)
		return 0;
	m.u.surface.width = surface_width(d->surface);
	m.u.surface.height = surface_height(d->surface);
	m.u.surface.stride = surface_stride(d->surface);
	m.u.surface.bytes = surface_bytes(d->surface);
	r = viewers_send(d, &m, surface_fd(d->surface));
	if (!r)
		v->sent_generation = surface_generation(d->surface);
	return r;
}

/* More than one tile, that is: not only the cursor's blinking. */
static bool viewers_moves(const struct surface_tiles *t)
{
	unsigned n = 0;

	for (unsigned i = 0; i < SURFACE_TILE_ROWS; i++)
		n += (unsigned)__builtin_popcountll(t->row[i]);
	return n > 1;
}

/* Returns 1 when a frame went out, 0 when nothing changed, -errno. */
static int viewers_send_frame(struct display *d)
{
	struct viewers *v = &d->viewers;
	struct viewer_msg m = { .type = VIEWER_FRAME };
	int r;

	if (!surface_fetch(&v->reader, &m.u.frame.tiles))
		return 0;
	if (viewers_moves(&m.u.frame.tiles))
		v->moved_ns = clock_now_ns();
	r = viewers_send(d, &m, -1);
	if (!r)
		atomic_fetch_add(&d->frames, 1);
	else /* what was fetched is lost: all is to be sent */
		surface_dirty(d->surface, 0, 0, surface_width(d->surface),
			surface_height(d->surface));
	return r ? r : 1;
}

/* Look at the guest's screen and send what changed, or look again later. */
static void viewers_look(void *arg)
{
	struct display *d = arg;
	struct viewers *v = &d->viewers;
	uint64_t now = clock_now_ns();
	int r;

	if (!viewers_running(v) || !v->wanted)
		return;
	display_refresh(d, false);
	r = viewers_send_surface(d);
	if (!r)
		r = viewers_send_frame(d);
	if (r < 0 && r != -EAGAIN) {
		viewers_broken(d, strerror(-r));
		return;
	}
	if (r == 1) {
		v->wanted = false;
		v->last_frame_ns = now;
		return;
	}
	viewers_tick_at(d, now + (now - v->moved_ns < VIEWERS_MOVES_NS
						 ? VIEWERS_FAST_NS
						 : VIEWERS_FRAME_NS));
}

/* A client waits for a picture: now, when the last one is long enough ago. */
static void viewers_want(struct display *d)
{
	struct viewers *v = &d->viewers;

	if (v->wanted)
		return;
	v->wanted = true;
	if (clock_now_ns() >= v->last_frame_ns + VIEWERS_FRAME_NS)
		viewers_look(d);
	else
		viewers_tick_at(d, v->last_frame_ns + VIEWERS_FRAME_NS);
}

/* ---- what the viewer says ---- */

/* Remember what is held, for the day the viewer dies. */
static void viewers_note_key(struct viewers *v, const struct input_event *ev)
{
	unsigned bit =
		(ev->scancode & 0x7f) | (ev->scancode & 0x8000 ? 128 : 0);
	uint64_t mask = UINT64_C(1) << (bit % 64);

	if (ev->down)
		v->keys_down[bit / 64] |= mask;
	else
		v->keys_down[bit / 64] &= ~mask;
}

static void viewers_input(struct display *d, const struct viewer_input *in)
{
	struct viewers *v = &d->viewers;
	uint64_t soon = clock_now_ns() + VIEWERS_SOON_NS;
	struct input_event ev = { .kind = INPUT_KEY };

	if (in->kind == INPUT_KEY) {
		if (in->scancode > 0xffff ||
			!keymap_valid((uint16_t)in->scancode))
			return;
		ev.scancode = (uint16_t)in->scancode;
		ev.down = in->down != 0;
		viewers_note_key(v, &ev);
	} else if (in->kind == INPUT_POINTER_ABS) {
		ev.kind = INPUT_POINTER_ABS;
		ev.x = in->x;
		ev.y = in->y;
		ev.buttons = in->buttons;
		v->pointer = ev;
	} else {
		return;
	}
	input_hub_event(&d->hub, &ev);
	v->moved_ns = clock_now_ns();
	/* the answer of the guest is worth an early look */
	if (v->wanted && soon < v->tick_ns &&
		soon >= v->last_frame_ns + VIEWERS_FRAME_NS / 2)
		viewers_tick_at(d, soon);
}

static void viewers_resize(struct display *d, const struct viewer_resize *r)
{
	if (!d->has_source || !d->source.resize_hint)
		return;
	if (r->width < DISPLAY_MIN || r->width > DISPLAY_MAX_W ||
		r->height < DISPLAY_MIN || r->height > DISPLAY_MAX_H)
		return;
	d->source.resize_hint(d->source.arg, r->width, r->height);
}

/* Everybody gone and every connection taken: the process may go soon. */
static void viewers_note_stats(struct display *d, const struct viewer_stats *s)
{
	struct viewers *v = &d->viewers;

	v->stats = *s;
	atomic_store(&d->viewer_count, s->viewers < 64 ? s->viewers : 64);
	loop_timer_arm(&v->idle, clock_now_ns() + VIEWERS_IDLE_NS);
}

static void viewers_idle(void *arg)
{
	struct display *d = arg;
	struct viewers *v = &d->viewers;

	if (!viewers_running(v))
		return;
	if (v->stats.viewers || v->stats.pending || v->stats.blocked ||
		v->stats.taken != v->clients_sent)
		return; /* it tells when that changes */
	viewers_stop(d);
}

static void viewers_handle(struct display *d, const struct viewer_msg *m)
{
	char text[VIEWER_LOG_MAX];

	switch (m->type) {
	case VIEWER_WANT:
		viewers_want(d);
		break;
	case VIEWER_INPUT:
		viewers_input(d, &m->u.input);
		break;
	case VIEWER_RESIZE:
		viewers_resize(d, &m->u.resize);
		break;
	case VIEWER_STATS:
		viewers_note_stats(d, &m->u.stats);
		break;
	case VIEWER_LOG:
		memcpy(text, m->u.log.text, sizeof(text));
		text[sizeof(text) - 1] = 0;
		log_limited(d->log, &d->viewers.limit,
			m->u.log.level == LOG_WARN ? LOG_WARN : LOG_INFO,
			"viewer: %s", text);
		break;
	}
}

/* One packet, checked. 1 = handled, 0 = nothing there, -1 = it is over. */
static int viewers_receive(struct display *d)
{
	struct viewer_msg m;
	int fds[1], nfds;
	ssize_t n;

	n = io_recv_fds(d->viewers.sock, &m, sizeof(m), fds, 0, &nfds);
	if (n == -EAGAIN)
		return 0;
	if (n <= 0) {
		viewers_broken(d, n ? strerror((int)-n) : "it exited");
		return -1;
	}
	if ((size_t)n < offsetof(struct viewer_msg, u) ||
		m.type < VIEWER_WANT || (size_t)n != viewer_msg_len(m.type)) {
		viewers_broken(d, "it sent nonsense");
		return -1;
	}
	viewers_handle(d, &m);
	return viewers_running(&d->viewers) ? 1 : -1;
}

static void viewers_readable(void *arg, uint32_t events)
{
	struct display *d = arg;

	(void)events;
	/* a flood must not starve other guests: the loop comes back */
	for (int i = 0; i < VIEWERS_BATCH; i++)
		if (viewers_receive(d) != 1)
			return;
}

/* ---- connections ---- */

/* A picture must be there, even when no source ever was. */
static void viewers_picture(struct display *d)
{
	display_refresh(d, false);
	if (!surface_width(d->surface))
		surface_resize(d->surface, VIEWERS_FIRST_W, VIEWERS_FIRST_H);
}

static int viewers_hand_over(struct display *d, int fd, const char *peer)
{
	struct viewers *v = &d->viewers;
	struct viewer_msg m = { .type = VIEWER_CLIENT };
	int r;

	snprintf(m.u.client.peer, sizeof(m.u.client.peer), "%s", peer);
	/* who comes for one picture shall not get an old one */
	viewers_picture(d);
	r = viewers_send_surface(d);
	if (!r)
		r = viewers_send_frame(d);
	if (r >= 0)
		r = viewers_send(d, &m, fd);
	if (!r)
		v->clients_sent++;
	return r;
}

void viewers_connect(struct display *d, int fd, const char *peer)
{
	struct viewers *v = &d->viewers;
	struct err e = ERR_NONE;
	int r = 0;

	if (!viewers_running(v)) {
		if (clock_now_ns() < v->retry_ns)
			goto out;
		r = viewers_start(d, &e);
		if (r) {
			log_limited(d->log, &v->limit, LOG_ERROR, "%s", e.msg);
			v->retry_ns = clock_now_ns() + VIEWERS_RETRY_NS;
			goto out;
		}
	}
	r = viewers_hand_over(d, fd, peer);
	if (r && r != -EAGAIN)
		viewers_broken(d, strerror(-r));
out:
	close(fd);
}

void viewers_init(struct display *d)
{
	struct viewers *v = &d->viewers;

	v->sock = v->pidfd = -1;
	loop_timer_init(&v->tick, d->service->loop, viewers_look, d);
	loop_timer_init(&v->idle, d->service->loop, viewers_idle, d);
}

void viewers_fini(struct display *d)
{
	struct viewers *v = &d->viewers;

	viewers_stop(d);
	loop_timer_disarm(&v->tick);
	loop_timer_disarm(&v->idle);
	free(v->password_file);
	free(v->viewonly_file);
}
