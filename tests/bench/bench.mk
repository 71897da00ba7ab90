# SPDX-License-Identifier: GPL-3.0-or-later
# What tests/bench/run needs built.
BENCH := $(addprefix $(BUILD)/bench/,start idle.elf exits.elf ready randread)
BENCH_GUEST := tests/bench/guest

bench: $(BENCH)

$(BUILD)/bench/start: $(BUILD)/obj/tests/bench/start.o $(ARCHIVES)
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $< \
		-Wl,--start-group $(ARCHIVES) -Wl,--end-group $(ALL_LIBS)

# Kernels without an operating system: 32 bits, no library.
BENCH_KERNEL := -m32 -std=gnu11 -O2 -Wall -Wextra $(WERROR) -ffreestanding \
	-nostdlib -static -no-pie -fno-pie -fno-stack-protector \
	-mgeneral-regs-only -fcf-protection=none \
	-fno-asynchronous-unwind-tables -Wa,-I$(BENCH_GUEST) \
	-T $(BENCH_GUEST)/pvh.lds -Wl,--build-id=none -Wl,-no-warn-rwx-segments

define bench_kernel
	$(call say,GUEST,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(BENCH_KERNEL) -o $@ $<
endef
BENCH_PVH := $(BENCH_GUEST)/pvh.s $(BENCH_GUEST)/pvh.lds

$(BUILD)/bench/%.elf: $(BENCH_GUEST)/%.s $(BENCH_PVH)
	$(bench_kernel)

$(BUILD)/bench/%.elf: $(BENCH_GUEST)/%.c $(BENCH_PVH)
	$(bench_kernel)

# Programs in a Linux guest.
$(BUILD)/bench/ready: $(BENCH_GUEST)/ready.s
	$(call say,GUEST,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -nostdlib -static -no-pie -Wl,--build-id=none -o $@ $<

$(BUILD)/bench/randread: $(BENCH_GUEST)/randread.c
	$(call say,GUEST,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 -O2 -Wall -Wextra $(WERROR) -D_GNU_SOURCE \
		-static -o $@ $<
