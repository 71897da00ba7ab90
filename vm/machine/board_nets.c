// SPDX-License-Identifier: GPL-3.0-or-later
/* The board's networks: host side of each NIC, on the I/O thread's loop. */
#include <errno.h>

#include "vm/machine/board_impl.h"

static int user_net(struct board *b, const struct conf_net *cn,
	struct netdev **out, struct err *e)
{
	struct net_forward fwd[CONF_MAX_FORWARDS];

	for (unsigned i = 0; i < cn->nforwards; i++) {
		const struct conf_forward *f = &cn->forwards[i];

		fwd[i] = (struct net_forward){
			.udp = f->udp,
			.host_addr = f->host_addr,
			.host_port = f->host_port,
			.guest_port = f->guest_port,
		};
	}
	return netdev_user_new(b->io, b->o.log, b->o.conf->name, fwd,
		cn->nforwards, out, e);
}

int board_nets_up(struct board *b, struct err *e)
{
	const struct conf *c = b->o.conf;

	for (unsigned i = 0; i < c->nnets; i++) {
		const struct conf_net *cn = &c->nets[i];
		int r = cn->mode == CONF_NET_TAP
				? netdev_tap_new(b->io, b->o.log, cn->tap,
					  &b->nets[i], e)
				: user_net(b, cn, &b->nets[i], e);

		if (r < 0)
			return err_prefix(e, "net %s", cn->name);
	}
	return 0;
}

void board_nets_down(struct board *b)
{
	for (unsigned i = 0; i < CONF_MAX_NETS; i++)
		netdev_free(b->nets[i]);
}
