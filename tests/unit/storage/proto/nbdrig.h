/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What tests of the NBD client share: real servers, and an NBD node on the
 * rig's loop. A server is given a socket that the test listens on already
 * (socket activation), so nobody waits for it to come up; it dies with the
 * test.
 */
#ifndef TESTS_UNIT_STORAGE_PROTO_NBDRIG_H
#define TESTS_UNIT_STORAGE_PROTO_NBDRIG_H

#include <sys/types.h>

#include "storage/core/ctx.h"
#include "storage/proto/nbd.h"

#include "tests/unit/storage/rig.h"

struct nbdrig_server {
	int listen_fd;
	pid_t pid; /* 0 = not running */
	int port;  /* of 127.0.0.1, 0 = Unix socket */
	char socket[100];
};

/* A test that needs program p ends here, with the reason, where it is not. */
#define NBDRIG_NEEDS(p)                                                        \
	do {                                                                   \
		if (!nbdrig_has(p)) {                                          \
			printf("skip %s no %s here\n", __func__, (p));         \
			fflush(stdout);                                        \
			return;                                                \
		}                                                              \
	} while (0)

bool nbdrig_has(const char *program);

/* Listen on a Unix socket in the rig's folder, or on a port of 127.0.0.1. */
void nbdrig_listen(struct nbdrig_server *s);
void nbdrig_listen_tcp(struct nbdrig_server *s);
void nbdrig_unlisten(struct nbdrig_server *s);

/* Start a server (a command line of words parted by blanks) on it. */
void nbdrig_start(struct nbdrig_server *s, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void nbdrig_kill(struct nbdrig_server *s); /* with -9 */
void nbdrig_end(struct nbdrig_server *s);  /* kill and unlisten */

/* URI of the server: "nbd+unix:///EXPORT?socket=..." or nbd://... */
const char *nbdrig_uri(const struct nbdrig_server *s, const char *export);

/* Run a program and wait; it must succeed. */
void nbdrig_run(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* A node on the rig's loop. Options and params may be changed before. */
struct nbdrig_disk {
	struct proto_open o;
	struct nbd_params params;
	struct node *node;
	struct nbd *nbd;
	struct err e;
	struct log *log;
};

void nbdrig_disk_init(struct nbdrig_disk *d, const char *uri);
int nbdrig_disk_try(struct nbdrig_disk *d);
void nbdrig_disk_open(struct nbdrig_disk *d); /* must work */
/* Opening must fail with code (0 = any) and has and the URI in the message,
 * which stays; d needs no close. */
void nbdrig_disk_fails(struct nbdrig_disk *d, int code, const char *has);
/* The same of a disk of its own. */
void nbdrig_refused(const char *uri, int code, const char *has);
void nbdrig_disk_close(struct nbdrig_disk *d);

/* Connections that d has now. */
unsigned nbdrig_connected(const struct nbdrig_disk *d);

/* nbdkit with its options and plugin, and a disk on it. */
void nbdrig_serve(struct nbdrig_server *s, struct nbdrig_disk *d,
	const char *how);
void nbdrig_serve_end(struct nbdrig_server *s, struct nbdrig_disk *d);

/* Does the node's log hold text? */
bool nbdrig_logged(const char *text);
/* Lines in file that hold a and (may be NULL) b. */
unsigned nbdrig_count(const char *path, const char *a, const char *b);

/* Requests to the node, waited for on the loop; their errors. */
void nbdrig_submit(struct nbdrig_disk *d, struct rig_req *q, enum blk_op op,
	unsigned flags, uint64_t off, void *buf, uint64_t len);
int nbdrig_do(struct nbdrig_disk *d, enum blk_op op, unsigned flags,
	uint64_t off, void *buf, uint64_t len);
int nbdrig_status(struct nbdrig_disk *d, uint64_t off, uint64_t len,
	struct blk_extent *x);

/* The same of pieces of odd sizes. */
int nbdrig_pieces(struct nbdrig_disk *d, enum blk_op op, uint64_t off,
	uint8_t *p, uint64_t len);

/* len bytes to know again, another seed other ones; free() them. */
uint8_t *nbdrig_pattern(size_t len, unsigned seed);
/* Write such there (flags: of the write): they must come back. */
void nbdrig_check_data(struct nbdrig_disk *d, unsigned flags, uint64_t off,
	uint64_t len);

/* Run the loop until the condition holds. */
#define NBDRIG_UNTIL(condition)                                                \
	while (!(condition))                                                   \
	loop_run_once(rig_loop, -1)

#endif
