# Guests of the engine tests are assembled into the test programs (see
# tests/kvm/guests.c); the compiler does not see what .include reads.
$(BUILD)/obj/tests/kvm/guests.o: $(wildcard tests/guest/*.s)
