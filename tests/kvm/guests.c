// SPDX-License-Identifier: GPL-3.0-or-later
/* The code of all guests of tests/guest, assembled here. */
#include "tests/kvm/rig.h"

#define CODE(name)                                                             \
	__asm__(".pushsection .rodata\n"                                       \
		"guest_" #name ":\n"                                           \
		".include \"tests/guest/" #name ".s\"\n"                       \
		"guest_" #name "_end:\n"                                       \
		".code64\n"                                                    \
		".popsection\n");                                              \
	extern const uint8_t guest_##name[], guest_##name##_end[];

GUESTS(CODE)

#define ENTRY(name) { #name, guest_##name, guest_##name##_end },

static const struct {
	const char *name;
	const uint8_t *code, *end;
} guests[] = { GUESTS(ENTRY) };

const uint8_t *guest_code(const char *name, size_t *len)
{
	for (size_t i = 0; i < sizeof(guests) / sizeof(guests[0]); i++) {
		if (strcmp(guests[i].name, name) != 0)
			continue;
		*len = (size_t)(guests[i].end - guests[i].code);
		return guests[i].code;
	}
	ck_abort_msg("no guest %s", name);
	return NULL;
}
