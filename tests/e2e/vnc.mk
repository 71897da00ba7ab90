# A screen without a guest, for tests/e2e/vnc.sh.
GUESTS += $(BUILD)/vncserver_demo

$(BUILD)/vncserver_demo: $(BUILD)/obj/tests/e2e/vncserver_demo.o \
		$(foreach r,display display/viewer vm/base,$(call archive,$(r)))
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $< -Wl,--start-group \
		$(filter %.a,$^) -Wl,--end-group $(ALL_LIBS)
