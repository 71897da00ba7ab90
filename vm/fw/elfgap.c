/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Stretches of zeroes in ELF files; see elfgap.h. */
#include "vm/fw/elfgap.h"

#include <elf.h>
#include <stdbool.h>
#include <string.h>

#include "vm/base/sizes.h"

static Elf64_Shdr section(const uint8_t *headers, unsigned i)
{
	Elf64_Shdr s;

	memcpy(&s, headers + (size_t)i * sizeof(s), sizeof(s));
	return s;
}

/* Has s bytes in the file? */
static bool has_bytes(const Elf64_Shdr *s)
{
	return s->sh_type != SHT_NULL && s->sh_type != SHT_NOBITS && s->sh_size;
}

/* How far from off there is no section's byte; off itself = not at all. */
static uint64_t gap_end(const uint8_t *headers, unsigned n, uint64_t off,
	uint64_t file_size)
{
	uint64_t end = file_size;

	for (unsigned i = 0; i < n; i++) {
		Elf64_Shdr s = section(headers, i);
		uint64_t s_end;

		if (!has_bytes(&s))
			continue;
		if (!size_add(s.sh_offset, s.sh_size, &s_end))
			return off; /* a liar: believe nothing */
		if (s_end > off && s.sh_offset < end)
			end = s.sh_offset > off ? s.sh_offset : off;
	}
	return end;
}

/* Put g in by its place, unless it overlaps one that is there. */
static unsigned insert(struct elf_gap *out, unsigned n, struct elf_gap g)
{
	unsigned at = 0;

	while (at < n && out[at].end <= g.off)
		at++;
	if (n == ELF_GAPS || (at < n && out[at].off < g.end))
		return n;
	memmove(&out[at + 1], &out[at], (n - at) * sizeof(*out));
	out[at] = g;
	return n + 1;
}

unsigned elf_gaps(const uint8_t *headers, unsigned n, uint64_t file_size,
	struct elf_gap out[ELF_GAPS])
{
	unsigned found = 0;

	for (unsigned i = 0; i < n; i++) {
		Elf64_Shdr s = section(headers, i);
		struct elf_gap g = { s.sh_offset, 0 };

		if (s.sh_type != SHT_NOBITS || !(s.sh_flags & SHF_ALLOC) ||
			g.off >= file_size)
			continue;
		g.end = gap_end(headers, n, g.off, file_size);
		if (g.end - g.off >= ELF_GAP_MIN)
			found = insert(out, found, g);
	}
	return found;
}
