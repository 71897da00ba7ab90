/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * fw_cfg, see fwcfg.h; DMA is in fwcfg_dma.c, the standard set of items in
 * fwcfg_items.c.
 *
 * Thread: ports and DMA run on the vCPU that wrote; a DMA is done when its
 * port write ends. Lock: one of rank LOCK_DEVICE guards the selected item,
 * its offset and the content of writable files.
 */
#include "vm/dev/fwcfg.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/bytes.h"
#include "vm/base/list.h"
#include "vm/base/sizes.h"

#include "vm/dev/fwcfg_impl.h"

#define DIR_HEAD  4
#define DIR_ENTRY 64

static struct fwcfg_item *find_key(struct fwcfg *f, unsigned key)
{
	for (unsigned i = 0; i < f->nkeys; i++)
		if (f->keys[i].key == key)
			return &f->keys[i];
	return NULL;
}

/* Files are sorted by name: their keys are FIRST + place in the array. */
static struct fwcfg_item *find_item(struct fwcfg *f, unsigned key)
{
	struct fwcfg_item *it = find_key(f, key);

	if (it)
		return it;
	key &= ~FWCFG_WRITE_CHANNEL;
	if (key >= FWCFG_FILE_FIRST && key - FWCFG_FILE_FIRST < f->nfiles)
		return &f->files[key - FWCFG_FILE_FIRST];
	return NULL;
}

/* The directory, made when the guest first selects anything of it. */
static void build_directory_locked(struct fwcfg *f)
{
	size_t len = DIR_HEAD + (size_t)f->nfiles * DIR_ENTRY;
	uint8_t *d = f->dir.data;

	if (f->listed)
		return;
	f->listed = true;
	memset(d, 0, len);
	put_be32(d, f->nfiles);
	for (unsigned i = 0; i < f->nfiles; i++) {
		uint8_t *p = d + DIR_HEAD + (size_t)i * DIR_ENTRY;

		put_be32(p, (uint32_t)f->files[i].len);
		put_be16(p + 4, (uint16_t)(FWCFG_FILE_FIRST + i));
		memcpy(p + 8, f->files[i].name, FWCFG_NAME_MAX);
	}
	f->dir.len = len;
}

void fwcfg_select_locked(struct fwcfg *f, unsigned key)
{
	f->off = 0;
	if (key == FWCFG_FILE_DIR || key >= FWCFG_FILE_FIRST)
		build_directory_locked(f);
	f->cur = key == FWCFG_FILE_DIR ? &f->dir : find_item(f, key);
}

size_t fwcfg_left_locked(const struct fwcfg *f)
{
	return f->cur ? f->cur->len - f->off : 0;
}

static uint64_t ctl_read(void *opaque, uint64_t off, unsigned size)
{
	struct fwcfg *f = opaque;

	/* A byte at either port is data; wider ones are not decoded. */
	(void)off;
	if (size != 1)
		return UINT64_MAX;
	LOCK_GUARD(&f->lock);
	if (!fwcfg_left_locked(f))
		return 0;
	return f->cur->data[f->off++];
}

static void ctl_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
	struct fwcfg *f = opaque;

	if (off || size != 2)
		return; /* data cannot be written through the port */
	LOCK_GUARD(&f->lock);
	fwcfg_select_locked(f, (unsigned)val & 0xFFFF);
}

static const struct bus_ops ctl_ops = { .read = ctl_read, .write = ctl_write };

static void item_fini(struct fwcfg_item *it)
{
	free(it->data);
	free(it->first);
}

static void fwcfg_reset(struct device *d)
{
	struct fwcfg *f = container_of(d, struct fwcfg, dev);

	LOCK_GUARD(&f->lock);
	f->cur = NULL;
	f->off = 0;
	f->dma_addr = 0;
	f->listed = false;
	for (unsigned i = 0; i < f->nfiles; i++)
		if (f->files[i].written)
			memcpy(f->files[i].data, f->files[i].first,
				f->files[i].len);
}

static void fwcfg_free(struct device *d)
{
	struct fwcfg *f = container_of(d, struct fwcfg, dev);

	bus_unmap(f->core->pio, &f->ctl);
	bus_unmap(f->core->pio, &f->dma);
	for (unsigned i = 0; i < f->nfiles; i++)
		item_fini(&f->files[i]);
	for (unsigned i = 0; i < f->nkeys; i++)
		item_fini(&f->keys[i]);
	free(f->dir.data);
	lock_fini(&f->lock);
	free(f);
}

static const struct device_ops fwcfg_ops = {
	.reset = fwcfg_reset,
	.free = fwcfg_free,
};

/* The two items that make it a fw_cfg: who it is and that it has DMA. */
static int add_identity(struct fwcfg *f)
{
	static const uint8_t id[4] = { 3 };
	int rc = fwcfg_add_key(f, FWCFG_SIGNATURE, "QEMU", 4);

	return rc ? rc : fwcfg_add_key(f, FWCFG_ID, id, sizeof(id));
}

int fwcfg_new(struct core *core, struct fwcfg **out, struct err *e)
{
	struct fwcfg *f = calloc(1, sizeof(*f));
	int rc;

	if (!f)
		return err_sys(e, ENOMEM, "fw_cfg");
	f->dev = (struct device){ .name = "fwcfg", .ops = &fwcfg_ops };
	f->core = core;
	f->ctl = (struct bus_region){ .name = "fwcfg",
		.ops = &ctl_ops,
		.opaque = f,
		.len = 2,
		.prio = BUS_FIXED };
	f->dma = (struct bus_region){ .name = "fwcfg-dma",
		.ops = &fwcfg_dma_ops,
		.opaque = f,
		.len = 8,
		.prio = BUS_FIXED };
	lock_init(&f->lock, "fwcfg", LOCK_DEVICE);
	f->dir.data = malloc(DIR_HEAD + FWCFG_FILES_MAX * DIR_ENTRY);
	rc = f->dir.data ? add_identity(f) : -ENOMEM;
	if (!rc)
		rc = bus_map(core->pio, &f->ctl, FWCFG_PORT);
	if (!rc)
		rc = bus_map(core->pio, &f->dma, FWCFG_DMA_PORT);
	if (rc) {
		fwcfg_free(&f->dev);
		return err_sys(e, -rc, "fw_cfg");
	}
	*out = f;
	return 0;
}

struct device *fwcfg_device(struct fwcfg *f)
{
	return &f->dev;
}

/* Where the file of that name is, or (*found false) would be. */
static unsigned find_place(struct fwcfg *f, const char *name, bool *found)
{
	unsigned i = 0;
	int cmp = 1;

	while (i < f->nfiles && (cmp = strcmp(f->files[i].name, name)) < 0)
		i++;
	*found = i < f->nfiles && !cmp;
	return i;
}

/* Put it in its place; it stays the caller's on failure. */
static int insert_file(struct fwcfg *f, const struct fwcfg_item *it)
{
	bool found;
	unsigned at = find_place(f, it->name, &found);

	if (found)
		return -EEXIST;
	if (f->nfiles == FWCFG_FILES_MAX)
		return -ENOSPC;
	memmove(&f->files[at + 1], &f->files[at],
		(f->nfiles - at) * sizeof(f->files[0]));
	f->files[at] = *it;
	f->nfiles++;
	return 0;
}

static int check_file(const struct fwcfg *f, const char *name, size_t len)
{
	size_t n = strlen(name);

	if (!n || n > FWCFG_NAME_MAX || len > FWCFG_ITEM_MAX)
		return -EINVAL;
	return f->listed ? -EBUSY : 0;
}

static void *copy_of(const void *data, size_t len)
{
	void *p = malloc(len ? len : 1);

	if (p && len)
		memcpy(p, data, len);
	return p;
}

int fwcfg_add_file(struct fwcfg *f, const char *name, void *data, size_t len,
	bool take)
{
	struct fwcfg_item it = { .data = data, .len = len };
	int rc;

	LOCK_GUARD(&f->lock);
	rc = check_file(f, name, len);
	if (!rc && !take)
		it.data = copy_of(data, len);
	if (!rc && !it.data && len)
		rc = -ENOMEM;
	if (!rc) {
		memcpy(it.name, name, strlen(name));
		rc = insert_file(f, &it);
		if (rc && !take)
			free(it.data);
	}
	if (rc && take)
		free(data);
	return rc;
}

int fwcfg_add_writable(struct fwcfg *f, const char *name, const void *data,
	size_t len, void (*written)(void *arg, const void *data, size_t len),
	void *arg)
{
	struct fwcfg_item it = { .len = len, .written = written, .arg = arg };
	int rc;

	LOCK_GUARD(&f->lock);
	rc = check_file(f, name, len);
	if (rc)
		return rc;
	memcpy(it.name, name, strlen(name));
	it.data = copy_of(data, len);
	it.first = copy_of(data, len);
	rc = it.data && it.first ? insert_file(f, &it) : -ENOMEM;
	if (rc)
		item_fini(&it);
	return rc;
}

int fwcfg_add_key(struct fwcfg *f, unsigned key, const void *data, size_t len)
{
	struct fwcfg_item *it = &f->keys[f->nkeys];

	LOCK_GUARD(&f->lock);
	if (key > 0xFFFF || len > FWCFG_ITEM_MAX || key == FWCFG_FILE_DIR ||
		(key >= FWCFG_FILE_FIRST && !(key & FWCFG_ARCH_LOCAL)))
		return -EINVAL;
	if (f->listed)
		return -EBUSY;
	if (find_key(f, key))
		return -EEXIST;
	if (f->nkeys == FWCFG_KEYS_MAX)
		return -ENOSPC;
	it->data = copy_of(data, len);
	if (!it->data)
		return -ENOMEM;
	it->key = key;
	it->len = len;
	f->nkeys++;
	return 0;
}
