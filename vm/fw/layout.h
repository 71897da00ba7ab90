/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Where direct boot puts what in guest RAM. Below 1 MiB everything has its
 * place, tables too: they then touch no further (perhaps huge) page. The
 * kernel lies at 1 MiB or above where it asks to be; the initrd ends at the
 * top of low RAM.
 */
#ifndef VM_FW_LAYOUT_H
#define VM_FW_LAYOUT_H

#define FW_GDT         0x500u
#define FW_PVH_INFO    0x6000u /* hvm_start_info, modules, memory map */
#define FW_BOOT_PARAMS 0x7000u /* one page */
#define FW_STACK       0x8FF0u /* grows down to 0x8000 */
#define FW_PAGE_TABLES 0x9000u /* PML4, PDPT, 4 page directories */
#define FW_CMDLINE     0x20000u
#define FW_CMDLINE_MAX 0x10000u
#define FW_EBDA        0x9FC00u /* end of RAM that the memory map shows */
#define FW_RSDP        0xE0000u
#define FW_ACPI        0xE0400u /* up to FW_SMBIOS: enough for 1024 CPUs */
#define FW_SMBIOS      0xF0000u
#define FW_BIOS_END    0x100000u
#define FW_KERNEL_MIN  0x100000u

/*
 * The last PCI bus that the tables tell of. There is no bridge yet, so it is
 * bus 0. Linux looks at every slot of every bus that MCFG names through the
 * configuration ports: 255 needless buses cost 16,000 exits at each boot.
 */
#define FW_LAST_BUS 0

/* Where vm/kvm puts KVM's TSS and identity map. */
#define FW_KVM_PAGES     0xFEFFC000u
#define FW_KVM_PAGES_LEN 0x4000u

#endif
