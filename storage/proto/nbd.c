/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The NBD client: opening an export and what it is to the layers above. */
#include "storage/proto/nbd.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "vm/base/sizes.h"

const struct nbd_params nbd_default_params = {
	.connect_ms = 20000,
	.hold_ms = 60000,
	.pause_ms = 100,
	.pause_max_ms = 5000,
	.patience_ms = 5000,
	.conns = NBD_CONNS,
};

static bool uri_begins(const char *path, const char *scheme)
{
	return !strncasecmp(path, scheme, strlen(scheme));
}

static bool uri_is_vsock(const char *path)
{
	return uri_begins(path, "nbd+vsock://") ||
	       uri_begins(path, "nbds+vsock://");
}

bool nbd_is_uri(const char *path)
{
	return uri_begins(path, "nbd://") || uri_begins(path, "nbds://") ||
	       uri_begins(path, "nbd+unix://") ||
	       uri_begins(path, "nbds+unix://") || uri_is_vsock(path);
}

static void nbd_free(struct nbd *nbd)
{
	nbd_io_fini(nbd);
	free(nbd->uri);
	free(nbd->tls_dir);
	free(nbd);
}

static int nbd_node_close(struct node *n)
{
	struct nbd *nbd = container_of(n, struct nbd, node);

	nbd_conns_fini(nbd);
	nbd_free(nbd);
	return 0;
}

static void nbd_info(const struct node *n, struct blk_info *out)
{
	const struct nbd *nbd = container_of(n, struct nbd, node);
	uint32_t block = nbd->caps.min_block;

	if (block < NBD_BLOCK)
		block = NBD_BLOCK;
	*out = (struct blk_info){
		.size = nbd->size,
		.block_size = block,
		.phys_size = block > 4096 ? block : 4096,
		.readonly = n->readonly,
		.can_discard = !n->readonly && nbd->caps.trim,
		.can_write_zeroes = !n->readonly,
		.discard_align = block,
		.format = "raw",
		.aio = "nbd",
	};
}

static void nbd_give_up(struct node *n)
{
	nbd_conns_give_up(container_of(n, struct nbd, node));
}

static const struct node_ops nbd_ops = {
	.name = "nbd",
	.close = nbd_node_close,
	.submit = nbd_submit,
	.info = nbd_info,
	.give_up = nbd_give_up,
};

static struct nbd *nbd_new(const struct proto_open *o,
	const struct nbd_params *p)
{
	struct nbd *nbd = calloc(1, sizeof(*nbd));

	if (!nbd)
		return NULL;
	list_init(&nbd->spare_ios);
	list_init(&nbd->spare_ops);
	list_init(&nbd->writing);
	list_init(&nbd->held);
	fiber_lock_init(&nbd->rmw_lock);
	nbd->params = *p;
	nbd->is_format = o->is_format;
	nbd->keep_allocated = o->no_discard;
	nbd->write_through =
		o->cache == BLK_WRITETHROUGH || o->cache == BLK_DIRECTSYNC;
	nbd->unsafe = o->cache == BLK_UNSAFE;
	nbd->uri = strdup(o->path);
	nbd->tls_dir = o->tls_dir ? strdup(o->tls_dir) : NULL;
	if (!nbd->uri || (o->tls_dir && !nbd->tls_dir)) {
		nbd_free(nbd);
		return NULL;
	}
	nbd->node = (struct node){ .ops = &nbd_ops,
		.ctx = o->ctx,
		.log = o->log,
		.path = nbd->uri,
		.readonly = o->readonly };
	return nbd;
}

/* The export is known: does it fit, and how large is it to us? */
static int nbd_measure(struct nbd *nbd, struct err *e)
{
	const struct nbd_caps *c = &nbd->caps;
	uint32_t block = c->min_block;

	if (c->readonly && !nbd->node.readonly)
		return err_set(e, EROFS,
			"%s: the NBD server exports it read-only: set "
			"readonly = yes or have it exported writable",
			nbd->uri);
	if (!nbd->is_format && block < NBD_BLOCK)
		block = NBD_BLOCK;
	nbd->size = size_down(c->size, block);
	if (nbd->size != c->size)
		log_msg(nbd->node.log, LOG_WARN,
			"%s: its size is no multiple of %u bytes: the last "
			"%u are not used",
			nbd->uri, block, (unsigned)(c->size - nbd->size));
	if (uri_begins(nbd->uri, "nbds+unix:"))
		log_msg(nbd->node.log, LOG_WARN,
			"%s: libnbd does not check a server's certificate "
			"over a Unix socket: who can make that file is "
			"trusted",
			nbd->uri);
	if (!c->flush && !nbd->node.readonly && !nbd->unsafe)
		log_msg(nbd->node.log, LOG_WARN,
			"%s: the NBD server has no flush: whether written "
			"data is safe is up to it alone",
			nbd->uri);
	return 0;
}

/*
 * GnuTLS, as libnbd uses it, writes to a socket that the server has closed
 * with the signal that would end the process. Who has not set it otherwise
 * does not want that.
 */
static void nbd_spare_us_sigpipe(const char *uri)
{
	struct sigaction now;

	if (uri_begins(uri, "nbds") && !sigaction(SIGPIPE, NULL, &now) &&
		now.sa_handler == SIG_DFL)
		(void)signal(SIGPIPE, SIG_IGN);
}

static int nbd_check_uri(const char *uri, struct err *e)
{
	if (uri_is_vsock(uri))
		return err_set(e, ENOTSUP,
			"%s: NBD over vsock is not supported: use nbd:// or "
			"nbd+unix://",
			uri);
	return 0;
}

int nbd_node_open_with(const struct proto_open *o, const struct nbd_params *p,
	struct node **out, struct err *e)
{
	struct nbd *nbd;
	int r = nbd_check_uri(o->path, e);

	if (r)
		return r;
	nbd_spare_us_sigpipe(o->path);
	nbd = nbd_new(o, p);
	if (!nbd)
		return err_sys(e, ENOMEM, "%s: cannot open it", o->path);
	r = nbd_conns_init(nbd, e);
	if (r) {
		nbd_free(nbd);
		return r;
	}
	r = nbd_conns_open(nbd, e);
	if (!r)
		r = nbd_measure(nbd, e);
	if (r) {
		nbd_node_close(&nbd->node);
		return r;
	}
	*out = &nbd->node;
	return 0;
}

int nbd_node_open(const struct proto_open *o, struct node **out, struct err *e)
{
	return nbd_node_open_with(o, &nbd_default_params, out, e);
}
