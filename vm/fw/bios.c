/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A BIOS image below 4 GiB as ROM, and its last 128 KiB copied to 0xE0000 at
 * reset, where a chipset's reset state shows them and real mode starts. The
 * copy is RAM: SeaBIOS sees it cannot write there (PAM) and copies itself.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/sizes.h"

#include "vm/fw/fw.h"
#include "vm/fw/layout.h"

#define SHADOW_LEN (128 * KiB)

struct fw_bios {
	struct gmem_block *block; /* gmem owns block and view */
	struct gmem_view *view;
	size_t len;
};

int fw_bios_map(struct gmem *g, const uint8_t *image, size_t len,
	struct fw_bios **out, struct err *e)
{
	struct fw_bios *b;
	int rc;

	if (len < 64 * KiB || len > 16 * MiB || len % (64 * KiB))
		return err_set(e, EINVAL,
			"BIOS image has %zu bytes, not a multiple of 64 KiB "
			"up to 16 MiB",
			len);
	b = calloc(1, sizeof(*b));
	if (!b)
		return err_set(e, ENOMEM, "no memory for a BIOS");
	b->len = len;
	rc = gmem_block_new(g, "bios", len, &b->block, e);
	if (!rc)
		rc = gmem_view_new(b->block, 0, len, GMEM_ROM, &b->view, e);
	if (!rc) {
		memcpy(gmem_block_ptr(b->block), image, len);
		rc = gmem_view_map(b->view, GMEM_HIGH_BASE - len);
		if (rc)
			err_sys(e, -rc, "cannot map the BIOS below 4 GiB");
	}
	if (rc) {
		free(b);
		return rc;
	}
	*out = b;
	return 0;
}

int fw_bios_reset(struct fw_bios *b, struct gmem *g)
{
	size_t n = b->len < SHADOW_LEN ? b->len : SHADOW_LEN;
	const uint8_t *image = gmem_block_ptr(b->block);

	return gmem_write(g, FW_BIOS_END - n, image + b->len - n, n);
}

void fw_bios_free(struct fw_bios *b)
{
	free(b);
}
