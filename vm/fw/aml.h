/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * AML emitter: ACPI 6.4 chapter 20 (encoding) and 6.4 (resources), the parts
 * that a DSDT of ours needs. Each call appends to a buffer; what has a length
 * in front (scope, device, method, package, if) is opened, filled and ended:
 * aml_end() puts the length in. Operators are prefix, as in AML itself:
 * aml_op(b, AML_STORE), then source, then target.
 */
#ifndef VM_FW_AML_H
#define VM_FW_AML_H

#include "vm/fw/buf.h"

enum aml_op {
	AML_LOCAL0 = 0x60,
	AML_ARG0 = 0x68,
	AML_STORE = 0x70,       /* source, target */
	AML_AND = 0x7B,         /* a, b, target */
	AML_OR = 0x7D,          /* a, b, target */
	AML_NO_TARGET = 0,      /* NullName in place of a target */
	AML_DWORD_FIELD = 0x8A, /* buffer, index, name */
	AML_NOT = 0x92,
	AML_EQUAL = 0x93,
	AML_RETURN = 0xA4,
};

enum aml_space { AML_SYSTEM_IO = 1, AML_PCI_CONFIG = 2 };

void aml_op(struct fw_buf *b, enum aml_op op);
void aml_int(struct fw_buf *b, uint64_t v);
void aml_string(struct fw_buf *b, const char *s);
/* "PNP0A08" as the number that _HID holds. */
void aml_eisaid(struct fw_buf *b, const char *id);
/* A UUID as ToUUID() gives it: a buffer in mixed-endian order. */
void aml_uuid(struct fw_buf *b, const char *text);
/* NameString: "\\_SB.PCI0", "LNKA", "^X"; segments of 1 to 4 letters. */
void aml_path(struct fw_buf *b, const char *path);

/* Name(path, ...): the object follows. */
void aml_name(struct fw_buf *b, const char *path);
void aml_name_int(struct fw_buf *b, const char *path, uint64_t v);
void aml_name_eisaid(struct fw_buf *b, const char *path, const char *id);

/* Things with a length; give the returned place to aml_end(). */
size_t aml_scope(struct fw_buf *b, const char *path);
size_t aml_device(struct fw_buf *b, const char *path);
size_t aml_method(struct fw_buf *b, const char *path, unsigned args,
	bool serialized);
size_t aml_package(struct fw_buf *b, unsigned elements);
size_t aml_if(struct fw_buf *b); /* the condition follows */
size_t aml_else(struct fw_buf *b);
void aml_end(struct fw_buf *b, size_t at);

/* Method(path) { Return (v) }, no arguments. */
void aml_method_int(struct fw_buf *b, const char *path, uint64_t v);

void aml_region(struct fw_buf *b, const char *name, enum aml_space space,
	uint64_t off, uint64_t len);
/* Field(region, ByteAcc, NoLock, Preserve): bits, ended by aml_end(). */
size_t aml_field(struct fw_buf *b, const char *region);
void aml_field_bits(struct fw_buf *b, const char *name, unsigned bits);
void aml_field_skip(struct fw_buf *b, unsigned bits);

/* A buffer of resource descriptors. */
size_t aml_resources(struct fw_buf *b);
void aml_resources_end(struct fw_buf *b, size_t at);
void aml_res_io(struct fw_buf *b, uint16_t base, uint8_t align, uint8_t len);
void aml_res_irq(struct fw_buf *b, unsigned irq); /* edge, exclusive */
void aml_res_mem32(struct fw_buf *b, uint32_t base, uint32_t len);
/* Level, active high, shared, n numbers (the first lies 5 bytes in). */
void aml_res_interrupt(struct fw_buf *b, const uint32_t *irq, unsigned n);

enum aml_window { AML_WINDOW_MEM, AML_WINDOW_IO, AML_WINDOW_BUS };

/*
 * What a bridge passes on: [min, max], written in fields of 2, 4 or 8 bytes.
 * cacheable: memory that may be prefetched.
 */
void aml_res_window(struct fw_buf *b, enum aml_window kind, unsigned size,
	uint64_t min, uint64_t max, bool cacheable);

#endif
